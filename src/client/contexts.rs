//! Owns the file of contexts: names for servers, each with its URL and how one gets in.
//! It must not be readable by others, as there are tokens in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::server::url_of;
use super::shown::{self, Format, Shown, Table};

/// All contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Contexts {
    /// The one that counts where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    contexts: BTreeMap<String, Context>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Context {
    pub(crate) url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// Certificates (PEM) to trust beside those of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// What can be done with contexts.
#[derive(Subcommand, Debug)]
pub enum ContextCommand {
    /// List the contexts; the one with a star is used
    Ls,
    /// Use this context from now on
    Use {
        /// Its name
        name: String,
    },
    /// Make or change a context; the first one is used from then on
    Set {
        /// Its name
        name: String,
        /// The URL of the server, such as https://cron.example.com:3443
        #[arg(long, value_name = "URL")]
        server: String,
        /// A file with the token, or - for standard input; PUNCTUAL_TOKEN counts, too
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Certificates (PEM) to trust beside those of this machine
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
    },
    /// Forget a context
    Rm {
        /// Its name
        name: String,
    },
}

/// Does what was asked for.
pub(crate) fn run(command: ContextCommand, shown: &Shown) -> Result<(), Failure> {
    let path = path()?;
    let mut all = Contexts::read(&path)?;
    match command {
        ContextCommand::Ls => return all.list(shown.format),
        ContextCommand::Use { name } => {
            all.named(&name)?;
            all.current = Some(name);
        }
        ContextCommand::Set { name, server, token_file, ca_file } => {
            if name.is_empty() {
                return Err(Failure::usage("NAME: expected at least a letter"));
            }
            let server = url_of(&server)?;
            let token = match token_file {
                Some(file) => Some(read_token(&file)?),
                None => std::env::var("PUNCTUAL_TOKEN").ok().filter(|token| !token.is_empty()),
            };
            let ca_file = ca_file.map(std::path::absolute).transpose();
            let ca_file = ca_file.map_err(|why| Failure::failed(why.to_string()))?;
            all.contexts.insert(name.clone(), Context { url: server, token, ca_file });
            all.current.get_or_insert(name);
        }
        ContextCommand::Rm { name } => {
            all.named(&name)?;
            all.contexts.remove(&name);
            all.current.take_if(|current| *current == name);
        }
    }
    all.write(&path)
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let text =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { fs::read_to_string(file) };
    let text = text.map_err(|why| Failure::failed(format!("{}: {why}", file.display())))?;
    Ok(text.trim().to_owned())
}

/// Where the file is: `PUNCTUAL_CONTEXTS`, or in the folder that is for such files (XDG Base Directory Specification).
pub(crate) fn path() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = || set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let path = set("PUNCTUAL_CONTEXTS").or_else(|| folder().map(|folder| folder.join("punctual/contexts.json")));
    path.ok_or_else(|| Failure::failed("there is no place for contexts: HOME is not set"))
}

/// The context with this name, or the one in use; None: there is none in use.
pub(crate) fn find(name: Option<&str>) -> Result<Option<Context>, Failure> {
    let path = match path() {
        Ok(path) => path,
        Err(_) if name.is_none() => return Ok(None),
        Err(why) => return Err(why),
    };
    let all = Contexts::read(&path)?;
    match name.or(all.current.as_deref()) {
        Some(name) => all.named(name).cloned().map(Some),
        None => Ok(None),
    }
}

impl Contexts {
    fn read(path: &Path) -> Result<Contexts, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(why) => return Err(Failure::failed(format!("{}: {why}", path.display()))),
        };
        check_mode(path)?;
        serde_json::from_str(&text).map_err(|why| Failure::failed(format!("{}: {why}", path.display())))
    }

    fn named(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "there is none; `punctual context set` makes one".to_owned()
            } else {
                known.join(", ")
            };
            Failure::usage(format!("there is no context {name:?}: {known}"))
        })
    }

    /// Writes all of it, or leaves what was there.
    fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |why: std::io::Error| Failure::failed(format!("{}: {why}", path.display()));
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        let text = serde_json::to_string_pretty(self).expect("names and texts are JSON");
        let beside = path.with_extension("new");
        drop(fs::remove_file(&beside));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
        fs::rename(&beside, path).map_err(failed)
    }

    fn list(&self, format: Format) -> Result<(), Failure> {
        let is_current = |name: &String| self.current.as_ref() == Some(name);
        match format {
            Format::Json | Format::Yaml => {
                // A token is nothing to be shown.
                let hidden = |context: &Context| Context {
                    token: context.token.as_ref().map(|_| "(set)".to_owned()),
                    ..context.clone()
                };
                let contexts = self.contexts.iter().map(|(name, context)| (name.clone(), hidden(context))).collect();
                let text =
                    serde_json::to_string(&Contexts { contexts, ..self.clone() }).expect("names and texts are JSON");
                shown::print_answer(&text, format)
            }
            Format::Name => shown::print_lines(self.contexts.keys()),
            Format::Table | Format::Wide => {
                let mut table = Table::new(&["", "NAME", "SERVER", "TOKEN"]);
                for (name, context) in &self.contexts {
                    let token = if context.token.is_some() { "set" } else { "-" };
                    table.row([if is_current(name) { "*" } else { "" }, name, &context.url, token].map(Into::into));
                }
                table.print("no contexts; `punctual context set NAME --server URL` makes one")
            }
        }
    }
}

/// Whoever else can read the file has the tokens in it.
#[cfg(unix)]
fn check_mode(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Failure::failed(format!(
        "{path}: others can read it (mode {:o}), and there are tokens in it; chmod 600 {path}",
        mode & 0o777
    )))
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> Result<(), Failure> {
    Ok(())
}
