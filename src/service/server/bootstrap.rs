//! Owns the first token: it comes from a file, or is made and written to one, for whoever has no shell on the machine.
//! It must not add one where there is one that counts, nor bring back one that was revoked.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::access::made;
use crate::access::{Scope, Token, TokenChange, TokenText};
use crate::durable;
use crate::store::{AuditRow, Database, Difference};
use crate::time::WallUs;

/// What the first token is called.
const NAME: &str = "bootstrap";

/// Adds the first token, if there is none that counts. It becomes one of `tokens`.
///
/// # Errors
/// Says what is wrong with the file.
pub(super) fn add(store: &mut Database, path: &Path, tokens: &mut Vec<Token>, now: WallUs) -> Result<(), String> {
    if tokens.iter().any(|token| token.parent.is_none() && token.is_live(now)) {
        return Ok(());
    }
    let failed = |what: &str, why: &dyn Display| failed(path, what, why);
    let (text, mut token) =
        made(NAME.to_owned(), Scope::Admin, None, None, now).map_err(|why| failed("make a token for", &why))?;
    match read(path)? {
        Some(kept) => token.digest = kept.digest(),
        None => write(path, &text).map_err(|why| failed("write a token to", &why))?,
    }
    if tokens.iter().any(|known| known.digest == token.digest) {
        tracing::warn!(file = %path.display(), "the token in the file was revoked or is over; it stays so");
        return Ok(());
    }
    let row = AuditRow {
        at: now,
        token: None,
        client: "the server itself".into(),
        operation: "createToken",
        subject: Some(token.id.to_string().into()),
        difference: Difference::None,
        status: 201,
    };
    store
        .write_token(&TokenChange::Create(Box::new(token.clone())), &row)
        .map_err(|why| failed("keep the token of", &why))?;
    tracing::info!(file = %path.display(), token = %token.id, "the first token is that of the file");
    tokens.push(token);
    Ok(())
}

/// Whether there is a token, or may be: its folder is there.
///
/// # Errors
/// Says what is wrong with the file.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match (read(path)?, folder) {
        (None, Some(folder)) if !folder.is_dir() => Err(failed(path, "write a token to", &"its folder is not there")),
        (Some(_) | None, _) => Ok(()),
    }
}

/// The token in a file; None if there is none yet: no file, or an empty one.
fn read(path: &Path) -> Result<Option<TokenText>, String> {
    let expected = "expected a token that may administer, such as `punctual token create` prints";
    match fs::read_to_string(path) {
        // A start was cut short as it wrote it.
        Ok(kept) if kept.is_empty() && path.is_file() => Ok(None),
        Ok(kept) => {
            let kept = TokenText::read(kept.trim()).filter(|token| token.scope() == Some(Scope::Admin));
            kept.map(Some).ok_or_else(|| failed(path, "read a token from", &expected))
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(failed(path, "read", &why)),
    }
}

fn failed(path: &Path, what: &str, why: &dyn Display) -> String {
    format!("failed to {what} {}: {why}", path.display())
}

/// On disk before the token counts: nobody else knows it.
fn write(path: &Path, text: &TokenText) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = writeln!(file, "{}", text.expose()).and_then(|()| file.sync_all());
    // Half of it would be taken for somebody's.
    written.inspect_err(|_| drop(file.set_len(0)))?;
    // Not everywhere can that be done.
    drop(durable::sync_folder(path));
    Ok(())
}
