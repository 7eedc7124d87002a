//! Owns how it is told in which members a job is to be another than it was: their paths, and what stood there.
//! It must not show a secret: of one it says that it is set, that it is not, or that it is another one.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::job::JobSpec;
use crate::store::{Differing, members_between, shown};

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The paths of what differs, such as `retry.maxAttempts`.
    pub(super) changes: Vec<String>,
    /// Members with their old and their new value, if that was asked for.
    pub(super) difference: Option<Box<RawValue>>,
}

/// Members of which the parts are told apart.
const OBJECTS: [&str; 8] = ["retry", "misfire", "concurrencyKey", "dst", "headers", "secretHeaders", "auth", "alerts"];

impl Told {
    /// What differs between what a job was and what it is to be.
    pub(super) fn between(old: &JobSpec, new: &JobSpec, with_values: bool) -> Told {
        let (old, new) = (old.plain(), new.plain());
        let mut differing = members_between(Some(&old), Some(&new));
        let known: BTreeMap<String, &str> = old.secrets().map(|(name, secret)| (name, secret.expose())).collect();
        for (name, secret) in new.secrets() {
            if known.get(&name).is_some_and(|known| *known != secret.expose()) {
                note_other(&mut differing, &name, &new);
            }
        }
        Told::of(&differing, with_values)
    }

    /// What differs where it is only said that something does.
    pub(super) fn only(member: &str, old: &impl Serialize, new: &impl Serialize, with_values: bool) -> Told {
        Told::of(&BTreeMap::from([(member.to_owned(), [raw(old), raw(new)])]), with_values)
    }

    fn of(differing: &Differing, with_values: bool) -> Told {
        let mut changes = Vec::new();
        for (member, [old, new]) in differing {
            if OBJECTS.contains(&member.as_str()) {
                paths(member, &read(old), &read(new), &mut changes);
            } else {
                changes.push(member.clone());
            }
        }
        let shown = |pair: &[Box<RawValue>; 2]| pair.each_ref().map(|value| shown(value));
        let difference = with_values
            .then(|| raw(&differing.iter().map(|(member, pair)| (member, shown(pair))).collect::<BTreeMap<_, _>>()));
        Told { changes, difference }
    }

    /// How much of an answer it takes up.
    pub(super) fn len(&self) -> usize {
        let difference = self.difference.as_ref().map_or(0, |difference| difference.get().len());
        self.changes.iter().map(String::len).sum::<usize>() + difference
    }

    /// The same in few words: which members, and no more.
    pub(super) fn shorten(&mut self) {
        self.difference = None;
        for path in &mut self.changes {
            path.truncate(path.find('.').unwrap_or(path.len()));
        }
        self.changes.dedup();
    }
}

/// The paths within a member at which two values differ.
fn paths(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    // What has no parts on one side has none of those on the other.
    let parts = |value: &Value| value.as_object().filter(|parts| !is_secret(parts)).cloned();
    match (parts(old), parts(new)) {
        (None, None) => {
            if old != new {
                found.push(path.to_owned());
            }
        }
        (old, new) => {
            let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let value = |parts: &serde_json::Map<String, Value>| parts.get(name).cloned().unwrap_or_default();
                paths(&format!("{path}.{name}"), &value(&old), &value(&new), found);
            }
        }
    }
}

const SET: &str = "set";
const OTHER: &str = "other";

fn is_secret(parts: &serde_json::Map<String, Value>) -> bool {
    [SET, OTHER].iter().any(|name| parts.len() == 1 && parts.get(*name) == Some(&Value::Bool(true)))
}

/// A secret has this name and is another one than before: what the job is to be says so in its place.
fn note_other(differing: &mut Differing, name: &str, new: &JobSpec) {
    let (member, rest) = name.split_once('.').map_or((name, None), |(member, rest)| (member, Some(rest)));
    let Some([_, of_new]) = members_between(None, Some(new)).remove(member) else { return };
    let [_, told] = differing.entry(member.to_owned()).or_insert_with(|| [of_new.clone(), of_new]);
    let mut value = read(told);
    let place = match rest {
        None => Some(&mut value),
        // A header is called as it was written.
        Some(header) if member == "secretHeaders" => {
            let headers = value.as_object_mut().into_iter().flatten();
            headers.filter(|(written, _)| written.eq_ignore_ascii_case(header)).map(|(_, value)| value).next()
        }
        Some(path) => path.split('.').try_fold(&mut value, |value, part| value.get_mut(part)),
    };
    if let Some(place) = place {
        *place = json!({ OTHER: true });
    }
    *told = raw(&value);
}

/// Members that have parts hold nothing that cannot be held.
fn read(value: &RawValue) -> Value {
    serde_json::from_str(value.get()).unwrap_or_default()
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("it has string keys only")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Context, Definition};
    use crate::time::Instant;

    fn spec(members: &str) -> JobSpec {
        let members = if members.is_empty() { String::new() } else { format!(",{members}") };
        let text = format!(r#"{{"api":"http://a/","type":"ATLEAST_ONCE"{members}}}"#);
        let definition: Definition = serde_json::from_str(&text).expect(&text);
        let mut spec = JobSpec::compile(&definition, &Context::sealing(Instant::FIRST)).expect(&text);
        spec.inherit_secrets(None).expect(&text);
        spec
    }

    fn told(old: &str, new: &str) -> (Vec<String>, String) {
        let daily = |members: &str| {
            let rest = if members.is_empty() { String::new() } else { format!(",{members}") };
            spec(&format!(r#""schedule":"@daily"{rest}"#))
        };
        let (old, new) = (daily(old), daily(new));
        let told = Told::between(&old, &new, true);
        assert_eq!(new.says_what(&old), told.changes.is_empty(), "{told:?}");
        (told.changes, told.difference.expect("it was asked for").get().to_owned())
    }

    #[test]
    fn what_differs_has_a_path() {
        for (old, new, changes, difference) in [
            ("", "", &[][..], "{}"),
            ("", r#""method":"PUT""#, &["method"], r#"{"method":[null,"PUT"]}"#),
            (
                r#""retry":{"maxAttempts":5}"#,
                r#""retry":{"maxAttempts":6,"on":["5xx"]}"#,
                &["retry.maxAttempts", "retry.on"],
                r#"{"retry":[{"maxAttempts":5},{"maxAttempts":6,"on":["5xx"]}]}"#,
            ),
            (
                r#""headers":{"X-A":"1","X-B":"2"}"#,
                r#""headers":{"X-B":"3"}"#,
                &["headers.X-A", "headers.X-B"],
                r#"{"headers":[{"X-A":"1","X-B":"2"},{"X-B":"3"}]}"#,
            ),
            (
                r#""tags":["a"],"name":"x""#,
                r#""tags":["a","b"]"#,
                &["name", "tags"],
                r#"{"name":["x",null],"tags":[["a"],["a","b"]]}"#,
            ),
            ("", r#""json":null"#, &["json"], r#"{"json":[null,null]}"#),
            ("", r#""json":[1e999,"\ud800"]"#, &["json"], r#"{"json":[null,[1e999,"\ud800"]]}"#),
        ] {
            let (found, values) = told(old, new);
            assert_eq!(
                (found.as_slice(), values.as_str()),
                (&changes.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>()[..], difference)
            );
        }
    }

    #[test]
    fn a_secret_is_set_or_not_or_another_one() {
        let signing = |letter: &str| format!(r#""signingSecret":"whsec_{}""#, letter.repeat(32));
        for (old, new, changes, difference) in [
            (r#""auth":{"bearer":"planted"}"#, r#""auth":{"bearer":"planted"}"#, &[][..], "{}"),
            (
                r#""auth":{"bearer":"planted"}"#,
                r#""auth":{"bearer":"planted2"}"#,
                &["auth.bearer"],
                r#"{"auth":[{"bearer":{"set":true}},{"bearer":{"other":true}}]}"#,
            ),
            (
                r#""auth":{"basic":{"username":"a","password":"planted"}}"#,
                r#""auth":{"basic":{"username":"b","password":"planted2"}}"#,
                &["auth.basic.password", "auth.basic.username"],
                r#"{"auth":[{"basic":{"username":"a","password":{"set":true}}},{"basic":{"password":{"other":true},"username":"b"}}]}"#,
            ),
            (r#""auth":{"bearer":"planted"}"#, "", &["auth.bearer"], r#"{"auth":[{"bearer":{"set":true}},null]}"#),
            (
                r#""secretHeaders":{"X-Key":"planted"}"#,
                r#""secretHeaders":{"X-Key":"planted2","Y":"planted"}"#,
                &["secretHeaders.X-Key", "secretHeaders.Y"],
                r#"{"secretHeaders":[{"X-Key":{"set":true}},{"X-Key":{"other":true},"Y":{"set":true}}]}"#,
            ),
            (&signing("a"), &signing("b"), &["signingSecret"], r#"{"signingSecret":[{"set":true},{"other":true}]}"#),
        ] {
            let (found, values) = told(old, new);
            assert_eq!((found, values.as_str()), (changes.iter().map(|path| (*path).to_owned()).collect(), difference));
            assert!(!values.contains("planted"));
        }
    }

    #[test]
    fn what_goes_without_saying_is_no_difference() {
        for says_it in [
            r#""method":"POST""#,
            r#""json":{}"#,
            r#""method":"POST","json":{}"#,
            r#""success":["2xx"]"#,
            r#""success":[200,"201-299"]"#,
            r#""overlap":"allow""#,
            r#""retry":{}"#,
            r#""misfire":{}"#,
            r#""timeZone":"UTC""#,
            r#""dst":{}"#,
            r#""dst":{"gap":"run_after","overlap":"first"}"#,
            r#""tags":[]"#,
            r#""headers":{}"#,
            r#""secretHeaders":{}"#,
            r#""pauseOn":[]"#,
            r#""excludeDates":[]"#,
            r#""excludeCalendars":[]"#,
            r#""auth":null"#,
            r#""active":true"#,
            r#""retry":{"multiplier":2,"maxDelayMs":3600000,"jitter":0.1,"untilNext":false,"on":["timeout","connection","1xx","2xx","3xx","4xx","5xx"]}"#,
        ] {
            assert_eq!(told("", says_it).0, [""; 0], "{says_it}");
            assert_eq!(told(says_it, "").0, [""; 0], "{says_it}");
        }
        for (one, other) in [
            (r#""headers":{"A":"1","B":"2"}"#, r#""headers":{"B":"2","A":"1"}"#),
            (r#""secretHeaders":{"A":"1","B":"2"}"#, r#""secretHeaders":{"B":"2","A":"1"}"#),
            (r#""tags":["a","b"]"#, r#""tags":["b","a"]"#),
            (r#""success":[200,201]"#, r#""success":["200-201"]"#),
            (r#""json":{"a": 1}"#, r#""json":{ "a":1 }"#),
            (r#""retry":{"on":[500,"timeout"]}"#, r#""retry":{"on":["timeout","500"]}"#),
        ] {
            assert_eq!(told(one, other).0, [""; 0], "{one}");
        }
        // What the server was told may be another thing tomorrow; and a text is no JSON.
        for (says_it, path) in [
            (r#""timeoutMs":30000"#, "timeoutMs"),
            (r#""retry":{"maxAttempts":4}"#, "retry.maxAttempts"),
            (r#""body":"{}""#, "body"),
        ] {
            assert_eq!(told("", says_it).0, [path]);
        }
    }

    #[test]
    fn a_long_difference_is_told_in_few_words() {
        let mut told = Told::between(
            &spec(r#""schedule":"@daily""#),
            &spec(r#""schedule":"@hourly","headers":{"A":"1","B":"2"}"#),
            true,
        );
        assert!(told.len() > 50);
        told.shorten();
        assert_eq!(
            (told.changes, told.difference.is_none()),
            (vec!["headers".to_owned(), "schedule".to_owned()], true)
        );
    }
}
