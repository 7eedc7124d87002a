//! Owns importing a crontab, with lines of all kinds: each becomes a job, or is named with its reason.
//! It must not test how a shell takes a line apart: the code that does has tests of its own.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::Setup;

const CRONTAB: &str = include_str!("crontab.txt");

/// The lines that say something, by their numbers.
fn lines() -> Vec<(usize, &'static str)> {
    let numbered = CRONTAB.lines().enumerate().map(|(place, line)| (place + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn every_line_of_a_crontab_becomes_a_job_or_is_named_with_its_reason() {
    let test = Setup::new(&[]);
    let file = test.file("crontab.txt", CRONTAB);
    let words = ["import", "crontab", file.to_str().expect("a text")];
    let dry = test.run(&[&words[..], &["--dry-run"]].concat());
    assert!(test.says(&["job", "ls", "-o", "name"]).is_empty(), "{dry:?}");
    let imported = test.run(&[&words[..], &["--owner", "me", "--tag", "cron"]].concat());

    // Where a line is named, it is named with its number and a reason.
    let mut named = HashMap::<usize, Vec<String>>::new();
    for said in imported.err.lines() {
        let numbered = said.split_once("crontab.txt:").and_then(|(_, rest)| rest.split_once(": "));
        if let Some((number, why)) = numbered {
            named.entry(number.parse().expect("a number")).or_default().push(why.to_owned());
        }
    }
    let jobs = test.api().pages("/api/jobs?limit=500", "jobs");
    let of = |url: &str| -> Vec<&Value> {
        jobs.iter().filter(|job| job["api"].as_str().is_some_and(|api| api == url)).collect()
    };
    let (mut made, mut left) = (0, Vec::new());
    for (number, line) in lines() {
        let refused = named
            .get(&number)
            .into_iter()
            .flatten()
            .any(|why| why.starts_with("left out: ") && !why.trim_end_matches("left out: ").is_empty());
        let is_zone = line.starts_with("CRON_TZ=") || line.starts_with("TZ=");
        let url = line
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'']))
            .find(|word| word.starts_with("https://app.") || word.starts_with("https://hc."));
        let is_job = url.is_some_and(|url| !of(&url.replace("\\%", "%")).is_empty());
        if is_zone {
            continue;
        }
        if refused || named.contains_key(&number) && !is_job {
            left.push(number)
        } else {
            made += 1
        }
        assert!(is_job || named.contains_key(&number) || is_made(line, &jobs), "{number}: {line} is passed over");
    }
    assert!(made >= 30 && left.len() >= 20, "{made} made, {left:?} left out");
    let (summary, _) = imported.err.split_once(" of the lines become jobs, ").expect("it is said how many");
    let summary: usize = summary.lines().last().and_then(|number| number.parse().ok()).expect("a number");
    assert!(imported.err.contains(&format!("created {},", jobs.len())) && jobs.len() <= summary, "{imported:?}");
    // What the server refuses is counted and named as well.
    let refused = summary - jobs.len();
    assert_eq!(
        (imported.code, imported.err.contains(&format!("refused {refused}"))),
        (i32::from(refused > 0), true),
        "{imported:?}"
    );
    assert!(jobs.iter().all(|job| job["owner"] == "me" && job["tags"] == json!(["cron"])));

    // What they are is what the lines say.
    let only = |url: &str| {
        let found = of(url);
        assert_eq!(found.len(), 1, "{url}");
        found[0]
    };
    let expected = [
        (
            "https://app.example.com/cron/tick",
            json!({ "schedule": "*/5 * * * *", "method": "GET", "timeZone": "Europe/Berlin" }),
        ),
        ("https://app.example.com/hourly?key=abc&mode=full", json!({ "method": "GET" })),
        ("https://app.example.com/office", json!({ "schedule": "15,45 8-18 * * 1-5", "timeoutMs": 20000 })),
        ("https://hc.example.com/ping/2", json!({ "schedule": "@daily", "timeoutMs": 10000 })),
        ("https://app.example.com/shop", json!({ "method": "PUT", "body": "{\"state\":\"open\"}" })),
        ("https://app.example.com/cache", json!({ "method": "DELETE" })),
        ("https://app.example.com/form", json!({ "method": "POST", "body": "name=value&other=2" })),
        ("https://app.example.com/search?q=1", json!({ "method": "GET" })),
        ("https://api.example.com/v1/run", json!({ "auth": { "bearer": { "set": true } } })),
        ("https://app.example.com/tabs", json!({ "schedule": "24 2 * * *" })),
        ("https://app.example.com/percent?a=b%20c", json!({})),
        ("http://localhost:8080/local", json!({})),
        ("https://app.example.com/new-york", json!({ "timeZone": "America/New_York" })),
    ];
    for (url, members) in expected {
        for (member, value) in members.as_object().expect("an object") {
            assert_eq!(only(url)[member], *value, "{url}: {member}");
        }
    }
    // Two lines that are the same are two jobs, with names of their own.
    assert_eq!(of("https://app.example.com/twice").len(), 2);
    let names: HashSet<&str> = jobs.iter().filter_map(|job| job["name"].as_str()).collect();
    assert_eq!(names.len(), jobs.len());
    assert!(!format!("{}{}", imported.out, imported.err.replace("Bearer s3cret' https", "")).contains("s3cret"));

    // Importing it again changes nothing.
    let before = test.says(&["job", "ls", "--all", "-o", "json"]);
    let again = test.run(&[&words[..], &["--owner", "me", "--tag", "cron"]].concat()).ends(imported.code);
    let unchanged = format!("created 0, changed 0, deleted 0, unchanged {}, refused {refused}", jobs.len());
    assert!(again.out.is_empty() && again.err.contains(&unchanged), "{again:?}");
    assert_eq!(test.says(&["job", "ls", "--all", "-o", "json"]), before);
}

/// Whether the URL of this line, however it is written there, is that of a job.
fn is_made(line: &str, jobs: &[Value]) -> bool {
    jobs.iter().filter_map(|job| job["api"].as_str()).any(|api| {
        let plain = api.split_once("://").map_or(api, |(_, rest)| rest);
        let plain = plain.split('?').next().unwrap_or(plain);
        line.contains(plain)
    })
}

#[test]
fn a_crontab_may_come_from_a_pipe_or_be_of_the_system() {
    let test = Setup::new(&[]);
    let user = "*/5 * * * * curl https://a.example/1\n";
    let piped = test.feed(&["import", "crontab", "--tz", "Asia/Tokyo"], user).ends(0);
    assert!(piped.err.contains("1 of the lines become jobs, 0 are left out"), "{piped:?}");
    let system = "0 3 * * * www-data curl https://a.example/2\n0 4 * * * root\n";
    test.feed(&["import", "crontab", "--system", "-"], system).ends(0).errs(&["crontab:2: left out: expected a user"]);
    let listed = test.says(&["job", "ls", "-o", "json", "--sort", "name"]);
    let listed: Value = serde_json::from_str(&listed).expect("it is JSON");
    let zones: Vec<&Value> = listed["jobs"].as_array().expect("a list").iter().map(|job| &job["timeZone"]).collect();
    assert_eq!(zones[0], "Asia/Tokyo");
    assert_eq!(zones.len(), 2);
    test.feed(&["import", "crontab", "--dry-run"], user).ends(3).errs(&["changed 1"]);
    test.feed(&["import", "crontab", "--dry-run", "--tz", "Asia/Tokyo"], user).ends(0).errs(&["unchanged 1"]);
    test.feed(&["import", "crontab"], "").ends(0).errs(&["0 of the lines become jobs"]);
    test.run(&["import", "crontab", "/nowhere"]).ends(1).errs(&["/nowhere"]);
}
