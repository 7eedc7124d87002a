//! Owns the command that looks at a database or a backup without starting anything.
//! It must not change what it looks at.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::flag::file_meant;
use super::report::{AsTold, Form, Seen, Shown, Undone, absolute};
use crate::background;
use crate::store::Look;

/// What is looked at.
#[derive(Args, Debug)]
pub(super) struct CheckArguments {
    /// A database or a backup; unless given, the database of the server
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The SQLite file of the server; unless given, ./data/punctual.db
    #[arg(long, env = "PUNCTUAL_DB", value_name = "FILE")]
    db: Option<PathBuf>,
    #[command(flatten)]
    told: AsTold,
    #[command(flatten)]
    form: Form,
}

/// Looks at it.
pub(super) fn check(typed: &CheckArguments) -> Result<(), Undone> {
    let is_json = typed.form.is_json()?;
    let (vault, told) = typed.told.read()?;
    background::give_way();
    let path = &match &typed.file {
        Some(file) => file.clone(),
        None => file_meant(typed.db.as_ref()).map_err(Undone::Typed)?,
    };
    let mut shown = Shown::new();
    let mut watch = |progress| {
        shown.tell(progress);
        true
    };
    let look = match Look::open(path, vault, &mut watch) {
        Ok(look) => look,
        Err(why) if is_json && why.is_verdict() => {
            let findings = [json!({ "what": why.to_string(), "count": 1, "examples": [] })];
            println!("{}", json!({ "file": absolute(path), "good": false, "findings": findings }));
            return Err(Undone::No(None));
        }
        Err(why) => return Err(why.into()),
    };
    let seen = Seen::of(&look, told, &mut shown)?;
    println!("{}", if is_json { seen.json().to_string() } else { seen.text() });
    if seen.is_good() { Ok(()) } else { Err(Undone::No(None)) }
}
