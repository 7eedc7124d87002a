//! Owns where a setting of `serve` comes from: what was typed counts before the environment, that before the file, and
//! that before the default.
//! It must not judge a value: `serve` does.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser};

use super::file::{self, File, Kind};
use super::flag;
use super::serve::ServeArguments;
use crate::config::Config;

/// The flags of `serve` as they were typed, whatever command they were typed with.
#[derive(Clone, Debug)]
pub(super) struct Typed(Vec<OsString>);

/// What all of it comes to.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: Config,
    /// What stands in the configuration file and counts, if there is one.
    file: Option<File>,
    /// What was typed or is in the environment.
    said: ArgMatches,
    /// The same with what the file says and the defaults.
    all: ArgMatches,
}

/// The flags of `serve` without its name.
#[derive(Parser)]
#[command(name = "serve")]
struct Alone {
    #[command(flatten)]
    serve: ServeArguments,
}

impl Typed {
    /// Those among the flags of a command.
    pub(super) fn of(matches: &ArgMatches) -> Typed {
        let command = Alone::command();
        let mut words = Vec::new();
        for (name, flag) in command.get_arguments().filter_map(|flag| Some((flag.get_long()?, flag))) {
            let id = flag.get_id().as_str();
            // Help and version are not among them: nothing else would have been done.
            if matches.try_contains_id(id).is_err() || matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            if Kind::of(flag) == Kind::Switch {
                words.push(format!("--{name}").into());
                continue;
            }
            for value in matches.get_raw(id).into_iter().flatten() {
                let mut word = OsString::from(format!("--{name}="));
                word.push(value);
                words.push(word);
            }
        }
        Typed(words)
    }

    /// Those that stand somewhere else than on our own command line.
    pub(super) fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> Typed {
        Typed(words.map(OsString::from).collect())
    }

    /// What they come to with the environment and the file, as both are now.
    ///
    /// # Errors
    /// What is wrong, a line for each fault: which flag, variable or line of the file, and what was expected.
    pub(super) fn settle(&self) -> Result<Settings, Vec<String>> {
        let parse = |words: &[OsString]| {
            let words = [&["serve".into()], words].concat();
            Alone::command().try_get_matches_from(words).map_err(|why| vec![flag::first_line(&why)])
        };
        let serve = |matches: &ArgMatches| {
            ServeArguments::from_arg_matches(matches).map_err(|why| vec![flag::first_line(&why)])
        };
        let said = parse(&self.0)?;
        let Some(path) = serve(&said)?.config else {
            let config = Config::try_from(serve(&said)?).map_err(|why| vec![why.to_string()])?;
            return Ok(Settings { config, file: None, all: said.clone(), said });
        };
        let command = Alone::command();
        let mut file = File::read(Path::new(&path), &command)?;
        // What is said elsewhere counts instead.
        file.entries.retain(|entry| {
            let flag = file::keys(&command).find(|(name, _)| *name == entry.key);
            flag.is_some_and(|(_, flag)| source(&said, flag.get_id().as_str()).is_none())
        });
        let of_file = file.entries.iter().flat_map(|entry| entry.words.iter().map(OsString::from));
        let words: Vec<OsString> = self.0.iter().cloned().chain(of_file).collect();
        let all = parse(&words)?;
        let config = Config::try_from(serve(&all)?);
        let config = config.map_err(|why| vec![why.told(file.place_of(why.key()).as_deref())])?;
        Ok(Settings { config, file: Some(file), said, all })
    }
}

impl Settings {
    /// Whether there is a configuration file.
    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Every setting as it stands in a configuration file, with where its value is from.
    pub(super) fn lines(&self) -> Vec<String> {
        let command = Alone::command();
        file::keys(&command).map(|(key, flag)| self.line(key, flag)).collect()
    }

    fn line(&self, key: &str, flag: &Arg) -> String {
        let id = flag.get_id().as_str();
        let values = self.all.get_raw(id).into_iter().flatten();
        let texts: Vec<String> = values.map(|text| shown(flag, &text.to_string_lossy())).collect();
        let value = match (Kind::of(flag), texts.as_slice()) {
            (Kind::Switch, _) => self.all.get_flag(id).to_string(),
            (_, []) => return format!("# {key} is not set"),
            (Kind::Texts { is_repeated: true }, all) => format!("[{}]", all.join(", ")),
            (_, [one, ..]) => one.clone(),
        };
        let place = || self.file.as_ref().and_then(|file| file.place_of(key));
        let source = match source(&self.said, id) {
            Some(ValueSource::EnvVariable) => flag::environment_of(key),
            Some(_) => format!("--{key}"),
            None => place().unwrap_or_else(|| "default".to_owned()),
        };
        format!("{key} = {value}  # {source}")
    }
}

/// A value as it is written in a file. Of a URL only where it leads: the rest may be a secret.
fn shown(flag: &Arg, text: &str) -> String {
    let is_url = flag.get_value_names().is_some_and(|names| names.iter().any(|name| name == "URL"));
    let shown = if is_url { place_of(text) } else { text.to_owned() };
    // Texts of JSON are texts of TOML.
    if Kind::of(flag) == Kind::Number { shown } else { serde_json::Value::from(shown).to_string() }
}

/// Where a URL leads.
fn place_of(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "...".to_owned() };
    let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |end| rest.split_at(end));
    // Whoever logs in stands before the last @.
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    format!("{scheme}://{place}{}", if path.len() > 1 { "/..." } else { path })
}

/// Where a value is from that is neither from the file nor a default.
fn source(said: &ArgMatches, id: &str) -> Option<ValueSource> {
    said.value_source(id).filter(|source| matches!(source, ValueSource::CommandLine | ValueSource::EnvVariable))
}
