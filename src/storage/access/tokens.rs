//! Owns the tokens that there are: which of them count now, and what changes them.
//! It must not keep the text of one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;

use super::token::Digest;
use super::{Scope, Who};
use crate::time::WallUs;

/// How many bits the id of a token has: few enough for a number that is shown, too many for two to be drawn alike.
const ID_BITS: u32 = 48;

/// Which token. It is no secret, and tells nothing of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(u64);

impl TokenId {
    /// A new one out of randomness.
    pub fn new(random: u64) -> TokenId {
        TokenId(random >> (64 - ID_BITS))
    }

    /// The one that is kept as this number; None: there is no such.
    pub fn from_number(number: i64) -> Option<TokenId> {
        u64::try_from(number).ok().filter(|number| number >> ID_BITS == 0).map(TokenId)
    }

    /// The number that it is kept as.
    pub fn number(self) -> i64 {
        i64::try_from(self.0).expect("it has 48 bits")
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

impl FromStr for TokenId {
    type Err = ();

    fn from_str(text: &str) -> Result<TokenId, ()> {
        let is_id = text.len() == 12 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_id {
            return Err(());
        }
        u64::from_str_radix(text, 16).map(TokenId).map_err(|_| ())
    }
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which.
    pub id: TokenId,
    /// Its SHA-256.
    pub digest: Digest,
    /// What it lets somebody do.
    pub scope: Scope,
    /// What people call it.
    pub name: String,
    /// For a session of a browser: the token that it began with.
    pub parent: Option<TokenId>,
    /// When it was made.
    pub created_at: WallUs,
    /// From when on it does not count; None: for ever.
    pub expires_at: Option<WallUs>,
    /// When it was last used, give or take a minute.
    pub last_used_at: Option<WallUs>,
    /// Since when it is revoked.
    pub revoked_at: Option<WallUs>,
}

impl Token {
    /// Whether it counts, as far as it alone can tell.
    pub fn is_live(&self, now: WallUs) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// What becomes of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenChange {
    /// It is made.
    Create(Box<Token>),
    /// It is revoked, and the sessions that began with it.
    Revoke(TokenId, WallUs),
    /// It was used.
    Use(TokenId, WallUs),
}

/// The tokens that there are.
#[derive(Debug, Default)]
pub struct Tokens {
    all: BTreeMap<TokenId, Token>,
    /// The beginning of a digest, and whose it is: what is looked up tells nothing of the rest, and that is compared in
    /// a time that tells nothing either.
    places: BTreeMap<[u8; 8], TokenId>,
}

impl Tokens {
    /// These, and no others.
    pub fn replace(&mut self, tokens: Vec<Token>) {
        (self.all, self.places) = (BTreeMap::new(), BTreeMap::new());
        tokens.into_iter().for_each(|token| self.insert(token));
    }

    fn insert(&mut self, token: Token) {
        self.places.insert(place_of(&token.digest), token.id);
        self.all.insert(token.id, token);
    }

    /// A change is on disk.
    pub fn apply(&mut self, change: TokenChange) {
        match change {
            TokenChange::Create(token) => self.insert(*token),
            TokenChange::Revoke(id, at) => {
                for token in self.all.values_mut().filter(|token| token.id == id || token.parent == Some(id)) {
                    token.revoked_at.get_or_insert(at);
                }
            }
            TokenChange::Use(id, at) => {
                if let Some(token) = self.all.get_mut(&id) {
                    token.last_used_at = Some(at);
                }
            }
        }
    }

    /// Whether there are none, whether they count or not.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether there is one that counts now and is no session.
    pub fn has_live(&self, now: WallUs) -> bool {
        self.all.values().any(|token| token.parent.is_none() && token.is_live(now))
    }

    /// How many there are that count now: tokens, and sessions.
    pub fn live(&self, now: WallUs) -> (usize, usize) {
        let live = self.all.values().filter(|token| token.is_live(now));
        live.fold((0, 0), |(tokens, sessions), token| match token.parent {
            None => (tokens + 1, sessions),
            Some(_) => (tokens, sessions + 1),
        })
    }

    /// All of them in the order in which they were made.
    pub fn in_order(&self) -> Vec<&Token> {
        let mut all: Vec<&Token> = self.all.values().collect();
        all.sort_by_key(|token| (token.created_at, token.id));
        all
    }

    /// The one with this id.
    pub fn get(&self, id: TokenId) -> Option<&Token> {
        self.all.get(&id)
    }

    /// The oldest session that began with a token and counts now, if there are as many as there may be.
    pub fn oldest_session(&self, parent: TokenId, most: usize, now: WallUs) -> Option<TokenId> {
        let sessions = self.all.values().filter(|token| token.parent == Some(parent) && token.is_live(now));
        let sessions: Vec<(WallUs, TokenId)> = sessions.map(|token| (token.created_at, token.id)).collect();
        sessions.iter().min().filter(|_| sessions.len() >= most).map(|(_, id)| *id)
    }

    /// The token with this digest, if it counts now.
    pub fn find(&self, digest: &Digest, now: WallUs) -> Option<&Token> {
        let token = self.all.get(self.places.get(&place_of(digest))?)?;
        (bool::from(token.digest.ct_eq(digest)) && self.counts(token.id, now)).then_some(token)
    }

    /// Whether a token counts now: it is live, and so is the one that it began with.
    pub fn counts(&self, id: TokenId, now: WallUs) -> bool {
        let is_live = |id: TokenId| self.all.get(&id).filter(|token| token.is_live(now));
        is_live(id).is_some_and(|token| token.parent.is_none_or(|parent| is_live(parent).is_some()))
    }

    /// Who shows the token with this digest, as a cookie or in a header; None: it does not count. A session counts as a
    /// cookie only, and nothing else does.
    pub fn who(&self, digest: &Digest, by_cookie: bool, now: WallUs) -> Option<Who> {
        let token = self.find(digest, now).filter(|token| token.parent.is_some() == by_cookie)?;
        let principal = Some(token.parent.unwrap_or(token.id));
        Some(Who { token: Some(token.id), principal, scope: Some(token.scope), by_cookie })
    }
}

fn place_of(digest: &Digest) -> [u8; 8] {
    *digest.first_chunk().expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u64, digest: Digest, parent: Option<u64>) -> Token {
        Token {
            id: TokenId(number),
            digest,
            scope: Scope::Write,
            name: "t".to_owned(),
            parent: parent.map(TokenId),
            created_at: WallUs(0),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn what_is_revoked_or_over_does_not_count_nor_do_its_sessions() {
        let (now, later) = (WallUs(100), WallUs(200));
        let mut tokens = Tokens::default();
        assert!(tokens.is_empty());
        tokens.replace(vec![
            Token { expires_at: Some(later), ..token(1, [1; 32], None) },
            token(2, [2; 32], Some(1)),
            token(3, [3; 32], None),
            token(4, [4; 32], Some(3)),
            token(5, [5; 32], Some(9)),
        ]);
        let who = |tokens: &Tokens, digest: u8, by_cookie: bool, now: WallUs| {
            tokens.who(&[digest; 32], by_cookie, now).and_then(|who| who.token)
        };
        assert_eq!(who(&tokens, 1, false, now), Some(TokenId(1)));
        assert_eq!(who(&tokens, 1, true, now), None, "a token is no session");
        assert_eq!(who(&tokens, 2, true, now), Some(TokenId(2)));
        assert_eq!(who(&tokens, 2, false, now), None, "and a session no token");
        assert_eq!((who(&tokens, 1, false, later), who(&tokens, 2, true, later)), (None, None));
        assert_eq!((who(&tokens, 4, true, later), who(&tokens, 5, true, now)), (Some(TokenId(4)), None));
        let mut near = [3; 32];
        near[31] = 4;
        assert!(tokens.find(&near, now).is_none(), "all of the digest counts");
        assert_eq!(tokens.live(now), (2, 3));
        tokens.apply(TokenChange::Revoke(TokenId(3), now));
        assert_eq!((who(&tokens, 3, false, now), who(&tokens, 4, true, now)), (None, None));
        assert!(tokens.has_live(now) && !tokens.has_live(later) && !tokens.is_empty());
    }

    #[test]
    fn ids_are_read_as_they_are_printed() {
        for id in [TokenId::new(0), TokenId::new(u64::MAX), TokenId(0xabc)] {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(TokenId::from_number(id.number()), Some(id));
        }
        for text in ["", "abc", "00000000000G", "00000000000A", "+00000000001", "0000000000000"] {
            assert_eq!(text.parse::<TokenId>(), Err(()), "{text}");
        }
        assert_eq!(TokenId::from_number(-1), None);
    }
}
