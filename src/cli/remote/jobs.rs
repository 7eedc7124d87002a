//! Owns the commands about jobs that exist: list, show, pause, resume, run, replay, explain, delete.
//! It must not make or change what a job is.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::asking::{Progress, sure};
use super::creating::CreateArguments;
use super::editing::EditArguments;
use super::failure::{Failure, Kind};
use super::find::id_of;
use super::server::{Ask, Server, ServerArguments, encoded, query};
use super::shown::{self, OutputArguments, Shown, Table, millis, standing, text};
use super::{creating, editing};

/// What can be done with jobs. JOB is an id, or a whole name.
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum JobCommand {
    /// List jobs
    #[command(visible_alias = "list")]
    Ls(ListArguments),
    /// Show a job
    Get(OneArguments),
    /// Create a job
    Create(CreateArguments),
    /// Change a job, in $EDITOR or by --set; what is not touched stays as it is
    Edit(EditArguments),
    /// Let jobs rest
    Pause {
        #[command(flatten)]
        jobs: Some,
        /// Through this second, such as 2026-12-31T09:00:00Z; unless given, until somebody resumes them
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Why, for people
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Let jobs go on
    Resume {
        #[command(flatten)]
        jobs: Some,
        /// What they were due for meanwhile counts as missed, so that their misfire policy decides; else it is dropped
        #[arg(long)]
        missed: bool,
    },
    /// Let a job go on that is held, as the clock stepped back
    Release {
        #[command(flatten)]
        jobs: Some,
    },
    /// Run a job now, whatever its schedule says
    Run {
        #[command(flatten)]
        job: OneArguments,
        /// Wait for how it ends, up to a minute; exit code 3 if it fails
        #[arg(long)]
        wait: bool,
        /// Even if another one runs and the job's overlap policy would not allow that
        #[arg(long)]
        force: bool,
        /// Send this in place of the job's body
        #[arg(short, long, value_name = "TEXT", conflicts_with = "json")]
        data: Option<String>,
        /// The same as JSON
        #[arg(long, value_name = "JSON")]
        json: Option<String>,
    },
    /// Do executions of a job again that are like this, the newest first
    Replay {
        #[command(flatten)]
        job: OneArguments,
        /// Only those that ended so: SUCCESS, FAILED or SKIPPED
        #[arg(long, value_name = "STATUS", default_value = "FAILED")]
        status: String,
        /// Only what belongs to this second or a later one
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Only what belongs to this second or an earlier one
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
        /// How many at most (1-1000)
        #[arg(long, value_name = "N", default_value = "100")]
        limit: u32,
        /// Only say which
        #[arg(long)]
        dry_run: bool,
    },
    /// Run a job for times of its schedule that have passed
    Backfill {
        #[command(flatten)]
        job: OneArguments,
        /// The first second that counts
        #[arg(long, value_name = "TIME")]
        from: String,
        /// The last second that counts
        #[arg(long, value_name = "TIME")]
        to: String,
        /// Only say which times these are
        #[arg(long)]
        dry_run: bool,
    },
    /// Say what became of a second of a job, and why; also of one that it was never due at
    Why {
        #[command(flatten)]
        job: OneArguments,
        /// The second, such as 2026-12-31T09:00:00Z
        #[arg(long, value_name = "TIME")]
        at: String,
    },
    /// Delete jobs; their history stays readable
    #[command(visible_alias = "delete")]
    Rm {
        #[command(flatten)]
        jobs: Some,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// Which jobs are listed, and how.
#[derive(Args, Debug)]
pub(in crate::cli) struct ListArguments {
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
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    server: ServerArguments,
}

/// How much of a list.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct PageArguments {
    /// How many at most (1-1000)
    #[arg(long, value_name = "N", default_value = "100")]
    pub(super) limit: u32,
    /// Where to go on, as the page before said
    #[arg(long, value_name = "CURSOR")]
    pub(super) cursor: Option<String>,
    /// All of them, page by page; with JSON, each page is a line
    #[arg(long, conflicts_with = "cursor")]
    pub(super) all: bool,
}

/// One job.
#[derive(Args, Debug)]
pub(in crate::cli) struct OneArguments {
    /// Its id or its name
    #[arg(value_name = "JOB")]
    pub(super) job: String,
    #[command(flatten)]
    pub(super) output: OutputArguments,
    #[command(flatten)]
    pub(super) server: ServerArguments,
}

/// Some jobs.
#[derive(Args, Debug)]
pub(in crate::cli) struct Some {
    /// Their ids or names
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,
    #[command(flatten)]
    server: ServerArguments,
}

/// Does what was asked for.
pub(super) fn run(command: JobCommand) -> Result<(), Failure> {
    match command {
        JobCommand::Ls(list) => ls(&list),
        JobCommand::Get(job) => get(&job),
        JobCommand::Create(create) => creating::run(&create),
        JobCommand::Edit(edit) => editing::run(&edit),
        JobCommand::Pause { jobs, until, note } => {
            let body = given([("until", until.map(Value::from)), ("note", note.map(Value::from))]);
            jobs.each("paused", |server, id| server.ask(Ask::post(format!("/api/jobs/{id}/pause"), &body)))
        }
        JobCommand::Resume { jobs, missed } => {
            let body = json!({ "missed": missed });
            jobs.each("resumed", |server, id| server.ask(Ask::post(format!("/api/jobs/{id}/resume"), &body)))
        }
        JobCommand::Release { jobs } => {
            jobs.each("released", |server, id| server.ask(Ask::post(format!("/api/jobs/{id}/release"), &json!({}))))
        }
        JobCommand::Run { job, wait, force, data, json } => {
            let json = json.map(|text| serde_json::from_str(&text)).transpose();
            let json: Option<Value> = json.map_err(|why| Failure::usage(format!("--json: expected JSON: {why}")))?;
            let body = given([
                ("wait", wait.then_some(true.into())),
                ("force", force.then_some(true.into())),
                ("body", data.map(Value::from)),
                ("json", json),
            ]);
            let server = Server::find(&job.server)?;
            let path = format!("/api/jobs/{}/run", id_of(&server, &job.job)?);
            super::executions::started(&server, &path, &body, &Shown::of(&job.output)?)
        }
        JobCommand::Replay { job, status, from, to, limit, dry_run } => {
            let server = Server::find(&job.server)?;
            let body = given([
                ("jobId", Some(id_of(&server, &job.job)?.into())),
                ("status", Some(status.to_uppercase().into())),
                ("from", from.map(Value::from)),
                ("to", to.map(Value::from)),
                ("limit", Some(limit.into())),
                ("dryRun", Some(dry_run.into())),
            ]);
            many(&server, "/api/executions/replay", &body, "executionIds", &Shown::of(&job.output)?)
        }
        JobCommand::Backfill { job, from, to, dry_run } => {
            let server = Server::find(&job.server)?;
            let path = format!("/api/jobs/{}/backfill", id_of(&server, &job.job)?);
            let body = json!({ "from": from, "to": to, "dryRun": dry_run });
            let member = if dry_run { "scheduledTimes" } else { "executionIds" };
            many(&server, &path, &body, member, &Shown::of(&job.output)?)
        }
        JobCommand::Why { job, at } => why(&job, &at),
        JobCommand::Rm { jobs, yes } => {
            let named = if jobs.jobs.len() == 1 { jobs.jobs[0].clone() } else { format!("{} jobs", jobs.jobs.len()) };
            sure(&format!("Delete {named}?"), yes)?;
            jobs.each("deleted", |server, id| server.ask(Ask::delete(format!("/api/jobs/{id}"))))
        }
    }
}

/// An object of what is given.
pub(super) fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

impl Some {
    /// Does something to each. What goes wrong with one does not keep the others; the first of it is how the command ends.
    fn each(
        &self,
        done: &str,
        mut change: impl FnMut(&Server, &str) -> Result<super::server::Answer, Failure>,
    ) -> Result<(), Failure> {
        let server = Server::find(&self.server)?;
        let mut first = None;
        for job in &self.jobs {
            match id_of(&server, job).and_then(|id| change(&server, &id)) {
                Ok(_) => shown::print_lines([format!("{} {done}", shown::clean(job))])?,
                Err(failure) if self.jobs.len() == 1 => return Err(failure),
                Err(failure) => {
                    eprintln!("punctual: {job}: {failure}");
                    first.get_or_insert(Failure::new(failure.kind(), ""));
                }
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// Pages of a list, one or all.
pub(super) fn pages(
    server: &Server,
    path: &str,
    pairs: &[(&str, Option<&str>)],
    typed: &PageArguments,
    mut take: impl FnMut(&str, Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
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
        match (&cursor, typed.all) {
            (None, _) => break,
            (Some(next), false) => {
                eprintln!("there is more: --cursor {next}, or --all");
                break;
            }
            (Some(_), true) => progress.tell(page * 1000, None),
        }
    }
    Ok(())
}

fn ls(typed: &ListArguments) -> Result<(), Failure> {
    let (server, shown) = (Server::find(&typed.server)?, Shown::of(&typed.output)?);
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
    pages(&server, "/api/jobs", &pairs, &typed.page, |said, page| {
        let jobs = page["jobs"].as_array().cloned().unwrap_or_default();
        match shown.format {
            shown::Format::Json | shown::Format::Yaml => return shown::print_answer(said, shown.format),
            shown::Format::Name => return shown::print_lines(jobs.iter().map(name_of)),
            shown::Format::Table | shown::Format::Wide => {}
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
    if matches!(shown.format, shown::Format::Table | shown::Format::Wide) {
        return table.print("no job is like this");
    }
    Ok(())
}

/// What a job is called by whoever types: its name, or its id.
fn name_of(job: &Value) -> String {
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

fn get(typed: &OneArguments) -> Result<(), Failure> {
    let (server, shown) = (Server::find(&typed.server)?, Shown::of(&typed.output)?);
    let id = id_of(&server, &typed.job)?;
    let answer = server.ask(Ask::get(format!("/api/jobs/{id}")))?;
    show_job(&answer.text, &shown)
}

/// Shows one job.
pub(super) fn show_job(said: &str, shown: &Shown) -> Result<(), Failure> {
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

fn why(typed: &OneArguments, at: &str) -> Result<(), Failure> {
    let (server, shown) = (Server::find(&typed.server)?, Shown::of(&typed.output)?);
    let id = id_of(&server, &typed.job)?;
    let path = format!("/api/jobs/{id}/why?at={}", encoded(at));
    let answer = server.ask(Ask::get(path))?;
    let told = answer.json()?;
    shown.one(&answer.text, told["verdict"].as_str().unwrap_or_default(), || {
        shown::facts([
            ("At", shown.time(&told["at"])),
            ("Verdict", text(&told["verdict"])),
            ("Reason", text(&told["reason"])),
            ("Due before", shown.time(&told["previousTime"])),
            ("Due after", shown.time(&told["nextTime"])),
            (
                "Executions",
                told["executions"]
                    .as_array()
                    .map(|all| {
                        all.iter()
                            .map(|one| format!("{} {}", text(&one["executionId"]), text(&one["status"])))
                            .collect::<Vec<_>>()
                            .join(", ")
                    })
                    .unwrap_or_default(),
            ),
        ])
    })
}

/// Asks for many executions, and prints which they are.
fn many(server: &Server, path: &str, body: &Value, member: &str, shown: &Shown) -> Result<(), Failure> {
    let answer = server.ask(Ask::post(path, body))?;
    if matches!(shown.format, shown::Format::Json | shown::Format::Yaml) {
        return shown::print_answer(&answer.text, shown.format);
    }
    let told = answer.json()?;
    let all = told[member].as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        return Err(Failure::new(Kind::No, "nothing there is like this"));
    }
    let times = member == "scheduledTimes";
    shown::print_lines(all.iter().map(|one| if times { shown.time(one) } else { text(one) }))?;
    eprintln!("{} {}", all.len(), if body["dryRun"] == true { "would be run" } else { "are in line" });
    Ok(())
}

/// How long a run took, for people.
pub(super) fn took(execution: &Value) -> String {
    millis(&execution["duration"])
}
