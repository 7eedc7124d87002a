//! Owns the commands about silences: list, begin, end.
//! It must not decide what a silence covers.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::failure::Failure;
use super::find::{Names, id_of};
use super::jobs::{each, given};
use super::server::{Ask, Server, encoded};
use super::shown::{self, Format, Shown, Table, text};
use super::typed::Typed;

/// What can be done with silences.
#[derive(Subcommand, Debug)]
pub enum SilenceCommand {
    /// List silences
    #[command(visible_alias = "list")]
    Ls,
    /// Have nothing told of a job, a tag or a target for some time
    Create(CreateArguments),
    /// End silences: what is open then, and was not told, is told
    #[command(visible_alias = "delete")]
    Rm {
        /// Their ids
        #[arg(value_name = "SILENCE", required = true)]
        silences: Vec<String>,
    },
}

/// A new silence.
#[derive(Args, Debug)]
pub struct CreateArguments {
    #[command(flatten)]
    of: OfArguments,
    /// Until this second, such as +2h or '2026-12-31 09:00'
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: String,
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    note: String,
}

/// Of what.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct OfArguments {
    /// A job: its id or its name
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Jobs with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// A target, and the jobs that POST there: its scheme, host and port count
    #[arg(long, value_name = "URL")]
    target: Option<String>,
}

/// Does what was asked for.
pub(crate) fn run(command: &SilenceCommand, server: &Server, shown: &Shown) -> Result<(), Failure> {
    match command {
        SilenceCommand::Ls => ls(server, shown),
        SilenceCommand::Create(typed) => create(typed, server, shown),
        SilenceCommand::Rm { silences } => {
            each(silences, "ended", |id| server.ask(Ask::delete(format!("/api/silences/{}", encoded(id)))))
        }
    }
}

fn ls(server: &Server, shown: &Shown) -> Result<(), Failure> {
    let answer = server.ask(Ask::get("/api/silences"))?;
    let told = answer.json()?;
    let all = told["silences"].as_array().cloned().unwrap_or_default();
    match shown.format {
        Format::Json | Format::Yaml => return shown::print_answer(&answer.text, shown.format),
        Format::Name => return shown::print_lines(all.iter().map(|one| text(&one["silenceId"]))),
        Format::Table | Format::Wide => {}
    }
    let mut names = Names::new(server);
    names.learn(all.iter().filter_map(|one| one["jobId"].as_str()))?;
    let more: &[&str] = if shown.is_wide() { &["SINCE"] } else { &[] };
    let mut table = Table::new(&[&["OF", "UNTIL", "BY", "SILENCE ID", "NOTE"][..], more].concat());
    for one in &all {
        let of = match (one["jobId"].as_str(), one["tag"].as_str()) {
            (Some(job), _) => names.of(job),
            (None, Some(tag)) => format!("tag {}", shown::clean(tag)),
            (None, None) => text(&one["target"]),
        };
        let mut cells =
            vec![of, shown.time(&one["endsAt"]), text(&one["by"]), text(&one["silenceId"]), text(&one["note"])];
        if shown.is_wide() {
            cells.push(shown.time(&one["createdAt"]));
        }
        table.row(cells);
    }
    table.print("nothing is silenced")
}

fn create(typed: &CreateArguments, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let CreateArguments { of: OfArguments { job, tag, target }, until, note } = typed;
    let written = [
        ("jobId", job.as_deref()),
        ("tag", tag.as_deref()),
        ("target", target.as_deref()),
        ("endsAt", Some(until.as_str())),
        ("note", Some(note.as_str())),
    ];
    let written: Vec<(&str, &str)> = written.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
    let command = Typed::command(&written);
    let job = job.as_deref().map(|job| id_of(server, job)).transpose()?;
    let body = given([
        ("jobId", job.map(Value::from)),
        ("tag", tag.as_deref().map(Value::from)),
        ("target", target.as_deref().map(Value::from)),
        ("endsAt", Some(shown.read_time("--until", until)?.into())),
        ("note", Some(note.as_str().into())),
    ]);
    let answer = server.ask(Ask::post("/api/silences", &body).typed(&command))?;
    let told = answer.json()?;
    shown.one(&answer.text, told["silenceId"].as_str().unwrap_or_default(), || {
        shown::print_lines([text(&told["silenceId"])])?;
        eprintln!("until {}", shown.time(&told["endsAt"]));
        Ok(())
    })
}
