//! Owns the commands about executions: list, show, follow, and do again.
//! It must not start anything but what it is asked to do again.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::failure::Failure;
use super::find::{Names, id_of};
use super::jobs::{range, took};
use super::listing::{PageArguments, finish, pages};
use super::server::{Ask, Server};
use super::shown::{self, Format, Shown, Table, millis, standing, text};
use super::tail::{self, TailArguments};

/// What can be done with executions.
#[derive(Subcommand, Debug)]
pub enum ExecutionCommand {
    /// List executions, newest first
    #[command(visible_alias = "list")]
    Ls(ListArguments),
    /// Show an execution, attempt by attempt
    Get(OneArguments),
    /// Show the last executions; with -f, also those that come
    Tail(TailArguments),
    /// Do an execution again, as a new one with the same scheduled time
    Replay {
        #[command(flatten)]
        execution: OneArguments,
        /// Wait for how it ends, up to a minute; exit code 3 if it fails
        #[arg(long)]
        wait: bool,
        /// Even if another one of its job runs
        #[arg(long)]
        force: bool,
    },
}

/// Which executions are listed, and how.
#[derive(Args, Debug)]
pub struct ListArguments {
    #[command(flatten)]
    filter: FilterArguments,
    /// Only what belongs to this second or a later one
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Only what belongs to this second or an earlier one
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    #[command(flatten)]
    page: PageArguments,
}

/// Which executions.
#[derive(Args, Clone, Debug)]
pub struct FilterArguments {
    /// Only of this job: its id or its name
    #[arg(long, value_name = "JOB")]
    pub(crate) job: Option<String>,
    /// Only those that stand so: PENDING, SUCCESS, FAILED or SKIPPED
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Only of this kind: scheduled, manual, replay or backfill
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
}

/// One execution.
#[derive(Args, Debug)]
pub struct OneArguments {
    /// Its id
    #[arg(value_name = "EXECUTION")]
    execution: String,
}

/// Does what was asked for.
pub(crate) fn run(command: ExecutionCommand, server: &Server, shown: &Shown) -> Result<(), Failure> {
    match command {
        ExecutionCommand::Ls(list) => ls(&list, server, shown),
        ExecutionCommand::Get(one) => {
            let answer = server.ask(Ask::get(format!("/api/executions/{}", one.execution)))?;
            show(&answer.text, &answer.json()?, shown)
        }
        ExecutionCommand::Tail(typed) => tail::run(&typed, server, shown),
        ExecutionCommand::Replay { execution, wait, force } => {
            let path = format!("/api/executions/{}/replay", execution.execution);
            started(server, &path, &json!({ "wait": wait, "force": force }), shown)
        }
    }
}

/// The columns of a list of executions.
pub(crate) fn heads(shown: &Shown) -> Vec<&'static str> {
    let more: &[&str] = if shown.is_wide() { &["RETRIES", "WHY"] } else { &[] };
    [&HEADS[..], more].concat()
}

const HEADS: [&str; 8] = ["SCHEDULED", "STATUS", "HTTP", "DRIFT", "DURATION", "KIND", "JOB", "EXECUTION ID"];

/// An execution in such a list.
pub(crate) fn cells(execution: &Value, shown: &Shown, names: &Names<'_>) -> Vec<String> {
    let mut cells = vec![
        shown.time(&execution["scheduledTime"]),
        standing(execution["status"].as_str().unwrap_or("-")),
        text(&execution["httpStatus"]),
        millis(&execution["driftMs"]),
        took(execution),
        text(&execution["kind"]),
        names.of(execution["jobId"].as_str().unwrap_or_default()),
        text(&execution["executionId"]),
    ];
    if shown.is_wide() {
        let why = ["errorMessage", "reason"].iter().find_map(|name| execution[name].as_str());
        cells.extend([text(&execution["retryCount"]), why.map(shown::clean).unwrap_or_else(|| "-".to_owned())]);
    }
    cells
}

fn ls(typed: &ListArguments, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let job = typed.filter.job.as_deref().map(|job| id_of(server, job)).transpose()?;
    let status = typed.filter.status.as_deref().map(str::to_uppercase);
    let (from, to) = range(shown, typed.from.as_deref(), typed.to.as_deref())?;
    let pairs = [
        ("jobId", job.as_deref()),
        ("status", status.as_deref()),
        ("kind", typed.filter.kind.as_deref()),
        ("from", from.as_deref()),
        ("to", to.as_deref()),
    ];
    let (mut table, mut names) = (Table::new(&heads(shown)), Names::new(server));
    let next = pages(server, "/api/executions", &pairs, &typed.page, |said, page| {
        let all = page["executions"].as_array().cloned().unwrap_or_default();
        match shown.format {
            Format::Json | Format::Yaml => return shown::print_answer(said, shown.format),
            Format::Name => return shown::print_lines(all.iter().map(|one| text(&one["executionId"]))),
            Format::Table | Format::Wide => {
                names.learn(all.iter().filter_map(|one| one["jobId"].as_str()))?;
                all.iter().for_each(|one| table.row(cells(one, shown, &names)));
            }
        }
        Ok(())
    })?;
    finish(&mut table, "no execution is like this", next.as_deref(), shown)
}

/// Shows one execution.
fn show(said: &str, told: &Value, shown: &Shown) -> Result<(), Failure> {
    shown.one(said, told["executionId"].as_str().unwrap_or_default(), || {
        let some = |name: &str| told.get(name).filter(|value| !value.is_null()).map(text).unwrap_or_default();
        shown::facts([
            ("Execution id", some("executionId")),
            ("Job id", some("jobId")),
            ("Kind", some("kind")),
            ("Replay of", some("replayOf")),
            ("Status", standing(told["status"].as_str().unwrap_or("-"))),
            ("HTTP", some("httpStatus")),
            ("Scheduled", shown.time(&told["scheduledTime"])),
            ("Sent", shown.time(&told["executedTime"])),
            ("Drift", millis(&told["driftMs"])),
            ("Duration", took(told)),
            ("Retries", some("retryCount")),
            ("Late", some("late")),
            ("Waits for", some("waitsFor")),
            ("Error", some("errorMessage")),
            ("Reason", some("reason")),
            ("Answer", some("response")),
        ])?;
        let attempts = told["attempts"].as_array().cloned().unwrap_or_default();
        if attempts.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["ATTEMPT", "SENT", "HTTP", "DURATION", "ERROR"]);
        for attempt in &attempts {
            table.row([
                text(&attempt["number"]),
                shown.time(&attempt["executedTime"]),
                text(&attempt["httpStatus"]),
                took(attempt),
                text(&attempt["errorMessage"]),
            ]);
        }
        let number = told["retryCount"].as_u64().unwrap_or_default() + 1;
        let sent = shown.time(&told["lastExecutedTime"]);
        table.row([number.to_string(), sent, text(&told["httpStatus"]), took(told), text(&told["errorMessage"])]);
        shown::print_lines([""])?;
        table.print("")
    })
}

/// Asks for a run, and says which it is, or how it ended.
pub(crate) fn started(server: &Server, path: &str, body: &Value, shown: &Shown) -> Result<(), Failure> {
    let answer = server.ask(Ask::post(path, body))?;
    let told = answer.json()?;
    if answer.status == 202 {
        let waited = body["wait"] == true;
        shown.one(&answer.text, told["executionId"].as_str().unwrap_or_default(), || {
            shown::print_lines([text(&told["executionId"])])
        })?;
        return if waited { Err(Failure::no("it has not ended within a minute; it goes on")) } else { Ok(()) };
    }
    show(&answer.text, &told, shown)?;
    if told["status"] == "SUCCESS" {
        Ok(())
    } else {
        Err(Failure::no(format!("the run ended {}", text(&told["status"]))))
    }
}
