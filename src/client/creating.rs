//! Owns creating a job: from a line, or from a file.
//! It must not check what the server checks.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::failure::Failure;
use super::listing::name_of;
use super::server::{Ask, Server};
use super::shown::{self, Shown, text};
use super::typed::Typed;
use super::{files, members};

/// A new job.
#[derive(Args, Debug)]
pub struct CreateArguments {
    /// When it is due, such as '*/5 * * * *'; cron with or without seconds, or an @ word
    #[arg(value_name = "SCHEDULE", required_unless_present_any = ["file", "at", "after"])]
    schedule: Option<String>,
    /// What is POSTed to
    #[arg(value_name = "URL", required_unless_present_any = ["file", "at", "after"])]
    api: Option<String>,
    /// Once, at this second, such as +2h or '2026-12-31 09:00', in place of a schedule; the URL is the only word then
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["file", "after"])]
    at: Option<String>,
    /// Once, so many milliseconds from now
    #[arg(long, value_name = "MS", conflicts_with = "file")]
    after: Option<u64>,
    /// The whole job, as YAML or JSON, from a file or - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What it is called; no other job is called so
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// Its time zone, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// A tag; several with several flags
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// How the target is asked, if not by POST
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,
    /// A header, as 'Name: value'; several with several flags
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<String>,
    /// The body, as text
    #[arg(short, long, value_name = "TEXT", conflicts_with = "json")]
    data: Option<String>,
    /// The body, as JSON
    #[arg(long, value_name = "JSON")]
    json: Option<String>,
    /// Never send again what may have arrived; else it is sent at least once
    #[arg(long)]
    at_most_once: bool,
    /// Any other member, such as --set retry.maxAttempts=5
    #[arg(long = "set", value_name = "MEMBER=VALUE")]
    members: Vec<String>,
}

/// Creates it.
pub(crate) fn run(typed: &CreateArguments, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let (mut job, mut from) = match &typed.file {
        Some(file) => {
            let mut items = files::read(file)?;
            let item = items.pop().filter(|_| items.is_empty());
            let item = item.ok_or_else(|| {
                Failure::usage(format!("{}: expected one job; `punctual apply` takes many", file.display()))
            })?;
            (item.job()?, Some(item.typed))
        }
        None => (json!({ "type": "ATLEAST_ONCE" }), None),
    };
    let given = typed_members(typed)?;
    for (path, value) in &given {
        members::put(&mut job, path, value.clone())?;
    }
    let command: Vec<(String, String)> = given
        .iter()
        .map(|(path, value)| (path.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let command: Vec<(&str, &str)> = command.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
    let command = from.take().unwrap_or_else(|| Typed::command(&command));
    if let Some(at) = &typed.at {
        // What is no time the server says better, as it shows where it stands.
        job["runAt"] = shown.read_time("--at", at).unwrap_or_else(|_| at.clone()).into();
    }
    let answer = server.ask(Ask::post("/api/jobs", &job).typed(&command))?;
    let told = answer.json()?;
    shown.one(&answer.text, &name_of(&told), || {
        shown::print_lines([text(&told["jobId"])])?;
        eprintln!("{}", text(&told["preview"]["description"]));
        for warning in told["preview"]["warnings"].as_array().into_iter().flatten() {
            eprintln!("warning: {}", text(warning));
        }
        for next in told["nextExecutions"].as_array().into_iter().flatten().take(3) {
            eprintln!("due {}", shown.time(next));
        }
        Ok(())
    })
}

/// Members as they are typed, by their paths.
fn typed_members(typed: &CreateArguments) -> Result<Vec<(String, Value)>, Failure> {
    // With --at there is no schedule, so the first word is the URL.
    let is_once = typed.at.is_some() || typed.after.is_some();
    let (schedule, api) = match (&typed.schedule, &typed.api) {
        (Some(word), None) if is_once => (None, Some(word)),
        (Some(_), Some(_)) if is_once => {
            return Err(Failure::usage("a job that runs once has no schedule: expected a URL only"));
        }
        (schedule, api) => (schedule.as_ref(), api.as_ref()),
    };
    let texts = [
        ("schedule", schedule),
        ("api", api),
        ("runAt", typed.at.as_ref()),
        ("name", typed.name.as_ref()),
        ("timeZone", typed.tz.as_ref()),
        ("method", typed.method.as_ref()),
        ("body", typed.data.as_ref()),
    ];
    let mut given: Vec<(String, Value)> =
        texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone().into()))).collect();
    given.extend(typed.after.map(|ms| ("runAfterMs".to_owned(), ms.into())));
    if !typed.tag.is_empty() {
        given.push(("tags".to_owned(), typed.tag.clone().into()));
    }
    if !typed.header.is_empty() {
        let mut headers = serde_json::Map::new();
        for header in &typed.header {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| Failure::usage(format!("--header: expected 'Name: value', got {header:?}")))?;
            headers.insert(name.trim().to_owned(), value.trim().into());
        }
        given.push(("headers".to_owned(), headers.into()));
    }
    if let Some(text) = &typed.json {
        let value =
            serde_json::from_str(text).map_err(|why| Failure::usage(format!("--json: expected JSON: {why}")))?;
        given.push(("json".to_owned(), value));
    }
    if typed.at_most_once {
        given.push(("type".to_owned(), "ATMOST_ONCE".into()));
    }
    for member in &typed.members {
        given.push(members::parse(member)?);
    }
    Ok(given)
}
