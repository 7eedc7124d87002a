//! Owns the properties of importing a crontab: each line becomes a job or is told, and what becomes a job the server can read.
//! It must not run anything.

use std::collections::HashSet;

use punctual::http::Method;
use punctual_client::Crontab;
use serde_json::Value;

use super::support::{LEN_MAX, request, routed};

/// What is of a system begins with `S` and a new line.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(LEN_MAX)]).into_owned();
    let (text, is_system) = text.strip_prefix("S\n").map_or((&*text, false), |text| (text, true));
    let crontab = Crontab::read(text, is_system, Some("Europe/Berlin"));
    let told: HashSet<usize> = crontab.remarks.iter().map(|(line, _)| *line).collect();
    let jobs: HashSet<usize> = crontab.jobs.iter().map(|(line, _)| *line).collect();
    assert_eq!(jobs.len(), crontab.jobs.len(), "a line is one job at most");
    let mut left = 0;
    for (place, line) in text.lines().enumerate().map(|(place, line)| (place + 1, line.trim())) {
        let is_silent = line.is_empty() || line.starts_with('#');
        let is_zone = line.split_once('=').is_some_and(|(name, _)| name.trim() == "CRON_TZ");
        if is_silent || is_zone {
            assert!(!jobs.contains(&place) && !told.contains(&place), "{line}");
            continue;
        }
        assert!(jobs.contains(&place) || told.contains(&place), "{line:?} is passed over");
        left += usize::from(!jobs.contains(&place));
    }
    assert_eq!(left, crontab.left, "{text:?}");
    assert!(crontab.remarks.iter().all(|(_, remark)| !remark.is_empty()));

    let mut names = HashSet::new();
    for (line, job) in &crontab.jobs {
        let name = job["name"].as_str().expect("it has a name");
        assert!((1..=100).contains(&name.chars().count()) && !name.contains(char::is_control), "{name:?}");
        assert!(names.insert(name), "{name:?} is the name of two");
        check_job(text.lines().nth(line - 1).unwrap_or_default(), job);
    }
}

/// The server takes it, or says what of it is wrong: never that it is no job.
fn check_job(line: &str, job: &Value) {
    let api = job["api"].as_str().expect("it has a URL");
    assert!(api.starts_with("http://") || api.starts_with("https://"), "{line:?}: {api}");
    let schedule = job["schedule"].as_str().expect("it has a schedule");
    let written: Vec<&str> = line.split_whitespace().take(schedule.split(' ').count()).collect();
    assert_eq!(written.join(" "), schedule, "{line:?}");
    let text = job.to_string().into_bytes();
    if let Err(error) = routed(&request(Method::Post, "/api/jobs", "", text)) {
        assert_eq!(error.status.code(), 400, "{line:?}: {}", error.message);
        let is_no_job = ["body", "unknown field", "missing field", "duplicate field", "invalid type", "invalid value"];
        let said = error.message.split(": ").nth(1).unwrap_or_default();
        assert!(!is_no_job.iter().any(|why| said.starts_with(why)), "{line:?}: {}", error.message);
    }
}
