//! Owns what a channel is over which alerts are told: read, checked, and made compact.
//! It must not send anything, or know what is told.
//!
//! `definition` is what clients write, this file what it means; a `mailbox` is what is special about e-mail, and
//! `encoded` how titles and subjects stand in headers.

mod definition;
mod encoded;
mod mailbox;

use std::fmt;
use std::sync::Arc;

use crate::job::{FieldError, Given, Post, Secret, SecretDefinition, Signing, TargetUrl, UNSEALABLE, choose_secret};

pub use definition::ChannelDefinition;
pub use encoded::encoded;
pub use mailbox::{Login, MailAddress, MailServer, Mailbox, Privacy};

/// A channel.
#[derive(Clone, PartialEq, Eq)]
pub struct Channel {
    way: Way,
    /// The token of ntfy; the other secrets are part of the way.
    token: Option<Secret>,
}

/// How a channel gets what it is to tell to somebody, and in which form.
#[derive(Clone, PartialEq, Eq)]
pub enum Way {
    /// As JSON to a URL. The POST has no body yet; so of the next two.
    Webhook(Post),
    /// As text in the form of Slack's incoming webhooks, which Mattermost, Rocket.Chat and others understand.
    Slack(Post),
    /// To a topic of ntfy.
    Ntfy(Post),
    /// As a letter.
    Email(Arc<Mailbox>),
}

const SIGNING: &str = "signingSecret";
const TOKEN: &str = "token";
const PASSWORD: &str = "password";

impl Channel {
    /// What a definition means. Secrets that are left out, or said to be set, are those of the channel as it was, unless
    /// it was of another kind or at another server: no secret follows to another one. `seals`: whether secrets can be
    /// kept.
    ///
    /// # Errors
    /// Names the member that is wrong, and what was expected.
    pub fn compile(
        definition: &ChannelDefinition,
        before: Option<&Channel>,
        seals: bool,
    ) -> Result<Channel, FieldError> {
        let ChannelDefinition { kind, url, signing_secret, token, username, password, from, to } = definition;
        let secrets = [(SIGNING, signing_secret), (TOKEN, token), (PASSWORD, password)];
        if let (false, Some((member, _))) = (seals, secrets.iter().find(|(_, given)| given.value().is_some())) {
            return Err(FieldError::new(member, UNSEALABLE));
        }
        let own: &[&str] = match kind.as_str() {
            "webhook" => &[SIGNING],
            "slack" => &[],
            "ntfy" => &[TOKEN],
            "email" => &["username", PASSWORD, "from", "to"],
            other => {
                return Err(FieldError::unknown_name("kind", "one of webhook, slack, ntfy, email", other));
            }
        };
        let given = [("username", username.is_some()), ("from", from.is_some()), ("to", to.is_some())];
        let given = given.into_iter().chain(secrets.map(|(member, secret)| (member, secret.value().is_some())));
        if let Some((member, _)) = given.into_iter().find(|(member, is_given)| *is_given && !own.contains(member)) {
            return Err(FieldError::new(member, format_args!("expected none with the kind {kind}")));
        }
        if kind == "email" {
            return Channel::compile_email(definition, before);
        }
        let url = TargetUrl::parse(url).map_err(|why| FieldError::new("url", why))?;
        if kind == "ntfy" && url.path().split('?').next() == Some("/") {
            return Err(FieldError::new("url", "expected the URL of a topic, such as https://ntfy.sh/my-topic"));
        }
        let known = Known::of(before, kind, &url.target().to_string());
        let (post, mut kept) = (Post::to(url), None);
        let way = match kind.as_str() {
            "webhook" => match known.choose(SIGNING, signing_secret)? {
                Some(secret) => Way::Webhook(post.with_signing(Signing::compile(secret)?)),
                None => Way::Webhook(post),
            },
            "slack" => Way::Slack(post),
            _ => match known.choose(TOKEN, token)? {
                Some(secret) => {
                    let post = post.with_bearer(&secret);
                    kept = Some(secret);
                    Way::Ntfy(post.ok_or_else(|| FieldError::new(TOKEN, "expected printable ASCII"))?)
                }
                None => Way::Ntfy(post),
            },
        };
        Ok(Channel { way, token: kept })
    }

    fn compile_email(definition: &ChannelDefinition, before: Option<&Channel>) -> Result<Channel, FieldError> {
        let server = MailServer::parse(&definition.url)?;
        let known = Known::of(before, "email", &server.to_string());
        let login = match definition.username.as_deref().map(mailbox::username).transpose()? {
            Some(username) => {
                let password = known.choose(PASSWORD, &definition.password)?;
                let why = "expected the password of the user that username names";
                let password = password.ok_or_else(|| FieldError::new(PASSWORD, why))?;
                if password.expose().chars().any(char::is_control) {
                    return Err(FieldError::new(PASSWORD, "expected no control characters"));
                }
                Some(Login { username, password })
            }
            None if definition.password.value().is_some() => {
                return Err(FieldError::new("username", "expected the user whose password is given"));
            }
            None => None,
        };
        let from = definition.from.as_deref().ok_or_else(|| {
            FieldError::new("from", "expected the address that letters are from, such as punctual@example.com")
        })?;
        let from = MailAddress::parse("from", from)?;
        let to = mailbox::recipients(definition.to.as_deref())?;
        Ok(Channel { way: Way::Email(Arc::new(Mailbox { server, login, from, to })), token: None })
    }

    /// What a definition from the store means, with the secrets that [`Channel::secrets`] named.
    ///
    /// # Errors
    /// Names the member that is wrong, or whose secret is not there.
    pub fn restore(definition: &ChannelDefinition, secrets: Vec<(String, String)>) -> Result<Channel, FieldError> {
        let mut definition = definition.clone();
        let ChannelDefinition { signing_secret, token, password, .. } = &mut definition;
        for (name, given) in [(SIGNING, signing_secret), (TOKEN, token), (PASSWORD, password)] {
            if let Given::Value(SecretDefinition::Set) = given {
                let found = secrets.iter().find(|(known, _)| known == name);
                let why = || FieldError::new(name, "expected the secret itself, which is not in the store");
                let (_, text) = found.ok_or_else(why)?;
                *given = Given::Value(SecretDefinition::New(Secret::new(text.as_str())));
            }
        }
        Channel::compile(&definition, None, true)
    }

    /// The definition that means this; its secrets are only said to be set.
    pub fn define(&self) -> ChannelDefinition {
        let set = |name| self.secret(name).map(|_| SecretDefinition::Set).into();
        let mut definition = ChannelDefinition {
            kind: self.kind().to_owned(),
            signing_secret: set(SIGNING),
            token: set(TOKEN),
            password: set(PASSWORD),
            ..ChannelDefinition::default()
        };
        match &self.way {
            Way::Webhook(post) | Way::Slack(post) | Way::Ntfy(post) => definition.url = post.url.to_string(),
            Way::Email(mailbox) => {
                definition.url = mailbox.server.to_string();
                definition.username = mailbox.login.as_ref().map(|login| login.username.to_string());
                definition.from = Some(mailbox.from.to_string());
                definition.to = Some(mailbox.to.iter().map(MailAddress::to_string).collect());
            }
        }
        definition
    }

    /// Each secret in clear, with the name of its member, for whoever seals it.
    pub fn secrets(&self) -> Vec<(&'static str, &str)> {
        let named = [SIGNING, TOKEN, PASSWORD].map(|name| (name, self.secret(name)));
        named.into_iter().filter_map(|(name, secret)| Some((name, secret?.expose()))).collect()
    }

    fn secret(&self, name: &str) -> Option<&Secret> {
        match &self.way {
            Way::Webhook(post) if name == SIGNING => post.signing().map(Signing::secret),
            Way::Ntfy(_) if name == TOKEN => self.token.as_ref(),
            Way::Email(mailbox) if name == PASSWORD => mailbox.login.as_ref().map(|login| &login.password),
            Way::Webhook(_) | Way::Slack(_) | Way::Ntfy(_) | Way::Email(_) => None,
        }
    }

    /// How it tells.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// The name of its kind, as clients write it.
    pub fn kind(&self) -> &'static str {
        match &self.way {
            Way::Webhook(_) => "webhook",
            Way::Slack(_) => "slack",
            Way::Ntfy(_) => "ntfy",
            Way::Email(_) => "email",
        }
    }

    /// Whether it needs a thread of its own while it tells something.
    pub fn is_mail(&self) -> bool {
        matches!(self.way, Way::Email(_))
    }

    /// Scheme, host and port of where it leads: what everybody may see of its URL.
    pub fn target(&self) -> String {
        match &self.way {
            Way::Webhook(post) | Way::Slack(post) | Way::Ntfy(post) => post.url.target().to_string(),
            Way::Email(mailbox) => mailbox.server.to_string(),
        }
    }
}

impl fmt::Debug for Channel {
    /// Without the path of its URL: who knows that of an incoming webhook may write there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("kind", &self.kind()).field("target", &self.target()).finish_non_exhaustive()
    }
}

/// The secrets that may be kept.
struct Known<'a> {
    channel: Option<&'a Channel>,
    /// What is said of one that is not there.
    why: &'static str,
}

impl<'a> Known<'a> {
    fn of(before: Option<&'a Channel>, kind: &str, target: &str) -> Known<'a> {
        let is_same = |channel: &&Channel| channel.kind() == kind && channel.target() == target;
        let has_moved = before.is_some_and(|channel| !is_same(&channel) && !channel.secrets().is_empty());
        let why = if has_moved { "as the kind or the host changed" } else { "as none is set" };
        Known { channel: before.filter(is_same), why }
    }

    /// The secret that is meant; None: there is to be none.
    fn choose(&self, name: &'static str, given: &Given<SecretDefinition>) -> Result<Option<Secret>, FieldError> {
        let known = self.channel.and_then(|channel| channel.secret(name));
        match given {
            Given::LeftOut => Ok(known.cloned()),
            Given::Null => Ok(None),
            Given::Value(definition) => choose_secret(name, definition.clone(), known, self.why).map(Some),
        }
    }
}

#[cfg(test)]
mod tests;
