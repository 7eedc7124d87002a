//! Owns the text of a token: how it is made, how it is told from other texts, and the digest that is all that is kept.
//! It must not show one: whoever wants the text has to ask for it by name.
//!
//! A token is a prefix that says what it is, 32 random bytes in base62, and the CRC-32 of both in base62: so scanners for
//! leaked secrets find it, and what is no token is refused without being looked up.

use std::fmt;

use super::Scope;

/// 256 bits have so many digits in base62.
const RANDOM_DIGITS: usize = 43;
/// 32 bits have so many.
const CHECK_DIGITS: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a session of a browser is called; it has the scope of the token that it began with.
const SESSION_PREFIX: &str = "pun_s_";

/// The text of a token, as it is shown to its owner once.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

/// What is kept of a token: its SHA-256.
pub type Digest = [u8; 32];

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText")
    }
}

impl TokenText {
    /// A token of this scope.
    pub fn new(scope: Scope, random: [u8; 32]) -> TokenText {
        TokenText::with(prefix(scope), random)
    }

    /// One for a session of a browser.
    pub fn of_session(random: [u8; 32]) -> TokenText {
        TokenText::with(SESSION_PREFIX, random)
    }

    fn with(prefix: &str, mut random: [u8; 32]) -> TokenText {
        let mut text = prefix.as_bytes().to_vec();
        text.extend(digits(&mut random, RANDOM_DIGITS));
        let check = crc32fast::hash(&text);
        text.extend(digits(&mut check.to_be_bytes(), CHECK_DIGITS));
        TokenText(String::from_utf8(text).expect("a prefix and digits are ASCII"))
    }

    /// The token in a text; None: it is none.
    pub fn read(text: &str) -> Option<TokenText> {
        let is_known = Scope::ALL.into_iter().map(prefix).chain([SESSION_PREFIX]).any(|known| text.starts_with(known));
        let (rest, check) = text.split_at_checked(text.len().checked_sub(CHECK_DIGITS)?)?;
        let is_whole = rest.len() == SESSION_PREFIX.len() + RANDOM_DIGITS;
        let expected = digits(&mut crc32fast::hash(rest.as_bytes()).to_be_bytes(), CHECK_DIGITS);
        (is_known && is_whole && check.as_bytes() == expected).then(|| TokenText(text.to_owned()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The scope that its prefix tells; None: it is that of a session.
    pub fn scope(&self) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| self.0.starts_with(prefix(*scope)))
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.0.as_bytes());
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// What the token of a scope begins with; all are equally long.
const fn prefix(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "pun_r_",
        Scope::Write => "pun_w_",
        Scope::Admin => "pun_a_",
    }
}

/// The last `count` digits of a number in base62; of the number, which is big-endian, nothing is left.
fn digits(number: &mut [u8], count: usize) -> Vec<u8> {
    let mut digits = vec![0; count];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0;
        for byte in number.iter_mut() {
            let value = rest * 256 + u32::from(*byte);
            *byte = u8::try_from(value / 62).expect("the rest is below 62");
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_what_is_none() {
        for (token, scope) in [
            (TokenText::new(Scope::Read, [0; 32]), Some(Scope::Read)),
            (TokenText::new(Scope::Write, [0xff; 32]), Some(Scope::Write)),
            (TokenText::new(Scope::Admin, std::array::from_fn(|place| place as u8)), Some(Scope::Admin)),
            (TokenText::of_session([7; 32]), None),
        ] {
            let text = token.expose().to_owned();
            assert_eq!((text.len(), token.scope()), (55, scope), "{text}");
            assert_eq!(TokenText::read(&text), Some(token));
            for place in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[place] = if other[place] == b'x' { b'y' } else { b'x' };
                assert_eq!(TokenText::read(std::str::from_utf8(&other).expect("ASCII")), None, "{place}");
            }
            for other in [&text[1..], &text[..54], &format!("{text}0"), &text.replace("pun", "pün"), ""] {
                assert_eq!(TokenText::read(other), None, "{other}");
            }
        }
    }

    #[test]
    fn digits_are_those_of_the_number() {
        // 62^5 = 916132832, and one more.
        assert_eq!(digits(&mut 916_132_833_u32.to_be_bytes(), 6), b"100001");
        assert_eq!(digits(&mut u32::MAX.to_be_bytes(), 6), b"4gfFC3");
        assert_eq!(digits(&mut [0xff; 32], 43).len(), 43);
        assert_ne!(digits(&mut [0xff; 32], 43)[0], b'0', "43 digits are no more than are needed");
    }

    #[test]
    fn nobody_sees_a_token_by_accident() {
        assert_eq!(format!("{:?}", TokenText::new(Scope::Admin, [1; 32])), "TokenText");
    }
}
