//! Owns reading jobs from files: YAML and JSON, one or many, as somebody wrote them or as an export gave them.
//! It must not send anything. What is secret stands in a file only by its name.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::editing::TOLD;
use super::failure::Failure;
use super::typed::Typed;

/// One job or calendar of a file, and where it stands there.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) value: Value,
    pub(crate) typed: Typed,
}

impl Item {
    /// The job: by itself, as `job get` prints it, or as an export wraps it.
    pub(crate) fn job(&self) -> Result<Value, Failure> {
        let mut job = self.value.get("job").unwrap_or(&self.value).clone();
        let members = job.as_object_mut();
        let members = members.ok_or_else(|| Failure::usage(format!("{}: expected a job", self.place())))?;
        if members.contains_key("jobId") {
            TOLD.iter().for_each(|told| drop(members.remove(*told)));
        }
        members.entry("type").or_insert_with(|| "ATLEAST_ONCE".into());
        Ok(job)
    }

    /// The id that the server gave it.
    pub(crate) fn id(&self) -> Option<&str> {
        self.value.get("jobId")?.as_str()
    }

    /// What an export says beside the job.
    pub(crate) fn beside(&self, member: &str) -> Option<&Value> {
        self.value.get("job").and(self.value.get(member))
    }

    /// What the job sends as JSON, as it was written; None: nothing, or it was not written as JSON.
    pub(crate) fn body(&self) -> Option<&RawValue> {
        let Typed::Document { text, .. } = &self.typed else { return None };
        let Written { job, json } = serde_json::from_str(text).ok()?;
        job.map_or(json, |Body { json }| json)
    }

    /// The calendar that it is instead.
    pub(crate) fn calendar(&self) -> Option<(&str, &Value)> {
        let calendar = self.value.get("calendar")?;
        Some((calendar.get("name")?.as_str()?, calendar.get("dates")?))
    }

    /// Where it stands, for people.
    pub(crate) fn place(&self) -> String {
        match &self.typed {
            Typed::Document { name, line, .. } => format!("{name}:{line}"),
            Typed::Command { .. } => "the command".to_owned(),
        }
    }
}

/// As much of a text as the body of a job: of the job itself, or as an export wraps it.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    job: Option<Body<'a>>,
    #[serde(borrow)]
    json: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    json: Option<&'a RawValue>,
}

const ENDINGS: [&str; 5] = ["yaml", "yml", "json", "ndjson", "jsonl"];

/// All that a file has, or all files of a folder and of the folders in it, or standard input (`-`).
pub(crate) fn read(path: &Path) -> Result<Vec<Item>, Failure> {
    read_all(path, true)
}

fn read_all(path: &Path, is_named: bool) -> Result<Vec<Item>, Failure> {
    if path == Path::new("-") {
        let text = std::io::read_to_string(std::io::stdin())
            .map_err(|why| Failure::failed(format!("standard input: {why}")))?;
        return parse("standard input", &text);
    }
    let failed = |why: std::io::Error| Failure::failed(format!("{}: {why}", path.display()));
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return parse(&path.display().to_string(), &fs::read_to_string(path).map_err(failed)?);
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(path).map_err(failed)?.map(|entry| Ok(entry?.path())).collect::<Result<_, _>>().map_err(failed)?;
    // What a folder hides, as .git, is none of this.
    files.retain(|file| !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    let has_ending =
        |file: &PathBuf| file.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
    files.retain(|file| file.is_dir() || has_ending(file));
    files.sort();
    if files.is_empty() && is_named {
        return Err(Failure::usage(format!(
            "{}: there is no file that ends in {}",
            path.display(),
            ENDINGS.join(", ")
        )));
    }
    let mut all = Vec::new();
    for file in files {
        all.extend(read_all(&file, false)?);
    }
    Ok(all)
}

fn parse(name: &str, text: &str) -> Result<Vec<Item>, Failure> {
    let found = |Item { value, typed }: Item| match resolved(value) {
        Ok(value) => Ok(Item { value, typed }),
        Err(why) => Err(match &typed {
            Typed::Document { name, line, .. } => why.at(&format!("{name}:{line}")),
            Typed::Command { .. } => why,
        }),
    };
    as_written(name, text)?.into_iter().map(found).collect()
}

/// The same, where what is secret is not looked up.
pub(crate) fn as_written(name: &str, text: &str) -> Result<Vec<Item>, Failure> {
    let mut items = Vec::new();
    let mut add = |value: Value, text: Rc<str>, line: usize| {
        items.push(Item { value, typed: Typed::Document { name: name.to_owned(), text, line } });
    };
    if text.trim_start().starts_with(['{', '[']) {
        // JSON, or one JSON value a line.
        if let Ok(all) = serde_json::from_str::<Vec<&RawValue>>(text) {
            let (mut line, mut counted) = (1, 0);
            for one in all {
                // Each is a part of the text.
                let start = one.get().as_ptr().addr() - text.as_ptr().addr();
                line += text[counted..start].matches('\n').count();
                counted = start;
                let value = serde_json::from_str(one.get());
                add(value.map_err(|why| Failure::usage(format!("{name}:{line}: {why}")))?, one.get().into(), line);
            }
            return Ok(items);
        }
        if let Ok(value) = serde_json::from_str(text) {
            add(value, text.into(), 1);
            return Ok(items);
        }
        if text.lines().filter(|line| !line.trim().is_empty()).all(|line| line.trim_start().starts_with('{')) {
            for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let value = serde_json::from_str(line);
                let value = value.map_err(|why| Failure::usage(format!("{name}:{}: {why}", place + 1)))?;
                add(value, line.into(), place + 1);
            }
            return Ok(items);
        }
    }
    for (line, document) in documents(text) {
        // People count lines of the file, not of the document.
        let again = |_| yaml_serde::from_str(&format!("{}{document}", "\n".repeat(line - 1)));
        let value: Option<Value> = yaml_serde::from_str(document)
            .or_else(again)
            .map_err(|why| Failure::usage(format!("{name}: this is no YAML: {why}")))?;
        match value.unwrap_or_default() {
            Value::Null => {}
            Value::Array(all) => {
                let entries = entries(document);
                let whole: Rc<str> = document.into();
                let is_each = entries.len() == all.len();
                for (place, value) in all.into_iter().enumerate() {
                    match entries.get(place).filter(|_| is_each) {
                        Some((within, entry)) => add(value, (*entry).into(), line + within),
                        None => add(value, Rc::clone(&whole), line),
                    }
                }
            }
            one => add(one, document.into(), line),
        }
    }
    Ok(items)
}

/// The entries of a YAML list, each with how many lines stand before it, as far as dashes at the beginning of a line tell.
fn entries(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut place) = (Vec::<(usize, usize)>::new(), 0);
    for (line, text_of_line) in text.split_inclusive('\n').enumerate() {
        if text_of_line.starts_with("- ") || text_of_line.trim_end() == "-" {
            found.push((line, place));
        }
        place += text_of_line.len();
    }
    let ends: Vec<usize> = found.iter().skip(1).map(|(_, place)| *place).chain([text.len()]).collect();
    found.iter().zip(ends).map(|((line, start), end)| (*line, &text[*start..end])).collect()
}

/// The documents of a YAML file, each with the line that it begins in.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut start, mut first, mut place) = (Vec::new(), 0, 1, 0);
    for (line, text_of_line) in text.split_inclusive('\n').enumerate() {
        place += text_of_line.len();
        if text_of_line.trim_end() == "---" {
            found.push((first, &text[start..place - text_of_line.len()]));
            (start, first) = (place, line + 2);
        }
    }
    found.push((first, &text[start..]));
    let has_content =
        |text: &str| text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    found.retain(|(_, text)| has_content(text));
    found
}

/// The value with what is secret put in: `${NAME}` is a variable of the environment, `file:PATH` what is in a file. Only
/// where secrets stand, so that nothing else in a job means anything else.
fn resolved(mut value: Value) -> Result<Value, Failure> {
    let job = if value.get("job").is_some() { &mut value["job"] } else { &mut value };
    if let Some(auth) = job.get_mut("auth").and_then(Value::as_object_mut) {
        auth.get_mut("bearer").map(secret).transpose()?;
        auth.get_mut("basic").and_then(|basic| basic.get_mut("password")).map(secret).transpose()?;
    }
    job.get_mut("signingSecret").map(secret).transpose()?;
    let headers = job.get_mut("secretHeaders").and_then(Value::as_object_mut);
    headers.map_or(Ok(()), |headers: &mut Map<String, Value>| headers.values_mut().try_for_each(secret))?;
    Ok(value)
}

/// What this secret is: itself, or what stands where it points.
pub(crate) fn secret(value: &mut Value) -> Result<(), Failure> {
    let Some(text) = value.as_str() else { return Ok(()) };
    let found = if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        std::env::var(name).map_err(|_| Failure::usage(format!("${{{name}}} is not set")))?
    } else if let Some(path) = text.strip_prefix("file:") {
        let read = fs::read_to_string(path).map_err(|why| Failure::failed(format!("{path}: {why}")))?;
        read.trim_end_matches(['\n', '\r']).to_owned()
    } else {
        return Ok(());
    };
    *value = found.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<Value> {
        parse("a", text).unwrap_or_else(|why| panic!("{text}: {why}")).into_iter().map(|item| item.value).collect()
    }

    #[test]
    fn jobs_are_read_from_yaml_and_json_one_or_many() {
        let one = serde_json::json!({ "name": "a" });
        for text in [
            "name: a",
            "# a\n---\nname: a\n",
            "{\"name\":\"a\"}",
            "[{\"name\":\"a\"}]",
            "- name: a",
            "{\"name\":\"a\"}\n\n",
        ] {
            assert_eq!(values(text), std::slice::from_ref(&one), "{text}");
        }
        for text in
            ["name: a\n---\nname: a\n", "{\"name\":\"a\"}\n{\"name\":\"a\"}\n", "[{\"name\":\"a\"},{\"name\":\"a\"}]"]
        {
            assert_eq!(values(text), [one.clone(), one.clone()], "{text}");
        }
        assert_eq!(values("# nothing\n---\n\n"), [Value::Null; 0]);
        assert!(parse("a", "{\"name\":\"a\"}\n{\"name\"\n").is_err_and(|why| why.to_string().starts_with("a:2: ")));
        let items = parse("a", "name: a\n---\n# here\nname: b\n").expect("it is YAML");
        assert_eq!(items[1].typed.show("name").as_deref(), Some("  a:4\n  name: b\n  ^^^^^^^"));
        for (text, place) in
            [("# x\n- name: a\n- tags: []\n  name: b\n", "a:4"), ("[{\"name\":\"a\"},\n\n {\"name\":\"b\"}]", "a:3")]
        {
            let items = parse("a", text).expect("it is well-formed");
            assert!(
                items[1].typed.show("name").is_some_and(|shown| shown.contains(place) && shown.contains('b')),
                "{text}"
            );
        }
    }

    #[test]
    fn secrets_are_taken_from_elsewhere_and_nothing_else_is() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "s3cret\n").expect("it is written");
        let path = file.path().display();
        let text = format!(
            "name: ${{HOME}}\nbody: file:{path}\nauth: {{ bearer: 'file:{path}' }}\nsecretHeaders: {{ A: plain }}"
        );
        let job = &values(&text)[0];
        assert_eq!((&job["auth"]["bearer"], &job["secretHeaders"]["A"]), (&"s3cret".into(), &"plain".into()));
        assert_eq!(job["name"], "${HOME}");
        assert!(job["body"].as_str().is_some_and(|body| body.starts_with("file:")));
        assert!(parse("a", "signingSecret: ${PUNCTUAL_NO_SUCH_VARIABLE}").is_err());
    }
}
