//! Owns the properties of files that `apply` reads: what they say stands in the lines that are sent, which the server can read.
//! It must not read a file.

use punctual::api::{Batch, Lines};
use punctual_client::declared;
use serde_json::{Map, Value};

use super::support::{LEN_MAX, body, context};

pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(&data[..data.len().min(LEN_MAX)]) else { return };
    let lines = match declared("a file", text) {
        Ok(lines) => lines,
        Err(why) => {
            assert!(!why.to_string().is_empty());
            return;
        }
    };
    if lines.is_empty() {
        return;
    }
    for line in &lines {
        assert!(!line.contains(['\n', '\r']), "{line:?}");
        check_again(line);
    }
    check_server(&lines);
    check_plain(text, &lines);
}

/// The server reads each line; what it refuses is the job, not the form.
fn check_server(lines: &[String]) {
    let mut batch = Batch::new(Lines::Changes, true, lines.join("\n").into_bytes());
    batch.split(usize::MAX).and_then(|()| batch.end_split()).expect("there are lines");
    while batch.read(&context()).is_some() {}
    while !batch.print(100) {}
    let answer: Value = serde_json::from_slice(body(&batch.take_response())).expect("it is JSON");
    let results = answer["results"].as_array().expect("a list");
    assert_eq!(results.len(), lines.len());
    for (line, result) in lines.iter().zip(results) {
        let detail = result["problem"]["detail"].as_str().unwrap_or_default();
        assert!(!detail.starts_with("body: "), "{line}: {detail}");
    }
}

/// A line's job, in a file of its own, is declared by the same line.
fn check_again(line: &str) {
    let read: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{line}: {why}"));
    let apply = &read["apply"];
    let file = if apply.get("calendar").is_some() {
        apply.to_string()
    } else {
        let mut file = Map::new();
        for member in ["jobId", "runs", "job"] {
            file.extend(apply.get(member).map(|value| (member.to_owned(), value.clone())));
        }
        Value::Object(file).to_string()
    };
    let again = declared("another file", &file).unwrap_or_else(|why| panic!("{file}: {why}"));
    let again: Vec<Value> = again.iter().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(again, [read], "{file}");
}

/// A plain JSON object is the job of its line, member by member.
fn check_plain(text: &str, lines: &[String]) {
    let Ok(Value::Object(written)) = serde_json::from_str(text) else { return };
    if ["job", "calendar", "jobId"].iter().any(|name| written.contains_key(*name)) {
        return;
    }
    let read: Value = serde_json::from_str(&lines[0]).expect("a line is JSON");
    let job = read["apply"]["job"].as_object().expect("a job");
    for (name, value) in &written {
        assert_eq!(job.get(name), Some(value), "{name} of {text}");
    }
    assert!(job.keys().all(|name| name == "type" || written.contains_key(name)), "{text}");
}
