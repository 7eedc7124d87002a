//! Owns asking what a schedule means.
//! It must not make a job.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::failure::Failure;
use super::jobs::{given, range};
use super::server::{Ask, Server};
use super::shown::{self, Shown, Table, text};
use super::typed::Typed;

/// What can be asked about schedules.
#[derive(Subcommand, Debug)]
pub enum ScheduleCommand {
    /// Say what a schedule means: in words, when it is due, and what is odd about it
    Preview(PreviewArguments),
}

/// A schedule, and which of its times are shown.
#[derive(Args, Debug)]
pub struct PreviewArguments {
    /// The schedule, such as '0 9 * * MON-FRI'
    #[arg(value_name = "EXPR")]
    schedule: String,
    /// Its time zone, such as Europe/Berlin; unless given, the server's
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// From this second on, such as '2026-12-31 09:00' or +1d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Up to this second
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// How many times (1-1000)
    #[arg(long, value_name = "N", default_value = "10")]
    count: u32,
}

/// Does what was asked for.
pub(crate) fn run(command: &ScheduleCommand, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let ScheduleCommand::Preview(typed) = command;
    let members = [
        ("schedule", Some(typed.schedule.as_str())),
        ("timeZone", typed.tz.as_deref()),
        ("from", typed.from.as_deref()),
        ("to", typed.to.as_deref()),
    ];
    let written: Vec<(&str, &str)> = members.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
    let command = Typed::command(&written);
    let (from, to) = range(shown, typed.from.as_deref(), typed.to.as_deref())?;
    let body = given([
        ("schedule", Some(typed.schedule.as_str().into())),
        ("timeZone", typed.tz.as_deref().map(Value::from)),
        ("from", from.map(Value::from)),
        ("to", to.map(Value::from)),
        ("count", Some(typed.count.into())),
    ]);
    let answer = server.ask(Ask::post("/api/schedules/preview", &body).typed(&command))?;
    let told = answer.json()?;
    shown.one(&answer.text, told["description"].as_str().unwrap_or_default(), || {
        shown::print_lines([text(&told["description"])])?;
        for warning in told["warnings"].as_array().into_iter().flatten() {
            eprintln!("warning: {}", text(warning));
        }
        let mut table = Table::new(&[typed.tz.as_deref().unwrap_or("LOCAL TO IT"), "HERE", "REMARK"]);
        for instant in told["instants"].as_array().into_iter().flatten() {
            let remark = instant["remark"]["message"].as_str().map(shown::clean).unwrap_or_default();
            table.row([text(&instant["local"]), shown.time(&instant["time"]), remark]);
        }
        table.print("it is never due")
    })
}
