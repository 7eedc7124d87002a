//! Owns the configuration file: TOML whose keys are the flags of `serve`, read into the words of a command line.
//! It must not have a list of keys of its own, nor judge a value beyond its type: the flags do both.

use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::limits::CONFIG_FILE_LEN_MAX;

/// How much a key must resemble what was written to be suggested, of 1.
const RESEMBLANCE_MIN: f64 = 0.7;

/// Flags that are not for the file, as they say what is done with it.
const NO_KEYS: [&str; 4] = ["config", "check", "help", "version"];

/// What the names of values mean that are numbers. Each of them is a whole one.
const NUMBERS: [&str; 5] = ["N", "MS", "MINUTES", "DAYS", "MIB"];

/// What stands in a configuration file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    pub(super) entries: Vec<Entry>,
}

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name of its flag, without dashes.
    pub(super) key: String,
    line: usize,
    /// It, as it is typed.
    pub(super) words: Vec<String>,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// true or false.
    Switch,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// A text, or several in an array. Those of a flag that is typed once are joined with commas.
    Texts {
        /// Whether the flag is typed once for each.
        is_repeated: bool,
    },
}

impl Kind {
    pub(super) fn of(flag: &Arg) -> Kind {
        let name = flag.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        match flag.get_action() {
            ArgAction::SetTrue => Kind::Switch,
            ArgAction::Append => Kind::Texts { is_repeated: true },
            _ if name == "LIST" => Kind::Texts { is_repeated: false },
            _ if NUMBERS.contains(&name) => Kind::Number,
            _ => Kind::Text,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Kind::Switch => "true or false",
            Kind::Number => "a whole number",
            Kind::Text => "a text in quotes",
            Kind::Texts { .. } => "a text in quotes, or an array of texts",
        }
    }
}

/// The flags that may be set in a file, by their names.
pub(super) fn keys(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let named = command.get_arguments().filter_map(|flag| Some((flag.get_long()?, flag)));
    named.filter(|(name, _)| !NO_KEYS.contains(name))
}

impl File {
    /// Reads a file whose keys are the flags of a command.
    ///
    /// # Errors
    /// Everything that is wrong with it, a line each, with the line of the file and the key.
    pub(super) fn read(path: &Path, command: &Command) -> Result<File, Vec<String>> {
        let failed = |why: &dyn std::fmt::Display| vec![format!("--config: failed to read {}: {why}", path.display())];
        let length = std::fs::metadata(path).map_err(|why| failed(&why))?.len();
        if length > CONFIG_FILE_LEN_MAX {
            return Err(failed(&format_args!("it is longer than {CONFIG_FILE_LEN_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|why| failed(&why))?;
        File::parse(path, &text, command)
    }

    fn parse(path: &Path, text: &str, command: &Command) -> Result<File, Vec<String>> {
        let fault = |span: Range<usize>, what: &str| format!("{}, line {}: {what}", path.display(), line(text, &span));
        let table = DeTable::parse(text).map_err(|why| {
            let span = why.span().unwrap_or_default();
            vec![fault(span, &format!("no TOML: {}", why.message().replace('\n', ", ")))]
        })?;
        let (mut entries, mut faults) = (Vec::new(), Vec::new());
        for (key, value) in table.get_ref() {
            let name: &str = key.get_ref();
            let Some((_, flag)) = keys(command).find(|(known, _)| *known == name) else {
                faults.push((key.span().start, fault(key.span(), &unknown(command, name))));
                continue;
            };
            match words(name, Kind::of(flag), value) {
                Ok(words) => {
                    let line = line(text, &key.span());
                    entries.push(Entry { key: name.to_owned(), line, words });
                }
                Err(what) => faults.push((key.span().start, fault(key.span(), &what))),
            }
        }
        // In the order of the file.
        entries.sort_by_key(|entry| entry.line);
        faults.sort();
        let faults: Vec<String> = faults.into_iter().map(|(_, fault)| fault).collect();
        if faults.is_empty() { Ok(File { path: path.to_owned(), entries }) } else { Err(faults) }
    }

    /// Where a key stands, for people.
    pub(super) fn place_of(&self, key: &str) -> Option<String> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(format!("{}, line {}", self.path.display(), entry.line))
    }
}

/// A setting as it is typed.
fn words(name: &str, kind: Kind, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let expected = || format!("{name}: expected {}, got {}", kind.expected(), shown(value.get_ref()));
    let typed = |text: &str| format!("--{name}={text}");
    match (kind, value.get_ref()) {
        (Kind::Switch, DeValue::Boolean(true)) => Ok(vec![format!("--{name}")]),
        // As it is without the flag.
        (Kind::Switch, DeValue::Boolean(false)) => Ok(Vec::new()),
        (Kind::Number, DeValue::Integer(number)) if number.radix() == 10 => Ok(vec![typed(number.as_str())]),
        (Kind::Text | Kind::Texts { .. }, DeValue::String(text)) => Ok(vec![typed(text)]),
        (Kind::Texts { is_repeated }, DeValue::Array(all)) => {
            let texts: Option<Vec<&str>> = all.iter().map(|text| text.get_ref().as_str()).collect();
            let texts = texts.filter(|texts| !texts.is_empty()).ok_or_else(expected)?;
            Ok(if is_repeated { texts.iter().map(|text| typed(text)).collect() } else { vec![typed(&texts.join(","))] })
        }
        _ => Err(expected()),
    }
}

fn unknown(command: &Command, name: &str) -> String {
    let mut told = format!("{name}: expected the name of a flag of serve");
    let alike = keys(command).map(|(key, _)| (strsim::jaro_winkler(key, &name.to_lowercase().replace('_', "-")), key));
    match alike.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        Some((score, key)) if score >= RESEMBLANCE_MIN => write!(told, " such as {key}").expect("a text takes all"),
        _ => told.push_str(", without its dashes"),
    }
    told
}

/// A value for people.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {text:.100?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => format!("the time {time}"),
        DeValue::Array(all) if all.is_empty() => "an empty array".to_owned(),
        DeValue::Array(_) => "an array with something else".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The line in which something begins, from 1.
fn line(text: &str, span: &Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
}
