//! Owns the properties of paths, queries, cursors and ids: what one prints the other reads, and nothing else is taken for it.
//! It must not look anything up.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use punctual::access::TokenText;
use punctual::api::{Call, EventId, Found, JobsPage, answer};
use punctual::core::{ExecutionId, ExecutionKey};
use punctual::http::{Method, query};
use punctual::job::JobId;
use punctual::store::{Answer, AuditPage, ExecutionPage, FoundJobs, Query};
use serde_json::Value;

use super::support::{LEN_MAX, body, request, routed};

/// A method's letter, a path, and behind `?` a query, as they stand in a request; each part is read as an id as well.
pub fn check(data: &[u8]) {
    let text: String = String::from_utf8_lossy(&data[..data.len().min(LEN_MAX)]).into_owned();
    for part in text.split(['/', '?', '=', '&', ' ']).filter(|part| !part.is_empty()) {
        reads_back::<JobId>(part, |text| text.to_ascii_lowercase());
        reads_back::<ExecutionId>(part, |text| text.to_ascii_lowercase());
        let id: Result<EventId, _> = part.parse();
        assert!(id.is_err() || id.as_ref().is_ok_and(|id| id.to_string().parse() == Ok(*id)), "{part}");
        if let Some(token) = TokenText::read(part) {
            assert_eq!(token.expose(), part);
        }
        check_escapes(part);
    }
    // Other bytes do not come out of the decoder.
    let visible: String = text.chars().filter(|c| c.is_ascii_graphic() && *c != '#').collect();
    let (method, target) = match visible.split_once('/') {
        Some(("P", target)) => (Method::Post, target),
        Some(("D", target)) => (Method::Delete, target),
        Some((_, target)) => (Method::Get, target),
        None => (Method::Get, &*visible),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = format!("/{path}");
    let asked = request(method, &path, query, Vec::new());
    let Ok(found) = routed(&asked) else { return };
    check_cursor(&path, query, &found.call);
}

/// What is read as an id is printed as it was written, but for the case of its digits.
fn reads_back<T: FromStr + Display + Debug + PartialEq>(text: &str, plain: fn(&str) -> String) {
    let Ok(id) = text.parse::<T>() else { return };
    assert_eq!(id.to_string(), plain(text), "{text}");
    assert_eq!(id.to_string().parse::<T>().ok(), Some(id));
}

/// A text with everything escaped is the text.
fn check_escapes(text: &str) {
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(query::segment(&escaped).as_deref(), Ok(text));
    let pair = format!("{escaped}={escaped}&");
    let pairs: Vec<_> = query::pairs(&pair).collect();
    assert_eq!(pairs, [Ok((text.into(), text.into()))]);
    // What is decoded, is text; and a plus sign is a space in queries alone.
    if let Ok(segment) = query::segment(text) {
        assert!(segment.len() <= text.len());
        assert_eq!(segment.contains('+'), text.contains('+') || text.to_ascii_lowercase().contains("%2b"));
    }
    let count = text.split('&').filter(|piece| !piece.is_empty()).count();
    assert_eq!(query::pairs(text).count(), count);
}

/// The cursor of a page leads to the same place when an answer has it.
fn check_cursor(path: &str, query: &str, call: &Call) {
    let page = |next: Option<ExecutionKey>| ExecutionPage { executions: Vec::new(), next };
    let told = match call {
        Call::Query(Query::OfAll { before: Some(key), .. }) => next_of(Answer::OfAll(page(Some(*key)))),
        Call::Query(Query::OfJob { job, before: Some(key), .. }) => next_of(Answer::OfJob(*job, page(Some(*key)))),
        Call::Query(Query::Audit(asked)) => {
            let Some(place) = asked.before else { return };
            next_of(Answer::Audit(AuditPage { rows: Vec::new(), next: Some(place) }))
        }
        Call::Search(search, _) => {
            let Some(place) = &search.after else { return };
            let page = JobsPage::of_search(&FoundJobs { keys: Vec::new(), next: Some(place.clone()) }, Vec::new());
            let piece = page.piece(&[]);
            let text = String::from_utf8(piece.bytes).expect("it is text");
            let (_, next) = text.rsplit_once("\"nextCursor\":\"").expect("there is a next page");
            next.trim_end_matches("\"}").to_owned()
        }
        _ => return,
    };
    // The same question with that cursor asks for the same.
    let others = query.split('&').filter(|piece| !query::pairs(piece).flatten().any(|(name, _)| name == "cursor"));
    let again = others.chain([&*format!("cursor={told}")]).collect::<Vec<_>>().join("&");
    let asked = request(Method::Get, path, &again, Vec::new());
    let found = routed(&asked).unwrap_or_else(|why| panic!("{again}: {}", why.message));
    assert_eq!(format!("{:?}", found.call), format!("{call:?}"), "{again}");
}

/// The cursor in an answer.
fn next_of(found: Answer) -> String {
    let Found::Response(response) = answer(Ok(found)) else { panic!("it is an answer") };
    let page: Value = serde_json::from_slice(body(&response)).expect("it is JSON");
    page["nextCursor"].as_str().expect("there is a next page").to_owned()
}
