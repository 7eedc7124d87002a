//! Owns making the server's jobs what files say: what differs is shown, then changed; what is the same is left alone.
//! It must not compare jobs itself: the server does, secrets included.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use clap::Args;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::asking::{Progress, sure};
use super::exporting;
use super::failure::{Failure, Kind};
use super::files::{self, Item};
use super::server::{Ask, Server};
use super::shown::{self, Format, Shown, clean, standing, text};

/// How many jobs the server takes in one commit.
const TOGETHER_MAX: usize = 10_000;
/// Bytes of lines that it takes at once, with room to spare.
const TOGETHER_LEN_MAX: usize = 7 * 1024 * 1024;

/// What is applied, and how.
#[derive(Args, Debug)]
pub struct ApplyArguments {
    /// A file of jobs as YAML or JSON, a folder of such files, or - for standard input; several with several flags
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only say what would change; exit code 3 if something would
    #[arg(long)]
    dry_run: bool,
    /// Who looks after these jobs, where they do not say. What files do not say is taken away, an owner as well
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// Delete jobs of that owner that are not in the files
    #[arg(long, requires = "owner")]
    prune: bool,
    /// Do not ask before deleting
    #[arg(short, long)]
    yes: bool,
}

/// What came of the lines.
#[derive(Debug, Default)]
struct Counts {
    created: usize,
    changed: usize,
    unchanged: usize,
    deleted: usize,
    refused: usize,
    /// Calendars that differ; the others are jobs.
    calendars: usize,
}

/// A line of the batch, and where it came from.
struct Line {
    text: String,
    /// None: it deletes.
    place: Option<usize>,
    is_calendar: bool,
    name: String,
}

/// Applies them.
pub(crate) fn run(typed: &ApplyArguments, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let mut items = Vec::new();
    for file in &typed.files {
        items.extend(files::read(file)?);
    }
    check_twice(&items)?;
    apply(
        server,
        &items,
        &Options { dry_run: typed.dry_run, owner: typed.owner.as_deref(), prune: typed.prune, yes: typed.yes },
        shown,
    )
}

/// No job is declared twice: which of the two should count?
fn check_twice(items: &[Item]) -> Result<(), Failure> {
    let mut places: HashMap<(bool, &str), &Item> = HashMap::new();
    for item in items.iter().filter(|item| item.calendar().is_none()) {
        let named = item.value.get("job").unwrap_or(&item.value).get("name").and_then(Value::as_str);
        for (is_name, key) in [(true, named), (false, item.id())] {
            let before = key.and_then(|key| places.insert((is_name, key), item));
            if let (Some(before), Some(key)) = (before, key) {
                let (here, there) = (item.place(), before.place());
                let what = if is_name { "name" } else { "jobId" };
                return Err(Failure::usage(format!("{here}: the {what} {key:?} is declared before, at {there}")));
            }
        }
    }
    Ok(())
}

/// The lines of a batch that declare what a file says, as it is written: what is secret there keeps the name that it has.
///
/// # Errors
/// When it is no YAML or JSON, or something in it is no job.
pub fn declared(name: &str, text: &str) -> Result<Vec<String>, Failure> {
    let items = files::as_written(name, text)?;
    check_twice(&items)?;
    let options = Options { dry_run: false, owner: None, prune: false, yes: false };
    let lines = items.iter().enumerate().map(|(place, item)| line_of(item, place, &options));
    lines.map(|line| line.map(|line| line.text)).collect()
}

/// How items are applied.
pub(crate) struct Options<'a> {
    pub(crate) dry_run: bool,
    pub(crate) owner: Option<&'a str>,
    pub(crate) prune: bool,
    pub(crate) yes: bool,
}

/// Makes the server's jobs what the items say.
pub(crate) fn apply(server: &Server, items: &[Item], options: &Options<'_>, shown: &Shown) -> Result<(), Failure> {
    // Jobs follow calendars, so these go first.
    let (calendars, jobs): (Vec<_>, Vec<_>) = items.iter().enumerate().partition(|(_, item)| item.calendar().is_some());
    let mut lines = Vec::new();
    for (place, item) in calendars.into_iter().chain(jobs) {
        lines.push(line_of(item, place, options)?);
    }
    // What would come of it, before anything changes.
    let plan = send(server, &lines, true)?;
    let mut results: Vec<(usize, Value)> = plan;
    let owner = options.owner.unwrap_or_default();
    let mut doomed = if options.prune { surplus(server, &results, owner)? } else { Vec::new() };
    let has_difference = !doomed.is_empty() || results.iter().any(|(_, told)| outcome(told) != "unchanged");
    for (place, told) in &results {
        show_difference(&lines[*place], told, items, options.dry_run, shown)?;
    }
    if !options.dry_run && has_difference {
        if !doomed.is_empty() {
            let names: Vec<&str> = doomed.iter().map(|line| line.name.as_str()).take(5).collect();
            let more = if doomed.len() > 5 { ", ..." } else { "" };
            sure(
                &format!("Delete {} that are not in the files ({}{more})?", doomed.len(), names.join(", ")),
                options.yes,
            )?;
            if !options.yes {
                // While somebody thought about it another one may have given a job away.
                let still: HashSet<String> =
                    surplus(server, &results, owner)?.into_iter().map(|line| line.text).collect();
                doomed.retain(|line| still.contains(&line.text));
            }
        }
        // All of them again: which job a line means depends on what is declared beside it.
        let refused: HashSet<usize> =
            results.iter().filter(|(_, told)| told.get("problem").is_some()).map(|(place, _)| *place).collect();
        lines.extend(doomed);
        results = Vec::new();
        for (place, mut told) in send(server, &lines, false)? {
            let line = &lines[place];
            if told.get("problem").is_some() {
                // What was refused before was told before.
                if !refused.contains(&place) {
                    eprintln!("punctual: {}: {}", line.name, detail(&told["problem"]));
                }
            } else if line.place.is_none() {
                told["outcome"] = "deleted".into();
                show_deleted(shown, &line.name, false)?;
            }
            results.push((place, told));
        }
    } else {
        for line in &doomed {
            show_deleted(shown, &line.name, options.dry_run)?;
            results.push((0, json!({ "outcome": "deleted" })));
        }
    }
    finish(&results, options.dry_run, shown)
}

fn finish(results: &[(usize, Value)], dry_run: bool, shown: &Shown) -> Result<(), Failure> {
    let mut counts = Counts::default();
    for (_, told) in results {
        match outcome(told) {
            "created" | "changed" if told["isCalendar"] == true => counts.calendars += 1,
            "unchanged" if told["isCalendar"] == true => {}
            "created" => counts.created += 1,
            "changed" => counts.changed += 1,
            "unchanged" => counts.unchanged += 1,
            "deleted" => counts.deleted += 1,
            _ => counts.refused += 1,
        }
    }
    let Counts { created, changed, unchanged, deleted, refused, calendars } = counts;
    if matches!(shown.format, Format::Json | Format::Yaml) {
        let said = json!({ "created": created, "changed": changed, "unchanged": unchanged, "deleted": deleted, "refused": refused,
            "calendars": calendars, "dryRun": dry_run, "results": results.iter().map(|(_, told)| told).collect::<Vec<_>>() });
        shown::print_answer(&said.to_string(), shown.format)?;
    }
    let of_calendars = if calendars > 0 { format!(", calendars {calendars}") } else { String::new() };
    let [create, change, delete] = ["created", "changed", "deleted"].map(|done| what_is(done, dry_run));
    let said = format!("{create} {created}, {change} {changed}, {delete} {deleted}, unchanged {unchanged}");
    eprintln!("{}{said}, refused {refused}{of_calendars}", if dry_run { "would " } else { "" });
    match () {
        () if refused > 0 => Err(Failure::usage("")),
        () if dry_run && created + changed + deleted + calendars > 0 => Err(Failure::new(Kind::No, "")),
        () => Ok(()),
    }
}

/// What came of a line, in a word; for a dry run what would.
fn what_is(outcome: &str, dry_run: bool) -> &str {
    match outcome {
        "created" if dry_run => "create",
        "changed" if dry_run => "change",
        "deleted" if dry_run => "delete",
        other => other,
    }
}

/// What the server says came of a line.
fn outcome(told: &Value) -> &str {
    told["outcome"].as_str().unwrap_or("refused")
}

fn line_of(item: &Item, place: usize, options: &Options<'_>) -> Result<Line, Failure> {
    if let Some((name, dates)) = item.calendar() {
        let text = json!({ "apply": { "calendar": { "name": name, "dates": dates } } }).to_string();
        return Ok(Line { text, place: Some(place), is_calendar: true, name: format!("calendar {}", clean(name)) });
    }
    let mut job = item.job()?;
    if let Some(owner) = options.owner {
        match job.get("owner").and_then(Value::as_str) {
            Some(other) if other != owner && options.prune => {
                return Err(Failure::usage(format!("{}: its owner is {other:?}, not {owner:?}", item.place())));
            }
            Some(_) => {}
            None => job["owner"] = owner.into(),
        }
    }
    let name = job.get("name").and_then(Value::as_str).or(item.id()).map_or_else(|| item.place(), clean);
    // A body as it was written, with the digits of its numbers.
    let body = item.body();
    let members = job.as_object().into_iter().flatten().filter(|(name, _)| body.is_none() || *name != "json");
    let mut members: Vec<(&str, Box<RawValue>)> = members.map(|(name, value)| (name.as_str(), raw(value))).collect();
    members.extend(body.map(|body| ("json", body.to_owned())));
    // Of a job that has had some of its runs only the others are left, where it is new.
    let apply = Declared { job_id: item.id(), runs: item.beside("runs"), job: Members(members) };
    let text = raw(&Applied { apply }).get().to_owned();
    Ok(Line { text, place: Some(place), is_calendar: false, name })
}

/// A line of a batch that declares a job.
#[derive(Serialize)]
struct Applied<'a> {
    apply: Declared<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declared<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<&'a Value>,
    job: Members<'a>,
}

/// The members of a job.
struct Members<'a>(Vec<(&'a str, Box<RawValue>)>);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("it has string keys only")
}

/// Sends lines, as many at once as the server takes. What came of each, by its place among them.
fn send(server: &Server, lines: &[Line], dry_run: bool) -> Result<Vec<(usize, Value)>, Failure> {
    let progress = Progress::new(if dry_run { "compared" } else { "applied" });
    let path = if dry_run { "/api/jobs/batch?dryRun=true" } else { "/api/jobs/batch" };
    let mut results = Vec::with_capacity(lines.len());
    let mut first = 0;
    // Of calendars that a dry run does not put only the lines behind them know.
    let calendars = lines.iter().take_while(|line| line.is_calendar && dry_run).count();
    while first < lines.len() {
        let again = if first > calendars { calendars } else { 0 };
        let (mut body, mut last) = (String::new(), first);
        for line in &lines[..again] {
            body.push_str(&line.text);
            body.push('\n');
        }
        while last < lines.len()
            && last - first + again < TOGETHER_MAX
            && (last == first || body.len() + lines[last].text.len() < TOGETHER_LEN_MAX)
        {
            body.push_str(&lines[last].text);
            body.push('\n');
            last += 1;
        }
        let mut told = server.ask(Ask::post(path, &Value::Null).lines(body))?.json()?;
        let told = told["results"].as_array_mut().map(std::mem::take).unwrap_or_default();
        if told.len() != again + last - first {
            return Err(Failure::failed("the server did not answer for each line"));
        }
        for (place, mut told) in told.into_iter().skip(again).enumerate() {
            let place = first + place;
            if lines[place].is_calendar && told.get("problem").is_none() {
                told["isCalendar"] = true.into();
            }
            results.push((place, told));
        }
        progress.tell(last, Some(lines.len()));
        first = last;
    }
    Ok(results)
}

/// Lines that delete what this owner has beside what was applied.
fn surplus(server: &Server, results: &[(usize, Value)], owner: &str) -> Result<Vec<Line>, Failure> {
    if results.iter().any(|(_, told)| told.get("problem").is_some()) {
        return Err(Failure::failed("some jobs are refused, so nothing is pruned"));
    }
    let kept: HashSet<&str> = results.iter().filter_map(|(_, told)| told["jobId"].as_str()).collect();
    let mut found = Vec::new();
    exporting::each(server, |line| {
        let item: Value = serde_json::from_str(line).map_err(|_| Failure::failed("the export is not JSON"))?;
        let (job, id) = (&item["job"], item["jobId"].as_str().unwrap_or_default());
        if job["owner"] == owner && !kept.contains(id) {
            let name = job["name"].as_str().map_or_else(|| id.to_owned(), clean);
            found.push(Line {
                text: json!({ "delete": { "jobId": id } }).to_string(),
                place: None,
                is_calendar: false,
                name,
            });
        }
        Ok(())
    })?;
    Ok(found)
}

fn show_difference(line: &Line, told: &Value, items: &[Item], dry_run: bool, shown: &Shown) -> Result<(), Failure> {
    if let Some(problem) = told.get("problem") {
        let place = line.place.map(|place| &items[place]);
        eprintln!("punctual: {}: {}", place.map(Item::place).unwrap_or_default(), detail(problem));
        for fault in problem["errors"].as_array().into_iter().flatten() {
            let pointer = fault["pointer"].as_str().unwrap_or_default();
            let path = own_member(pointer.trim_start_matches("#/"), '/').replace('/', ".");
            if let Some(there) = place.and_then(|item| item.typed.show(&path)) {
                eprintln!("{there}");
            }
        }
        return Ok(());
    }
    if !matches!(shown.format, Format::Table | Format::Wide | Format::Name) {
        return Ok(());
    }
    match outcome(told) {
        "unchanged" if !shown.is_wide() => Ok(()),
        what => {
            shown_line(shown, what_is(what, dry_run), &line.name)?;
            if shown.format == Format::Name {
                return Ok(());
            }
            let changes = told["difference"].as_object().into_iter().flatten().filter(|_| what == "changed");
            shown::print_lines(
                changes.map(|(member, values)| format!("    {member}: {} -> {}", text(&values[0]), text(&values[1]))),
            )
        }
    }
}

/// The member in what somebody wrote: without what the lines of a batch put around it.
fn own_member(path: &str, separator: char) -> &str {
    let inner = path.strip_prefix("apply").and_then(|rest| rest.strip_prefix(separator)).unwrap_or(path);
    inner.strip_prefix("job").and_then(|rest| rest.strip_prefix(separator)).unwrap_or(inner)
}

/// Why a line is refused, about members as they were written.
fn detail(problem: &Value) -> String {
    own_member(&text(&problem["detail"]), '.').to_owned()
}

fn show_deleted(shown: &Shown, name: &str, dry_run: bool) -> Result<(), Failure> {
    match shown.format {
        Format::Table | Format::Wide | Format::Name => shown_line(shown, what_is("deleted", dry_run), name),
        Format::Json | Format::Yaml => Ok(()),
    }
}

fn shown_line(shown: &Shown, what: &str, name: &str) -> Result<(), Failure> {
    if shown.format == Format::Name {
        return shown::print_lines([name]);
    }
    let mut table = shown::Table::new(&[]);
    table.row([standing(what), name.to_owned()]);
    table.print("")
}
