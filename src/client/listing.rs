//! Owns lists of jobs, page by page, and how a job is shown by itself.
//! It must not change anything.

use clap::Args;
use serde_json::Value;

use super::asking::Progress;
use super::failure::Failure;
use super::server::{Ask, Server, query};
use super::shown::{self, Format, Shown, Table, standing, text};

/// Which jobs are listed, and how.
#[derive(Args, Debug)]
pub struct ListArguments {
    /// Only jobs with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only jobs that stand like this: active, paused, ended, held, failing or autoPaused
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only jobs that POST to this host, or to this scheme, host and port
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only jobs whose name, URL or owner contains this
    #[arg(short, long, value_name = "TEXT")]
    query: Option<String>,
    /// In which order: created, next or name
    #[arg(long, value_name = "ORDER")]
    sort: Option<String>,
    #[command(flatten)]
    page: PageArguments,
}

/// How much of a list.
#[derive(Args, Clone, Debug)]
pub struct PageArguments {
    /// How many at most (1-1000)
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: u32,
    /// Where to go on, as the page before said
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
    /// All of them, page by page; with JSON, each page is a line
    #[arg(long, conflicts_with = "cursor")]
    pub(crate) all: bool,
}

/// Lists them.
pub(crate) fn ls(typed: &ListArguments, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let heads = ["NAME", "STATE", "SCHEDULE", "NEXT", "LAST", "JOB ID"];
    let wide = ["TARGET", "TAGS", "OWNER", "SUCCESS", "FAILED", "SKIPPED"];
    let mut table =
        Table::new(&heads.iter().chain(wide.iter().filter(|_| shown.is_wide())).copied().collect::<Vec<_>>());
    let pairs = [
        ("tag", typed.tag.as_deref()),
        ("state", typed.state.as_deref()),
        ("target", typed.target.as_deref()),
        ("q", typed.query.as_deref()),
        ("sort", typed.sort.as_deref()),
    ];
    let next = pages(server, "/api/jobs", &pairs, &typed.page, |said, page| {
        let jobs = page["jobs"].as_array().cloned().unwrap_or_default();
        match shown.format {
            Format::Json | Format::Yaml => return shown::print_answer(said, shown.format),
            Format::Name => return shown::print_lines(jobs.iter().map(name_of)),
            Format::Table | Format::Wide => {}
        }
        for job in &jobs {
            let mut cells = vec![
                name_of(job),
                standing(state_of(job)),
                text(job.get("schedule").or(job.get("runAt")).unwrap_or(&Value::Null)),
                shown.time(&job["nextExecution"]),
                standing(job["lastOutcome"]["status"].as_str().unwrap_or("-")),
                text(&job["jobId"]),
            ];
            if shown.is_wide() {
                let tags = job["tags"].as_array().map(|tags| tags.iter().map(text).collect::<Vec<_>>().join(","));
                let stats = &job["stats"];
                cells.extend([text(&job["api"]), tags.unwrap_or_else(|| "-".to_owned()), text(&job["owner"])]);
                cells.extend(["success", "failed", "skipped"].map(|name| text(&stats[name])));
            }
            table.row(cells);
        }
        Ok(())
    })?;
    finish(&mut table, "no job is like this", next.as_deref(), shown)
}

/// Pages of a list, one or all. Where it goes on, if there is more.
pub(crate) fn pages(
    server: &Server,
    path: &str,
    pairs: &[(&str, Option<&str>)],
    typed: &PageArguments,
    mut take: impl FnMut(&str, Value) -> Result<(), Failure>,
) -> Result<Option<String>, Failure> {
    let limit = if typed.all { "1000".to_owned() } else { typed.limit.to_string() };
    let mut cursor = typed.cursor.clone();
    let progress = Progress::new("read");
    for page in 1.. {
        let own = [("limit", Some(limit.as_str())), ("cursor", cursor.as_deref())];
        let all: Vec<(&str, Option<&str>)> = pairs.iter().copied().chain(own).collect();
        let answer = server.ask(Ask::get(format!("{path}{}", query(&all))))?;
        let mut said = answer.json()?;
        cursor = said["nextCursor"].as_str().map(str::to_owned);
        take(&answer.text, said.take())?;
        if cursor.is_none() || !typed.all {
            break;
        }
        progress.tell(page * 1000, None);
    }
    Ok(cursor)
}

/// Prints a list's table, and below it that there is more. JSON and YAML say so themselves.
pub(crate) fn finish(table: &mut Table, none: &str, next: Option<&str>, shown: &Shown) -> Result<(), Failure> {
    match shown.format {
        Format::Json | Format::Yaml => return Ok(()),
        Format::Name => {}
        Format::Table | Format::Wide => table.print(none)?,
    }
    if let Some(next) = next {
        eprintln!("there is more: --cursor {next}, or --all");
    }
    Ok(())
}

/// What a job is called by whoever types: its name, or its id.
pub(crate) fn name_of(job: &Value) -> String {
    text(job.get("name").filter(|name| name.is_string()).unwrap_or(&job["jobId"]))
}

/// How a job stands, in one word.
fn state_of(job: &Value) -> &'static str {
    match () {
        () if job["paused"].is_object() => "paused",
        () if job["held"] == true => "held",
        () if job["nextExecution"].is_null() => "ended",
        () if job["lastOutcome"]["status"] == "FAILED" => "failing",
        () => "active",
    }
}

/// Shows one job.
pub(crate) fn show_job(said: &str, shown: &Shown) -> Result<(), Failure> {
    let job: Value = serde_json::from_str(said).map_err(|_| Failure::failed("the answer is not JSON"))?;
    shown.one(said, &name_of(&job), || {
        let told = |name: &str| job.get(name).filter(|value| !value.is_null()).map(text).unwrap_or_default();
        let paused = &job["paused"];
        let why = paused.get("reason").or(paused.get("note")).filter(|why| why.is_string()).map(text);
        let until = paused.get("until").map(|until| format!(" until {}", shown.time(until))).unwrap_or_default();
        let state =
            format!("{}{until}{}", standing(state_of(&job)), why.map(|why| format!(" ({why})")).unwrap_or_default());
        let last = &job["lastOutcome"];
        let last = match last["status"].as_str() {
            Some(status) => {
                format!("{} {} at {}", standing(status), text(&last["httpStatus"]), shown.time(&last["scheduledTime"]))
            }
            None => "-".to_owned(),
        };
        let stats = &job["stats"];
        let counts =
            format!("{} succeeded, {} failed, {} skipped", stats["success"], stats["failed"], stats["skipped"]);
        // What else there is, in the words of the API.
        let shown_already = [
            "jobId",
            "name",
            "schedule",
            "api",
            "type",
            "active",
            "paused",
            "held",
            "nextExecution",
            "lastOutcome",
            "stats",
            "createdAt",
            "updatedAt",
        ];
        let others = job.as_object().into_iter().flatten().filter(|(name, _)| !shown_already.contains(&name.as_str()));
        let head = [
            ("Name", told("name")),
            ("Job id", told("jobId")),
            ("State", state),
            ("Schedule", told("schedule")),
            ("URL", told("api")),
            ("Delivery", told("type")),
            ("Next", shown.time(&job["nextExecution"])),
            ("Last", last),
            ("So far", counts),
            ("Created", shown.time(&job["createdAt"])),
            ("Changed", shown.time(&job["updatedAt"])),
        ];
        shown::facts(head.into_iter().chain(others.map(|(name, value)| (name.as_str(), text(value)))))
    })
}
