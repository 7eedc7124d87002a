//! Owns the form in which each kind of channel gets what it is told.
//! It must not decide what that is, or send it.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde::Serialize;

use super::event;
use super::line::Waiting;
use super::words::{self, Words};
use crate::channel::{Channel, Way, encoded};
use crate::core::{Event, Letter, MailAttempt, MessageAttempt, ParcelId};
use crate::job::Post;
use crate::limits::{ALERT_TIMEOUT, LETTER_TEXT_LEN_MAX, NTFY_TEXT_LEN_MAX, SLACK_TEXT_LEN_MAX};
use crate::time::WallUs;

/// What is to be sent over a channel, and by whom.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// By the workers.
    Post(MessageAttempt),
    /// By a thread that speaks to mail servers.
    Mail(MailAttempt),
}

/// What follows from what is said, whichever form it gets.
struct Said<'a> {
    id: ParcelId,
    key: String,
    /// The letter that this one follows.
    follows: Option<String>,
    words: Words,
    /// Whether something began.
    is_urgent: bool,
    json: &'a dyn Fn() -> String,
}

/// These messages as this channel gets them: one, or those of a digest.
pub(super) fn parcel(id: ParcelId, name: &str, channel: &Channel, messages: &[Waiting]) -> Parcel {
    let follows = match messages {
        [one] if one.message.number > 1 => Some(format!("{}.1.{name}", one.message.incident.id)),
        _ => None,
    };
    let said = Said {
        id,
        key: event::parcel_key(messages, name),
        follows,
        words: words::of(messages),
        is_urgent: messages.iter().any(|waiting| waiting.message.event == Event::Opened),
        json: &|| event::json(messages, name),
    };
    said.over(channel)
}

/// That the channel works.
pub(super) fn test(id: ParcelId, name: &str, channel: &Channel, now: WallUs) -> Parcel {
    let said = Said {
        id,
        key: format!("test.{}.{name}", now.0),
        follows: None,
        words: words::of_test(name),
        is_urgent: false,
        json: &|| event::test_json(name, now),
    };
    said.over(channel)
}

impl Said<'_> {
    fn over(self, channel: &Channel) -> Parcel {
        let post = match channel.way() {
            Way::Webhook(post) => post.clone().with((self.json)().into(), ALERT_TIMEOUT),
            Way::Slack(post) => post.clone().with(slack(&self.words).into(), ALERT_TIMEOUT),
            Way::Ntfy(post) => self.ntfy(post.clone()),
            Way::Email(mailbox) => {
                let Said { id, key, follows, words, .. } = self;
                let text = words.text(|text| text.len() <= LETTER_TEXT_LEN_MAX);
                let letter = Letter { key: key.into(), follows: follows.map(Into::into), subject: words.title, text };
                return Parcel::Mail(MailAttempt { id, mailbox: Arc::clone(mailbox), letter });
            }
        };
        Parcel::Post(MessageAttempt { id: self.id, key: self.key.into(), post: Arc::new(post) })
    }

    fn ntfy(&self, post: Post) -> Post {
        let (priority, tags) = if self.is_urgent { ("5", "rotating_light") } else { ("3", "information_source") };
        let text = self.words.text(|text| text.len() <= NTFY_TEXT_LEN_MAX);
        let name = HeaderName::from_static;
        post.with_text(text.into(), ALERT_TIMEOUT)
            .with_header(name("title"), ascii(&self.words.title))
            .with_header(name("priority"), HeaderValue::from_static(priority))
            .with_header(name("tags"), HeaderValue::from_static(tags))
    }
}

/// A line as a header carries it. What is not ASCII is said as ntfy reads it (RFC 2047).
fn ascii(line: &str) -> HeaderValue {
    HeaderValue::from_str(&encoded(line, " ")).unwrap_or_else(|_| HeaderValue::from_static("Punctual"))
}

/// What Slack and its likes are told.
fn slack(words: &Words) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        text: &'a str,
    }
    let title = format!("*{}*\n", escaped(&words.title.replace('*', "\u{2217}")));
    let room = SLACK_TEXT_LEN_MAX.saturating_sub(title.chars().count());
    let text = words.text(|text| escaped(text).chars().count() <= room);
    let text = format!("{title}{}", escaped(&text));
    serde_json::to_string(&Body { text: &text }).expect("a text can be written as JSON")
}

/// What has a meaning in such texts has none any more: links, and what calls everybody.
fn escaped(text: &str) -> String {
    let mut text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for everybody in ["channel", "here", "all", "everyone"] {
        text = text.replace(&format!("@{everybody}"), &format!("@\u{200b}{everybody}"));
    }
    text
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
