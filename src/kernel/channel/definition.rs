//! Owns the members of a channel as clients write them.
//! It must not know what they mean together.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{Given, SecretDefinition};
use crate::limits::{MAIL_ADDRESSES_MAX, URL_LEN_MAX};

/// A channel as clients write it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object with kind and url")]
#[schemars(rename = "ChannelDefinition")]
pub struct ChannelDefinition {
    /// `webhook`, `slack`, `ntfy` or `email`.
    #[schemars(with = "KindName")]
    pub kind: String,
    /// Where to: a webhook's URL; the incoming webhook of Slack, or of what understands the same; the URL of an ntfy topic;
    /// or a mail server, as `smtp://HOST:587`, which has to encrypt by STARTTLS unless it is on this machine, or as
    /// `smtps://HOST:465`.
    #[schemars(length(max = URL_LEN_MAX))]
    pub url: String,
    /// `webhook`: what its requests are signed with (Standard Webhooks). Left out: as it is. Null: nothing.
    #[serde(default, skip_serializing_if = "Given::is_left_out")]
    pub signing_secret: Given<SecretDefinition>,
    /// `ntfy`: the access token. Left out: as it is. Null: none.
    #[serde(default, skip_serializing_if = "Given::is_left_out")]
    pub token: Given<SecretDefinition>,
    /// `email`: who the mail server is told that this is. Left out: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `email`: the password of `username`. Left out: as it is.
    #[serde(default, skip_serializing_if = "Given::is_left_out")]
    pub password: Given<SecretDefinition>,
    /// `email`: the address that letters are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `email`: the addresses that they go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAIL_ADDRESSES_MAX))]
    pub to: Option<Vec<String>>,
}

/// The kinds, for the description.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
#[allow(dead_code, reason = "only its names are of use")]
enum KindName {
    Webhook,
    Slack,
    Ntfy,
    Email,
}

impl fmt::Debug for ChannelDefinition {
    /// Without the URL: who knows that of an incoming webhook may write there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChannelDefinition { kind, url: _, signing_secret, token, username, password, from, to } = self;
        f.debug_struct("ChannelDefinition")
            .field("kind", kind)
            .field("signing_secret", signing_secret)
            .field("token", token)
            .field("username", username)
            .field("password", password)
            .field("from", from)
            .field("to", to)
            .finish_non_exhaustive()
    }
}
