//! Owns the properties of tokens: what is read as one, who counts after any changes, and how often somebody may be wrong.
//! It must not make one of chance: bytes say everything.

use std::collections::BTreeMap;
use std::net::IpAddr;

use punctual::access::{Digest, Guesses, Scope, Token, TokenChange, TokenId, TokenText, Tokens};
use punctual::api::shown;
use punctual::http::Credentials;
use punctual::limits::{GUESS_EVERY, GUESSES_AT_ONCE_MAX};
use punctual::time::{MonoUs, WallUs};

use super::support::LEN_MAX;

/// Lines: what a client shows (`Authorization`, then `Cookie`), then one change or guess each.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(LEN_MAX)]).into_owned();
    let mut lines = text.split('\n');
    check_shown(lines.next(), lines.next());
    let mut house = House::default();
    for line in lines.take(200) {
        house.take(line.as_bytes());
    }
}

fn check_shown(authorization: Option<&str>, cookie: Option<&str>) {
    let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let credentials = Credentials { authorization: some(authorization), cookie: some(cookie) };
    assert_eq!(shown(None), None);
    let is_bearer = |text: &str| text.split(' ').next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"));
    let by_header = credentials.authorization.as_deref().is_some_and(is_bearer);
    let Some((found, by_cookie)) = shown(Some(&credentials)) else { return assert!(!by_header) };
    assert_eq!(by_cookie, !by_header, "a header counts before a cookie");
    let said = if by_cookie { &credentials.cookie } else { &credentials.authorization };
    for text in said.iter().flat_map(|said| said.split([' ', ';', '='])) {
        check_text(text);
    }
    let Some(token) = found else { return };
    assert!(said.as_deref().is_some_and(|said| said.contains(token.expose())), "nobody has shown it");
    check_text(token.expose());
}

/// A token is its own text, says what it is, and is none if any of it is another.
fn check_text(text: &str) {
    let Some(token) = TokenText::read(text) else { return };
    assert_eq!(token.expose(), text);
    assert!(!format!("{token:?}").contains(&text[6..]), "nobody sees it by accident");
    let scope = token.scope().map_or("s", |scope| &scope.name()[..1]);
    assert_eq!(&text[..6], format!("pun_{scope}_"));
    assert_eq!(TokenText::read(text).map(|again| again.digest()), Some(token.digest()));
    for place in 0..text.len() {
        let mut other = text.as_bytes().to_vec();
        other[place] = if other[place] == b'0' { b'1' } else { b'0' };
        assert_eq!(TokenText::read(std::str::from_utf8(&other).expect("it is ASCII")), None, "{place}");
    }
    assert!(TokenText::read(&text[1..]).is_none() && TokenText::read(&format!("{text}0")).is_none());
}

/// The tokens that there are, and what is known of them without looking them up.
#[derive(Default)]
struct House {
    tokens: Tokens,
    known: BTreeMap<u8, Token>,
    guesses: Guesses,
    /// How many wrong tokens of each address were heard, and when the first of them came.
    heard: BTreeMap<IpAddr, (u64, MonoUs)>,
    now_s: u64,
}

impl House {
    /// A change: `+` makes a token, `-` revokes one, `u` uses one, `g` is a wrong one; and then so many seconds pass.
    fn take(&mut self, line: &[u8]) {
        let &[verb, which, other, wait] = line.first_chunk().unwrap_or(&[b'u', 0, 0, 0]);
        let now = WallUs(i64::try_from(self.now_s).expect("small") * 1_000_000);
        let id = |which: u8| TokenId::new(u64::from(which) << 16);
        match verb {
            b'+' if !self.known.contains_key(&which) => {
                // Two whose digests begin alike, and some that began with others.
                let mut digest: Digest = [which / 2; 32];
                digest[31] = which;
                let parent = self.known.get(&other).filter(|parent| parent.parent.is_none()).map(|parent| parent.id);
                let expires_at = (other % 3 == 1).then(|| now.plus_us(i64::from(other) * 1_000_000));
                let scope = Scope::ALL[usize::from(other) % 3];
                let name = String::from_utf8_lossy(line).into_owned();
                let (last_used_at, revoked_at) = (None, None);
                let id = id(which);
                let token =
                    Token { id, digest, scope, name, parent, created_at: now, expires_at, last_used_at, revoked_at };
                // No two digests that begin alike are ever drawn.
                if self.known.values().any(|known| known.digest[..8] == token.digest[..8]) {
                    return;
                }
                self.known.insert(which, token.clone());
                self.tokens.apply(TokenChange::Create(Box::new(token)));
            }
            b'-' => {
                for token in self.known.values_mut() {
                    if token.id == id(which) || token.parent == Some(id(which)) {
                        token.revoked_at.get_or_insert(now);
                    }
                }
                self.tokens.apply(TokenChange::Revoke(id(which), now));
            }
            b'g' => self.guess(IpAddr::from([192, 0, 2, which])),
            _ => self.tokens.apply(TokenChange::Use(id(which), now)),
        }
        if verb != b'g' {
            self.now_s += u64::from(wait);
        } else if wait > b'z' {
            self.now_s += 1;
        }
        self.judge();
    }

    /// Nobody is heard more often than so many times at once, and then so often.
    fn guess(&mut self, address: IpAddr) {
        let now = MonoUs(1 + self.now_s * 1_000_000);
        let is_too_often = self.guesses.note(address, now);
        let (heard, first) = self.heard.entry(address).or_insert((0, now));
        *heard += u64::from(!is_too_often);
        let passed = u128::from(now.0 - first.0) / GUESS_EVERY.as_micros();
        assert!(u128::from(*heard) <= u128::from(GUESSES_AT_ONCE_MAX) + passed, "{address} was heard {heard} times");
        assert!(!is_too_often || *heard >= u64::from(GUESSES_AT_ONCE_MAX), "{address} was heard {heard} times only");
    }

    fn judge(&self) {
        let now = WallUs(i64::try_from(self.now_s).expect("small") * 1_000_000);
        let is_live =
            |token: &Token| token.revoked_at.is_none() && token.expires_at.is_none_or(|expires_at| now < expires_at);
        let by_id = |id: TokenId| self.known.values().find(|token| token.id == id);
        for token in self.known.values() {
            let root = token.parent.and_then(by_id).unwrap_or(token);
            let counts = is_live(token) && is_live(root);
            assert_eq!(self.tokens.counts(token.id, now), counts, "{token:?}");
            for by_cookie in [false, true] {
                let who = self.tokens.who(&token.digest, by_cookie, now);
                assert_eq!(who.is_some(), counts && by_cookie == token.parent.is_some(), "{token:?}");
                let Some(who) = who else { continue };
                assert_eq!((who.token, who.principal, who.scope), (Some(token.id), Some(root.id), Some(token.scope)));
                for needed in Scope::ALL {
                    assert_eq!(who.may(Some(needed)), token.scope >= needed);
                }
                assert!(who.may(None) && Scope::from_name(token.scope.name()) == Some(token.scope));
            }
            let mut near = token.digest;
            near[20] ^= 1;
            assert!(self.tokens.find(&near, now).is_none(), "all of the digest counts");
            assert_eq!(token.id.to_string().parse(), Ok(token.id));
            assert_eq!(TokenId::from_number(token.id.number()), Some(token.id));
        }
        let (sessions, tokens): (Vec<&Token>, Vec<&Token>) =
            self.known.values().filter(|token| is_live(token)).partition(|token| token.parent.is_some());
        assert_eq!(self.tokens.live(now), (tokens.len(), sessions.len()));
        assert_eq!(self.tokens.has_live(now), !tokens.is_empty());
        assert_eq!((self.tokens.is_empty(), self.tokens.in_order().len()), (self.known.is_empty(), self.known.len()));
    }
}
