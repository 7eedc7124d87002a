//! Owns following executions as they end: one line each, over a connection that comes back.
//! It must not leave out what happened while it was away, or say so.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::executions::{FilterArguments, cells, heads};
use super::failure::{Failure, Kind};
use super::find::{Names, id_of};
use super::lines::Lines;
use super::server::{Ask, Server, query};
use super::shown::{self, Format, Shown, Table};

const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(15);
/// A server with nothing to tell says so every 15 s: after so long it is gone.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// How far one looks back in history: a page.
const LASTS_MAX: usize = 1000;
/// How many ids are kept, so that none is told twice.
const SEEN_MAX: usize = 100_000;

/// What is followed, and how.
#[derive(Args, Debug)]
pub struct TailArguments {
    /// Go on with those that come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many of the last ones to begin with (0-1000)
    #[arg(short = 'n', long, value_name = "N", default_value = "10")]
    lines: u32,
    #[command(flatten)]
    filter: FilterArguments,
}

/// Shows what there was, and what comes.
pub(crate) fn run(typed: &TailArguments, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let job = typed.filter.job.as_deref().map(|job| id_of(server, job)).transpose()?;
    let status = typed.filter.status.as_deref().map(str::to_uppercase);
    let lasts = Lasts { server, job: job.as_deref(), status: status.as_deref(), kind: typed.filter.kind.as_deref() };
    if typed.follow {
        return follow(&lasts, typed.lines as usize, shown);
    }
    if typed.lines == 0 {
        return Ok(());
    }
    print(&lasts.read(typed.lines as usize)?, shown, &mut Names::new(server), true)
}

/// The last executions of those that are meant.
struct Lasts<'a> {
    server: &'a Server,
    job: Option<&'a str>,
    status: Option<&'a str>,
    kind: Option<&'a str>,
}

impl Lasts<'_> {
    /// So many of them, oldest first.
    fn read(&self, count: usize) -> Result<Vec<Told>, Failure> {
        let limit = count.to_string();
        let pairs = [("jobId", self.job), ("status", self.status), ("kind", self.kind), ("limit", Some(&*limit))];
        let said = self.server.ask(Ask::get(format!("/api/executions{}", query(&pairs))))?.text;
        let page: Page =
            serde_json::from_str(&said).map_err(|_| Failure::failed("the answer is not a page of executions"))?;
        Ok(page.executions.iter().rev().filter_map(|one| Told::read(one.get())).collect())
    }

    fn wants_pending(&self) -> bool {
        self.status == Some("PENDING")
    }
}

/// Which executions were told, the last ones of them.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn has(&self, told: &Told) -> bool {
        told.value["executionId"].as_str().is_some_and(|id| self.ids.contains(id))
    }

    /// Whether it was not told before.
    fn add(&mut self, told: &Told) -> bool {
        let id = told.value["executionId"].as_str().unwrap_or_default();
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > SEEN_MAX {
            self.order.pop_front().map(|old| self.ids.remove(&old));
        }
        true
    }
}

/// A page as the API says it.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    executions: Vec<&'a RawValue>,
}

/// An execution: as the API said it, and read.
struct Told {
    said: String,
    value: Value,
}

impl Told {
    fn read(said: &str) -> Option<Told> {
        Some(Told { said: said.to_owned(), value: serde_json::from_str(said).ok()? })
    }
}

/// Prints executions. Each line stands for itself, so the columns are as wide as the usual value.
fn print(all: &[Told], shown: &Shown, names: &mut Names<'_>, has_head: bool) -> Result<(), Failure> {
    match shown.format {
        Format::Json => shown::print_lines(all.iter().map(|one| &one.said)),
        Format::Yaml => all.iter().try_for_each(|one| {
            shown::print_lines(["---"])?;
            shown::print_answer(&one.said, Format::Yaml)
        }),
        Format::Name => shown::print_lines(all.iter().map(|one| shown::text(&one.value["executionId"]))),
        Format::Table | Format::Wide if all.is_empty() => Ok(()),
        Format::Table | Format::Wide => {
            names.learn(all.iter().filter_map(|one| one.value["jobId"].as_str()))?;
            let mut table = if has_head { Table::new(&heads(shown)) } else { Table::new(&[]) };
            all.iter().for_each(|one| table.row(aligned(cells(&one.value, shown, names))));
            table.print("")
        }
    }
}

/// So wide that lines printed one by one stand below each other.
fn aligned(cells: Vec<String>) -> Vec<String> {
    const WIDTHS: [usize; 7] = [25, 7, 4, 10, 10, 9, 20];
    let pad = |(place, cell): (usize, String)| match WIDTHS.get(place) {
        Some(&width) => {
            let room =
                width.saturating_sub(cell.chars().filter(|char| !('\u{2061}'..='\u{2064}').contains(char)).count());
            format!("{cell}{}", " ".repeat(room + 1))
        }
        None => cell,
    };
    cells.into_iter().enumerate().map(pad).collect()
}

fn follow(lasts: &Lasts<'_>, lines: usize, shown: &Shown) -> Result<(), Failure> {
    let pairs = [("type", Some("execution")), ("jobId", lasts.job), ("status", lasts.status)];
    let path = format!("/api/events{}", query(&pairs));
    let is_meant = |told: &Told| {
        (told.value["status"] != "PENDING" || lasts.wants_pending())
            && lasts.kind.is_none_or(|kind| told.value["kind"] == kind)
    };
    let (mut seen, mut names) = (Seen::default(), Names::new(lasts.server));
    let (mut last_id, mut wait, mut has_begun) = (None::<String>, WAIT_MIN, false);
    loop {
        let ask = Ask::get(path.as_str())
            .header("accept", Some("text/event-stream"))
            .header("last-event-id", last_id.as_deref());
        match lasts.server.stream(ask, SILENCE_MAX) {
            Ok(stream) => {
                if wait > WAIT_MIN {
                    eprintln!("punctual: it is there again");
                }
                wait = WAIT_MIN;
                if !has_begun {
                    // Behind the stream's begin, so that nothing ends between the two.
                    let mut before = lasts.read(LASTS_MAX)?;
                    before.retain(|told| is_meant(told) && seen.add(told));
                    print(&before[before.len().saturating_sub(lines)..], shown, &mut names, true)?;
                    has_begun = true;
                }
                read(stream, &mut last_id, |told| match told.value["event"].as_str() {
                    Some("execution") if is_meant(&told) && seen.add(&told) => print(&[told], shown, &mut names, false),
                    Some("gap") => {
                        // What the stream does not have any more is in history.
                        let Ok(mut missed) = lasts.read(LASTS_MAX) else {
                            eprintln!("punctual: some were missed while this was away");
                            return Ok(());
                        };
                        let is_all = missed.len() < LASTS_MAX || missed.iter().any(|told| seen.has(told));
                        missed.retain(|told| is_meant(told) && seen.add(told));
                        if !is_all {
                            eprintln!("punctual: some were missed while this was away");
                        }
                        print(&missed, shown, &mut names, false)
                    }
                    Some("sampled") => {
                        eprintln!("punctual: {} more were too many to be told", told.value["leftOut"]);
                        Ok(())
                    }
                    _ => Ok(()),
                })?;
            }
            // What the server refuses it will refuse again.
            Err(failure) if failure.kind() != Kind::Failed => return Err(failure),
            Err(failure) if !has_begun => return Err(failure),
            Err(_) => {}
        }
        if wait == WAIT_MIN {
            eprintln!("punctual: the connection was cut off; trying again");
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Reads events until the connection ends.
fn read(
    stream: Lines,
    last_id: &mut Option<String>,
    mut take: impl FnMut(Told) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for line in stream {
        let Ok(line) = line else { return Ok(()) };
        if let Some(id) = line.strip_prefix("id: ") {
            *last_id = Some(id.to_owned());
        } else if let Some(told) = line.strip_prefix("data: ").and_then(Told::read) {
            take(told)?;
        }
    }
    Ok(())
}
