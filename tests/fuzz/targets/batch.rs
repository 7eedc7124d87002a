//! Owns the properties of lines of changes and of an export: each line that says something has one result, however the text
//! is split, and what an export would say of a job reads back as that job.
//! It must not change anything.

use punctual::api::{Batch, Export, Lines, Wanted};
use punctual::http::Response;
use punctual::job::JobSpec;
use punctual::limits::BATCH_ITEMS_MAX;
use punctual::schedule::Calendars;
use serde_json::Value;

use super::support::{Chance, LEN_MAX, body, context, view_of};

pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(LEN_MAX)];
    let mut chance = Chance::of(data);
    for lines in [Lines::Changes, Lines::Export] {
        let Some((wanted, response)) = read(lines, data, &[usize::MAX]) else {
            continue;
        };
        let ends: Vec<usize> = {
            let mut at = 0;
            std::iter::repeat_with(|| {
                at += 1 + chance.below(40);
                at
            })
            .take(LEN_MAX)
            .collect()
        };
        let (_, other) = read(lines, data, &ends).expect("it was read before");
        assert_eq!(body(&other), body(&response), "{}", data.escape_ascii());
        check_results(data, &wanted, body(&response));
        for wanted in wanted.into_iter().flatten() {
            let Wanted::Job(spec, _) = wanted else { continue };
            check_export(*spec);
        }
    }
}

/// What lines ask for, and the answer where nothing came of any of them. None: it has no lines.
fn read(lines: Lines, text: &[u8], ends: &[usize]) -> Option<(Vec<Option<Wanted>>, Response)> {
    let mut batch = Batch::new(lines, true, text.to_vec());
    for end in ends {
        batch.split(*end).expect("there are few lines");
    }
    batch.end_split().ok()?;
    let mut wanted = Vec::new();
    while let Some((place, one)) = batch.read(&context()) {
        assert_eq!(place as usize, wanted.len());
        wanted.push(one);
    }
    while !batch.print(3) {}
    Some((wanted, batch.take_response()))
}

/// A result for each line that is not empty, in their order, with its number.
fn check_results(text: &[u8], wanted: &[Option<Wanted>], answer: &[u8]) {
    let answer: Value = serde_json::from_slice(answer).expect("it is JSON");
    let results = answer["results"].as_array().expect("a list");
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let lines: Vec<usize> = text
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(place, _)| place + 1)
        .collect();
    assert!(lines.len() <= BATCH_ITEMS_MAX);
    assert_eq!((results.len(), wanted.len()), (lines.len(), lines.len()), "{answer}");
    let mut refused = 0;
    for ((line, wanted), result) in lines.iter().zip(wanted).zip(results) {
        assert_eq!(result["line"], *line, "{answer}");
        let status = result["status"].as_u64().expect("a status");
        let problem = &result["problem"];
        assert_eq!(status >= 400, problem.is_object(), "{result}");
        assert!(problem.is_null() || problem["status"] == status, "{result}");
        // What is wrong asks for nothing; what asks for nothing is wrong, or a calendar as it is.
        assert!(wanted.is_none() || status == 200, "{result}");
        assert!(wanted.is_some() || status >= 400 || result["outcome"] == "unchanged", "{result}");
        refused += usize::from(status >= 400);
    }
    assert_eq!((&answer["refused"], &answer["done"]), (&refused.into(), &(lines.len() - refused).into()), "{answer}");
}

/// What an export says of a job is the job, but for secrets, which it does not say.
fn check_export(mut spec: JobSpec) {
    if spec.inherit_secrets(None).is_err() {
        return;
    }
    let view = view_of(spec);
    let spec = &view.revision.spec;
    let piece = Export::Jobs(None).piece(&Calendars::default(), std::slice::from_ref(&view));
    let shown = String::from_utf8_lossy(&piece.bytes).into_owned();
    let (wanted, _) = read(Lines::Export, &piece.bytes, &[usize::MAX]).expect("it is a line");
    let [Some(Wanted::Job(again, pause))] = &wanted[..] else { panic!("{shown}: {wanted:?}") };
    assert!(again.has_schedule_of(spec), "{shown}");
    assert_eq!(again.schedule.anchor(), spec.schedule.anchor(), "{shown}");
    assert_eq!(pause.is_some(), view.paused, "{shown}");
    let mut again = (**again).clone();
    if again.inherit_secrets(Some(spec)).is_ok() && again.active == spec.active {
        assert!(again.says_what(spec), "{shown}: {again:?}, {spec:?}");
    }
}
