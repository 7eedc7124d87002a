//! Owns how a browser signs in and out, and how somebody learns who he is: the token that comes in a cookie.
//! It must not know which tokens count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body;
use super::call::{Call, TokenCall};
use super::errors::ApiError;
use super::json::ok;
use super::matching::Matched;
use super::tokens::TokenBody;
use crate::access::{Scope, Token, TokenText, Who};
use crate::http::{Credentials, Response, Status};
use crate::limits::SESSION_TIME;
use crate::time::WallUs;

/// What the cookie is called.
pub(super) const COOKIE: &str = "punctual_session";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object with token")]
pub(super) struct SignInAsked {
    /// A token.
    token: String,
}

/// A browser signs in.
pub(super) fn sign_in(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let SignInAsked { token } = body::read(matched.request, "a JSON object with token")?;
    Ok(Call::Token(TokenCall::SignIn(TokenText::read(&token))))
}

/// A browser signs out.
pub(super) fn sign_out(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Token(TokenCall::SignOut))
}

/// Somebody asks who he is.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Token(TokenCall::WhoAmI))
}

/// What somebody shows: a token, and whether it came as a cookie. A header counts before a cookie. None: nothing.
/// Some(None): what is no token.
pub fn shown(credentials: Option<&Credentials>) -> Option<(Option<TokenText>, bool)> {
    let credentials = credentials?;
    if let Some(text) = &credentials.authorization {
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        // Another scheme is meant for a proxy in front.
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some((TokenText::read(token.trim()), false));
        }
    }
    let cookies = credentials.cookie.as_deref()?.split(';').filter_map(|pair| pair.trim().split_once('='));
    let found = cookies.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value).find(|value| !value.is_empty())?;
    Some((TokenText::read(found), true))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Session")]
pub(super) struct SessionBody {
    /// What may be done; null: what needs no token.
    #[schemars(extend("enum" = ["read", "write", "admin", null]))]
    scope: Option<&'static str>,
    /// The token or the session; null without one.
    token: Option<TokenBody>,
}

/// Who somebody is.
pub fn who(who: Who, token: Option<&Token>, now: WallUs) -> Response {
    let body = SessionBody { scope: who.scope.map(Scope::name), token: token.map(|token| TokenBody::of(token, now)) };
    ok(&body).with_header("Cache-Control", "no-store")
}

/// A browser that signed in gets a cookie. `is_secure`: it came over TLS, and the cookie goes nowhere else.
pub fn signed_in(text: &TokenText, token: &Token, is_secure: bool, now: WallUs) -> Response {
    let known = Who { token: Some(token.id), principal: token.parent, scope: Some(token.scope), by_cookie: true };
    who(known, Some(token), now).with_header("Set-Cookie", cookie(text.expose(), SESSION_TIME.as_secs(), is_secure))
}

/// A browser that signed out forgets it.
pub fn signed_out(is_secure: bool) -> Response {
    Response::new(Status::NO_CONTENT, Vec::new()).with_header("Set-Cookie", cookie("", 0, is_secure))
}

/// No script reads it, and no page of another site has it sent (RFC 6265bis).
fn cookie(value: &str, seconds: u64, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_a_token_or_none() {
        let token = TokenText::new(Scope::Read, [7; 32]);
        let shown = |authorization: Option<&str>, cookie: Option<&str>| {
            let owned = |text: Option<&str>| text.map(|text| text.replace('T', token.expose()));
            shown(Some(&Credentials { authorization: owned(authorization), cookie: owned(cookie) }))
        };
        let good = Some(token.clone());
        for text in ["Bearer T", "bearer T", "BEARER  T"] {
            assert_eq!(shown(Some(text), None), Some((good.clone(), false)), "{text}");
        }
        for text in ["T", "Basic T", ""] {
            assert_eq!(shown(Some(text), Some("punctual_session=T")), Some((good.clone(), true)), "{text}");
            assert_eq!(shown(Some(text), None), None, "{text}");
        }
        for text in ["Bearer", "Bearer ", "Bearer TT", "Bearer x"] {
            assert_eq!(shown(Some(text), Some("punctual_session=T")), Some((None, false)), "{text}");
        }
        for text in ["punctual_session=T", "a=b; punctual_session=T; c", "punctual_session=; punctual_session=T"] {
            assert_eq!(shown(None, Some(text)), Some((good.clone(), true)), "{text}");
        }
        assert_eq!(shown(None, Some("punctual_session=x")), Some((None, true)));
        for text in ["a=T", "punctual_session", "", "xpunctual_session=T"] {
            assert_eq!(shown(None, Some(text)), None, "{text}");
        }
    }
}
