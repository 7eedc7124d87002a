//! Owns the command that moves everything from one database to one of the other kind.
//! It must not know how that is done.

use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::flag::InvalidFlag;
use super::report::{Form, Shown, Undone};
use crate::background;
use crate::postgres::Url;
use crate::store::{self, Compared, Location, Migrated, MigrationError};

/// What is moved where.
#[derive(Args, Debug)]
pub(super) struct MigrateArguments {
    /// Where everything is: a SQLite file, or postgres://USER@HOST/DATABASE (a password in PGPASSWORD is seen by nobody)
    #[arg(long, value_name = "DATABASE")]
    from: String,
    /// Where it is to be: a file that is not there yet, or an empty database; of the other kind
    #[arg(long, value_name = "DATABASE")]
    to: String,
    #[command(flatten)]
    form: Form,
}

/// Moves it.
pub(super) fn migrate(typed: &MigrateArguments) -> Result<(), Undone> {
    let is_json = typed.form.is_json()?;
    let (from, to) = (location("--from", &typed.from)?, location("--to", &typed.to)?);
    if from.file().is_some() == to.file().is_some() {
        let other =
            if from.file().is_some() { "postgres://..., as --from is a file" } else { "a file, as --from is none" };
        return Err(InvalidFlag::new("--to", &shown(&to), other).into());
    }
    background::give_way();
    let (mut bar, begin) = (Shown::new(), Instant::now());
    let moved = store::migrate(&from, &to, &mut |moving| bar.count(moving));
    bar.end();
    let moved = moved.map_err(|why| match &why {
        MigrationError::Refused(_) | MigrationError::Failed(_) => Undone::Failed(why.to_string()),
        MigrationError::Differs(compared) => {
            println!("{}", if is_json { differing(compared).to_string() } else { table(compared) });
            Undone::No(Some(why.to_string()))
        }
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    if is_json {
        println!("{}", result(&moved, (&from, &to), seconds));
        return Ok(());
    }
    println!("{}", table(&moved.compared));
    let again = if moved.is_resumed { ", going on with a migration that had been broken off" } else { "" };
    println!("Migrated: {} to {} ({} rows, {seconds:.1} s{again})", shown(&from), shown(&to), moved.moved);
    if moved.secrets > 0 {
        println!("Secrets: {}, sealed as they were; the server needs the same --secrets-key", moved.secrets);
    }
    eprintln!("Next: start the server on it, and none on what it was copied from: both would send everything");
    match &to {
        Location::File(path) => eprintln!("  punctual serve --db {}", path.display()),
        Location::Server { .. } => eprintln!("  punctual serve --store postgres://... (as --to)"),
    }
    Ok(())
}

/// A database by its path or its URL.
fn location(flag: &'static str, text: &str) -> Result<Location, InvalidFlag> {
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Ok(Location::File(text.into()));
    }
    // The text may hold a password.
    let url = Url::parse(text).map_err(|why| InvalidFlag::new(flag, "postgres://...", &why.to_string()))?;
    Ok(Location::Server { url: Box::new(url), node: "migrate".to_owned() })
}

/// A database for people: without a password.
fn shown(location: &Location) -> String {
    match location {
        Location::File(_) => location.to_string(),
        Location::Server { url, .. } => url.to_string(),
    }
}

/// What was compared, a line each.
fn table(compared: &[Compared]) -> String {
    let width = compared.iter().map(|compared| compared.what.len()).max().unwrap_or(0);
    let line = |Compared { what, from, to, is_alike }: &Compared| match (from == to, is_alike) {
        (true, true) => format!("{what:width$}  {from}"),
        (true, false) => format!("{what:width$}  {from}, but they say something else"),
        (false, _) => format!("{what:width$}  {from}, and {to} arrived"),
    };
    compared.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn differing(compared: &[Compared]) -> Value {
    json!({ "migrated": false, "compared": objects(compared) })
}

fn result(moved: &Migrated, (from, to): (&Location, &Location), seconds: f64) -> Value {
    json!({
        "migrated": true,
        "from": shown(from),
        "to": shown(to),
        "rows": moved.moved,
        "resumed": moved.is_resumed,
        "secrets": moved.secrets,
        "seconds": (seconds * 1000.0).round() / 1000.0,
        "compared": objects(&moved.compared),
    })
}

fn objects(compared: &[Compared]) -> Vec<Value> {
    let object = |compared: &Compared| {
        let Compared { what, from, to, is_alike: _ } = compared;
        json!({ "what": what, "from": from, "to": to, "same": compared.is_same() })
    };
    compared.iter().map(object).collect()
}
