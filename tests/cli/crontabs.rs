//! Owns importing a crontab, with lines of all kinds: each becomes a job, or is named with its reason.
//! It must not test how a shell takes a line apart: the code that does has tests of its own.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::Setup;

const CRONTAB: &str = include_str!("crontab.txt");

/// The lines that say something, by their numbers.
fn lines() -> Vec<(usize, &'static str)> {
    let numbered = CRONTAB.lines().enumerate().map(|(place, line)| (place + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect()
}

fn line_at(number: usize) -> &'static str {
    CRONTAB.lines().nth(number - 1).expect("there is such a line").trim()
}

#[test]
fn every_line_of_a_crontab_becomes_a_job_or_is_named_with_its_reason() {
    let test = Setup::new(&[]);
    let file = test.file("crontab.txt", CRONTAB);
    let words = ["import", "crontab", file.to_str().expect("a text")];
    let dry = test.run(&[&words[..], &["--dry-run"]].concat());
    assert!(test.says(&["job", "ls", "-o", "name"]).is_empty(), "{dry:?}");
    let imported = test.run(&[&words[..], &["--owner", "me", "--tag", "cron"]].concat());

    // A line that is left out is named with its number and the reason, and shown below.
    let said: Vec<&str> = imported.err.lines().collect();
    let (mut left, mut refused) = (Vec::new(), Vec::new());
    for (place, line) in said.iter().enumerate() {
        let Some((before, rest)) = line.split_once("crontab.txt:") else { continue };
        let (number, why) = rest.split_once(": ").expect("a number and a reason");
        let number: usize = number.parse().expect("a number");
        assert!(why.len() > 5, "{line}");
        if before.starts_with("punctual: ") {
            refused.push(number);
        } else if why.starts_with("left out: ") && said[place + 1].starts_with("  ") {
            assert_eq!(said[place + 1].trim(), line_at(number));
            left.push(number);
        }
    }
    let expected = [
        &[2, 3, 4, 18, 19, 20, 21, 36, 37, 38, 39, 40, 41, 42, 43, 44, 51, 63, 66, 67, 68, 73, 88, 90][..],
        &[92, 93, 94, 95, 96, 101, 102, 103, 105, 106, 107, 108, 109, 147, 148, 153, 154, 155, 156, 157],
        &[162, 168, 169, 171, 177, 183, 185, 189, 193, 194, 196, 201],
    ];
    assert_eq!(left, expected.concat());
    // A schedule is the server's to judge.
    assert_eq!(refused, [52, 53, 69, 123, 124, 125, 126, 127, 128, 130, 131, 132]);
    let jobs = test.api().pages("/api/jobs?limit=500", "jobs");
    let is_job = |number: usize| !left.contains(&number) && !refused.contains(&number);
    let others: Vec<_> =
        lines().into_iter().filter(|(number, line)| is_job(*number) && !line.contains("TZ=")).collect();
    for (number, line) in &others {
        assert!(is_made(line, &jobs), "{number}: {line} is passed over");
    }
    assert_eq!(jobs.len(), others.len());
    assert!(jobs.len() + left.len() + refused.len() > 170, "of that many lines");
    let summary = format!("{} of the lines become jobs, {} are left out", jobs.len() + refused.len(), left.len());
    let counts = format!("created {}, changed 0, deleted 0, unchanged 0, refused {}", jobs.len(), refused.len());
    imported.ends(2).errs(&[
        &summary,
        &counts,
        ": not taken over: flock -n /tmp/lock",
        ": -k is not taken over",
        ": not taken over: the input",
    ]);
    assert!(jobs.iter().all(|job| job["owner"] == "me" && job["tags"] == json!(["cron"])));

    // What they are is what the lines say.
    let of = |url: &str| jobs.iter().filter(|job| job["api"] == url).collect::<Vec<_>>();
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
        ("https://app.example.com/form", json!({ "method": null, "body": "name=value&other=2" })),
        ("https://app.example.com/search?q=1", json!({ "method": "GET" })),
        ("https://api.example.com/v1/run", json!({ "auth": { "bearer": { "set": true } } })),
        ("https://app.example.com/tabs", json!({ "schedule": "24 2 * * *" })),
        ("https://app.example.com/percent?a=b%20c", json!({})),
        ("http://localhost:8080/local", json!({})),
        ("https://app.example.com/new-york", json!({ "timeZone": "America/New_York" })),
        ("https://sh.example.com/bash", json!({ "schedule": "2 1 * * *" })),
        (
            "https://sh.example.com/userinfo",
            json!({ "auth": { "basic": { "username": "user", "password": { "set": true } } } }),
        ),
        ("https://sh.example.com/oauth", json!({ "auth": { "bearer": { "set": true } } })),
        ("https://sh.example.com/equals", json!({ "method": "PATCH" })),
        ("https://SH.EXAMPLE.COM/upper", json!({ "method": "GET" })),
        ("https://sh.example.com/comment", json!({ "method": "GET" })),
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

    // Importing it again changes nothing.
    let before = test.says(&["job", "ls", "--all", "-o", "json"]);
    let again = test.run(&[&words[..], &["--owner", "me", "--tag", "cron"]].concat()).ends(2);
    let unchanged = format!("created 0, changed 0, deleted 0, unchanged {}, refused {}", jobs.len(), refused.len());
    assert!(again.out.is_empty() && again.err.contains(&unchanged), "{again:?}");
    assert_eq!(test.says(&["job", "ls", "--all", "-o", "json"]), before);
}

/// Whether the URL of this line, however it is written there, is that of a job.
fn is_made(line: &str, jobs: &[Value]) -> bool {
    jobs.iter().filter_map(|job| job["api"].as_str()).any(|api| {
        let plain = api.split_once("://").map_or(api, |(_, rest)| rest);
        let plain = plain.split('?').next().unwrap_or(plain);
        line.replace("\\%", "%").contains(plain)
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
    test.feed(&["import", "crontab", "--dry-run"], user).ends(3).errs(&["change 1"]);
    test.feed(&["import", "crontab", "--dry-run", "--tz", "Asia/Tokyo"], user).ends(0).errs(&["unchanged 1"]);
    test.feed(&["import", "crontab"], "").ends(0).errs(&["0 of the lines become jobs"]);
    test.run(&["import", "crontab", "/nowhere"]).ends(1).errs(&["/nowhere"]);
}
