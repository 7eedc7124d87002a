//! Owns the conversation with a mail server: who we are, that nobody listens, whom the letter is from and to, the letter.
//! It must not say a word more in clear than a server on this machine may hear.

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::{RecvTimeoutError, bounded};

use super::MailSettings;
use super::letter::{compose, stuffed};
use super::reply::{Replies, Reply};
use super::wire::{Timed, left};
use crate::channel::{Login, MailAddress, Mailbox, Privacy};
use crate::clock;
use crate::core::Letter;
use crate::dispatch::resolve;
use crate::time::{MonoUs, WallUs};

/// Hands a letter to its server before this moment: for whom it was not taken, if for some; or why it was not at all.
pub(super) fn deliver(
    mailbox: &Mailbox,
    letter: &Letter,
    settings: &MailSettings,
    until: MonoUs,
) -> Result<Option<String>, String> {
    without_password(mailbox, converse(mailbox, letter, settings, until))
}

fn converse(
    mailbox: &Mailbox,
    letter: &Letter,
    settings: &MailSettings,
    until: MonoUs,
) -> Result<Option<String>, String> {
    let (server, at) = (&mailbox.server, clock::wall());
    let unreachable = |why: String| format!("the mail server {server} could not be reached: {why}");
    let addresses = addresses(mailbox, settings, until).map_err(unreachable)?;
    let wire = Timed::connect(&addresses, server.port, until).map_err(|error| unreachable(describe(&error)))?;
    let us = wire.local().map_err(|error| unreachable(describe(&error)))?;
    let config = || settings.trust.config_of_others(clock::mono());
    match server.privacy {
        Privacy::Local => hand_over(wire, us, mailbox, letter, at),
        Privacy::Tls => hand_over(wire.encrypt(config()?, &server.host)?, us, mailbox, letter, at),
        Privacy::StartTls => {
            let mut session = Session::greet(wire)?;
            if !session.hello(us)?.iter().any(|word| word.eq_ignore_ascii_case("STARTTLS")) {
                return Err(format!("the mail server {server} offers no STARTTLS, and nothing is sent in clear"));
            }
            session.command("STARTTLS", "STARTTLS", 220)?;
            let wire = session.end()?.encrypt(config()?, &server.host)?;
            Session::over(wire).hand_over(us, mailbox, &compose(letter, mailbox, at))
        }
    }
}

/// Hands a letter over on a connection that there is, from a machine with this address: for whom it was not taken, if for
/// some. Whoever calls this answers for who else hears it, the password included.
///
/// # Errors
/// Why it was not taken at all.
pub fn hand_over(
    wire: impl Read + Write,
    us: IpAddr,
    mailbox: &Mailbox,
    letter: &Letter,
    at: WallUs,
) -> Result<Option<String>, String> {
    let told = Session::greet(wire).and_then(|session| session.hand_over(us, mailbox, &compose(letter, mailbox, at)));
    without_password(mailbox, told)
}

/// Where the server is. A lookup that takes longer than there is time goes on without us.
fn addresses(mailbox: &Mailbox, settings: &MailSettings, until: MonoUs) -> Result<Vec<IpAddr>, String> {
    let (tell, told) = bounded(1);
    let (system, targets) = (settings.system.clone(), settings.targets.clone());
    let host = mailbox.server.host.clone();
    let look = move || drop(tell.send(resolve(&system, &targets, &host)));
    let thread = thread::Builder::new().name("mail-name".to_owned()).stack_size(512 * 1024).spawn(look);
    thread.map_err(|error| format!("the system gives no thread to look the name up: {error}"))?;
    let time = left(until).map_err(|error| describe(&error))?;
    let found = told.recv_timeout(time).map_err(|error| match error {
        RecvTimeoutError::Timeout => "its name could not be looked up in time".to_owned(),
        RecvTimeoutError::Disconnected => "its name could not be looked up".to_owned(),
    })??;
    if mailbox.server.privacy == Privacy::Local
        && let Some(other) = found.iter().find(|address| !address.is_loopback())
    {
        return Err(format!("{} leads to {other}, which is not this machine", mailbox.server.host));
    }
    Ok(found)
}

/// A conversation over a connection.
pub(super) struct Session<S> {
    wire: S,
    replies: Replies,
}

impl<S: Read + Write> Session<S> {
    fn over(wire: S) -> Session<S> {
        Session { wire, replies: Replies::default() }
    }

    /// One that the server begins.
    pub(super) fn greet(wire: S) -> Result<Session<S>, String> {
        let mut session = Session::over(wire);
        let reply = session.reply("the greeting")?;
        expect(&reply, "the greeting", 220)?;
        Ok(session)
    }

    /// The connection, for another conversation. What came in clear behind the last reply must not be part of that.
    fn end(self) -> Result<S, String> {
        if !self.replies.is_empty() {
            return Err("the mail server said more than it was asked before the connection was encrypted".to_owned());
        }
        Ok(self.wire)
    }

    /// Says who we are. What the server offers.
    fn hello(&mut self, us: IpAddr) -> Result<Vec<String>, String> {
        // A machine without a name that others know says its address (RFC 5321, section 4.1.4).
        let us = match us {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        let reply = self.command(&format!("EHLO {us}"), "EHLO", 250)?;
        Ok(reply.lines.into_iter().skip(1).collect())
    }

    /// Hands the letter over. For whom it was not taken, if for some.
    pub(super) fn hand_over(mut self, us: IpAddr, mailbox: &Mailbox, message: &str) -> Result<Option<String>, String> {
        let offers = self.hello(us)?;
        if let Some(login) = &mailbox.login {
            self.log_in(login, &offers)?;
        }
        self.command(&format!("MAIL FROM:<{}>", mailbox.from), "MAIL", 250)?;
        let mut refused = Vec::new();
        for address in &mailbox.to {
            if let Err(why) = self.recipient(address)? {
                refused.push(format!("{address}: {why}"));
            }
        }
        if refused.len() == mailbox.to.len() {
            return Err(refused.join("; "));
        }
        self.command("DATA", "DATA", 354)?;
        self.say(&stuffed(message), "the letter")?;
        let reply = self.reply("the letter")?;
        expect(&reply, "the letter", 250)?;
        // It is the server's now, whatever becomes of the connection.
        drop(self.say("QUIT\r\n", "QUIT"));
        Ok((!refused.is_empty()).then(|| format!("delivered, but not to {}", refused.join("; "))))
    }

    /// Whether the server takes letters for this address; if not, why. The outer error is one of the conversation.
    fn recipient(&mut self, address: &MailAddress) -> Result<Result<(), String>, String> {
        self.say(&format!("RCPT TO:<{address}>\r\n"), "RCPT")?;
        let reply = self.reply("RCPT")?;
        Ok(match reply.code {
            250 | 251 => Ok(()),
            _ => expect(&reply, "RCPT", 250),
        })
    }

    fn log_in(&mut self, login: &Login, offers: &[String]) -> Result<(), String> {
        let Login { username, password } = login;
        let ways = offers
            .iter()
            .filter_map(|offer| offer.get(..4).filter(|word| word.eq_ignore_ascii_case("AUTH")).and(offer.get(5..)));
        let ways: Vec<&str> = ways.flat_map(str::split_ascii_whitespace).collect();
        let has = |name: &str| ways.iter().any(|way| way.eq_ignore_ascii_case(name));
        if has("PLAIN") {
            let secret = STANDARD.encode(format!("\0{username}\0{}", password.expose()));
            self.command(&format!("AUTH PLAIN {secret}"), "AUTH PLAIN", 235)?;
        } else if has("LOGIN") {
            self.command("AUTH LOGIN", "AUTH LOGIN", 334)?;
            self.command(&STANDARD.encode(username.as_bytes()), "AUTH LOGIN", 334)?;
            self.command(&STANDARD.encode(password.expose()), "AUTH LOGIN", 235)?;
        } else {
            return Err("the mail server offers neither AUTH PLAIN nor AUTH LOGIN".to_owned());
        }
        Ok(())
    }

    /// Says a line, and hears a reply with this code. `name` is what an error calls it.
    fn command(&mut self, line: &str, name: &str, code: u16) -> Result<Reply, String> {
        self.say(&format!("{line}\r\n"), name)?;
        let reply = self.reply(name)?;
        expect(&reply, name, code)?;
        Ok(reply)
    }

    fn say(&mut self, text: &str, name: &str) -> Result<(), String> {
        let said = self.wire.write_all(text.as_bytes()).and_then(|()| self.wire.flush());
        said.map_err(|error| format!("the connection to the mail server failed at {name}: {}", describe(&error)))
    }

    fn reply(&mut self, to: &str) -> Result<Reply, String> {
        let mut buffer = [0; 1_024];
        loop {
            if let Some(reply) = self.replies.next()? {
                return Ok(reply);
            }
            let failed = |why: &str| format!("the mail server gave no reply to {to}: {why}");
            let len = loop {
                match self.wire.read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    other => break other.map_err(|error| failed(&describe(&error)))?,
                }
            };
            if len == 0 {
                return Err(failed("the connection was closed"));
            }
            self.replies.hear(&buffer[..len]);
        }
    }
}

fn expect(reply: &Reply, to: &str, code: u16) -> Result<(), String> {
    if reply.code == code {
        return Ok(());
    }
    let text = reply.text();
    let colon = if text.is_empty() { "" } else { ": " };
    Err(format!("the mail server answered {} to {to}{colon}{text}", reply.code))
}

/// A secret shorter than this is found in too much that is none.
const MASKED_LEN_MIN: usize = 4;

/// What came of a conversation without the password: a server may repeat it at any time, and then whoever reads of it would.
fn without_password(mailbox: &Mailbox, told: Result<Option<String>, String>) -> Result<Option<String>, String> {
    let Some(Login { username, password }) = &mailbox.login else { return told };
    let secrets = [
        STANDARD.encode(format!("\0{username}\0{}", password.expose())),
        STANDARD.encode(password.expose()),
        password.expose().to_owned(),
    ];
    let mask = |text: String| {
        let long = secrets.iter().filter(|secret| secret.len() >= MASKED_LEN_MIN);
        long.fold(text, |text, secret| text.replace(secret, "***"))
    };
    told.map(|note| note.map(mask)).map_err(mask)
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut => "there was no more time".to_owned(),
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "connection reset".to_owned(),
        ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        ErrorKind::InvalidData => format!("TLS: {error}"),
        _ => error.to_string(),
    }
}
