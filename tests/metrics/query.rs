//! Owns which metrics and labels a query in PromQL names.
//! It must not know what a query means: whether it is one at all promtool says.

use std::collections::BTreeSet;

use super::samples::{Sample, Samples};

/// A metric that a query selects, with what it demands of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    pub name: String,
    /// Label, operator, value.
    pub matchers: Vec<(String, String, String)>,
}

/// What a query names.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub selected: Vec<Selected>,
    /// Labels by which it groups or joins.
    pub by: BTreeSet<String>,
}

/// Words before a list of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Other words that are no metric.
const WORDS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "atan2"];
/// What Prometheus itself adds to what it reads.
const ADDED: [&str; 2] = ["instance", "job"];

/// Reads a query.
pub fn named(query: &str) -> Named {
    let mut named = Named { selected: Vec::new(), by: BTreeSet::new() };
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            rest = behind(rest, ']');
        } else if first == '"' {
            rest = behind(&rest[1..], '"');
        } else if first.is_ascii_digit() {
            // With what belongs to it, such as `5m`.
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_of_name(first) {
            let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
            let (name, behind_name) = rest.split_at(end);
            rest = behind_name.trim_start();
            if GROUPING.contains(&name) {
                let list = rest.strip_prefix('(').expect("labels follow").split(')').next().expect("a list ends");
                let labels = list.split(',').map(str::trim).filter(|label| !label.is_empty());
                named.by.extend(labels.map(str::to_owned));
                rest = behind(rest, ')');
            } else if let Some(matchers) = rest.strip_prefix('{') {
                let (matchers, behind_matchers) = matchers.split_once('}').expect("matchers end");
                named.selected.push(Selected { name: name.to_owned(), matchers: matchers_in(matchers) });
                rest = behind_matchers;
            } else if !rest.starts_with('(') && !WORDS.contains(&name) && !is_aggregation(name, rest) {
                named.selected.push(Selected { name: name.to_owned(), matchers: Vec::new() });
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    named
}

/// `sum by (...) (...)`: a name, and then a word instead of the bracket.
fn is_aggregation(name: &str, rest: &str) -> bool {
    let groups = GROUPING.iter().any(|word| rest.strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_of_name)));
    groups && !name.contains('_')
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn behind(text: &str, end: char) -> &str {
    text.split_once(end).map(|(_, behind)| behind).expect("it ends")
}

fn matchers_in(text: &str) -> Vec<(String, String, String)> {
    let matcher = |text: &str| {
        let at = text.find(['=', '!']).expect("an operator");
        let (label, rest) = text.split_at(at);
        let (operator, value) = rest.split_once('"').expect("a value");
        (label.trim().to_owned(), operator.trim().to_owned(), value.trim_end_matches('"').to_owned())
    };
    text.split(',').map(matcher).collect()
}

/// What a query names that a server does not have.
pub fn unknown(query: &str, there: &Samples) -> Vec<String> {
    let Named { selected, by } = named(query);
    let mut missing = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED.into_iter().collect();
    for Selected { name, matchers } in &selected {
        // Prometheus makes this one itself, of whatever it reads.
        let samples: Vec<&Sample> = there.named(name).collect();
        if samples.is_empty() && name != "up" {
            missing.push(format!("metric {name}"));
        }
        labels.extend(samples.iter().flat_map(|sample| sample.labels.keys()).map(String::as_str));
        for (label, operator, value) in matchers.iter().filter(|(label, ..)| !ADDED.contains(&label.as_str())) {
            let has = |value: &str| samples.iter().any(|sample| sample.labels.get(label).is_some_and(|it| it == value));
            let values = if operator.ends_with('~') { value.split('|').collect() } else { vec![value.as_str()] };
            missing.extend(
                values.into_iter().filter(|value| !has(value)).map(|value| format!("{name}{{{label}=\"{value}\"}}")),
            );
        }
    }
    missing.extend(by.iter().filter(|label| !labels.contains(label.as_str())).map(|label| format!("label {label}")));
    if selected.is_empty() {
        missing.push("any metric".to_owned());
    }
    missing
}

#[test]
fn metrics_and_labels_are_found_in_queries() {
    let names = |query: &str| named(query).selected.into_iter().map(|it| it.name).collect::<Vec<String>>();
    let query = "histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{x=\"1\",y=~\"2|3\"}[5m]))) > 1e3";
    assert_eq!(names(query), ["a_bucket"]);
    assert_eq!(named(query).by, ["job", "le"].map(str::to_owned).into());
    let matcher = |label: &str, operator: &str, value: &str| (label.to_owned(), operator.to_owned(), value.to_owned());
    assert_eq!(named(query).selected[0].matchers, [matcher("x", "=", "1"), matcher("y", "=~", "2|3")]);
    assert_eq!(
        names("(a / b) * on (job) group_left () c offset 5m and sum(d) by (e) or f unless g"),
        ["a", "b", "c", "d", "f", "g"]
    );
    let there = Samples::read("# HELP a x\na{x=\"1\"} 5\na{x=\"2\"} 6\nb_total 7\n");
    assert_eq!(unknown("sum by (x, instance) (a{x=~\"1|2\"}) / on () b_total > 3", &there), [""; 0]);
    assert_eq!(unknown("a{x!=\"3\"}", &there), ["a{x=\"3\"}"], "what is kept out must be there, too");
    assert_eq!(unknown("rate(b[5m])", &there), ["metric b"]);
    assert_eq!(unknown("sum by (y) (a)", &there), ["label y"]);
    assert_eq!(unknown("1 > bool 2", &there), ["any metric"]);
}
