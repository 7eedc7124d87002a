//! Owns importing a crontab: what sends a request becomes a job, and of every other line it is said why it does not.
//! It must not pass over a line silently.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::applying::{self, Options};
use super::curl;
use super::failure::Failure;
use super::files::Item;
use super::server::Server;
use super::shown::Shown;
use super::typed::Typed;

/// How many characters the server takes as a name.
const LABEL_LEN_MAX: usize = 100;

/// What can be imported.
#[derive(Subcommand, Debug)]
pub enum ImportCommand {
    /// Make jobs of a crontab: of lines with curl or wget; every other line is listed with the reason
    ///
    /// Each job is called after its URL and its schedule, so importing the same file again changes nothing.
    Crontab(CrontabArguments),
}

/// A crontab, and how it is imported.
#[derive(Args, Debug)]
pub struct CrontabArguments {
    /// The file; - or none is standard input, as in `crontab -l | punctual import crontab`
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// It is a system's crontab (/etc/crontab, /etc/cron.d): a user stands before each command
    #[arg(long)]
    system: bool,
    /// Only say what would be made; exit code 3 if something would
    #[arg(long)]
    dry_run: bool,
    /// Who looks after these jobs
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// A tag for all of them; several with several flags
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Their time zone, if the crontab has no CRON_TZ; unless given, the server's
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
}

/// What a line of a crontab is.
#[derive(Debug, PartialEq)]
enum Line {
    /// Nothing that does anything.
    Silent,
    /// A zone for what follows.
    Zone(String),
    /// A job, with remarks.
    Job(Value, Vec<String>),
    /// It does not become one, for this reason.
    Left(String),
}

/// Imports it.
pub(crate) fn run(command: &ImportCommand, server: &Server, shown: &Shown) -> Result<(), Failure> {
    let ImportCommand::Crontab(typed) = command;
    let text = if typed.file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(&typed.file)
    };
    let text = text.map_err(|why| Failure::failed(format!("{}: {why}", typed.file.display())))?;
    let name = if typed.file.as_os_str() == "-" { "crontab".to_owned() } else { typed.file.display().to_string() };
    let read = Crontab::read(&text, typed.system, typed.tz.as_deref());
    for (place, remark) in &read.remarks {
        eprintln!("{name}:{place}: {remark}");
    }
    let (lines, mut items) = (text.lines().collect::<Vec<_>>(), Vec::new());
    for (place, mut job) in read.jobs {
        if !typed.tag.is_empty() {
            job["tags"] = typed.tag.clone().into();
        }
        let text = lines[place - 1].into();
        items.push(Item { value: job, typed: Typed::Document { name: name.clone(), text, line: place } });
    }
    eprintln!("{} of the lines become jobs, {} are left out", items.len(), read.left);
    let options = Options { dry_run: typed.dry_run, owner: typed.owner.as_deref(), prune: false, yes: false };
    applying::apply(server, &items, &options, shown)
}

/// What a crontab comes to. Lines are counted from 1 on.
#[derive(Debug, Default)]
pub struct Crontab {
    /// The jobs, each with its line.
    pub jobs: Vec<(usize, Value)>,
    /// What is to be said of lines, in their order: why one is left out, or what of it is not taken over.
    pub remarks: Vec<(usize, String)>,
    /// How many lines are left out.
    pub left: usize,
}

impl Crontab {
    /// Reads a crontab, of a system (a user stands before each command) or of somebody. `zone`: that of its jobs, as long
    /// as it names none itself.
    pub fn read(text: &str, is_system: bool, zone: Option<&str>) -> Crontab {
        let (mut crontab, mut names) = (Crontab::default(), HashSet::new());
        let mut zone = zone.map(str::to_owned);
        for (place, line) in text.lines().enumerate().map(|(place, line)| (place + 1, line)) {
            match read(line, is_system) {
                Line::Silent => {}
                Line::Zone(found) => zone = Some(found),
                Line::Left(why) => {
                    crontab.left += 1;
                    crontab.remarks.push((place, format!("left out: {why}\n  {}", line.trim())));
                }
                Line::Job(mut job, remarks) => {
                    crontab.remarks.extend(remarks.into_iter().map(|remark| (place, remark)));
                    job["name"] = unique(&job, &mut names).into();
                    if let Some(zone) = &zone {
                        job["timeZone"] = zone.clone().into();
                    }
                    crontab.jobs.push((place, job));
                }
            }
        }
        crontab
    }
}

/// What a job is called: after its URL and its schedule, and a number if that is not enough.
fn unique(job: &Value, names: &mut HashSet<String>) -> String {
    let url = job["api"].as_str().unwrap_or_default();
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let full = format!("{host} at {}", job["schedule"].as_str().unwrap_or_default());
    let printable: String = full.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    for number in 1_usize.. {
        let suffix = if number == 1 { String::new() } else { format!(" ({number})") };
        let room = LABEL_LEN_MAX - suffix.chars().count();
        // Cut behind the blanks in front, so that something is left.
        let name = printable.trim_start().chars().take(room).collect::<String>().trim_end().to_owned() + &suffix;
        if names.insert(name.clone()) {
            return name;
        }
    }
    unreachable!("numbers do not end")
}

/// Reads one line (crontab(5)).
fn read(line: &str, is_system: bool) -> Line {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Line::Silent;
    }
    if let Some((name, value)) = assignment(line) {
        return match name {
            "CRON_TZ" => Line::Zone(value.trim_matches(['"', '\'']).to_owned()),
            _ => Line::Left(format!("{name} is set for commands, and there are none here")),
        };
    }
    let fields = if line.starts_with('@') { 1 } else { 5 };
    let Some((schedule, command)) = split(line, fields) else {
        return Line::Left("expected five fields and a command".to_owned());
    };
    if schedule == "@reboot" {
        return Line::Left("@reboot is no time".to_owned());
    }
    let command = match (is_system, split(command, 1)) {
        (false, _) => command,
        (true, Some((_, command))) => command,
        (true, None) => return Line::Left("expected a user before the command".to_owned()),
    };
    // What stands behind a percent sign goes to the command's input.
    let (command, input) = match unescaped_percent(command) {
        Some(place) => (&command[..place], Some(&command[place..])),
        None => (command, None),
    };
    match curl::read(&command.replace("\\%", "%")) {
        Ok(mut sent) => {
            sent.remarks.extend(input.map(|input| format!("not taken over: the input {input}")));
            let mut job = Value::from(sent.job);
            job["schedule"] = schedule.split_whitespace().collect::<Vec<_>>().join(" ").into();
            job["type"] = json!("ATLEAST_ONCE");
            Line::Job(job, sent.remarks)
        }
        // In a file of its own the same command may do; in a crontab it ends there.
        Err(why) if input.is_some() => Line::Left(format!("{why}; % ends a command here unless it is written \\%")),
        Err(why) => Line::Left(why),
    }
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
        && name.starts_with(|char: char| !char.is_ascii_digit());
    (is_name && !name.is_empty()).then(|| (name, value.trim()))
}

/// So many fields, and the rest.
fn split(line: &str, fields: usize) -> Option<(&str, &str)> {
    let mut place = 0;
    for _ in 0..fields {
        let rest = &line[place..];
        let start = rest.len() - rest.trim_start().len();
        place += start + rest.trim_start().find(char::is_whitespace)?;
    }
    Some((line[..place].trim(), line[place..].trim())).filter(|(_, rest)| !rest.is_empty())
}

fn unescaped_percent(command: &str) -> Option<usize> {
    command.match_indices('%').map(|(place, _)| place).find(|&place| !command[..place].ends_with('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_crontabs_are_told_apart() {
        let job = |line: &str, is_system| match read(line, is_system) {
            Line::Job(job, _) => job,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(job("*/5 *  * * * curl -s https://a/x", false)["schedule"], "*/5 * * * *");
        assert_eq!(job("@daily curl https://a", false)["schedule"], "@daily");
        assert_eq!(job("0 3 * * 1 www-data curl https://a", true)["api"], "https://a");
        assert_eq!(job("0 3 * * 1 curl https://a/\\%20?x=1 -d 'a' % input", false)["api"], "https://a/%20?x=1");
        assert_eq!(job("0 3 * * 1 curl 'https://a/\\%20'", false)["api"], "https://a/%20");
        for silent in ["", "  # note", "\t"] {
            assert_eq!(read(silent, false), Line::Silent);
        }
        assert_eq!(read("CRON_TZ = \"Europe/Berlin\"", false), Line::Zone("Europe/Berlin".to_owned()));
        for left in [
            "MAILTO=a@b",
            "TZ=Europe/Paris",
            "* * * * *",
            "* * * * curl https://a",
            "@reboot curl https://a",
            "1 2 3 4 5 /bin/x",
            "0 0 * * * root",
        ] {
            assert!(matches!(read(left, left.ends_with("root")), Line::Left(_)), "{left}: {:?}", read(left, false));
        }
    }

    #[test]
    fn names_are_after_what_is_done_and_of_their_own() {
        let mut names = HashSet::new();
        let job = json!({ "api": format!("https://a/{}", "x".repeat(200)), "schedule": "* * * * *" });
        let (first, second) = (unique(&job, &mut names), unique(&job, &mut names));
        assert!(first != second && second.ends_with(" (2)"), "{second}");
        assert!([first, second].iter().all(|name| name.chars().count() <= LABEL_LEN_MAX));
        let job = json!({ "api": format!("https://{}", "\u{7f}".repeat(200)), "schedule": "@daily" });
        assert_eq!(unique(&job, &mut names), "at @daily");
    }
}
