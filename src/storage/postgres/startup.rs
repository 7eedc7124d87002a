//! Owns the login: what is said until a server takes statements, and who is told a password how.
//! It must not say a password in clear where somebody else could hear it.

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use super::error::{Error, ServerError, tame};
use super::url::{Binding, Password, Url};
use super::wire::Wire;
use crate::time::MonoUs;

/// Who else could hear what is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Anybody in between.
    Clear,
    /// Nobody outside this machine.
    Local,
    /// Nobody; `end_point` is the hash of the server's certificate, if it is known.
    Encrypted {
        /// What a login can be bound to (`tls-server-end-point`).
        end_point: Option<Vec<u8>>,
    },
}

/// What a server says of itself at the login.
#[derive(Clone, Debug, Default)]
pub(super) struct Greeting {
    /// The number of its process, and what it takes to cancel.
    pub(super) pid: i32,
    pub(super) key: i32,
    pub(super) version: String,
    /// Whether it is a standby, if it says so.
    pub(super) is_standby: bool,
    /// Whether transactions are read-only unless they say otherwise.
    pub(super) is_read_only: bool,
}

impl Greeting {
    /// Takes in a parameter that the server told.
    pub(super) fn set(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"server_version" => self.version = tame(value),
            b"in_hot_standby" => self.is_standby = value == b"on",
            b"default_transaction_read_only" => self.is_read_only = value == b"on",
            _ => {}
        }
    }
}

/// How far a login is.
enum Login {
    Begun,
    /// The password was told, or a hash of it.
    Told,
    /// Both sides prove that they know it, bound to the connection or not.
    Proving(ScramSha256, bool),
    /// Both did.
    Proven(bool),
}

/// Logs in, until the server takes statements.
pub(super) fn log_in(
    wire: &mut Wire,
    url: &Url,
    password: Option<&Password>,
    privacy: &Privacy,
    until: MonoUs,
) -> Result<Greeting, Error> {
    let name = url.application_name.as_deref().unwrap_or("punctual");
    let mut parameters = vec![
        ("user", url.user.as_str()),
        ("database", url.database.as_str()),
        ("client_encoding", "UTF8"),
        ("application_name", name),
    ];
    parameters.extend(url.options.as_deref().map(|options| ("options", options)));
    frontend::startup_message(parameters, &mut wire.out).map_err(|why| Error::Url(why.to_string()))?;
    let mut login = Login::Begun;
    loop {
        // What is answered is said before anything else is heard: a server may speak before it is answered.
        wire.flush(until)?;
        match wire.next(until)? {
            Message::AuthenticationOk => break,
            Message::NoticeResponse(_) => {}
            Message::ErrorResponse(body) => return Err(refused(ServerError::read(body.fields()))),
            asked => login = answer(wire, login, asked, url, password, privacy)?,
        }
    }
    match login {
        Login::Proving(..) => return Err(Error::protocol("a login that ends before the server proved who it is")),
        Login::Begun | Login::Told | Login::Proven(false) if url.binding == Binding::Require => {
            return Err(Error::Unusable("the server let us in without channel binding, which is required".to_owned()));
        }
        Login::Begun | Login::Told | Login::Proven(_) => {}
    }
    wire.trust();
    greeted(wire, until)
}

/// What comes between the login and the first statement.
fn greeted(wire: &mut Wire, until: MonoUs) -> Result<Greeting, Error> {
    let mut greeting = Greeting::default();
    loop {
        match wire.next(until)? {
            Message::ReadyForQuery(_) => return Ok(greeting),
            Message::NoticeResponse(_) => {}
            Message::BackendKeyData(body) => (greeting.pid, greeting.key) = (body.process_id(), body.secret_key()),
            Message::ParameterStatus(body) => {
                if let (Ok(name), Ok(value)) = (body.name(), body.value()) {
                    greeting.set(name.as_bytes(), value.as_bytes());
                }
            }
            Message::ErrorResponse(body) => return Err(refused(ServerError::read(body.fields()))),
            _ => return Err(Error::protocol("a message that does not belong to a login")),
        }
    }
}

/// Answers what a server asks of who logs in.
fn answer(
    wire: &mut Wire,
    login: Login,
    asked: Message,
    url: &Url,
    password: Option<&Password>,
    privacy: &Privacy,
) -> Result<Login, Error> {
    let secret = || {
        let missing = || Error::Unusable(format!("the server wants a password of {:?}, and there is none", url.user));
        password.map(|password| password.0.as_bytes()).ok_or_else(missing)
    };
    let unbound = || match url.binding {
        Binding::Require => Err(Error::Unusable("the server offers no channel binding, which is required".to_owned())),
        Binding::Disable | Binding::Prefer => Ok(()),
    };
    let unsent = |why: std::io::Error| Error::Url(format!("password: {why}"));
    match (login, asked) {
        (Login::Begun, Message::AuthenticationCleartextPassword) => {
            unbound()?;
            if *privacy == Privacy::Clear {
                return Err(Error::Unusable(
                    "the server wants the password in clear, over an open connection".to_owned(),
                ));
            }
            frontend::password_message(secret()?, &mut wire.out).map_err(unsent)?;
            Ok(Login::Told)
        }
        (Login::Begun, Message::AuthenticationMd5Password(body)) => {
            unbound()?;
            let hash = md5_hash(url.user.as_bytes(), secret()?, body.salt());
            frontend::password_message(hash.as_bytes(), &mut wire.out).map_err(unsent)?;
            Ok(Login::Told)
        }
        (Login::Begun, Message::AuthenticationSasl(body)) => {
            let (mechanism, binding) = mechanism(&body, url.binding, privacy)?;
            let is_bound = mechanism == SCRAM_SHA_256_PLUS;
            let scram = ScramSha256::new(secret()?, binding);
            frontend::sasl_initial_response(mechanism, scram.message(), &mut wire.out).map_err(unsent)?;
            Ok(Login::Proving(scram, is_bound))
        }
        (Login::Proving(mut scram, is_bound), Message::AuthenticationSaslContinue(body)) => {
            scram.update(body.data()).map_err(|why| unproven(&why))?;
            frontend::sasl_response(scram.message(), &mut wire.out).map_err(unsent)?;
            Ok(Login::Proving(scram, is_bound))
        }
        (Login::Proving(mut scram, is_bound), Message::AuthenticationSaslFinal(body)) => {
            scram.finish(body.data()).map_err(|why| unproven(&why))?;
            Ok(Login::Proven(is_bound))
        }
        (
            Login::Begun,
            Message::AuthenticationGss
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationSspi
            | Message::AuthenticationScmCredential,
        ) => Err(Error::Unusable("the server wants a login other than by a password (scram-sha-256)".to_owned())),
        _ => Err(Error::protocol("a message that does not belong to a login")),
    }
}

/// The mechanism of those a server offers, and what it is bound to.
fn mechanism(
    offered: &AuthenticationSaslBody,
    wanted: Binding,
    privacy: &Privacy,
) -> Result<(&'static str, ChannelBinding), Error> {
    let (mut offers_plain, mut offers_plus) = (false, false);
    let mut mechanisms = offered.mechanisms();
    let malformed = |_| Error::protocol("a malformed list of mechanisms");
    while let Some(mechanism) = mechanisms.next().map_err(malformed)? {
        offers_plain |= mechanism == SCRAM_SHA_256;
        offers_plus |= mechanism == SCRAM_SHA_256_PLUS;
    }
    let end_point = match privacy {
        Privacy::Encrypted { end_point: Some(hash) } if wanted != Binding::Disable => Some(hash),
        Privacy::Encrypted { .. } | Privacy::Local | Privacy::Clear => None,
    };
    match (end_point, offers_plus, offers_plain) {
        (Some(hash), true, _) => Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash.clone()))),
        _ if wanted == Binding::Require => {
            let why = if offers_plus { "its certificate has no hash to bind to" } else { "the server offers none" };
            Err(Error::Unusable(format!("channel binding is required, and {why}")))
        }
        // A server that could do it hears that somebody took its offer out.
        (Some(_), false, true) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
        (None, _, true) => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
        (_, _, false) => {
            Err(Error::Unusable("the server offers no login that is known here (scram-sha-256)".to_owned()))
        }
    }
}

fn unproven(why: &std::io::Error) -> Error {
    Error::Unusable(format!("the login failed: {}", tame(why.to_string().as_bytes())))
}

/// Why a server does not let us in.
fn refused(error: ServerError) -> Error {
    // PgBouncer knows few parameters of a session, and says so.
    if error.message.contains("unsupported startup parameter") {
        return Error::Unusable(format!("{POOLER} ({})", error.message));
    }
    Error::Server(Box::new(error))
}

/// What is wrong with a pooler.
pub(super) const POOLER: &str = "a connection pooler stands before the database: statements of one session would go to \
                                 several; a direct connection is needed";
