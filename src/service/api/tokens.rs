//! Owns the tokens of the API: how one is asked for, and how they look. The text of a token is shown once, to whoever
//! has it made.
//! It must not know which count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body;
use super::call::{Call, TokenCall};
use super::errors::ApiError;
use super::json::{Moment, json, ok};
use super::matching::Matched;
use crate::access::{Scope, Token, TokenId, TokenText};
use crate::http::{Response, Status};
use crate::job::{Label, Second, instant};
use crate::limits::TOKEN_NAME_LEN_MAX;
use crate::time::WallUs;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a JSON object with name and scope")]
pub(super) struct TokenAsked {
    /// What people call it.
    #[schemars(with = "Label")]
    name: String,
    /// What it lets somebody do: `read`; `write`, which contains it; or `admin`, which contains both.
    #[schemars(extend("enum" = Scope::NAMES))]
    scope: String,
    /// The second from which on it does not count. Left out: it counts until it is revoked.
    #[serde(default)]
    #[schemars(with = "Option<Second>")]
    expires_at: Option<String>,
}

/// A new token.
pub(super) fn create(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let TokenAsked { name, scope, expires_at } = body::read(matched.request, "a JSON object with name and scope")?;
    check_name(&name).map_err(|why| ApiError::member("name", why))?;
    let expected = || ApiError::member("scope", format!("expected one of {}", Scope::NAMES.join(", ")));
    let scope = Scope::from_name(&scope).ok_or_else(expected)?;
    let expires_at = expires_at.map(|text| instant("expiresAt", &text)).transpose()?.map(WallUs::of);
    if expires_at.is_some_and(|at| at <= matched.context.now) {
        return Err(ApiError::member("expiresAt", "expected a time in the future"));
    }
    Ok(Call::Token(TokenCall::Create { name, scope, expires_at }))
}

/// What the name of a token may be.
///
/// # Errors
/// Says what was expected.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_line = !name.trim().is_empty() && !name.chars().any(char::is_control) && name.trim() == name;
    if is_line && name.chars().count() <= TOKEN_NAME_LEN_MAX {
        return Ok(());
    }
    Err(format!("expected 1 to {TOKEN_NAME_LEN_MAX} characters in one line"))
}

/// All tokens.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Token(TokenCall::List))
}

/// A token's end.
pub(super) fn revoke(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let id = matched.text().parse().map_err(|()| no_such_token())?;
    Ok(Call::Token(TokenCall::Revoke(id)))
}

/// 404 for a token.
pub fn no_such_token() -> ApiError {
    ApiError::new(Status::NOT_FOUND, "Token not found")
}

/// A token, without what is secret of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Token")]
pub(super) struct TokenBody {
    token_id: String,
    name: String,
    #[schemars(extend("enum" = Scope::NAMES))]
    scope: &'static str,
    #[schemars(extend("enum" = ["token", "session"]))]
    kind: &'static str,
    /// Of a session of a browser: the token that it began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    /// Whether it counts now, as far as it alone can tell.
    active: bool,
    #[schemars(with = "Moment")]
    created_at: String,
    #[schemars(with = "Option<Moment>")]
    expires_at: Option<String>,
    /// Give or take a minute.
    #[schemars(with = "Option<Moment>")]
    last_used_at: Option<String>,
    #[schemars(with = "Option<Moment>")]
    revoked_at: Option<String>,
}

impl TokenBody {
    /// How a token looks.
    pub(super) fn of(token: &Token, now: WallUs) -> TokenBody {
        let time = |at: Option<WallUs>| at.map(|at| at.to_string());
        TokenBody {
            token_id: token.id.to_string(),
            name: token.name.clone(),
            scope: token.scope.name(),
            kind: if token.parent.is_some() { "session" } else { "token" },
            parent_id: token.parent.map(|parent: TokenId| parent.to_string()),
            active: token.is_live(now),
            created_at: token.created_at.to_string(),
            expires_at: time(token.expires_at),
            last_used_at: time(token.last_used_at),
            revoked_at: time(token.revoked_at),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tokens")]
pub(super) struct TokensBody {
    tokens: Vec<TokenBody>,
}

/// All tokens, in the order in which they were made.
pub fn tokens(tokens: &[&Token], now: WallUs) -> Response {
    ok(&TokensBody { tokens: tokens.iter().map(|token| TokenBody::of(token, now)).collect() })
}

/// The same as JSON text, for the command line.
pub fn tokens_text(tokens: &[&Token], now: WallUs) -> String {
    text_of(&TokensBody { tokens: tokens.iter().map(|token| TokenBody::of(token, now)).collect() })
}

/// A token as JSON text, for the command line; with its text if it was just made.
pub fn token_text(token: &Token, text: Option<&TokenText>, now: WallUs) -> String {
    let about = TokenBody::of(token, now);
    match text {
        Some(text) => text_of(&CreatedBody { token: text.expose(), about }),
        None => text_of(&about),
    }
}

fn text_of(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("it has string keys only")
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CreatedToken")]
pub(super) struct CreatedBody<'a> {
    /// The token itself. It is shown now, and never again.
    token: &'a str,
    #[serde(flatten)]
    about: TokenBody,
}

/// A token that was made.
pub fn token_created(text: &TokenText, token: &Token, now: WallUs) -> Response {
    let place = format!("/api/tokens/{}", token.id);
    let body = CreatedBody { token: text.expose(), about: TokenBody::of(token, now) };
    // What holds a secret is nobody's to keep.
    json(Status::CREATED, &body).with_header("Location", place).with_header("Cache-Control", "no-store")
}
