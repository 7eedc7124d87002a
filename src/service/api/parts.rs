//! Owns parts of requests that change many jobs: lines that other nodes carry out, and what they say became of them.
//! It must not know which node that is.
//!
//! A part is the same request with fewer lines: the others are left empty, so that what comes back says of which line it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::batch::Batch;
use super::errors::ApiError;
use super::passed::passed_back;
use crate::core::{Meant, Refusal, Shard, Shards};
use crate::http::{Body, Response, Status};
use crate::job::JobId;
use crate::store::{StoredAnswer, Unplaced};

/// What whoever carries out a part must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// It is for whoever has all of these.
    shards: Vec<u8>,
    /// Which jobs are declared in the whole: see [`Meant`].
    names: Vec<Box<str>>,
    ids: Vec<String>,
}

impl Part {
    /// One for whoever has these shards, where these jobs are declared.
    pub fn new(shards: &Shards, beside: &Meant) -> Part {
        let names = beside.names.iter().cloned().collect();
        let ids = beside.ids.iter().map(ToString::to_string).collect();
        Part { shards: shards.iter().map(|shard| shard.0).collect(), names, ids }
    }

    /// Who has these carries it out.
    pub fn shards(&self) -> Shards {
        self.shards.iter().copied().map(Shard).collect()
    }
}

/// What another node answers to a part.
#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

/// As much of a result as says how it went.
#[derive(Deserialize)]
struct Glance {
    status: u16,
}

/// As much of a problem as is told again.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Batch {
    /// It is a part of another one, in which more jobs are declared than in its own lines.
    pub fn is_part(&mut self, part: Part) {
        let meant = Arc::get_mut(&mut self.meant).expect("nobody asks for it before all is read");
        meant.names.extend(part.names);
        meant.ids.extend(part.ids.iter().filter_map(|id| id.parse::<JobId>().ok()));
    }

    /// The text of the lines at these places, each where it was, with those about calendars, which others may not have
    /// heard of yet. The places of what comes back, in its order.
    pub fn part(&self, places: &[u32]) -> (Vec<u8>, Vec<u32>) {
        let mut all: Vec<u32> = places.iter().chain(&self.calendars).copied().collect();
        all.sort_unstable();
        let (mut text, mut at) = (Vec::new(), 1);
        for &place in &all {
            let (line, range) = &self.places[place as usize];
            text.extend(std::iter::repeat_n(b'\n', (line - at) as usize));
            text.extend_from_slice(&self.text[range.clone()]);
            at = *line;
        }
        (text, all)
    }

    /// Takes in what another node answered to a part with these places. Whether something was done.
    pub fn merge(&mut self, places: &[u32], answer: Result<StoredAnswer, Unplaced>) -> bool {
        let error = match answer.map(passed_back) {
            Ok(Response { status: Status::OK, body: Body::Whole(body), .. }) => match read(&body, places.len()) {
                Some(results) => return self.take_in(places, results),
                None => unknown(),
            },
            Ok(response) => refused(&response),
            // Nobody had it to carry it out.
            Err(Unplaced::NoNode | Unplaced::NoJob | Unplaced::NoIncident | Unplaced::Late) => Refusal::NotOwned.into(),
            Err(Unplaced::Failed) => unknown(),
        };
        self.refuse_all(places, &error);
        false
    }

    /// Nobody was asked to carry out a part with these places.
    pub fn refuse_all(&mut self, places: &[u32], error: &ApiError) {
        for &place in places {
            // A calendar is put here in any case.
            if self.calendars.binary_search(&place).is_err() {
                self.refuse(place, error);
            }
        }
    }

    fn take_in(&mut self, places: &[u32], results: Vec<(bool, Box<RawValue>)>) -> bool {
        let mut has_done = false;
        for (place, (is_refused, result)) in places.iter().zip(results) {
            if self.calendars.binary_search(place).is_err() {
                has_done |= !is_refused;
                self.results[*place as usize].elsewhere = Some((is_refused, result));
            }
        }
        has_done
    }
}

/// So many results as another node printed them, each with whether it is that a line was refused.
fn read(body: &[u8], count: usize) -> Option<Vec<(bool, Box<RawValue>)>> {
    let Results { results } = serde_json::from_slice(body).ok()?;
    let read = |result: &RawValue| {
        let Glance { status } = serde_json::from_str(result.get()).ok()?;
        Some((status >= 400, result.to_owned()))
    };
    let results: Option<Vec<_>> = results.into_iter().map(read).collect();
    results.filter(|results| results.len() == count)
}

/// A part was refused as a whole: so is each of its lines.
fn refused(response: &Response) -> ApiError {
    let Body::Whole(body) = &response.body else { return unknown() };
    match serde_json::from_slice(body) {
        Ok(Problem { detail }) => ApiError::new(response.status, detail),
        Err(_) => unknown(),
    }
}

/// Whether a line was carried out is not known.
fn unknown() -> ApiError {
    ApiError::unavailable(
        "the node that has the job has not answered, so it is not known whether this was done; GET tells",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Lines;
    use crate::job::Context;
    use crate::time::Instant;

    const LINES: [&str; 5] = [
        r#"{"apply":{"job":{"name":"a","schedule":"@yearly","api":"http://a/","type":"ATLEAST_ONCE"}}}"#,
        r#"{"apply":{"calendar":{"name":"closed","dates":["2099-01-01"]}}}"#,
        "",
        r#"{"apply":{"jobId":"x","job":{"schedule":"@yearly","api":"http://a/","type":"ATLEAST_ONCE"}}}"#,
        r#"{"nothing":{}}"#,
    ];

    /// A batch that is read.
    fn read_batch(text: &str, part: Option<Part>) -> Batch {
        let mut batch = Batch::new(Lines::Changes, false, text.into());
        part.into_iter().for_each(|part| batch.is_part(part));
        batch.split(usize::MAX).and_then(|()| batch.end_split()).expect("there are few lines");
        let context = Context::at(Instant::from_secs(1_767_225_600));
        while batch.read(&context).is_some() {}
        batch
    }

    fn printed(batch: &mut Batch) -> serde_json::Value {
        while !batch.print(1) {}
        let Body::Whole(body) = batch.take_response().body else { panic!("it is whole") };
        serde_json::from_slice(&body).expect("it is JSON")
    }

    fn answered(status: u16, body: &str) -> Result<StoredAnswer, Unplaced> {
        Ok(StoredAnswer { status, headers: Vec::new(), body: body.into() })
    }

    #[test]
    fn a_part_has_its_lines_where_they_were_and_all_calendars() {
        let batch = read_batch(&LINES.join("\n"), None);
        let (text, places) = batch.part(&[2]);
        assert_eq!(String::from_utf8(text).expect("text"), format!("\n{}\n\n{}", LINES[1], LINES[3]));
        assert_eq!(places, [1, 2], "the empty line is none");
        let (text, places) = batch.part(&[0]);
        assert_eq!(String::from_utf8(text).expect("text"), format!("{}\n{}", LINES[0], LINES[1]));
        assert_eq!(places, [0, 1]);
    }

    #[test]
    fn a_part_knows_what_is_declared_beside_it() {
        let batch = read_batch(&LINES.join("\n"), None);
        let shards: Shards = [Shard(3), Shard(200)].into_iter().collect();
        let part = Part::new(&shards, &batch.meant());
        assert_eq!(part.shards(), shards);
        let (text, _) = batch.part(&[2]);
        let part = read_batch(str::from_utf8(&text).expect("text"), Some(part));
        assert!(part.meant().names.contains("a"), "{:?}", part.meant());
    }

    #[test]
    fn what_others_say_is_put_in_its_place() {
        let mut batch = read_batch(&LINES.join("\n"), None);
        let told = r#"{"results":[{"line":2,"status":200,"outcome":"unchanged"},
            {"line":4,"status":200,"jobId":"x","outcome":"changed","changes":["api"]}],"done":2,"refused":0}"#;
        assert!(batch.merge(&[1, 2], answered(200, told)));
        batch.refuse_all(&[0, 1], &ApiError::unavailable("not now"));
        let printed = printed(&mut batch);
        let [of_job, of_calendar, elsewhere, wrong] = printed["results"].as_array().expect("a list").as_slice() else {
            panic!("{printed}")
        };
        assert_eq!((&of_job["status"], &of_calendar["outcome"]), (&503.into(), &"created".into()), "put here");
        assert_eq!((&elsewhere["line"], &elsewhere["changes"][0]), (&4.into(), &"api".into()));
        assert_eq!((&wrong["line"], &wrong["status"]), (&5.into(), &400.into()));
        assert_eq!((&printed["done"], &printed["refused"]), (&2.into(), &2.into()));
    }

    #[test]
    fn what_is_refused_as_a_whole_is_refused_line_by_line() {
        let refused = r#"{"title":"Too Many Requests","status":429,"detail":"too many"}"#;
        let unknown = "it is not known whether this was done";
        for (answer, status, text) in [
            (answered(429, refused), 429, "too many"),
            (answered(500, ""), 503, unknown),
            (answered(200, r#"{"results":[]}"#), 503, unknown),
            (answered(200, r#"{"results":[{"line":1}]}"#), 503, unknown),
            (answered(200, "nothing"), 503, unknown),
            (Err(Unplaced::Failed), 503, unknown),
            (Err(Unplaced::NoNode), 503, "nothing has changed"),
        ] {
            let mut batch = read_batch(LINES[0], None);
            assert!(!batch.merge(&[0], answer.clone()));
            let printed = printed(&mut batch);
            let result = &printed["results"][0];
            assert_eq!(result["status"], status, "{answer:?}");
            assert!(result["problem"]["detail"].as_str().is_some_and(|detail| detail.contains(text)), "{printed}");
        }
    }

    #[test]
    fn only_a_line_that_was_done_counts_as_one() {
        let refused = r#"{"results":[{"line":1,"status":409,"problem":{}}],"done":0,"refused":1}"#;
        let mut batch = read_batch(LINES[0], None);
        assert!(!batch.merge(&[0], answered(200, refused)));
        assert_eq!(printed(&mut batch)["refused"], 1);
    }
}
