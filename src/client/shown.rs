//! Owns how answers are printed: tables for people, JSON as the API said it, YAML, or names alone.
//! It must not print anything but what was asked for to standard output.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::Args;
use comfy_table::{ContentArrangement, Table as Layout, presets};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::failure::{Failure, unprinted};
use super::times;

/// How something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// What people look for first.
    Table,
    /// All that fits a line.
    Wide,
    /// What the API said.
    Json,
    /// The same as YAML.
    Yaml,
    /// Names or ids alone, one a line.
    Name,
}

impl Format {
    const NAMES: [(&'static str, Format); 5] = [
        ("table", Format::Table),
        ("wide", Format::Wide),
        ("json", Format::Json),
        ("yaml", Format::Yaml),
        ("name", Format::Name),
    ];

    pub(crate) fn parse(text: &str) -> Result<Format, Failure> {
        let found = Format::NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, format)| *format)
            .ok_or_else(|| Failure::usage(format!("--output: expected table, wide, json, yaml or name, got {text:?}")))
    }
}

/// How answers are printed, as typed.
#[derive(Args, Clone, Debug)]
pub struct OutputArguments {
    /// How it is printed: table, wide, json (what the API said), yaml or name
    #[arg(short, long, value_name = "FORMAT", default_value = "table", help_heading = "Output", global = true)]
    output: String,
    /// Show times in UTC instead of the zone of this machine
    #[arg(long, help_heading = "Output", global = true)]
    utc: bool,
}

/// How answers are printed.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) format: Format,
    zone: TimeZone,
}

impl Shown {
    pub(crate) fn of(typed: &OutputArguments) -> Result<Shown, Failure> {
        let zone = if typed.utc { TimeZone::UTC } else { TimeZone::system() };
        Ok(Shown { format: Format::parse(&typed.output)?, zone })
    }

    /// A time of the API for people; what is none is a dash.
    pub(crate) fn time(&self, value: &Value) -> String {
        value.as_str().map_or_else(|| "-".to_owned(), |text| times::show(text, &self.zone))
    }

    /// A time as typed, as the API takes it. Without an offset it is meant as times are shown.
    pub(crate) fn read_time(&self, flag: &str, typed: &str) -> Result<String, Failure> {
        times::read(flag, typed, &self.zone)
    }

    /// The same for a flag that may be left out.
    pub(crate) fn read_time_of(&self, flag: &str, typed: Option<&str>) -> Result<Option<String>, Failure> {
        typed.map(|typed| self.read_time(flag, typed)).transpose()
    }

    /// Prints one thing: as a table with `table`, by its name, or as the API said it.
    pub(crate) fn one(
        &self,
        text: &str,
        name: &str,
        table: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Yaml => print_answer(text, self.format),
            Format::Name => print_lines([name]),
            Format::Table | Format::Wide => table(),
        }
    }

    pub(crate) fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }
}

/// Prints what the API said: as it said it, or as YAML in the same order.
pub(crate) fn print_answer(text: &str, format: Format) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let printed = if format == Format::Yaml {
        out.write_all(to_yaml(text)?.as_bytes())
    } else {
        out.write_all(text.trim_end().as_bytes()).and_then(|()| out.write_all(b"\n"))
    };
    printed.and_then(|()| out.flush()).map_err(|why| unprinted(&why))
}

/// JSON as YAML.
pub(crate) fn to_yaml(text: &str) -> Result<String, Failure> {
    let mut read = serde_json::Deserializer::from_str(text);
    let yaml = yaml_serde::to_string(&serde_transcode::Transcoder::new(&mut read));
    yaml.map_err(|why| Failure::failed(format!("the answer cannot be shown as YAML: {why}")))
}

/// Prints lines to standard output.
///
/// # Errors
/// It could not be written to.
pub fn print_lines(lines: impl IntoIterator<Item = impl Display>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let printed = lines.into_iter().try_for_each(|line| writeln!(out, "{line}"));
    printed.and_then(|()| out.flush()).map_err(|why| unprinted(&why))
}

/// Whether standard output takes colours: a terminal, and nobody said otherwise (no-color.org).
fn has_colour() -> bool {
    let says_no = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !says_no("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Marks around what has a colour. They take no room, so that columns stay where they are, and are replaced when all is laid
/// out. Texts from elsewhere have none.
const MARKS: [(char, &str); 4] =
    [('\u{2061}', "\u{1b}[32m"), ('\u{2062}', "\u{1b}[31m"), ('\u{2063}', "\u{1b}[2m"), ('\u{2064}', "\u{1b}[0m")];

/// How something stands, in its colour.
pub(crate) fn standing(word: &str) -> String {
    let mark = match word {
        "SUCCESS" | "active" | "DELIVERED" | "created" | "changed" | "create" | "change" => MARKS[0].0,
        "FAILED" | "OPEN" | "failing" | "held" | "deleted" | "delete" => MARKS[1].0,
        _ => MARKS[2].0,
    };
    format!("{mark}{word}{}", MARKS[3].0)
}

/// A word in the colour of how it stands, where standard output takes colours.
pub fn coloured(word: &str) -> String {
    let colour = match word {
        "OK" => MARKS[0].1,
        "FAIL" => MARKS[1].1,
        _ => MARKS[2].1,
    };
    if has_colour() { format!("{colour}{word}{}", MARKS[3].1) } else { word.to_owned() }
}

/// A text from elsewhere, without what a terminal would take for a command.
pub fn clean(text: &str) -> String {
    text.chars()
        .filter(|char| !MARKS.iter().any(|(mark, _)| mark == char))
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

/// Rows under heads, as wide as they have to be.
pub(crate) struct Table(Layout);

impl Table {
    pub(crate) fn new(heads: &[&str]) -> Table {
        let mut layout = Layout::new();
        layout.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if !heads.is_empty() {
            layout.set_header(heads.iter().map(|head| (*head).to_owned()));
        }
        Table(layout)
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.add_row(cells.into_iter().map(|cell| cell.replace('\n', " ")));
    }

    /// Prints it. If there are no rows, `none` is said where people look.
    pub(crate) fn print(&mut self, none: &str) -> Result<(), Failure> {
        if self.0.is_empty() {
            eprintln!("{none}");
            return Ok(());
        }
        for column in self.0.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let colours = has_colour();
        print_lines(self.0.lines().map(|line| {
            let mut line = line.trim_end().to_owned();
            for (mark, colour) in MARKS {
                line = line.replace(mark, if colours { colour } else { "" });
            }
            line
        }))
    }
}

/// Names and values, one a line.
pub(crate) fn facts<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Result<(), Failure> {
    let mut table = Table::new(&[]);
    for (name, value) in pairs {
        if !value.is_empty() {
            table.row([format!("{name}:"), value]);
        }
    }
    table.print("")
}

/// A text member; what is none is a dash.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    }
}

/// Milliseconds of the API.
pub(crate) fn millis(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_keeps_order_and_digits() {
        let yaml = to_yaml(r#"{"b":1,"a":[{"x":"yes","y":null}],"long":12345678901234567890}"#).expect("it is JSON");
        let places = ["b:", "a:", "long:"].map(|name| yaml.find(name).unwrap_or_else(|| panic!("{yaml}")));
        assert!(places.is_sorted(), "{yaml}");
        assert!(yaml.contains("12345678901234567890"), "{yaml}");
    }

    #[test]
    fn a_text_stays_a_text_in_yaml() {
        let texts = [
            "yes",
            "null",
            "~",
            "true",
            "1e3",
            "12",
            "0x1F",
            "007",
            "",
            " x ",
            "a: b",
            "# c",
            "- d",
            "2026-01-01",
            "e\nf\n",
        ];
        let json = serde_json::json!(texts);
        let yaml = to_yaml(&json.to_string()).expect("it is JSON");
        assert_eq!(yaml_serde::from_str::<Value>(&yaml).expect("it is YAML"), json, "{yaml}");
    }

    #[test]
    fn no_text_from_elsewhere_is_a_command_of_a_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\u{2062}\u{7}\n"), "a [31mb  ");
    }
}
