//! Owns the commands about channels: list, show, make and change, delete, test.
//! It must not show a secret, or keep one in a command line of its own.

use clap::Subcommand;
use serde_json::{Value, json};

use super::asking::sure;
use super::defining::{DefinitionArguments, nothing};
use super::failure::{Failure, Kind};
use super::jobs::each;
use super::server::{Ask, Server, encoded};
use super::shown::{self, Format, Shown, Table, text};

/// What can be done with channels.
#[derive(Subcommand, Debug)]
pub enum ChannelCommand {
    /// List channels, with how they fared
    #[command(visible_alias = "list")]
    Ls,
    /// Show a channel; of secrets only that they are set
    Get {
        /// Its name
        name: String,
    },
    /// Make a channel, or change one; secrets are written as '${VARIABLE}' or file:PATH, and stay if they are left out
    Set {
        /// Its name
        name: String,
        #[command(flatten)]
        definition: DefinitionArguments,
    },
    /// Delete channels
    #[command(visible_alias = "delete")]
    Rm {
        /// Their names
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Send a test message; exit code 3 if it was not delivered
    Test {
        /// Its name
        name: String,
    },
}

/// What the server says of a channel that is no part of what it is.
const TOLD: [&str; 6] = ["name", "target", "lastDeliveredAt", "lastFailedAt", "lastError", "waiting"];

/// Does what was asked for.
pub(crate) fn run(command: &ChannelCommand, server: &Server, shown: &Shown) -> Result<(), Failure> {
    match command {
        ChannelCommand::Ls => ls(server, shown),
        ChannelCommand::Get { name } => get(name, server, shown),
        ChannelCommand::Set { name, definition } => {
            let before = || match server.ask(Ask::get(path_of(name))) {
                Ok(answer) => answer.json(),
                Err(failure) if failure.kind() == Kind::NotFound => Ok(nothing()),
                Err(failure) => Err(failure),
            };
            let answer = definition.put(server, &path_of(name), &TOLD, before)?;
            shown.one(&answer.text, name, || shown::print_lines([format!("{} is set", shown::clean(name))]))
        }
        ChannelCommand::Rm { names, yes } => {
            let named = if names.len() == 1 { names[0].clone() } else { format!("{} channels", names.len()) };
            sure(&format!("Delete {named}?"), *yes)?;
            each(names, "deleted", |name| server.ask(Ask::delete(path_of(name))))
        }
        ChannelCommand::Test { name } => test(name, server, shown),
    }
}

fn path_of(name: &str) -> String {
    format!("/api/channels/{}", encoded(name))
}

fn ls(server: &Server, shown: &Shown) -> Result<(), Failure> {
    let answer = server.ask(Ask::get("/api/channels"))?;
    let told = answer.json()?;
    let all = told["channels"].as_array().cloned().unwrap_or_default();
    match shown.format {
        Format::Json | Format::Yaml => return shown::print_answer(&answer.text, shown.format),
        Format::Name => return shown::print_lines(all.iter().map(|one| text(&one["name"]))),
        Format::Table | Format::Wide => {}
    }
    let more: &[&str] = if shown.is_wide() { &["LAST FAILED"] } else { &[] };
    let heads = ["NAME", "KIND", "TARGET", "WAITING", "LAST DELIVERED", "LAST ERROR"];
    let mut table = Table::new(&[&heads[..], more].concat());
    for one in &all {
        let mut cells = ["name", "kind", "target", "waiting"].map(|name| text(&one[name])).to_vec();
        cells.extend([shown.time(&one["lastDeliveredAt"]), text(&one["lastError"])]);
        if shown.is_wide() {
            cells.push(shown.time(&one["lastFailedAt"]));
        }
        table.row(cells);
    }
    table.print("there is no channel; `punctual channel set NAME` makes one")
}

fn get(name: &str, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let answer = server.ask(Ask::get(path_of(name)))?;
    let told = answer.json()?;
    shown.one(&answer.text, name, || {
        let members = told.as_object().into_iter().flatten();
        let own = members.filter(|(name, _)| !TOLD.contains(&name.as_str()));
        let own: Vec<(&str, String)> = own.map(|(name, value)| (name.as_str(), written(value))).collect();
        let time = |name: &str| told[name].as_str().map(|_| shown.time(&told[name])).unwrap_or_default();
        let figures = [
            ("Last delivered", time("lastDeliveredAt")),
            ("Last failed", time("lastFailedAt")),
            ("Last error", told["lastError"].as_str().map(shown::clean).unwrap_or_default()),
            ("Waiting", text(&told["waiting"])),
        ];
        shown::facts([("Name", shown::clean(name))].into_iter().chain(own).chain(figures))
    })
}

/// A member of it. Of a secret there is only that it is set.
fn written(value: &Value) -> String {
    if *value == json!({ "set": true }) { "(set)".to_owned() } else { text(value) }
}

fn test(name: &str, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let answer = server.ask(Ask::post(format!("{}/test", path_of(name)), &json!({})))?;
    let told = answer.json()?;
    let is_delivered = told["delivered"] == true;
    shown.one(&answer.text, name, || {
        if is_delivered {
            shown::print_lines([format!("delivered within {}", shown::millis(&told["durationMs"]))])?;
        }
        Ok(())
    })?;
    let why = || Failure::no(format!("it was not delivered: {}", text(&told["error"])));
    if is_delivered { Ok(()) } else { Err(why()) }
}
