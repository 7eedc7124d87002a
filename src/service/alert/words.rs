//! Owns what people read of messages: a title in a line, and a text of a few lines.
//! It must not know in which form it is sent, but for how long it may be.

use std::borrow::Cow;
use std::fmt::Write;

use super::line::Waiting;
use crate::core::{Event, Incident, Message, Subject};
use crate::limits::{DIGEST_SHOWN_MAX, TITLE_LEN_MAX};

/// How long a line may be, in characters: a URL can be longer than all that some channels take.
const LINE_LEN_MAX: usize = 500;

/// One message, or those of a digest, as people read them.
pub(super) struct Words {
    /// In one line.
    pub(super) title: String,
    /// In several, each of one kind of news.
    pub(super) lines: Vec<String>,
    /// How many more there are that have no line.
    pub(super) more: usize,
}

/// What these messages say.
pub(super) fn of(messages: &[Waiting]) -> Words {
    match messages {
        [one] => single(&one.message),
        many => digest(many),
    }
}

/// That a channel works.
pub(super) fn of_test(name: &str) -> Words {
    let title = format!("Test of the channel {name}");
    Words { title, lines: vec!["It works: alerts of Punctual arrive here.".to_owned()], more: 0 }
}

fn single(message: &Message) -> Words {
    let incident = &*message.incident;
    let mut lines = vec![line(&incident.summary)];
    let mut say = |what: &str, how: &dyn std::fmt::Display| lines.push(line(&format!("{what}: {how}")));
    match &incident.subject {
        Subject::Job(id) => {
            say("Job", id);
            if let Some(label) = &incident.label {
                say("URL", &label.api);
                say("Schedule", &label.schedule);
            }
        }
        Subject::Target(_) | Subject::Server => {}
    }
    if let Some(execution) = &incident.execution {
        say("Execution", execution);
    }
    say("Since", &incident.opened_at);
    if let Some(closed) = &incident.closed {
        say("Over since", &format_args!("{}: {}", closed.at, closed.why));
    }
    if let Some(known) = &incident.acknowledged {
        let by = known.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
        let note = known.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
        say("Acknowledged", &format_args!("{}{by}{note}", known.at));
    }
    say("Incident", &incident.id);
    Words { title: title(message), lines, more: 0 }
}

fn digest(messages: &[Waiting]) -> Words {
    let count = |event| messages.iter().filter(|waiting| waiting.message.event == event).count();
    let counted = [(Event::Opened, "opened"), (Event::Reminded, "still open"), (Event::Closed, "over")]
        .map(|(event, word)| (count(event), word));
    let counted = counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let title = format!("{} alerts: {}", messages.len(), counted.collect::<Vec<_>>().join(", "));
    let shown = messages.iter().take(DIGEST_SHOWN_MAX);
    let lines = shown.map(|Waiting { message, .. }| {
        let at = message.at;
        line(&format!("{at} {}: {}", self::title(message), message.incident.summary))
    });
    Words { title, lines: lines.collect(), more: messages.len().saturating_sub(DIGEST_SHOWN_MAX) }
}

/// A message in a line, such as `FAILING: nightly-backup`.
fn title(message: &Message) -> String {
    let Message { incident, event, .. } = message;
    let before = match event {
        Event::Opened => "",
        Event::Reminded => "Still ",
        Event::Closed => "Over: ",
    };
    let title = line(&format!("{before}{}: {}", incident.cause.name(), about(incident)));
    let end = title.char_indices().nth(TITLE_LEN_MAX).map_or(title.len(), |(at, _)| at);
    title[..end].to_owned()
}

/// What an incident is about, as people call it.
fn about(incident: &Incident) -> Cow<'_, str> {
    match &incident.subject {
        Subject::Job(id) => match incident.label.as_deref() {
            Some(label) => label.name.as_deref().unwrap_or(&label.api).into(),
            None => id.to_string().into(),
        },
        Subject::Target(name) => (&**name).into(),
        Subject::Server => "this server".into(),
    }
}

/// A text in one line that is not too long: whatever could begin another one, or mean something to a terminal, is a space.
pub(super) fn line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut line: String = text.trim().chars().take(LINE_LEN_MAX).map(|c| if breaks(c) { ' ' } else { c }).collect();
    if text.trim().chars().nth(LINE_LEN_MAX).is_some() {
        line.push_str("...");
    }
    line
}

impl Words {
    /// As many of the lines as `fits` lets through with what is written before, and how many are left out.
    pub(super) fn text(&self, mut fits: impl FnMut(&str) -> bool) -> String {
        let mut text = String::new();
        let mut shown = 0;
        for line in &self.lines {
            let before = text.len();
            writeln!(text, "{line}").expect("a string takes any text");
            if !fits(&text) {
                text.truncate(before);
                break;
            }
            shown += 1;
        }
        let left = self.lines.len() - shown + self.more;
        if left > 0 {
            writeln!(text, "... and {left} more").expect("a string takes any text");
        }
        text.truncate(text.trim_end().len());
        text
    }
}
