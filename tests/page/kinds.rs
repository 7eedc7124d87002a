//! Owns a store in which there is a job of every kind, with names that mean no good, and the addresses that show all of it.
//! It must not look at the page.

use punctual::core::{Class, Counters, ExecutionKey, LastOutcome, Record, Status, Tally, Totals};
use punctual::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use punctual::store;
use punctual::time::{Instant, WallUs};
use serde_json::json;

use super::{NEVER, Setup};
use crate::support::browser::Browser;
use crate::support::receiver::{Receiver, Script};
use crate::support::{until, wall_us};

/// What would happen if a name were taken for markup.
pub const TRAPS: [&str; 4] = [
    "<script>window.trapped=1</script>",
    "\"><img src=x onerror=\"window.trapped=2\">",
    "'-window.trapped-'${window.trapped=3}{{7*7}}&lt;b&gt;",
    "\u{202e}\u{627}\u{644}\u{639}\u{631}\u{628}\u{64a}\u{629} \u{1f680}\u{1f469}\u{200d}\u{1f52c} \u{5e9}\u{5dc}\u{5d5}\u{5dd}",
];

const SECRET: &str = "whsec_cGxhbnRlZHBsYW50ZWRwbGFudGVkcGxhbnRlZA==";

/// A server with all kinds of jobs.
pub struct Kinds {
    pub test: Setup,
    /// What is shown where: a name for it, and its address.
    pub addresses: Vec<(&'static str, String)>,
}

impl Kinds {
    /// None: there is no browser.
    pub fn new() -> Option<Kinds> {
        let browser = Browser::start()?;
        let folder = tempfile::tempdir().expect("a folder");
        let held = held(&folder.path().join("p.db"));
        let test = Setup::with(browser, folder, Receiver::start());
        test.receiver.script("/broken", Script::Say(500, "<script>window.trapped=4</script> out of order"));
        test.receiver.script("/slow", Script::SlowMs(2500));
        let note = json!({ "note": "a rest until \"><img src=x onerror=window.trapped=5> is over" });
        told(&test);
        let run = |id: &str| {
            let told = test.change("POST", &format!("/api/jobs/{id}/run"), &json!({ "wait": true }));
            told["executionId"].as_str().expect("it is a text").to_owned()
        };

        let steady = test.job("* * * * * *", "/steady", &json!({ "name": "steady", "tags": ["live"] }));
        test.job("*/2 * * * * *", "/slow", &json!({ "name": "slow, and overlapping itself", "tags": ["live"] }));
        let retry = json!({ "maxAttempts": 3, "initialDelayMs": 50 });
        let failing = test.job(NEVER, "/broken", &json!({ "name": "failing", "retry": retry }));
        let failed = run(&failing);
        let succeeded = run(&steady);
        let paused = test.job("0 0 9 * * MON-FRI", "/", &json!({ "name": "paused", "timeZone": "America/New_York" }));
        test.change("POST", &format!("/api/jobs/{paused}/pause"), &note);
        let own = test.job("* * * * * *", "/broken", &json!({ "name": "auto-paused", "autoPauseAfter": 1 }));
        let ended = test.job("* * * * * *", "/", &json!({ "name": "ended", "maxRuns": 1 }));
        let secrets = test.job("30 2 * * *", "/secrets", &json!({
            "name": "with secrets", "owner": TRAPS[1], "timeZone": "Europe/Berlin", "headers": { "X-Trap": TRAPS[0] },
            "secretHeaders": { "X-Key": "hidden" }, "auth": { "basic": { "username": "me", "password": "hidden" } },
            "json": { "trap": TRAPS[1], "list": [1, 2, { "deep": "x".repeat(300) }] }, "excludeDates": ["2026-12-25"],
            "retry": { "maxAttempts": 4, "on": ["timeout", 503] }, "concurrencyKey": { "name": TRAPS[0], "rate": "10/m" },
        }));
        let long = "W".repeat(100);
        let wide = format!("/{}", "path".repeat(100));
        let tags: Vec<String> = (0..20).map(|number| format!("tag-{number}-{}", "x".repeat(30))).collect();
        let long = test.job(NEVER, &wide, &json!({ "name": long, "tags": tags, "owner": long }));
        let trapped =
            TRAPS.map(|trap| test.job("0 * * * *", "/", &json!({ "name": trap, "tags": [trap], "owner": trap })));
        run(&trapped[0]);
        let broken = format!("broken {}", TRAPS[1]);
        let incident = incident(&test, &test.job(NEVER, "/broken", &json!({ "name": broken })), &run);
        until("one paused itself", || (test.stored(&own)["paused"]["reason"].is_string()).then_some(()));
        until("one has ended", || test.stored(&ended)["nextExecution"].is_null().then_some(()));
        assert_eq!(test.stored(&held)["held"], true);

        let job = |id: &str| format!("/jobs/{id}");
        let addresses = vec![
            ("overview", "/".to_owned()),
            ("jobs", "/jobs".to_owned()),
            ("jobs-none", "/jobs?q=nothing-is-called-so".to_owned()),
            ("job-steady", job(&steady)),
            ("job-failing", job(&failing)),
            ("job-paused", job(&paused)),
            ("job-auto-paused", job(&own)),
            ("job-held", job(&held)),
            ("job-ended", job(&ended)),
            ("job-secrets", job(&secrets)),
            ("job-long", job(&long)),
            ("job-trap", job(&trapped[1])),
            ("job-rtl", job(&trapped[3])),
            ("job-series", format!("{}?range=24h", job(&steady))),
            ("job-new", "/jobs/new".to_owned()),
            ("job-edit", format!("{}/edit", job(&secrets))),
            ("executions", "/executions".to_owned()),
            ("executions-failed", format!("/executions?status=FAILED&jobId={failing}")),
            ("execution-failed", format!("/executions/{failed}")),
            ("execution-succeeded", format!("/executions/{succeeded}")),
            ("timeline", "/timeline".to_owned()),
            ("alerts", "/alerts".to_owned()),
            ("alerts-log", "/alerts/log".to_owned()),
            ("incident", format!("/alerts/{incident}")),
            ("system", "/system".to_owned()),
            ("nowhere", "/nowhere".to_owned()),
        ];
        Some(Kinds { test, addresses })
    }
}

/// Somebody is told, and of some things nobody.
fn told(test: &Setup) {
    let url = test.receiver.url("/hook");
    test.receiver.script("/hook-broken", Script::Say(500, "<script>window.trapped=6</script>"));
    test.change("PUT", "/api/channels/ops", &json!({ "kind": "webhook", "url": url, "signingSecret": SECRET }));
    let url = test.receiver.url("/hook-broken");
    test.change("PUT", "/api/channels/broken-hook", &json!({ "kind": "slack", "url": url }));
    let mail =
        json!({ "kind": "email", "url": "smtps://127.0.0.1:9", "from": "cron@example.com", "to": ["me@example.com"] });
    test.change("PUT", "/api/channels/mail", &mail);
    test.change("PUT", "/api/policies/server", &json!({ "remindEvery": "4h", "channels": ["ops", "broken-hook"] }));
    let tag: String = TRAPS[0].bytes().map(|byte| format!("%{byte:02X}")).collect();
    test.change("PUT", &format!("/api/policies/tags/{tag}"), &json!({ "noSuccessFor": "26h", "channels": [] }));
    for of in [json!({ "tag": TRAPS[1] }), json!({ "target": "http://127.0.0.1:9/" })] {
        let tomorrow = Instant::from_secs(wall_us() / 1_000_000 + 86_400).to_string();
        let mut silence = json!({ "note": TRAPS[0], "endsAt": tomorrow });
        silence.as_object_mut().expect("it is one").extend(of.as_object().expect("it is one").clone());
        test.change("POST", "/api/silences", &silence);
    }
}

/// An incident of a job that fails, of which somebody knows; its id.
fn incident(test: &Setup, job: &str, run: &impl Fn(&str) -> String) -> String {
    run(job);
    let path = format!("/api/incidents?state=open&job={job}");
    let incident =
        until("it is an incident", || test.api().get(&path)["incidents"][0]["incidentId"].as_str().map(str::to_owned));
    test.change("POST", &format!("/api/incidents/{incident}/acknowledge"), &json!({ "note": TRAPS[0] }));
    incident
}

/// Makes a database with a job that has fired ahead of what the clock says now; its id.
fn held(db: &std::path::Path) -> String {
    let tomorrow = Instant::from_secs(wall_us() / 1_000_000 + 86_400);
    let since = Instant::from_secs(wall_us() / 1_000_000 - 86_400);
    let definition =
        Definition { name: Some("held".to_owned()), ..Definition::plain("0 * * * *", "http://127.0.0.1:9/held") };
    let spec = JobSpec::compile(&definition, &Context::at(since)).expect("it is a job");
    let id = JobId::new(JobKey(1), [3; 10]);
    let counters = Counters { success: 1, timed: 1, duration_us: 900, runs: 1, ..Counters::default() };
    let outcome = LastOutcome { instant: tomorrow, status: Status::Success, http_status: Some(200) };
    let tally = Tally { counters, last: Some(outcome), failures_in_row: 0, last_success: None };
    let job = (Revision::first(id, spec, WallUs::of(since)), Totals { tally, finished_through: Some((0, tomorrow)) });
    let executed = Some(WallUs::of(tomorrow).plus_us(350));
    let (http_status, duration_us) = (Some(200), Some(900));
    let record =
        Record { status: Status::Success, executed, http_status, duration_us, ..Record::pending(Class::OnTime) };
    let run = (ExecutionKey::scheduled(JobKey(1), tomorrow), record);
    store::fill(db, std::iter::once(job), std::iter::once(run)).expect("it is filled");
    id.to_string()
}
