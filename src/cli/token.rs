//! Owns the commands about tokens, on the database file: whether a server runs on it or not.
//! It must not print a token but the one that it made.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::flag::{InvalidFlag, file_meant};
use crate::access::{Scope, Token, TokenChange, TokenId};
use crate::api::{self, check_token_name};
use crate::clock;
use crate::limits::TOKENS_MAX;
use crate::server::new_token;
use crate::store::{AuditRow, Difference, TokenFile};
use crate::time::WallUs;

/// What can be done with tokens.
#[derive(Subcommand, Debug)]
pub enum TokenCommand {
    /// Make a token and print it: it is shown now, and never again
    ///
    /// From the first token on the server asks everybody for one. A server that runs knows it when this command ends.
    Create {
        /// What it lets somebody do: read, write (which contains it) or admin (which contains both)
        #[arg(long, value_name = "SCOPE")]
        scope: String,
        /// What it is for, for people
        #[arg(long, value_name = "NAME")]
        name: String,
        /// After how many days it ends (1-3650); unless given, it counts until it is revoked
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<String>,
        #[command(flatten)]
        file: File,
    },
    /// List tokens, and sessions of browsers
    Ls {
        #[command(flatten)]
        file: File,
    },
    /// Revoke a token, and the sessions that began with it
    Revoke {
        /// Its id, as `ls` shows it
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        file: File,
    },
}

/// Which tokens, and how they are printed.
#[derive(clap::Args, Debug)]
pub struct File {
    /// The SQLite file of the server; unless given, ./data/punctual.db
    #[arg(long, env = "PUNCTUAL_DB", value_name = "FILE")]
    db: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why it was not done.
#[derive(Debug)]
pub(super) enum Failed {
    /// What was typed is wrong.
    Typed(String),
    /// It could not be done.
    Undone(String),
}

impl From<InvalidFlag> for Failed {
    fn from(why: InvalidFlag) -> Failed {
        Failed::Typed(why.to_string())
    }
}

/// Does what was asked for.
pub(super) fn run(command: TokenCommand) -> Result<(), Failed> {
    match command {
        TokenCommand::Create { scope, name, expires_in_days, file } => create(&scope, name, expires_in_days, &file),
        TokenCommand::Ls { file } => list(&file),
        TokenCommand::Revoke { id, file } => revoke(&id, &file),
    }
}

/// What only looks for tokens makes no database.
fn open_existing(file: &File) -> Result<TokenFile, Failed> {
    let db = file.meant()?;
    if !db.exists() {
        return Err(Failed::Undone(format!("there is no database {}", db.display())));
    }
    open(&db)
}

fn open(db: &Path) -> Result<TokenFile, Failed> {
    TokenFile::open(db).map_err(|why| Failed::Undone(why.to_string()))
}

impl File {
    /// Which file that is.
    fn meant(&self) -> Result<PathBuf, Failed> {
        file_meant(self.db.as_ref()).map_err(Failed::Typed)
    }
}

fn create(scope: &str, name: String, expires_in_days: Option<String>, file: &File) -> Result<(), Failed> {
    let scope = Scope::from_name(scope)
        .ok_or_else(|| InvalidFlag::new("--scope", scope, &format!("one of {}", Scope::NAMES.join(", "))))?;
    check_token_name(&name).map_err(|why| InvalidFlag::new("--name", &name, why.trim_start_matches("expected ")))?;
    let days = expires_in_days.map(|text| super::flag::number("--expires-in-days", &text, 1, 3_650)).transpose()?;
    let now = clock::wall();
    let expires_at = days.map(|days| now.plus_us(i64::from(days) * 86_400_000_000));
    let db = file.meant()?;
    let is_new = !db.exists();
    let mut tokens = open(&db)?;
    if is_new {
        // Somebody may have mistyped the name of one that is there.
        eprintln!("{} is a new database", db.display());
    }
    let live = tokens.read().map_err(Failed::Undone)?;
    if live.iter().filter(|token| token.parent.is_none() && token.is_live(now)).count() >= TOKENS_MAX {
        return Err(Failed::Undone(format!("there are {TOKENS_MAX} tokens already; revoke some")));
    }
    let (text, token) = new_token(name, scope, expires_at, now).map_err(|why| Failed::Undone(why.to_string()))?;
    let row = row("createToken", token.id, now, 201);
    tokens.write(&TokenChange::Create(Box::new(token.clone())), &row).map_err(Failed::Undone)?;
    tokens.await_server();
    if file.json {
        println!("{}", api::token_text(&token, Some(&text), now));
    } else {
        // The token alone, so that it can be taken from there; what people want to know stands beside it.
        eprintln!("Token {} ({}, scope {}): it is shown now, and never again", token.id, token.name, token.scope);
        println!("{}", text.expose());
    }
    Ok(())
}

fn list(file: &File) -> Result<(), Failed> {
    let now = clock::wall();
    let mut tokens: Vec<Token> = open_existing(file)?.read().map_err(Failed::Undone)?;
    tokens.sort_by_key(|token| (token.created_at, token.id));
    if file.json {
        println!("{}", api::tokens_text(&tokens.iter().collect::<Vec<_>>(), now));
        return Ok(());
    }
    println!("{:12}  {:7}  {:5}  {:8}  {:24}  {:24}  NAME", "ID", "KIND", "SCOPE", "STATE", "EXPIRES", "LAST USED");
    for token in &tokens {
        let kind = if token.parent.is_some() { "session" } else { "token" };
        let state = match token.revoked_at {
            Some(_) => "revoked",
            None if !token.is_live(now) => "over",
            None => "counts",
        };
        let time = |at: Option<WallUs>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let (expires, used) = (time(token.expires_at), time(token.last_used_at));
        println!(
            "{}  {kind:7}  {:5}  {state:8}  {expires:24}  {used:24}  {}",
            token.id,
            token.scope.name(),
            token.name
        );
    }
    Ok(())
}

fn revoke(id: &str, file: &File) -> Result<(), Failed> {
    let expected = || Failed::Typed(format!("expected the id of a token, as `punctual token ls` shows it, got {id:?}"));
    let id: TokenId = id.parse().map_err(|()| expected())?;
    let now = clock::wall();
    let mut tokens = open_existing(file)?;
    let known = tokens.read().map_err(Failed::Undone)?;
    let Some(token) = known.into_iter().find(|token| token.id == id) else {
        return Err(Failed::Undone(format!("there is no token {id}")));
    };
    tokens.write(&TokenChange::Revoke(id, now), &row("revokeToken", id, now, 204)).map_err(Failed::Undone)?;
    tokens.await_server();
    if file.json {
        let token = Token { revoked_at: token.revoked_at.or(Some(now)), ..token };
        println!("{}", api::token_text(&token, None, now));
    } else {
        println!("Revoked: {id} ({})", token.name);
    }
    Ok(())
}

fn row(operation: &'static str, id: TokenId, at: WallUs, status: u16) -> AuditRow {
    let subject = Some(id.to_string().into());
    let client = "the command line".into();
    AuditRow { at, token: None, client, operation, subject, difference: Difference::None, status }
}
