//! Owns what a channel or a policy is to be, as it is typed: from a file, or as what it is with single members changed.
//! It must not know which members there are: the server does.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};
use ureq::http::Method;

use super::failure::Failure;
use super::server::{Answer, Ask, Server};
use super::typed::Typed;
use super::{files, members};

/// What it is to be.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub struct DefinitionArguments {
    /// The whole of it, as YAML or JSON, from a file or - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A member, such as --set channels='["ops"]'; without a file the others stay as they are
    #[arg(long = "set", value_name = "MEMBER=VALUE")]
    set: Vec<String>,
    /// Remove a member
    #[arg(long, value_name = "MEMBER")]
    unset: Vec<String>,
}

/// Members that are texts whatever they look like, and may be taken from elsewhere: `${NAME}`, `file:PATH`. The URLs of some
/// services are as good as a password.
pub(crate) const SECRETS: [&str; 4] = ["signingSecret", "token", "password", "url"];

impl DefinitionArguments {
    /// Puts it where `path` says. `before` is what there is, without what the server only tells; it is asked for only if that
    /// counts.
    pub(crate) fn put(
        &self,
        server: &Server,
        path: &str,
        told: &[&str],
        before: impl FnOnce() -> Result<Value, Failure>,
    ) -> Result<Answer, Failure> {
        let (mut value, from) = match &self.file {
            Some(file) => {
                let mut items = files::read(file)?;
                let item = items.pop().filter(|item| items.is_empty() && item.value.is_object());
                let item = item.ok_or_else(|| Failure::usage(format!("{}: expected one object", file.display())))?;
                (item.value, Some(item.typed))
            }
            None => (before()?, None),
        };
        if let Some(object) = value.as_object_mut() {
            told.iter().for_each(|name| drop(object.remove(*name)));
        }
        let mut given = Vec::new();
        for set in &self.set {
            let (member, mut of) = members::parse(set)?;
            if SECRETS.contains(&member.as_str()) && !of.is_string() {
                of = set[member.len() + 1..].into();
            }
            members::put(&mut value, &member, of)?;
            given.push((member, set.as_str()));
        }
        if let Some(object) = value.as_object_mut() {
            for name in &self.unset {
                // A secret that is only left out stays.
                drop(if SECRETS.contains(&name.as_str()) {
                    object.insert(name.clone(), Value::Null)
                } else {
                    object.remove(name)
                });
            }
            SECRETS.iter().try_for_each(|name| object.get_mut(*name).map_or(Ok(()), files::secret))?;
        }
        let given: Vec<(&str, &str)> = given.iter().map(|(member, set)| (member.as_str(), *set)).collect();
        let typed = from.unwrap_or_else(|| Typed::command(&given));
        server.ask(Ask::new(Method::PUT, path).json(value.to_string()).typed(&typed))
    }
}

/// Nothing yet.
pub(crate) fn nothing() -> Value {
    Map::new().into()
}
