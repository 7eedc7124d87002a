//! Owns the reading of a metrics text: samples with their labels.
//! It must not know any one metric.

use std::collections::BTreeMap;

/// One line that is no comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// All that a server said at one moment.
#[derive(Clone, Debug)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Reads a text of either format.
    pub fn read(text: &str) -> Samples {
        Samples(text.lines().filter(|line| !line.starts_with('#')).map(sample).collect())
    }

    /// The value of the only sample with this name and these labels, and maybe others.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            let fits = |(label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|found| found == value);
            sample.name == name && labels.iter().all(fits)
        };
        let mut found = self.0.iter().filter(has);
        let value = found.next()?.value;
        assert!(found.next().is_none(), "{name} {labels:?} is not one sample");
        Some(value)
    }

    /// All with this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }
}

fn sample(line: &str) -> Sample {
    let (what, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, labels) = what.split_once('{').unwrap_or((what, "}"));
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels: {line}"));
    // No label of these tests has a comma or a quotation mark in it.
    let pair = |pair: &str| {
        let (label, value) = pair.split_once('=').unwrap_or_else(|| panic!("no label: {line}"));
        (label.to_owned(), value.trim_matches('"').to_owned())
    };
    let labels = labels.split(',').filter(|pair| !pair.is_empty()).map(pair).collect();
    Sample { name: name.to_owned(), labels, value: value.parse().unwrap_or_else(|why| panic!("{line}: {why}")) }
}
