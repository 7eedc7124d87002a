//! Owns the commands about policies of alerts: of the server, of tags, and what counts for a job.
//! It must not merge them: the server does.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::defining::{DefinitionArguments, nothing};
use super::failure::{Failure, Kind};
use super::find::id_of;
use super::jobs::{OneArguments, each};
use super::server::{Ask, Server, encoded};
use super::shown::{self, Format, Shown, Table, text};

/// What can be done with policies. SCOPE is `server` or `tag:NAME`; that of a job is its member `alerts`.
#[derive(Subcommand, Debug)]
pub enum PolicyCommand {
    /// List the policies of the server and of tags
    #[command(visible_alias = "list")]
    Ls,
    /// Show a policy: what it says itself
    Get {
        /// server, or tag:NAME
        scope: String,
    },
    /// Say when somebody is told of trouble, how often, and over which channels
    Set {
        /// server, or tag:NAME
        scope: String,
        #[command(flatten)]
        definition: DefinitionArguments,
    },
    /// Remove policies: the next wider one counts, or what counts where nobody says anything
    #[command(visible_alias = "delete")]
    Rm {
        /// server, or tag:NAME
        #[arg(value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
    },
    /// Show what counts for a job, and who says so
    Of(OneArguments),
}

/// All policies, as the server said them.
#[derive(Deserialize)]
struct Policies<'a> {
    #[serde(borrow)]
    server: &'a RawValue,
    #[serde(borrow)]
    tags: Vec<OfTag<'a>>,
}

#[derive(Deserialize)]
struct OfTag<'a> {
    tag: String,
    #[serde(borrow)]
    policy: &'a RawValue,
}

/// Does what was asked for.
pub(crate) fn run(command: &PolicyCommand, server: &Server, shown: &Shown) -> Result<(), Failure> {
    match command {
        PolicyCommand::Ls => ls(server, shown),
        PolicyCommand::Get { scope } => {
            path_of(scope)?;
            let said = said_of(server, scope)?;
            let said = said.ok_or_else(|| Failure::new(Kind::NotFound, format!("{scope} has no policy")))?;
            let policy: Value = parsed(&said)?;
            shown.one(&said, scope, || {
                let members = policy.as_object().into_iter().flatten();
                shown::facts(members.map(|(name, value)| (name.as_str(), plain(value))))
            })
        }
        PolicyCommand::Set { scope, definition } => {
            let before = || said_of(server, scope)?.map_or_else(|| Ok(nothing()), |said| parsed(&said));
            let answer = definition.put(server, &path_of(scope)?, &[], before)?;
            shown.one(&answer.text, scope, || shown::print_lines([format!("{} is set", shown::clean(scope))]))
        }
        PolicyCommand::Rm { scopes } => each(scopes, "has no policy", |scope| server.ask(Ask::delete(path_of(scope)?))),
        PolicyCommand::Of(job) => of(&job.job, server, shown),
    }
}

fn path_of(scope: &str) -> Result<String, Failure> {
    match scope.strip_prefix("tag:").filter(|tag| !tag.is_empty()) {
        Some(tag) => Ok(format!("/api/policies/tags/{}", encoded(tag))),
        None if scope == "server" => Ok("/api/policies/server".to_owned()),
        None => Err(Failure::usage(format!("expected server or tag:NAME, got {scope:?}"))),
    }
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|_| Failure::failed("the answer is not what it should be"))
}

/// What a scope says itself; None: nothing.
fn said_of(server: &Server, scope: &str) -> Result<Option<String>, Failure> {
    let answer = server.ask(Ask::get("/api/policies"))?;
    let all: Policies<'_> = parsed(&answer.text)?;
    let found = match scope.strip_prefix("tag:") {
        None => Some(all.server),
        Some(tag) => all.tags.iter().find(|one| one.tag == tag).map(|one| one.policy),
    };
    Ok(found.map(|said| said.get().to_owned()))
}

fn ls(server: &Server, shown: &Shown) -> Result<(), Failure> {
    let answer = server.ask(Ask::get("/api/policies"))?;
    if matches!(shown.format, Format::Json | Format::Yaml) {
        return shown::print_answer(&answer.text, shown.format);
    }
    let all: Policies<'_> = parsed(&answer.text)?;
    let tags = all.tags.iter().map(|one| (format!("tag:{}", shown::clean(&one.tag)), one.policy));
    let rows: Vec<(String, &RawValue)> = std::iter::once(("server".to_owned(), all.server)).chain(tags).collect();
    if shown.format == Format::Name {
        return shown::print_lines(rows.iter().map(|(scope, _)| scope));
    }
    let mut table = Table::new(&["SCOPE", "POLICY"]);
    for (scope, said) in rows {
        let policy: Value = parsed(said.get())?;
        let members = policy.as_object().into_iter().flatten();
        let said: Vec<String> = members.map(|(name, value)| format!("{name} {}", plain(value))).collect();
        table.row([scope, if said.is_empty() { "-".to_owned() } else { said.join("; ") }]);
    }
    table.print("")
}

/// A member for people: lists by commas, and a word for what nobody says or nobody hears.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(all) if all.is_empty() => "none".to_owned(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(","),
        other => text(other),
    }
}

fn of(job: &str, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let id = id_of(server, job)?;
    let answer = server.ask(Ask::get(format!("/api/jobs/{id}/policy")))?;
    let told = answer.json()?;
    shown.one(&answer.text, &id, || {
        let mut table = Table::new(&["MEMBER", "VALUE", "FROM"]);
        for (name, from) in told["from"].as_object().into_iter().flatten() {
            table.row([shown::clean(name), plain(&told["effective"][name]), text(from)]);
        }
        table.print("")
    })
}
