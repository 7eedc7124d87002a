//! Owns changing a job: in the editor of whoever types, or by single members.
//! It must not touch what was not touched: what is sent is the difference.

use std::io::Write;
use std::process::Command;

use clap::Args;
use serde_json::{Map, Value};
use ureq::http::Method;

use super::failure::{Failure, Kind};
use super::find::id_of;
use super::jobs::OneArguments;
use super::members;
use super::server::{Answer, Ask, Server};
use super::shown::{self, Shown, to_yaml};
use super::typed::Typed;

/// A change of a job.
#[derive(Args, Debug)]
pub(in crate::cli) struct EditArguments {
    #[command(flatten)]
    job: OneArguments,
    /// Set a member, such as --set retry.maxAttempts=5, instead of opening an editor
    #[arg(long = "set", value_name = "MEMBER=VALUE")]
    set: Vec<String>,
    /// Remove a member
    #[arg(long, value_name = "MEMBER")]
    unset: Vec<String>,
}

/// What the server says of a job that is no part of what it is.
const TOLD: [&str; 8] = ["jobId", "createdAt", "updatedAt", "nextExecution", "stats", "lastOutcome", "paused", "held"];

/// Changes it.
pub(super) fn run(typed: &EditArguments) -> Result<(), Failure> {
    let (server, shown) = (Server::find(&typed.job.server)?, Shown::of(&typed.job.output)?);
    let id = id_of(&server, &typed.job.job)?;
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
        return done(&server.ask(Ask::new(Method::PATCH, path).json(patch.to_string()).typed(&command))?, &shown);
    }
    let before = server.ask(Ask::get(path.as_str()))?;
    let yaml = definition(&before)?;
    let mut text = yaml.clone();
    let mut is_refused = false;
    loop {
        let before_edit = std::mem::take(&mut text);
        text = edited(&before_edit)?;
        if is_refused && text == before_edit {
            return Err(Failure::no(format!(
                "the mistake was left as it is, so nothing is changed; what you wrote:\n{text}"
            )));
        }
        is_refused = true;
        let after: Value = match serde_saphyr::from_str(&text) {
            Ok(after) => after,
            Err(why) => {
                text = with_remark(&text, &format!("it is not YAML: {why}"));
                continue;
            }
        };
        let was: Value = serde_saphyr::from_str(&yaml).map_err(|why| Failure::failed(why.to_string()))?;
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
            Ok(answer) => return done(&answer, &shown),
            // He sees it where he wrote it, and can go on from there.
            Err(failure) if failure.kind() == Kind::Usage => {
                text = with_remark(&text, failure.message().unwrap_or_default())
            }
            Err(failure) if failure.kind() == Kind::Changed => {
                return Err(Failure::new(
                    Kind::Changed,
                    format!("somebody else changed the job meanwhile; what you wrote:\n{text}"),
                ));
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

/// The text as somebody leaves it in his editor.
fn edited(text: &str) -> Result<String, Failure> {
    let editor = ["PUNCTUAL_EDITOR", "VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let failed = |why: std::io::Error| Failure::failed(format!("{editor}: {why}"));
    let name = format!("punctual-{}-{}.yaml", std::process::id(), crate::clock::mono().0);
    let path = std::env::temp_dir().join(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(failed)?;
    // An editor may be a command with flags, as `code --wait`.
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path).status();
    let after = std::fs::read_to_string(&path);
    drop(std::fs::remove_file(&path));
    let status = status.map_err(failed)?;
    if !status.success() {
        return Err(Failure::no(format!("the editor ended with {status}, so nothing is changed")));
    }
    after.map_err(failed)
}
