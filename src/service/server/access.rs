//! Owns who is let in: what somebody shows, the tokens that there are, and what is asked of them.
//! It must not know what a route needs: the API does.
//!
//! As long as no token was ever made, a server that only its own machine reaches lets everybody do everything. From the
//! first one on it asks for them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::audits::Asking;
use super::calls::{Calls, refuse};
use super::connection::Given;
use super::engine::Engine;
use crate::access::{Guesses, Scope, Token, TokenChange, TokenId, TokenText, Tokens, Who};
use crate::api::{self, ApiError, TokenCall};
use crate::core::{Refusal, RequestId};
use crate::http::{Request, Response, Status};
use crate::limits::{
    SESSION_TIME, SESSIONS_OF_TOKEN_MAX, TOKEN_CHANGES_PENDING_MAX, TOKEN_USED_EVERY, TOKENS_LOOK_AGAIN,
    TOKENS_LOOK_EVERY, TOKENS_MAX,
};
use crate::store::Query;
use crate::time::{MonoUs, Now, WallUs};

/// The request by which the loop itself asks for the tokens.
pub(super) const OWN_REQUEST: RequestId = RequestId(u64::MAX - 1);

/// Who is let in.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub(super) tokens: Tokens,
    /// The version that they have on the disk.
    version: u64,
    /// Whether only this machine reaches the server.
    is_local: bool,
    /// Whether whoever has no token may read.
    anonymous_read: bool,
    guesses: Guesses,
    /// Tokens that were shown and do not count.
    wrong_tokens: u64,
    /// When it is looked next whether they have changed.
    look_at: MonoUs,
    /// Whether a reader is looking, and what was changed from here since it was asked: what it finds may lack that.
    is_looking: bool,
    since_asked: Vec<TokenChange>,
    /// When it was last noted that each was used.
    used: BTreeMap<TokenId, WallUs>,
    /// What is answered to whom, once a change is on disk.
    waiting: BTreeMap<RequestId, Response>,
}

impl Access {
    pub(super) fn new(is_local: bool, anonymous_read: bool, (version, tokens): (u64, Vec<Token>)) -> Access {
        let mut access = Access { version, is_local, anonymous_read, ..Access::default() };
        access.tokens.replace(tokens);
        access
    }

    /// Whether a server may begin: not if others than this machine reach it and there is nobody that it could let in. Tokens
    /// that are over keep nobody's jobs from running: they let nobody in.
    pub(super) fn may_serve(&self) -> bool {
        self.may_serve_with(self.anonymous_read)
    }

    /// The same if whoever has no token might read, or not.
    pub(super) fn may_serve_with(&self, anonymous_read: bool) -> bool {
        self.is_local || anonymous_read || !self.tokens.is_empty()
    }

    /// Whether nobody can come in who is not on this machine, as all tokens are over.
    pub(super) fn is_shut(&self, now: WallUs) -> bool {
        !self.is_local && !self.anonymous_read && !self.tokens.has_live(now)
    }

    /// From now on whoever has no token may read, or not.
    pub(super) fn let_anonymous_read(&mut self, anonymous_read: bool) {
        self.anonymous_read = anonymous_read;
    }

    /// Whether nobody is asked for a token.
    pub(super) fn is_open(&self) -> bool {
        self.is_local && self.version == 0 && self.tokens.is_empty()
    }

    /// Who asks. An error: what was shown in a header is no token that counts. A cookie that does not count is as good
    /// as none: whoever comes with an old one wants to sign in.
    pub(super) fn admit(&mut self, client: IpAddr, asked: &Request, now: Now) -> Result<Who, Stranger> {
        if self.is_open() {
            return Ok(Who::without_token(Some(Scope::Admin)));
        }
        let nobody = Who::without_token(self.anonymous_read.then_some(Scope::Read));
        let Some((shown, by_cookie)) = api::shown(asked.headers.credentials.as_deref()) else { return Ok(nobody) };
        match shown.and_then(|token| self.tokens.who(&token.digest(), by_cookie, now.wall)) {
            Some(who) => Ok(who),
            None if by_cookie => Ok(nobody),
            None => Err(self.guessed(client, now)),
        }
    }

    /// What the token is called by which somebody is called to account.
    pub(super) fn name_of(&self, who: Who) -> Option<Box<str>> {
        self.tokens.get(who.principal?).map(|token| token.name.as_str().into())
    }

    /// Whether somebody may still read who could when he came: a stream of events has no end of its own.
    pub(super) fn still_may(&self, who: Who, now: WallUs) -> bool {
        match who.token {
            Some(id) => self.tokens.counts(id, now),
            None => self.is_open() || self.anonymous_read,
        }
    }

    /// Somebody showed what is no token that counts.
    fn guessed(&mut self, client: IpAddr, now: Now) -> Stranger {
        self.wrong_tokens += 1;
        if self.guesses.note(client, now.mono) {
            let wait = Guesses::wait().as_secs();
            let message = format!("too many tokens that do not count; try again in {wait} s, with one that does");
            return Stranger { error: ApiError::too_many(message), is_told: false };
        }
        let message = "the token does not count: it is unknown, revoked, or over";
        Stranger { error: ApiError::unauthorized(message), is_told: true }
    }

    /// How many tokens were shown that do not count.
    pub(super) fn wrong_tokens(&self) -> u64 {
        self.wrong_tokens
    }

    /// Whether an address has been wrong too often, this time included.
    pub(super) fn is_too_often(&mut self, client: IpAddr, now: Now) -> bool {
        self.guesses.note(client, now.mono)
    }

    /// Notes that a token is used, now and again.
    pub(super) fn note_use(&mut self, engine: &mut Engine, who: Who, now: Now) {
        let Some(id) = who.token else { return };
        let noted = self.used.get(&id).copied();
        let every_us = i64::try_from(TOKEN_USED_EVERY.as_micros()).unwrap_or(i64::MAX);
        if noted.is_none_or(|noted| now.wall.since_us(noted) >= every_us || noted > now.wall) {
            self.used.insert(id, now.wall);
            engine.change_token(None, TokenChange::Use(id, now.wall), now.mono);
        }
    }

    /// When it is to be looked next whether tokens have changed on the disk.
    pub(super) fn deadline(&self) -> MonoUs {
        self.look_at
    }
}

/// Somebody who is not let in.
#[derive(Debug)]
pub(super) struct Stranger {
    pub(super) error: ApiError,
    /// Whether that is written down: not if there are too many.
    pub(super) is_told: bool,
}

impl Calls {
    /// Asks a reader whether tokens have changed, if it is time to.
    pub(super) fn look_at_tokens(&mut self, mono: MonoUs) {
        if mono < self.access.look_at {
            return;
        }
        self.access.look_at = mono.plus(TOKENS_LOOK_EVERY);
        if self.access.is_looking {
            return;
        }
        match self.readers.ask(OWN_REQUEST, Query::Tokens { known: self.access.version }) {
            Ok(()) => (self.access.is_looking, self.access.since_asked) = (true, Vec::new()),
            // Too much is asked already.
            Err(_) => self.access.look_at = mono.plus(TOKENS_LOOK_AGAIN),
        }
    }

    /// The look is over, whatever came of it.
    pub(super) fn tokens_looked_at(&mut self) {
        self.access.is_looking = false;
    }

    /// The tokens as they are on the disk, if they have changed.
    pub(super) fn tokens_found(&mut self, found: Option<(u64, Vec<Token>)>) {
        let Some((version, tokens)) = found.filter(|(version, _)| *version >= self.access.version) else { return };
        tracing::debug!(count = tokens.len(), "tokens have changed");
        self.access.version = version;
        self.access.tokens.replace(tokens);
        // What was written meanwhile may be in it already, and is then as it was.
        std::mem::take(&mut self.access.since_asked).into_iter().for_each(|change| self.access.tokens.apply(change));
        let known = &self.access.tokens;
        self.access.used.retain(|id, _| known.get(*id).is_some());
    }

    /// What becomes of whoever waited for tokens to be written.
    pub(super) fn tokens_written(&mut self, engine: &mut Engine) -> Vec<(RequestId, Given)> {
        let mut answers = Vec::new();
        for (request, change) in engine.take_written_tokens() {
            if self.access.is_looking {
                self.access.since_asked.push(change.clone());
            }
            self.access.tokens.apply(change);
            let answer = request.and_then(|request| Some((request, self.access.waiting.remove(&request)?)));
            answers.extend(answer.map(|(request, response)| (request, Given::Answer(self.cors.mark(response)))));
        }
        answers
    }

    /// Nobody hears any more what became of a change of a token.
    pub(super) fn token_unheard(&mut self, request: RequestId) -> Given {
        self.access.waiting.remove(&request);
        Given::Answer(self.cors.mark(ApiError::from(Refusal::Unknown).response()))
    }

    /// Carries out what is asked of tokens.
    pub(super) fn about_tokens(
        &mut self,
        engine: &mut Engine,
        now: Now,
        request: RequestId,
        asking: &Asking,
        call: TokenCall,
    ) -> Given {
        let who = asking.who;
        let mut asking = asking.clone();
        let (change, response) = match call {
            TokenCall::List => return Given::Answer(api::tokens(&self.access.tokens.in_order(), now.wall)),
            TokenCall::WhoAmI => {
                let token = who.token.and_then(|id| self.access.tokens.get(id));
                return Given::Answer(api::who(who, token, now.wall));
            }
            TokenCall::Create { name, scope, expires_at } => {
                if self.access.tokens.live(now.wall).0 >= TOKENS_MAX {
                    return refuse(&too_many("tokens"));
                }
                let Ok((text, token)) = made(name, scope, None, expires_at, now.wall) else {
                    return refuse(&ApiError::no_randomness());
                };
                let response = api::token_created(&text, &token, now.wall);
                (TokenChange::Create(Box::new(token)), response)
            }
            TokenCall::Revoke(id) => match self.access.tokens.get(id) {
                None => return refuse(&api::no_such_token()),
                Some(_) => (TokenChange::Revoke(id, now.wall), Response::new(Status::NO_CONTENT, Vec::new())),
            },
            TokenCall::SignIn(shown) => {
                let digest = shown.map(|token| token.digest());
                let Some(parent) = digest.and_then(|digest| self.access.tokens.find(&digest, now.wall)) else {
                    let stranger = self.access.guessed(asking.client, now);
                    self.note_stranger(engine, &asking, &stranger, now);
                    return refuse(&stranger.error);
                };
                if parent.parent.is_some() {
                    return refuse(&ApiError::unauthorized("a session does not begin with another one"));
                }
                // Who signs in again and again ends his own sessions, and nobody else's.
                if let Some(oldest) = self.access.tokens.oldest_session(parent.id, SESSIONS_OF_TOKEN_MAX, now.wall) {
                    engine.change_token(None, TokenChange::Revoke(oldest, now.wall), now.mono);
                }
                if self.access.tokens.live(now.wall).1 >= TOKENS_MAX {
                    return refuse(&too_many("sessions"));
                }
                let over = now.wall.plus_us(i64::try_from(SESSION_TIME.as_micros()).unwrap_or(i64::MAX));
                let over = parent.expires_at.map_or(over, |at| at.min(over));
                let Ok((text, session)) =
                    made(parent.name.clone(), parent.scope, Some(parent.id), Some(over), now.wall)
                else {
                    return refuse(&ApiError::no_randomness());
                };
                let response = api::signed_in(&text, &session, asking.is_secure, now.wall);
                asking.who.principal = Some(parent.id);
                (TokenChange::Create(Box::new(session)), response)
            }
            TokenCall::SignOut => {
                let response = api::signed_out(asking.is_secure);
                match who.token.filter(|_| who.by_cookie) {
                    None => return Given::Answer(response),
                    Some(id) => (TokenChange::Revoke(id, now.wall), response),
                }
            }
        };
        if engine.is_draining() || engine.is_failing() || self.access.waiting.len() >= TOKEN_CHANGES_PENDING_MAX {
            return refuse(&ApiError::unavailable("the store takes no changes now; nothing has changed"));
        }
        let subject = match &change {
            TokenChange::Create(token) => token.id,
            TokenChange::Revoke(id, _) | TokenChange::Use(id, _) => *id,
        };
        engine.write_down(None, asking.row(Some(subject.to_string().into()), response.status, now.wall), now.mono);
        engine.change_token(Some(request), change, now.mono);
        self.access.waiting.insert(request, response);
        Given::Later
    }
}

/// A new token, for whoever makes one without a server.
///
/// # Errors
/// When the system gives no random numbers.
pub fn new_token(
    name: String,
    scope: Scope,
    expires_at: Option<WallUs>,
    now: WallUs,
) -> Result<(TokenText, Token), getrandom::Error> {
    made(name, scope, None, expires_at, now)
}

/// A new token, or a session.
pub(super) fn made(
    name: String,
    scope: Scope,
    parent: Option<TokenId>,
    expires_at: Option<WallUs>,
    now: WallUs,
) -> Result<(TokenText, Token), getrandom::Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let text = if parent.is_some() { TokenText::of_session(random) } else { TokenText::new(scope, random) };
    let (id, digest) = (TokenId::new(getrandom::u64()?), text.digest());
    let (last_used_at, revoked_at) = (None, None);
    let token = Token { id, digest, scope, name, parent, created_at: now, expires_at, last_used_at, revoked_at };
    Ok((text, token))
}

fn too_many(what: &str) -> ApiError {
    ApiError::new(Status::CONFLICT, format!("there are {TOKENS_MAX} {what} already; revoke some"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_closes_the_door_for_good() {
        let open = |is_local: bool, version: u64| Access::new(is_local, false, (version, Vec::new())).is_open();
        assert!(open(true, 0) && !open(false, 0));
        assert!(!open(true, 1), "there was one");
        assert!(Access::new(true, false, (1, Vec::new())).may_serve());
        assert!(!Access::new(false, false, (1, Vec::new())).may_serve());
        assert!(Access::new(false, true, (0, Vec::new())).may_serve());
    }
}
