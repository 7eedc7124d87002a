//! Owns writing out all jobs and calendars, as the server streams them.
//! It must not hold them all.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::asking::Progress;
use super::failure::{Failure, unprinted};
use super::server::{Ask, Server};
use super::shown::to_yaml;

/// What is written out, and how.
#[derive(Args, Debug)]
pub struct ExportArguments {
    /// How: json (one object a line, as the API says it) or yaml (documents)
    #[arg(short, long, value_name = "FORMAT", default_value = "json", help_heading = "Output")]
    output: String,
    /// Only jobs that this owner looks after
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// Only jobs with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
}

/// Writes them out.
pub(crate) fn run(typed: &ExportArguments, server: &Server) -> Result<(), Failure> {
    let is_yaml = match typed.output.as_str() {
        "json" => false,
        "yaml" => true,
        other => return Err(Failure::usage(format!("--output: expected json or yaml, got {other:?}"))),
    };
    let progress = Progress::new("exported");
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut done = 0;
    each(server, |line| {
        if !is_wanted(line, typed)? {
            return Ok(());
        }
        let text = if is_yaml { format!("---\n{}", to_yaml(line)?) } else { format!("{line}\n") };
        out.write_all(text.as_bytes()).map_err(|why| unprinted(&why))?;
        done += 1;
        if done % 1000 == 0 {
            progress.tell(done, None);
        }
        Ok(())
    })?;
    out.flush().map_err(|why| unprinted(&why))
}

/// How long a server may take to go on with it.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// Every line of the export.
pub(crate) fn each(server: &Server, mut take: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    for line in server.stream(Ask::get("/api/export"), SILENCE_MAX)? {
        let line = line.map_err(|why| Failure::failed(format!("the export broke off: {why}")))?;
        if !line.is_empty() {
            take(&line)?;
        }
    }
    Ok(())
}

fn is_wanted(line: &str, typed: &ExportArguments) -> Result<bool, Failure> {
    if typed.owner.is_none() && typed.tag.is_none() {
        return Ok(true);
    }
    let item: Value = serde_json::from_str(line).map_err(|_| Failure::failed("the export is not JSON"))?;
    let job = &item["job"];
    let has_tag = |tag: &String| job["tags"].as_array().is_some_and(|tags| tags.iter().any(|one| one == tag));
    Ok(typed.owner.as_ref().is_none_or(|owner| job["owner"] == *owner) && typed.tag.as_ref().is_none_or(has_tag))
}
