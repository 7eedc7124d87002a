//! Owns members of a job as they are typed: `--set retry.maxAttempts=5`.
//! It must not know which members there are: the server does.

use serde_json::{Map, Value};

use super::failure::Failure;

/// `path=value` as a path and a value: JSON if it is some, else a text.
pub(crate) fn parse(typed: &str) -> Result<(String, Value), Failure> {
    let (path, value) = typed.split_once('=').filter(|(path, _)| !path.is_empty()).ok_or_else(|| {
        Failure::usage(format!("--set: expected MEMBER=VALUE, such as retry.maxAttempts=5, got {typed:?}"))
    })?;
    // Headers are texts, whatever they look like.
    let is_header = ["headers.", "secretHeaders."].iter().any(|start| path.starts_with(start));
    let read = if is_header && value != "null" { None } else { serde_json::from_str(value).ok() };
    let value = read.unwrap_or_else(|| value.into());
    Ok((path.to_owned(), value))
}

/// Puts a value where the path says.
pub(crate) fn put(job: &mut Value, path: &str, value: Value) -> Result<(), Failure> {
    let mut place = job;
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        if place.is_null() {
            *place = Map::new().into();
        }
        let object = place
            .as_object_mut()
            .ok_or_else(|| Failure::usage(format!("{path}: {name} is in something that has no members")))?;
        place = object.entry(name).or_insert(Value::Null);
        if names.peek().is_none() {
            *place = value;
            return Ok(());
        }
    }
    Ok(())
}

/// What makes `after` out of `before` (RFC 7396): what is gone is null. None: they are the same.
pub(crate) fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for (name, old) in old {
        match new.get(name) {
            None => drop(patch.insert(name.clone(), Value::Null)),
            // A body is replaced as a whole: a merge could not say that a member of it is null.
            Some(new) if name == "json" => drop((old != new).then(|| patch.insert(name.clone(), new.clone()))),
            Some(new) => drop(difference(old, new).map(|inner| patch.insert(name.clone(), inner))),
        }
    }
    let added = new.iter().filter(|(name, _)| !old.contains_key(*name));
    patch.extend(added.map(|(name, value)| (name.clone(), value.clone())));
    (!patch.is_empty()).then(|| patch.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_set_where_their_path_says() {
        let mut job = json!({ "name": "a" });
        for typed in [
            "headers.X-Number=1",
            "headers.X-None=null",
            "retry.maxAttempts=5",
            "name=b",
            "tags=[\"x\"]",
            "api=http://a/?b=c",
            "note=",
        ] {
            let (path, value) = parse(typed).expect("it is well-formed");
            put(&mut job, &path, value).expect("there is room");
        }
        let expected = json!({ "name": "b", "headers": { "X-Number": "1", "X-None": null }, "retry": { "maxAttempts": 5 }, "tags": ["x"], "api": "http://a/?b=c", "note": "" });
        assert_eq!(job, expected);
        assert!(parse("retry").is_err() && parse("=5").is_err() && put(&mut job, "name.x", 1.into()).is_err());
    }

    #[test]
    fn a_difference_is_what_was_touched() {
        let before = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "e": [1], "json": { "x": 1 } });
        assert_eq!(difference(&before, &before), None);
        let after = json!({ "a": 1, "b": { "d": 3 }, "e": [1, 2], "f": "new", "json": { "y": null } });
        let expected = json!({ "b": { "c": null, "d": 3 }, "e": [1, 2], "f": "new", "json": { "y": null } });
        assert_eq!(difference(&before, &after), Some(expected));
    }
}
