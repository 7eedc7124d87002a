//! Owns changing a job: in the editor of whoever types, or by single members.
//! It must not touch what was not touched: what is sent is the difference.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use serde_json::{Map, Value};
use ureq::http::Method;

use super::failure::{Failure, Kind};
use super::find::id_of;
use super::members;
use super::server::{Answer, Ask, Server};
use super::shown::{self, Shown, to_yaml};
use super::typed::Typed;

/// A change of a job.
#[derive(Args, Debug)]
pub struct EditArguments {
    /// Its id or its name
    #[arg(value_name = "JOB")]
    job: String,
    /// Set a member, such as --set retry.maxAttempts=5, instead of opening an editor
    #[arg(long = "set", value_name = "MEMBER=VALUE")]
    set: Vec<String>,
    /// Remove a member
    #[arg(long, value_name = "MEMBER")]
    unset: Vec<String>,
}

/// What the server says of a job that is no part of what it is.
pub(crate) const TOLD: [&str; 8] =
    ["jobId", "createdAt", "updatedAt", "nextExecution", "stats", "lastOutcome", "paused", "held"];

/// Changes it.
pub(crate) fn run(typed: &EditArguments, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let id = id_of(server, &typed.job)?;
    let path = format!("/api/jobs/{id}");
    if !typed.set.is_empty() || !typed.unset.is_empty() {
        let mut patch = Value::Object(Map::new());
        let mut given = Vec::new();
        for set in &typed.set {
            let (member, value) = members::parse(set)?;
            members::put(&mut patch, &member, value)?;
            given.push((member, set.clone()));
        }
        for member in &typed.unset {
            members::put(&mut patch, member, Value::Null)?;
        }
        let given: Vec<(&str, &str)> = given.iter().map(|(member, set)| (member.as_str(), set.as_str())).collect();
        let command = Typed::command(&given);
        return done(&server.ask(Ask::new(Method::PATCH, path).json(patch.to_string()).typed(&command))?, shown);
    }
    let editor = editor()?;
    let before = server.ask(Ask::get(path.as_str()))?;
    let yaml = definition(&before)?;
    let mut text = format!("{HOW}{yaml}");
    let mut is_refused = false;
    loop {
        let before_edit = std::mem::take(&mut text);
        text = edited(&editor, &before_edit)?;
        if is_refused && text == before_edit {
            let kept = keep(&text)?;
            let message = "the mistake was left as it is, so nothing is changed; what you wrote is in";
            return Err(Failure::no(format!("{message} {}", kept.display())));
        }
        is_refused = true;
        let after: Value = match yaml_serde::from_str(&text) {
            Ok(after) => after,
            Err(why) => {
                text = with_remark(&text, &format!("it is not YAML: {why}"));
                continue;
            }
        };
        let was: Value = yaml_serde::from_str(&yaml).map_err(|why| Failure::failed(why.to_string()))?;
        if after.is_null() {
            return Err(Failure::no("nothing was left, so nothing is changed"));
        }
        let Some(patch) = members::difference(&was, &after) else {
            eprintln!("nothing was touched");
            return Ok(());
        };
        let typed = Typed::Document { name: "the job".to_owned(), text: text.as_str().into(), line: 1 };
        let ask = Ask::new(Method::PATCH, path.as_str()).json(patch.to_string());
        match server.ask(ask.header("if-match", before.etag.as_deref()).typed(&typed)) {
            Ok(answer) => return done(&answer, shown),
            // He sees it where he wrote it, and can go on from there.
            Err(failure) if failure.kind() == Kind::Usage => {
                text = with_remark(&text, failure.message().unwrap_or_default())
            }
            Err(failure) if failure.kind() == Kind::Changed => {
                let kept = keep(&text)?;
                let message =
                    format!("somebody else changed the job meanwhile; what you wrote is in {}", kept.display());
                return Err(Failure::new(Kind::Changed, message));
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn done(answer: &Answer, shown: &Shown) -> Result<(), Failure> {
    let told = answer.json()?;
    shown.one(&answer.text, told["jobId"].as_str().unwrap_or_default(), || {
        shown::print_lines([format!("{} changed", shown::text(&told["jobId"]))])
    })
}

/// What the job is, as YAML, in the order in which the server says it.
fn definition(answer: &Answer) -> Result<String, Failure> {
    let yaml = to_yaml(&answer.text)?;
    let mut kept = String::new();
    let mut is_told = false;
    for line in yaml.lines() {
        if !line.starts_with([' ', '-']) {
            is_told = TOLD.iter().any(|name| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')));
        }
        if !is_told {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    Ok(kept)
}

const REMARK: &str = "# punctual: ";

/// The text with a remark above it, in place of an earlier one.
fn with_remark(text: &str, remark: &str) -> String {
    let body: Vec<&str> = text.lines().filter(|line| !line.starts_with(REMARK)).collect();
    let remark: Vec<String> = remark.lines().map(|line| format!("{REMARK}{line}")).collect();
    format!("{}\n{}\n", remark.join("\n"), body.join("\n"))
}

/// What whoever edits has to know.
const HOW: &str = "\
# Change what is to change, save and leave: only that is sent. A line that is taken out removes its member.
# Leave it as it is, or leave nothing, and nothing happens. A secret that is set is { set: true }.
";

/// The editor, as a command: it may have flags, as `code --wait` has.
///
/// # Errors
/// None is named, and there is no terminal for the usual one.
fn editor() -> Result<String, Failure> {
    let named = ["PUNCTUAL_EDITOR", "VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    match named {
        Some(named) => Ok(named),
        None if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() => Ok("vi".to_owned()),
        None => Err(Failure::usage("there is no terminal for an editor; --set and --unset change single members")),
    }
}

/// Puts the text in a file of its own, which others cannot read.
fn keep(text: &str) -> Result<PathBuf, Failure> {
    let name = format!("punctual-{}-{}.yaml", std::process::id(), jiff::Timestamp::now().as_nanosecond());
    let path = std::env::temp_dir().join(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|why| Failure::failed(format!("{}: {why}", path.display())))?;
    Ok(path)
}

/// The text as somebody leaves it in his editor.
fn edited(editor: &str, text: &str) -> Result<String, Failure> {
    let failed = |why: std::io::Error| Failure::failed(format!("{editor}: {why}"));
    let path = keep(text)?;
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path).status();
    let after = std::fs::read_to_string(&path);
    drop(std::fs::remove_file(&path));
    let status = status.map_err(failed)?;
    if !status.success() {
        return Err(Failure::no(format!("the editor ended with {status}, so nothing is changed")));
    }
    after.map_err(failed)
}
