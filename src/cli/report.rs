//! Owns how the commands about files of the database end and what they print: what was seen, what a start would do, how
//! far something is.
//! It must not look at anything itself.

use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::flag::InvalidFlag;
use crate::job::Misfire;
use crate::limits::FINDINGS_MAX;
use crate::server::{Prospect, Told};
use crate::store::{CopyError, Examined, Finding, Look, SecretsState};
use crate::vault::{self, Vault};

/// How a command ends that was not done.
#[derive(Debug)]
pub(super) enum Undone {
    /// What was typed is wrong.
    Typed(String),
    /// It could not be done.
    Failed(String),
    /// It was looked at, and is not as it should be. What is said of it, if that was not printed.
    No(Option<String>),
}

impl From<InvalidFlag> for Undone {
    fn from(why: InvalidFlag) -> Undone {
        Undone::Typed(why.to_string())
    }
}

impl From<CopyError> for Undone {
    fn from(why: CopyError) -> Undone {
        if why.is_verdict() { Undone::No(Some(why.to_string())) } else { Undone::Failed(why.to_string()) }
    }
}

/// How a result is printed.
#[derive(Args, Debug)]
pub(super) struct Form {
    /// How the result is printed: text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: String,
}

impl Form {
    /// Whether it is JSON.
    pub(super) fn is_json(&self) -> Result<bool, InvalidFlag> {
        match &*self.output {
            "text" => Ok(false),
            "json" => Ok(true),
            other => Err(InvalidFlag::new("--output", other, "text or json")),
        }
    }
}

/// What the server would be told that decides about a start.
#[derive(Args, Debug)]
pub(super) struct AsTold {
    /// The file with the key that secrets are sealed with; unless given, the systemd credential
    #[arg(long, env = "PUNCTUAL_SECRETS_KEY", value_name = "FILE")]
    secrets_key: Option<PathBuf>,
    /// What the server is told of missed times: once, all or skip
    #[arg(long, env = "PUNCTUAL_MISFIRE", value_name = "POLICY", default_value = "once")]
    misfire: String,
    /// What the server is told of lateness, in milliseconds
    #[arg(long, env = "PUNCTUAL_MAX_LATENESS_MS", value_name = "MS", default_value = "600000")]
    max_lateness_ms: String,
}

impl AsTold {
    /// The key, and the rest.
    pub(super) fn read(&self) -> Result<(Option<Vault>, Told), Undone> {
        let misfire = Misfire::from_name(&self.misfire)
            .ok_or_else(|| InvalidFlag::new("--misfire", &self.misfire, "once, all or skip").with_environment())?;
        let lateness = super::flag::number("--max-lateness-ms", &self.max_lateness_ms, 1_000, 604_800_000);
        let lateness = lateness.map_err(InvalidFlag::with_environment)?;
        let key = self.secrets_key.clone().or_else(vault::credential);
        let vault = key.as_deref().map(Vault::open_file).transpose();
        let vault = vault.map_err(|why| Undone::Failed(format!("--secrets-key: {why}")))?;
        Ok((vault, Told { misfire, lateness_max: std::time::Duration::from_millis(lateness.into()) }))
    }
}

/// What was seen of a file, and what a start would do with it.
pub(super) struct Seen {
    pub(super) examined: Examined,
    /// None: it is not known, for the reason that stands in the findings, or as its schema is an older one.
    pub(super) prospect: Option<Prospect>,
    /// Why a start would be refused as things are, where that is no fault of the file.
    pub(super) refused: Option<String>,
}

impl Seen {
    /// Looks at a file as a whole.
    pub(super) fn of(look: &Look, told: Told, shown: &mut Shown) -> Result<Seen, Undone> {
        let mut examined = look.examine(&mut |what| shown.say(what))?;
        let (mut prospect, mut refused) = (None, None);
        if examined.findings.is_empty() && look.is_current() {
            shown.say("what a start would do");
            match crate::server::prospect(look, told) {
                Ok(found) => prospect = Some(found),
                Err(why) if matches!(examined.secrets, Some(SecretsState::NoKey | SecretsState::OtherKey)) => {
                    refused = Some(why.to_string());
                }
                Err(why) => examined.findings.push(Finding::once(&format!("a start would be refused: {why}"))),
            }
        }
        shown.end();
        Ok(Seen { examined, prospect, refused })
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        let Examined { file, bytes, wal_bytes, schema_version, taken_at, counts, secrets, findings } = &self.examined;
        let counts: serde_json::Map<String, Value> =
            counts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
        json!({
            "file": file,
            "bytes": bytes,
            "walBytes": wal_bytes,
            "schemaVersion": schema_version,
            "takenAt": taken_at,
            "counts": counts,
            "secrets": secrets.map(SecretsState::name),
            "good": findings.is_empty() && self.refused.is_none(),
            "findings": findings.iter().map(finding_json).collect::<Vec<_>>(),
            "refused": self.refused,
            "start": self.prospect.as_ref().map(prospect_json),
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        self.text_of(&self.examined.file)
    }

    /// The same of what is a copy of this file.
    pub(super) fn text_of(&self, file: &Path) -> String {
        let Examined { file: _, bytes, wal_bytes, schema_version, taken_at, counts, secrets, findings } =
            &self.examined;
        let log = if *wal_bytes > 0 { format!(", and {} in its log", size(*wal_bytes)) } else { String::new() };
        let mut lines = vec![format!("File: {} ({}{log}), schema {schema_version}", file.display(), size(*bytes))];
        lines.extend(taken_at.as_ref().map(|at| format!("Backup: taken {at}")));
        if !counts.is_empty() {
            let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {}", words(name))).collect();
            lines.push(format!("Holds: {}", counts.join(", ")));
        }
        lines.extend(secrets.and_then(secrets_text).map(|text| format!("Secrets: {text}")));
        match &self.prospect {
            Some(prospect) => lines.extend(prospect_lines(prospect)),
            None if findings.is_empty() && self.refused.is_none() => {
                lines.push("A start brings it up to date first: its tables were not looked into".to_owned());
            }
            None => {}
        }
        lines.extend(self.refused.as_ref().map(|why| format!("A start would be refused: {why}")));
        lines.extend(findings.iter().map(|finding| format!("Wrong: {}", finding_text(finding))));
        if findings.is_empty() && self.refused.is_none() {
            lines.push("Nothing is wrong with it".to_owned());
        }
        lines.join("\n")
    }

    /// Whether nothing stands in the way of a start.
    pub(super) fn is_good(&self) -> bool {
        self.examined.findings.is_empty() && self.refused.is_none()
    }
}

/// A finding as JSON.
pub(super) fn finding_json(finding: &Finding) -> Value {
    json!({ "what": finding.what, "count": finding.count, "examples": finding.examples })
}

/// A finding for people.
pub(super) fn finding_text(finding: &Finding) -> String {
    let Finding { what, count, examples } = finding;
    let at_least = if *count >= FINDINGS_MAX { "at least " } else { "" };
    let more = if *count as usize > examples.len() && !examples.is_empty() { ", ..." } else { "" };
    match (count, examples.is_empty()) {
        (1, true) => what.clone(),
        (_, true) => format!("{at_least}{count} {what}"),
        (1, false) => format!("{what}: {}", examples.join(", ")),
        (_, false) => format!("{at_least}{count} {what}: {}{more}", examples.join(", ")),
    }
}

fn prospect_json(prospect: &Prospect) -> Value {
    let Prospect { at, jobs, active_jobs, held_jobs, unfinished, sent_again, given_up, .. } = prospect;
    let Prospect { missed, catch_up, alerts, incidents, messages, next, .. } = prospect;
    let missed: serde_json::Map<String, Value> = missed
        .iter()
        .map(|(policy, missed)| {
            let missed = json!({ "jobs": missed.jobs, "instants": missed.instants, "more": missed.more });
            ((*policy).to_owned(), missed)
        })
        .collect();
    json!({
        "at": at.map(|at| at.to_string()),
        "jobs": jobs,
        "activeJobs": active_jobs,
        "heldJobs": held_jobs,
        "unfinished": unfinished,
        "sentAgain": sent_again,
        "givenUp": given_up,
        "missed": missed,
        "catchUp": catch_up,
        "alerts": alerts,
        "openIncidents": incidents,
        "messages": messages,
        "nextExecution": next.map(|next| next.to_string()),
    })
}

fn prospect_lines(prospect: &Prospect) -> Vec<String> {
    let Prospect { at, jobs, active_jobs, held_jobs, unfinished, sent_again, given_up, .. } = prospect;
    let Prospect { missed, catch_up, alerts, incidents, messages, next, .. } = prospect;
    let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
    let next = next.map(|next| format!("; the next is due {next}")).unwrap_or_default();
    let mut lines = vec![
        format!("A start{at} would"),
        format!("  load {jobs} jobs, {active_jobs} of them active{next}"),
        format!(
            "  find {unfinished} executions that have not ended, and send {sent_again} of them again, as they may have been sent"
        ),
    ];
    let mut more = |count: usize, text: &str| {
        if count > 0 {
            lines.push(format!("  {}", text.replace("{}", &count.to_string())));
        }
    };
    more(*given_up, "end {} as FAILED that may have been sent, and are sent at most once");
    more(*held_jobs, "hold {} jobs, as the clock is behind what they fired");
    more(*alerts, "go on delivering {} alerts");
    more(*incidents, "go on with {} open incidents");
    more(*messages, "go on delivering {} messages of incidents");
    for (policy, missed) in missed {
        let more = if missed.more { "more than " } else { "" };
        lines.push(format!(
            "  record {more}{} missed times of {} jobs (misfire: {policy})",
            missed.instants, missed.jobs
        ));
    }
    if *catch_up > 0 {
        lines.push(format!("  send {catch_up} executions for them"));
    }
    lines
}

fn secrets_text(state: SecretsState) -> Option<&'static str> {
    match state {
        SecretsState::None => None,
        SecretsState::Open => Some("the key opens all of them"),
        SecretsState::NoKey => Some("no key was given that opens them"),
        SecretsState::OtherKey => Some("another key than the one given opens them"),
        SecretsState::Damaged => Some("one of them is damaged"),
    }
}

/// `deletedJobs` is `deleted jobs`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// A length for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A path as it is from anywhere.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// How far something is, on one line of the terminal; nothing elsewhere.
pub(super) struct Shown {
    is_shown: bool,
    last: Option<Instant>,
    what: Option<(&'static str, &'static str)>,
}

/// How often a line may change.
const CHANGE_EVERY: std::time::Duration = std::time::Duration::from_millis(100);

impl Shown {
    pub(super) fn new() -> Shown {
        Shown { is_shown: stderr().is_terminal(), last: None, what: None }
    }

    /// So much is done.
    pub(super) fn tell(&mut self, progress: crate::store::Progress) {
        if self.last.is_some_and(|last| last.elapsed() < CHANGE_EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        let crate::store::Progress { stage, done, of } = progress;
        self.line(&format!("{stage}: {} of {}", size(done), size(of)));
    }

    /// So many rows are done.
    pub(super) fn count(&mut self, moving: crate::store::Moving) {
        let crate::store::Moving { stage, what, done, of } = moving;
        // What begins is told at once: it may take long.
        let is_new = self.what.replace((stage, what)) != Some((stage, what));
        if !is_new && self.last.is_some_and(|last| last.elapsed() < CHANGE_EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        let rows = match (done, of) {
            (0, _) => String::new(),
            (done, 0) => format!(": {done} rows"),
            (done, of) => format!(": {done} of {of} rows"),
        };
        self.line(&format!("{stage} {what}{rows}"));
    }

    /// This is being looked at.
    pub(super) fn say(&mut self, what: &str) {
        self.line(&format!("looking at {what}"));
    }

    fn line(&mut self, text: &str) {
        if self.is_shown {
            eprint!("\r{text}\u{1b}[K");
            // Nobody can be told if standard error is closed.
            drop(stderr().flush());
        }
    }

    /// The line goes.
    pub(super) fn end(&mut self) {
        self.line("");
        if self.is_shown {
            eprint!("\r");
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.end();
    }
}
