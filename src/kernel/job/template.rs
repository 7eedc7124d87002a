//! Owns texts with placeholders: read once into pieces, so that sending only fills in.
//! It must not know what is filled in.

use std::fmt::Write;

use super::FieldError;

/// What differs from one attempt to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The public id of the execution.
    ExecutionId,
    /// The public id of its job.
    JobId,
    /// Its instant.
    ScheduledTime,
    /// The number of the attempt.
    Attempt,
}

impl Placeholder {
    /// All of them.
    pub const ALL: [Placeholder; 4] =
        [Placeholder::ExecutionId, Placeholder::JobId, Placeholder::ScheduledTime, Placeholder::Attempt];

    /// The name clients know.
    pub fn name(self) -> &'static str {
        match self {
            Placeholder::ExecutionId => "executionId",
            Placeholder::JobId => "jobId",
            Placeholder::ScheduledTime => "scheduledTime",
            Placeholder::Attempt => "attempt",
        }
    }
}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Box<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Value(Placeholder),
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
/// What is longer is no name, white space around it included.
const NAME_LEN_MAX: usize = 128;

impl Template {
    /// A text that is sent as it is.
    pub(super) fn fixed(text: Box<str>) -> Template {
        Template([Piece::Text(text)].into())
    }

    /// Reads a text; `member` is named in errors. What stands between double braces and is no word, such as in a
    /// template of somebody else's, is text.
    pub(super) fn compile(member: &'static str, text: &str) -> Result<Template, FieldError> {
        let mut pieces = Vec::new();
        let (mut start, mut at, mut close) = (0, 0, 0);
        while let Some(open) = text[at..].find(OPEN).map(|found| at + found) {
            let inside = open + OPEN.len();
            // It is looked for once: there may be thousands of braces before it.
            if close < inside {
                let Some(found) = text[inside..].find(CLOSE) else { break };
                close = inside + found;
            }
            let name = &text[inside..close];
            if name.len() > NAME_LEN_MAX || !is_word(name.trim()) {
                // A brace more may open one that is meant.
                at = open + 1;
                continue;
            }
            let known = Placeholder::ALL.into_iter().find(|known| known.name() == name);
            let known = known.ok_or_else(|| {
                let names = Placeholder::ALL.map(|known| format!("{OPEN}{}{CLOSE}", known.name())).join(" ");
                FieldError::unknown_name(
                    member,
                    &format!("one of the placeholders {names}"),
                    &text[open..close + CLOSE.len()],
                )
            })?;
            push_text(&mut pieces, &text[start..open]);
            pieces.push(Piece::Value(known));
            start = close + CLOSE.len();
            at = start;
        }
        push_text(&mut pieces, &text[start..]);
        Ok(Template(pieces.into()))
    }

    /// The text that was read.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.fill(&mut text, |text, value| {
            write!(text, "{OPEN}{}{CLOSE}", value.name()).expect("a string takes any text");
        });
        text
    }

    /// The text to be sent, if it is always the same.
    pub fn as_fixed(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            [..] => None,
        }
    }

    /// Appends the text; `value` appends what a placeholder stands for.
    pub fn fill(&self, into: &mut String, mut value: impl FnMut(&mut String, Placeholder)) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => into.push_str(text),
                Piece::Value(placeholder) => value(into, *placeholder),
            }
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_the_text_comes_back() {
        for (text, filled) in [
            ("", ""),
            ("plain", "plain"),
            ("{{executionId}}", "<executionId>"),
            ("a{{jobId}}{{attempt}}b", "a<jobId><attempt>b"),
            ("{{{attempt}}}", "{<attempt>}"),
            (r#"{"at":"{{scheduledTime}}"}"#, r#"{"at":"<scheduledTime>"}"#),
            ("{{", "{{"),
            ("}} {{attempt", "}} {{attempt"),
            ("{{#if x}}{{/if}}{{}}{{ }}{{1}}", "{{#if x}}{{/if}}{{}}{{ }}{{1}}"),
            ("{{#{{attempt}}", "{{#<attempt>"),
            ("{{{{{{{{attempt}}{{{{", "{{{{{{<attempt>{{{{"),
            (&format!("{{{{{}}}}}{{{{attempt}}}}", "x".repeat(200)), &format!("{{{{{}}}}}<attempt>", "x".repeat(200))),
            ("\u{fc}{{attempt}}\u{fc}", "\u{fc}<attempt>\u{fc}"),
        ] {
            let template = Template::compile("body", text).expect(text);
            let mut sent = String::new();
            template.fill(&mut sent, |into, value| {
                into.push('<');
                into.push_str(value.name());
                into.push('>');
            });
            assert_eq!(sent, filled);
            assert_eq!(template.text(), text);
            assert_eq!(template.as_fixed(), (filled == text).then_some(text));
        }
    }

    #[test]
    fn an_unknown_one_is_refused_with_those_that_are_known() {
        let longest = format!("{{{{{}}}}}", "x".repeat(NAME_LEN_MAX));
        for (text, named) in [
            ("{{execution}}", "{{execution}}"),
            ("a {{ attempt }} b", "{{ attempt }}"),
            ("x{{ATTEMPT}}", "{{ATTEMPT}}"),
            ("{{attempt}}{{job_id}}", "{{job_id}}"),
            (&longest, &longest),
        ] {
            let why = Template::compile("body", text).expect_err(text).to_string();
            let known = "one of the placeholders {{executionId}} {{jobId}} {{scheduledTime}} {{attempt}}";
            assert_eq!(why, format!("body: expected {known}, got {named:?}"));
        }
    }
}
