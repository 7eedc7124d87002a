//! Owns the command that looks at the machine: its flags, and how findings are printed.
//! It must not know what is looked at.

use std::fmt::Write;

use clap::Args;
use punctual_client::{self as client, Failure};
use serde_json::{Map, Value, json};

use super::serve::ServeArguments;
use super::settings::Typed;
use crate::doctor::{self, Finding, Level};

/// The command, as typed.
#[derive(Args, Debug, Clone)]
pub struct DoctorArguments {
    #[command(flatten)]
    settings: ServeArguments,
    /// How it is printed: table or json
    #[arg(short, long, value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    output: String,
}

/// Looks at everything that the server depends on. Whether something is wrong.
pub(super) fn run(command: &DoctorArguments, typed: &Typed) -> Result<bool, Failure> {
    let is_json = match command.output.as_str() {
        "table" => false,
        "json" => true,
        other => return Err(Failure::usage(format!("--output: expected table or json, got {other:?}"))),
    };
    let (mut findings, mut printed) = (Vec::new(), Ok(()));
    let mut tell = |finding: Finding| {
        // Each as soon as it is made: some take a while.
        if !is_json && printed.is_ok() {
            printed = client::print_lines([told(&finding)]);
        }
        findings.push(finding);
    };
    match typed.settle() {
        Ok(settings) => doctor::examine(&settings.config, client::contexts_file().as_deref(), &mut tell),
        Err(faults) => doctor::refused(&faults).into_iter().for_each(&mut tell),
    }
    printed?;
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (wrong, dubious) = (count(Level::Fail), count(Level::Warn));
    if is_json {
        let all: Vec<Value> = findings.iter().map(object).collect();
        client::print_lines([json!({ "ok": wrong == 0, "fail": wrong, "warn": dubious, "findings": all })])?;
    } else {
        eprintln!("punctual: {} looked at: {wrong} wrong, {dubious} to think about", findings.len());
    }
    Ok(wrong > 0)
}

/// A finding for people: what to do stands below what was found.
fn told(finding: &Finding) -> String {
    let level = client::coloured(finding.level.name());
    let padding = " ".repeat(5 - finding.level.name().len());
    let mut text = format!("{level}{padding} {:13}  {}", finding.check, client::clean(&finding.found));
    if let Some(advice) = &finding.advice {
        write!(text, "\n{:21}-> {}", "", client::clean(advice)).expect("a text takes all");
    }
    text
}

fn object(finding: &Finding) -> Value {
    let Finding { check, level, found, advice, figures } = finding;
    // What is whole is written so.
    let number = |value: f64| {
        if value.fract() == 0.0 { Value::from(format!("{value}").parse::<u64>().ok()) } else { json!(value) }
    };
    let figures: Map<String, Value> = figures.iter().map(|&(name, value)| (name.to_owned(), number(value))).collect();
    json!({ "check": check, "level": level.name(), "found": found, "advice": advice, "figures": figures })
}
