//! Owns the examples of bodies in the description: a name and a text for each.
//! It must not hold one that is not accepted: a test sends them all but the one that says so.

pub(super) type Examples = &'static [(&'static str, &'static str)];

pub(super) const JOB: Examples = &[
    ("daily", r#"{"schedule":"@daily","api":"https://example.com/hooks/report","type":"ATLEAST_ONCE"}"#),
    (
        "everyWorkday",
        r#"{
            "name": "Invoices of the day",
            "tags": ["billing", "nightly"],
            "schedule": "0 30 6 * * MON-FRI",
            "timeZone": "Europe/Berlin",
            "excludeDates": ["2026-12-25", "2027-01-01"],
            "api": "https://example.com/hooks/invoices",
            "type": "ATLEAST_ONCE",
            "headers": { "X-Team": "billing" },
            "json": { "execution": "{{executionId}}", "attempt": "{{attempt}}" },
            "timeoutMs": 20000,
            "success": ["2xx", 409],
            "retry": { "maxAttempts": 5, "initialDelayMs": 2000, "on": ["timeout", "connection", "5xx"] },
            "overlap": "skip",
            "misfire": { "policy": "once", "maxLatenessMs": 3600000 }
        }"#,
    ),
    ("once", r#"{"runAfterMs":90000,"api":"https://example.com/hooks/reminder","type":"ATMOST_ONCE","json":{"to":7}}"#),
];
pub(super) const TOKEN: Examples = &[("reader", r#"{"name":"dashboard","scope":"read"}"#)];
/// A test cannot send it: there is no such token.
pub(super) const SIGN_IN: Examples =
    &[("reader", r#"{"token":"pun_r_0000000000000000000000000000000000000000000000000"}"#)];
pub(super) const BATCH: Examples = &[
    ("one", r#"{"create":{"schedule":"@daily","api":"https://example.com/hooks/report","type":"ATLEAST_ONCE"}}"#),
    (
        "declared",
        r#"{"apply":{"job":{"name":"declared","schedule":"@daily","api":"https://example.com/hooks/report","type":"ATLEAST_ONCE"}}}"#,
    ),
    ("aDeclaredCalendar", r#"{"apply":{"calendar":{"name":"holidays","dates":["2026-12-25"]}}}"#),
];
pub(super) const IMPORT: Examples = &[
    ("aCalendar", r#"{"calendar":{"name":"holidays","dates":["2026-12-25"]}}"#),
    ("aJob", r#"{"job":{"schedule":"@daily","api":"https://example.com/hooks/report","type":"ATLEAST_ONCE"}}"#),
];
pub(super) const PATCH: Examples = &[
    ("anotherTime", r#"{"schedule":"0 0 7 * * MON-FRI","timeZone":"Europe/Berlin"}"#),
    ("withoutRetries", r#"{"retry":{"maxAttempts":1},"owner":null}"#),
];
pub(super) const PAUSE: Examples =
    &[("forNow", r#"{"note":"the target is being moved"}"#), ("untilThen", r#"{"until":"2099-01-04T07:00:00+01:00"}"#)];
pub(super) const RESUME: Examples = &[("withWhatWasMissed", r#"{"missed":true}"#)];
pub(super) const RUN: Examples = &[("now", r#"{}"#), ("withAnotherBody", r#"{"json":{"dry":true},"force":true}"#)];
pub(super) const REPLAY_ALL: Examples =
    &[("whatFailed", r#"{"status":"FAILED","from":"2026-01-01T00:00:00Z","limit":500,"dryRun":true}"#)];
pub(super) const BACKFILL: Examples =
    &[("whichTimes", r#"{"from":"2026-01-01T00:00:00Z","to":"2026-01-31T00:00:00Z","dryRun":true}"#)];
pub(super) const TRIAL: Examples =
    &[("aHook", r#"{"api":"https://example.com/hooks/report","type":"ATLEAST_ONCE","json":{"dry":true}}"#)];
pub(super) const PREVIEW: Examples = &[
    ("workdays", r#"{"schedule":"0 30 6 * * MON-FRI","timeZone":"Europe/Berlin","count":3}"#),
    (
        "firstOfAMonth",
        r#"{"schedule":"0 0 0 1 * *","from":"2026-01-01T00:00:00Z","to":"2026-12-31T00:00:00Z","excludeDates":["2026-05-01"]}"#,
    ),
];
pub(super) const CALENDAR: Examples = &[("holidays", r#"{"dates":["2026-12-25","2026-12-26","2027-01-01"]}"#)];
pub(super) const ACKNOWLEDGE: Examples = &[("known", r#"{"note":"the supplier is on it"}"#)];
/// A test sends them with another end: none may lie more than a year ahead.
pub(super) const SILENCE: Examples = &[
    ("aTag", r#"{"tag":"billing","note":"the ledger is being moved","endsAt":"2099-01-04T07:00:00Z"}"#),
    ("aTarget", r#"{"target":"https://example.com/","note":"maintenance","endsAt":"2099-01-04T07:00:00+01:00"}"#),
];
pub(super) const CHANNEL: Examples = &[
    ("aWebhook", r#"{"kind":"webhook","url":"https://example.com/alerts"}"#),
    ("aChat", r#"{"kind":"slack","url":"https://example.com/hooks/x"}"#),
];
pub(super) const SERVER_POLICY: Examples = &[("some", r#"{"after":2,"remindEvery":"4h","onServerTrouble":true}"#)];
pub(super) const TAG_POLICY: Examples = &[("nightly", r#"{"after":1,"noSuccessFor":"26h","lateBy":"10m"}"#)];
