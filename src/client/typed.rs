//! Owns showing somebody what he typed, with the member underlined that the server does not like.
//! It must not judge.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use super::defining::SECRETS;

/// What somebody typed, and where in it the members of a job are.
#[derive(Debug)]
pub(crate) enum Typed {
    /// A command line: its text, and where which member stands.
    Command { text: String, members: Vec<(String, Range<usize>)> },
    /// A document in a file: what it is called, its text, and in which line of the file it begins.
    Document { name: String, text: Rc<str>, line: usize },
}

impl Typed {
    /// The command line as it was typed; each of `members` has its path and the text that was given for it.
    pub(crate) fn command(members: &[(&str, &str)]) -> Typed {
        let mut text = String::new();
        let (mut found, mut last) = (Vec::new(), String::new());
        for (place, argument) in std::env::args().enumerate() {
            if place > 0 {
                text.push(' ');
            }
            let start = text.len();
            let shown = if place == 0 { "punctual".into() } else { hidden(&last, &argument) };
            text.push_str(&quoted(&shown));
            let range = start..text.len();
            let given =
                members.iter().filter(|(_, value)| argument == *value || argument.ends_with(&format!("={value}")));
            found.extend(given.map(|(path, _)| ((*path).to_owned(), range.clone())));
            last = argument;
        }
        Typed::Command { text, members: found }
    }

    /// The place of this member; None: it is not to be found there.
    pub(crate) fn show(&self, path: &str) -> Option<String> {
        match self {
            Typed::Command { text, members } => {
                let mut whole = path;
                let range = loop {
                    if let Some((_, range)) = members.iter().find(|(known, _)| known == whole) {
                        break range;
                    }
                    whole = whole.rsplit_once('.')?.0;
                };
                Some(format!("  {text}\n  {}", underline(text, range)))
            }
            Typed::Document { name, text, line } => {
                let (place, found) = find(text, path)?;
                let shown = found.trim_end();
                let start = shown.len() - shown.trim_start().len();
                Some(format!("  {name}:{}\n  {shown}\n  {}", line + place, underline(shown, &(start..shown.len()))))
            }
        }
    }
}

/// A word of a command line without what is secret in it: what is printed may be kept in a log for long.
fn hidden<'a>(last: &str, word: &'a str) -> Cow<'a, str> {
    if last == "--token" {
        return "***".into();
    }
    let pair = word.strip_prefix("--set=").unwrap_or(word.trim_start_matches("--"));
    let Some((member, value)) = pair.split_once('=') else { return word.into() };
    let is_secret = SECRETS.contains(&member) || member.starts_with("auth.") || member.starts_with("secretHeaders.");
    if is_secret { format!("{}***", &word[..word.len() - value.len()]).into() } else { word.into() }
}

/// As wide as what is in front, and as what is meant.
fn underline(text: &str, range: &Range<usize>) -> String {
    let wide = |text: &str| text.chars().count();
    format!("{}{}", " ".repeat(wide(&text[..range.start])), "^".repeat(wide(&text[range.clone()]).max(1)))
}

/// The line of a member, by the names on its path one after the other: in YAML as in JSON a member stands behind the one
/// that it is in.
fn find<'a>(text: &'a str, path: &str) -> Option<(usize, &'a str)> {
    let mut lines = text.lines().enumerate();
    let mut found = None;
    for name in path.split('.').filter(|name| name.parse::<usize>().is_err()) {
        let is_named = |line: &str| {
            let starts = [name.to_owned(), format!("\"{name}\""), format!("'{name}'")];
            starts.iter().any(|start| {
                let behind = line.match_indices(start.as_str()).map(|(place, _)| (place, &line[place + start.len()..]));
                behind.into_iter().any(|(place, rest)| {
                    let before = line[..place].chars().next_back();
                    before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
                        && rest.trim_start().starts_with(':')
                })
            })
        };
        match lines.find(|(_, line)| is_named(line)) {
            Some(next) => found = Some(next),
            None => break,
        }
    }
    found
}

/// A word as a POSIX shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_@%+=:,./-".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (last, word, shown) in [
            ("--token", "pun_a_x", "***"),
            ("create", "--token=pun_a_x", "--token=***"),
            ("--set", "password=hunter2", "password=***"),
            ("set", "--set=auth.bearer=a=b", "--set=auth.bearer=***"),
            ("--set", "secretHeaders.X-Key=k", "secretHeaders.X-Key=***"),
            ("--set", "headers.X-Key=k", "headers.X-Key=k"),
            ("create", "http://a/?token=x", "http://a/?token=x"),
            ("create", "plain", "plain"),
        ] {
            assert_eq!(hidden(last, word), shown);
        }
    }

    #[test]
    fn a_member_is_found_in_yaml_and_in_json() {
        let yaml = "name: a\nschedule: '* * *'\nretry:\n  # five\n  maxAttempts: 0\nsuccess: [1]\n";
        let typed = Typed::Document { name: "a.yaml".to_owned(), text: yaml.into(), line: 1 };
        let shown = |path| typed.show(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(shown("schedule"), "  a.yaml:2\n  schedule: '* * *'\n  ^^^^^^^^^^^^^^^^^");
        assert_eq!(shown("retry.maxAttempts"), "  a.yaml:5\n    maxAttempts: 0\n    ^^^^^^^^^^^^^^");
        assert_eq!(shown("success.0"), "  a.yaml:6\n  success: [1]\n  ^^^^^^^^^^^^");
        assert_eq!(typed.show("api"), None);
        let json = "{\"name\":\"a\",\n \"retry\": {\"maxAttempts\" : 0}}";
        let typed = Typed::Document { name: "-".to_owned(), text: json.into(), line: 7 };
        assert!(typed.show("retry.maxAttempts").is_some_and(|shown| shown.starts_with("  -:8\n")), "{typed:?}");
    }

    #[test]
    fn a_member_of_the_command_line_is_underlined() {
        let text = "punctual job create '* * *' http://ä/".to_owned();
        let members = vec![("schedule".to_owned(), 20..27), ("retry".to_owned(), 0..8)];
        let typed = Typed::Command { text, members };
        assert_eq!(
            typed.show("schedule").as_deref(),
            Some("  punctual job create '* * *' http://ä/\n                      ^^^^^^^")
        );
        assert!(typed.show("retry.maxAttempts").is_some(), "by what it is in");
        assert_eq!(typed.show("api"), None);
    }
}
