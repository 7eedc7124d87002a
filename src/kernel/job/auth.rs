//! Owns how a job shows its target that it may ask: a user's name and password, or a token.
//! It must not send it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::headers::value_of;
use super::object::object;
use super::secret::SecretOf;
use super::shapes::{LineSecret, PrintableSecret, one_of};
use super::{FieldError, Secret, SecretDefinition};

/// How the target knows who asks: either a user's name and password, or a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object with basic or bearer")]
#[schemars(rename = "Auth", extend("allOf" = [one_of(&["basic", "bearer"])]))]
pub struct AuthDefinition {
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Option::is_none")]
    basic: Option<BasicDefinition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SecretOf<PrintableSecret>>")]
    bearer: Option<SecretDefinition>,
}

/// A user's name, as a pattern has it.
const USERNAME: &str = "^[^:\\x00-\\x1f\\x7f-\\x9f]*$";

/// A user's name and password (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object with username and password")]
#[schemars(rename = "BasicAuth")]
struct BasicDefinition {
    #[schemars(regex(pattern = USERNAME))]
    username: String,
    #[schemars(with = "SecretOf<LineSecret>")]
    password: SecretDefinition,
}

impl AuthDefinition {
    /// Its secret, and under which name.
    pub(super) fn secret_mut(&mut self) -> Option<(&'static str, &mut SecretDefinition)> {
        let AuthDefinition { basic, bearer } = self;
        let password = basic.as_mut().map(|basic| (PASSWORD, &mut basic.password));
        password.or(bearer.as_mut().map(|token| (TOKEN, token)))
    }
}

/// What it means, and the value of the header that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Auth {
    scheme: Scheme,
    pub(super) value: HeaderValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Basic(Box<str>, Secret),
    Bearer(Secret),
}

/// The names of the secrets, as errors and the store have them.
pub(super) const PASSWORD: &str = "auth.basic.password";
pub(super) const TOKEN: &str = "auth.bearer";

impl Auth {
    /// What a definition means; `secret` finds out which secret is meant under a name.
    pub(super) fn compile(
        definition: AuthDefinition,
        secret: impl FnOnce(&'static str, SecretDefinition) -> Result<Secret, FieldError>,
    ) -> Result<Auth, FieldError> {
        match definition {
            AuthDefinition { basic: Some(BasicDefinition { username, password }), bearer: None } => {
                if username.contains(':') || username.chars().any(char::is_control) {
                    let why = "expected a name without colons and control characters";
                    return Err(FieldError::new("auth.basic.username", why));
                }
                let password = secret(PASSWORD, password)?;
                if password.expose().chars().any(char::is_control) {
                    return Err(FieldError::new(PASSWORD, "expected no control characters"));
                }
                let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
                let value = sensitive(&format!("Basic {pair}")).expect("base64 is printable ASCII");
                Ok(Auth { scheme: Scheme::Basic(username.into(), password), value })
            }
            AuthDefinition { basic: None, bearer: Some(token) } => {
                let token = secret(TOKEN, token)?;
                Auth::bearer(token).ok_or_else(|| FieldError::new(TOKEN, "expected printable ASCII"))
            }
            AuthDefinition { basic: Some(_), bearer: Some(_) } | AuthDefinition { basic: None, bearer: None } => {
                Err(FieldError::new("auth", "expected either basic or bearer"))
            }
        }
    }

    /// With this token, if it is printable ASCII.
    pub(super) fn bearer(token: Secret) -> Option<Auth> {
        let value = sensitive(&format!("Bearer {}", token.expose()))?;
        Some(Auth { scheme: Scheme::Bearer(token), value })
    }

    /// The definition that means this.
    pub(super) fn define(&self) -> AuthDefinition {
        match &self.scheme {
            Scheme::Basic(username, _) => {
                let basic = BasicDefinition { username: username.to_string(), password: SecretDefinition::Set };
                AuthDefinition { basic: Some(basic), bearer: None }
            }
            Scheme::Bearer(_) => AuthDefinition { basic: None, bearer: Some(SecretDefinition::Set) },
        }
    }

    /// Its secret, and under which name.
    pub(super) fn secret(&self) -> (&'static str, &Secret) {
        match &self.scheme {
            Scheme::Basic(_, password) => (PASSWORD, password),
            Scheme::Bearer(token) => (TOKEN, token),
        }
    }
}

/// A header value that nobody prints.
pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = value_of(text)?;
    value.set_sensitive(true);
    Some(value)
}
