//! Owns the commands that make a backup and put one in place, on the files: whether a server runs or not.
//! It must not know how a database is copied or looked at.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::flag::file_meant;
use super::report::{AsTold, Form, Seen, Shown, Undone, absolute, finding_json, finding_text, size};
use crate::background;
use crate::store::{BackupSource, CopyError, OpenError, Prepared};

/// What is backed up, and where to.
#[derive(Args, Debug)]
pub(super) struct BackupArguments {
    /// The file to make; it is there as a whole, or not at all
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The SQLite file of the server; unless given, ./data/punctual.db
    #[arg(long, env = "PUNCTUAL_DB", value_name = "FILE")]
    db: Option<PathBuf>,
    /// Replace FILE, if there is such a file
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    form: Form,
}

/// What is put in place, and of what.
#[derive(Args, Debug)]
pub(super) struct RestoreArguments {
    /// A file that `punctual backup` made, or the database of a server that was stopped
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The SQLite file that it replaces; it and its folder are created if missing; unless given, ./data/punctual.db
    #[arg(long, env = "PUNCTUAL_DB", value_name = "FILE")]
    db: Option<PathBuf>,
    /// Do not keep what is replaced; otherwise it stays beside it, as NAME.before-restore-TIME
    #[arg(long)]
    discard: bool,
    #[command(flatten)]
    told: AsTold,
    #[command(flatten)]
    form: Form,
}

/// Makes a backup.
pub(super) fn back_up(typed: &BackupArguments) -> Result<(), Undone> {
    let is_json = typed.form.is_json()?;
    // A server on the same machine comes first.
    background::give_way();
    let source = BackupSource::beside(&file_meant(typed.db.as_ref()).map_err(Undone::Typed)?)?;
    let (mut shown, begin) = (Shown::new(), std::time::Instant::now());
    let mut watch = |progress| {
        shown.tell(progress);
        true
    };
    let made = source.back_up(&typed.file, typed.replace, &mut watch).map_err(|why| match why {
        CopyError::Exists(_) => Undone::Failed(format!("{why}; --replace replaces it")),
        why => why.into(),
    })?;
    shown.end();
    let (file, seconds) = (absolute(&made.file), begin.elapsed().as_secs_f64());
    if is_json {
        let made = json!({
            "file": file,
            "bytes": made.bytes,
            "takenAt": made.taken_at.to_string(),
            "schemaVersion": made.schema_version,
            "sha256": made.digest,
            "seconds": (seconds * 1000.0).round() / 1000.0,
            "walBytesMax": made.wal_bytes_max,
        });
        println!("{made}");
    } else {
        println!("Backup: {} ({}, taken {}, {seconds:.1} s)", file.display(), size(made.bytes), made.taken_at);
        eprintln!("Next: keep it on another machine, and the key of its secrets apart from it");
        eprintln!("  punctual check {}", file.display());
    }
    Ok(())
}

/// Puts a backup in place.
pub(super) fn restore(typed: &RestoreArguments) -> Result<(), Undone> {
    let is_json = typed.form.is_json()?;
    let db = file_meant(typed.db.as_ref()).map_err(Undone::Typed)?;
    let (vault, told) = typed.told.read()?;
    let mut shown = Shown::new();
    let mut watch = |progress| {
        shown.tell(progress);
        true
    };
    let prepared = Prepared::new(&typed.file, &db, vault, &mut watch).map_err(|why| match why {
        CopyError::Open(OpenError::InUse(_)) => Undone::Failed(format!("{why}; stop the server first")),
        why => why.into(),
    })?;
    let seen = Seen::of(prepared.look(), told, &mut shown)?;
    let findings = &seen.examined.findings;
    if !findings.is_empty() {
        if is_json {
            let findings: Vec<_> = findings.iter().map(finding_json).collect();
            println!("{}", json!({ "restored": null, "findings": findings }));
        }
        let findings: Vec<String> = findings.iter().map(finding_text).collect();
        return Err(Undone::No(Some(format!(
            "failed to restore {}; nothing was changed: {}",
            typed.file.display(),
            findings.join("; ")
        ))));
    }
    let done = prepared.replace(!typed.discard)?;
    if is_json {
        let mut said = seen.json();
        said["file"] = json!(absolute(&typed.file));
        said["restored"] = json!(done.file);
        said["kept"] = json!(done.kept);
        println!("{said}");
        return Ok(());
    }
    println!("{}", seen.text_of(&absolute(&typed.file)));
    println!("Restored: {}", done.file.display());
    match &done.kept {
        Some(kept) => println!("Kept: {}, which was there before", kept.display()),
        None => println!("Kept: nothing; there was no database, or --discard was given"),
    }
    eprintln!("What was sent since the backup was taken is not known any more, and may be sent again.");
    Ok(())
}
