//! Owns what a channel is over which alerts are told: read, checked, and made compact.
//! It must not send anything, or know what is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{FieldError, Given, Secret, SecretDefinition};

/// A channel as clients write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object with kind and url")]
#[schemars(rename = "ChannelDefinition")]
pub struct ChannelDefinition {
    /// `webhook`, `slack`, `ntfy` or `email`.
    pub kind: String,
    /// Where to: a webhook's URL, Slack's or its likes' incoming webhook, the URL of an ntfy topic, or of a mail server
    /// (`smtp://` with STARTTLS, `smtps://`).
    pub url: String,
    /// What a webhook is signed with (Standard Webhooks). Left out: as it is.
    #[serde(default, skip_serializing_if = "Given::is_left_out")]
    pub signing_secret: Given<SecretDefinition>,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    definition: ChannelDefinition,
}

impl Channel {
    /// What a definition means. Secrets that are left out, or said to be set, are those of the channel as it was.
    ///
    /// # Errors
    /// Names the member that is wrong, and what was expected.
    pub fn compile(
        definition: &ChannelDefinition,
        _before: Option<&Channel>,
        _seals: bool,
    ) -> Result<Channel, FieldError> {
        Ok(Channel { definition: definition.clone() })
    }

    /// Whether it is e-mail, which takes a thread.
    pub fn is_mail(&self) -> bool {
        self.definition.kind == "email"
    }

    /// The definition that means this; its secrets are only said to be set.
    pub fn define(&self) -> ChannelDefinition {
        let signing_secret = self.definition.signing_secret.value().map(|_| SecretDefinition::Set).into();
        ChannelDefinition { signing_secret, ..self.definition.clone() }
    }

    /// The secrets in clear, by the members that they stand in.
    pub fn secrets(&self) -> Vec<(&'static str, &str)> {
        match self.definition.signing_secret.value() {
            Some(SecretDefinition::New(secret)) => vec![(SIGNING_SECRET, secret.expose())],
            Some(SecretDefinition::Set) | None => Vec::new(),
        }
    }

    /// The channel that was defined like this and had these secrets.
    ///
    /// # Errors
    /// When a secret is missing, or something else is wrong with it.
    pub fn restore(definition: &ChannelDefinition, secrets: Vec<(String, String)>) -> Result<Channel, FieldError> {
        let mut definition = definition.clone();
        if definition.signing_secret.value().is_some() {
            let secret = secrets.into_iter().find(|(name, _)| name == SIGNING_SECRET).map(|(_, secret)| secret);
            let secret = secret.ok_or_else(|| FieldError::new(SIGNING_SECRET, "it is set, and is not there"))?;
            definition.signing_secret = Given::Value(SecretDefinition::New(Secret::new(secret)));
        }
        Channel::compile(&definition, None)
    }
}

const SIGNING_SECRET: &str = "signingSecret";
