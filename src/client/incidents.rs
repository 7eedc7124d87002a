//! Owns the commands about incidents: list, show, acknowledge.
//! It must not open or close one: the server does.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::failure::Failure;
use super::find::id_of;
use super::jobs::{each, given};
use super::listing::{PageArguments, finish, pages};
use super::server::{Ask, Server, encoded};
use super::shown::{self, Format, Shown, Table, standing, text};

/// What can be done with incidents.
#[derive(Subcommand, Debug)]
pub enum IncidentCommand {
    /// List incidents, newest first
    #[command(visible_alias = "list")]
    Ls(ListArguments),
    /// Show an incident, and what became of each message of it
    Get {
        /// Its id
        #[arg(value_name = "INCIDENT")]
        incident: String,
    },
    /// Say that somebody knows of open incidents: they are told no more until they are over
    #[command(visible_alias = "acknowledge")]
    Ack {
        /// Their ids
        #[arg(value_name = "INCIDENT", required = true)]
        incidents: Vec<String>,
        /// What is done about it, for people
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
}

/// Which incidents are listed, and how.
#[derive(Args, Debug)]
pub struct ListArguments {
    /// Only those that are open
    #[arg(long, conflicts_with = "closed")]
    open: bool,
    /// Only those that are over
    #[arg(long)]
    closed: bool,
    /// Only of this job: its id or its name
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only of this cause: FAILING, NO_SUCCESS, LATE, AUTO_PAUSED, TARGET_FAILING, STORE_FAILING or DISK_NEARLY_FULL
    #[arg(long, value_name = "CAUSE")]
    cause: Option<String>,
    #[command(flatten)]
    page: PageArguments,
}

/// Does what was asked for.
pub(crate) fn run(command: IncidentCommand, server: &Server, shown: &Shown) -> Result<(), Failure> {
    match command {
        IncidentCommand::Ls(list) => ls(&list, server, shown),
        IncidentCommand::Get { incident } => get(&incident, server, shown),
        IncidentCommand::Ack { incidents, note } => {
            let body = given([("note", note.map(Value::from))]);
            each(&incidents, "acknowledged", |id| {
                server.ask(Ask::post(format!("/api/incidents/{}/acknowledge", encoded(id)), &body))
            })
        }
    }
}

fn ls(typed: &ListArguments, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let job = typed.job.as_deref().map(|job| id_of(server, job)).transpose()?;
    let cause = typed.cause.as_deref().map(|cause| cause.to_uppercase().replace('-', "_"));
    let state = if typed.open { Some("open") } else { typed.closed.then_some("closed") };
    let pairs = [("state", state), ("job", job.as_deref()), ("cause", cause.as_deref())];
    let more: &[&str] = if shown.is_wide() { &["CLOSED", "BECAUSE", "MESSAGES"] } else { &[] };
    let mut table = Table::new(&[&["OPENED", "STATE", "CAUSE", "OF", "INCIDENT ID", "WHAT"][..], more].concat());
    let next = pages(server, "/api/incidents", &pairs, &typed.page, |said, page| {
        let all = page["incidents"].as_array().cloned().unwrap_or_default();
        match shown.format {
            Format::Json | Format::Yaml => return shown::print_answer(said, shown.format),
            Format::Name => return shown::print_lines(all.iter().map(|one| text(&one["incidentId"]))),
            Format::Table | Format::Wide => {}
        }
        for one in &all {
            let mut cells = vec![
                shown.time(&one["openedAt"]),
                state_of(one),
                text(&one["cause"]),
                subject_of(one),
                text(&one["incidentId"]),
                text(&one["summary"]),
            ];
            if shown.is_wide() {
                cells.extend([shown.time(&one["closedAt"]), text(&one["closedBecause"]), text(&one["messageCount"])]);
            }
            table.row(cells);
        }
        Ok(())
    })?;
    finish(&mut table, "no incident is like this", next.as_deref(), shown)
}

/// Whether it is open, and whether anybody hears of it.
fn state_of(incident: &Value) -> String {
    let state = standing(incident["state"].as_str().unwrap_or("-"));
    match () {
        () if incident["state"] != "OPEN" => state,
        () if incident["acknowledged"].is_object() => format!("{state}, acknowledged"),
        () if incident["silencedBy"].is_string() => format!("{state}, silenced"),
        () => state,
    }
}

/// With what something is wrong: what a job was called then, a target, or the server.
fn subject_of(incident: &Value) -> String {
    let named = ["jobName", "api", "jobId", "target"].iter().find_map(|name| incident[name].as_str());
    named.map_or_else(|| "the server".to_owned(), shown::clean)
}

fn get(incident: &str, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let answer = server.ask(Ask::get(format!("/api/incidents/{}", encoded(incident))))?;
    let told = answer.json()?;
    shown.one(&answer.text, told["incidentId"].as_str().unwrap_or_default(), || {
        let some = |name: &str| told.get(name).filter(|value| !value.is_null()).map(text).unwrap_or_default();
        let time = |name: &str| told[name].as_str().map(|_| shown.time(&told[name])).unwrap_or_default();
        let known = told["acknowledged"].as_object().map(|known| {
            let member = |before: &str, name: &str| {
                known.get(name).and_then(Value::as_str).map(|said| format!("{before}{}", shown::clean(said)))
            };
            let at = known.get("at").map(|at| shown.time(at)).unwrap_or_default();
            format!("{at}{}{}", member(" by ", "by").unwrap_or_default(), member(": ", "note").unwrap_or_default())
        });
        shown::facts([
            ("Incident id", some("incidentId")),
            ("State", state_of(&told)),
            ("Cause", some("cause")),
            ("What", some("summary")),
            ("Of", subject_of(&told)),
            ("Job id", some("jobId")),
            ("URL", some("api")),
            ("Schedule", some("schedule")),
            ("Execution", some("executionId")),
            ("Opened", time("openedAt")),
            ("Closed", time("closedAt")),
            ("Because", some("closedBecause")),
            ("Acknowledged", known.unwrap_or_default()),
            ("Silenced by", some("silencedBy")),
            ("Last told", time("lastToldAt")),
        ])?;
        let messages = told["messages"].as_array().cloned().unwrap_or_default();
        if messages.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["MADE", "EVENT", "CHANNEL", "DELIVERY", "SINCE", "ATTEMPTS", "ERROR"]);
        for message in &messages {
            table.row([
                shown.time(&message["at"]),
                text(&message["event"]),
                text(&message["channel"]),
                standing(message["delivery"].as_str().unwrap_or("-")),
                shown.time(&message["deliveredAt"]),
                text(&message["attempts"]),
                text(&message["error"]),
            ]);
        }
        shown::print_lines([""])?;
        table.print("")
    })
}
