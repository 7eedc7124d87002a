//! Owns the commands about jobs that exist: list, show, pause, resume, run, replay, explain, delete.
//! It must not make or change what a job is.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::asking::sure;
use super::creating::CreateArguments;
use super::editing::EditArguments;
use super::failure::{Failure, Kind};
use super::find::id_of;
use super::listing::{ListArguments, ls, show_job};
use super::server::{Answer, Ask, Server, encoded};
use super::shown::{self, Shown, millis, text};
use super::{creating, editing};

/// What can be done with jobs. JOB is an id, or a whole name.
#[derive(Subcommand, Debug)]
pub enum JobCommand {
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
        /// Through this second, such as +2h or '2026-12-31 09:00'; unless given, until somebody resumes them
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
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
    /// Do executions of a job again that are like this, the newest of them, oldest first; not those that were done again
    Replay {
        #[command(flatten)]
        job: OneArguments,
        /// Only those that ended so: SUCCESS, FAILED or SKIPPED
        #[arg(long, value_name = "STATUS", default_value = "FAILED")]
        status: String,
        /// Only what belongs to this second or a later one
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        from: Option<String>,
        /// Only what belongs to this second or an earlier one
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
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
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        from: String,
        /// The last second that counts
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        to: String,
        /// Only say which times these are
        #[arg(long)]
        dry_run: bool,
    },
    /// Say what became of a second of a job, and why; also of one that it was never due at
    Why {
        #[command(flatten)]
        job: OneArguments,
        /// The second, such as '2026-12-31 09:00' or -10m
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
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

/// One job.
#[derive(Args, Debug)]
pub struct OneArguments {
    /// Its id or its name
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
}

/// Some jobs.
#[derive(Args, Debug)]
pub struct Some {
    /// Their ids or names
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,
}

/// Does what was asked for.
pub(crate) fn run(command: JobCommand, server: &Server, shown: &Shown) -> Result<(), Failure> {
    match command {
        JobCommand::Ls(list) => ls(&list, server, shown),
        JobCommand::Get(one) => get(&one.job, server, shown),
        JobCommand::Create(create) => creating::run(&create, server, shown),
        JobCommand::Edit(edit) => editing::run(&edit, server, shown),
        JobCommand::Pause { jobs, until, note } => {
            let until = shown.read_time_of("--until", until.as_deref())?;
            let body = given([("until", until.map(Value::from)), ("note", note.map(Value::from))]);
            jobs.each(server, "paused", |id| server.ask(Ask::post(format!("/api/jobs/{id}/pause"), &body)))
        }
        JobCommand::Resume { jobs, missed } => {
            let body = json!({ "missed": missed });
            jobs.each(server, "resumed", |id| server.ask(Ask::post(format!("/api/jobs/{id}/resume"), &body)))
        }
        JobCommand::Release { jobs } => {
            jobs.each(server, "released", |id| server.ask(Ask::post(format!("/api/jobs/{id}/release"), &json!({}))))
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
            let path = format!("/api/jobs/{}/run", id_of(server, &job.job)?);
            super::executions::started(server, &path, &body, shown)
        }
        JobCommand::Replay { job, status, from, to, limit, dry_run } => {
            let (from, to) = range(shown, from.as_deref(), to.as_deref())?;
            let body = given([
                ("jobId", Some(id_of(server, &job.job)?.into())),
                ("status", Some(status.to_uppercase().into())),
                ("from", from.map(Value::from)),
                ("to", to.map(Value::from)),
                ("limit", Some(limit.into())),
                ("dryRun", Some(dry_run.into())),
            ]);
            many(server, "/api/executions/replay", &body, "executionIds", shown)
        }
        JobCommand::Backfill { job, from, to, dry_run } => {
            let path = format!("/api/jobs/{}/backfill", id_of(server, &job.job)?);
            let (from, to) = range(shown, Some(&from), Some(&to))?;
            let body = json!({ "from": from, "to": to, "dryRun": dry_run });
            let member = if dry_run { "scheduledTimes" } else { "executionIds" };
            many(server, &path, &body, member, shown)
        }
        JobCommand::Why { job, at } => why(&job.job, &at, server, shown),
        JobCommand::Rm { jobs, yes } => {
            let named = if jobs.jobs.len() == 1 { jobs.jobs[0].clone() } else { format!("{} jobs", jobs.jobs.len()) };
            sure(&format!("Delete {named}?"), yes)?;
            jobs.each(server, "deleted", |id| server.ask(Ask::delete(format!("/api/jobs/{id}"))))
        }
    }
}

/// Times as typed, as the API takes them.
pub(crate) fn range(
    shown: &Shown,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<(Option<String>, Option<String>), Failure> {
    Ok((shown.read_time_of("--from", from)?, shown.read_time_of("--to", to)?))
}

/// An object of what is given.
pub(crate) fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

impl Some {
    /// Does something to each.
    fn each(
        &self,
        server: &Server,
        done: &str,
        mut change: impl FnMut(&str) -> Result<Answer, Failure>,
    ) -> Result<(), Failure> {
        each(&self.jobs, done, |job| id_of(server, job).and_then(|id| change(&id)))
    }
}

/// Does something to each. What goes wrong with one does not keep the others; the first of it is how the command ends.
pub(crate) fn each(
    all: &[String],
    done: &str,
    mut change: impl FnMut(&str) -> Result<Answer, Failure>,
) -> Result<(), Failure> {
    let mut first = None;
    for one in all {
        match change(one) {
            Ok(_) => shown::print_lines([format!("{} {done}", shown::clean(one))])?,
            Err(failure) if all.len() == 1 => return Err(failure),
            Err(failure) => {
                eprintln!("punctual: {one}: {failure}");
                first.get_or_insert(Failure::new(failure.kind(), ""));
            }
        }
    }
    first.map_or(Ok(()), Err)
}

fn get(job: &str, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let id = id_of(server, job)?;
    let answer = server.ask(Ask::get(format!("/api/jobs/{id}")))?;
    show_job(&answer.text, shown)
}

fn why(job: &str, at: &str, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let id = id_of(server, job)?;
    let path = format!("/api/jobs/{id}/why?at={}", encoded(&shown.read_time("--at", at)?));
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
pub(crate) fn took(execution: &Value) -> String {
    millis(&execution["duration"])
}
