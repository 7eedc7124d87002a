//! Owns the signatures by which a target knows that a request is ours (Standard Webhooks, <https://standardwebhooks.com>).
//! It must not read a clock.

use std::fmt::Write;

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use ring::hmac;

use super::{FieldError, Secret};

/// One key, or two while a new one takes the place of an old one. Each signs.
#[derive(Clone, Debug)]
pub struct Signing {
    secret: Secret,
    keys: Box<[hmac::Key]>,
}

/// The member's name, in errors and in the store.
pub(super) const NAME: &str = "signingSecret";
const PREFIX: &str = "whsec_";
/// How many bytes a key has, as the specification wants it.
const KEY_LEN: std::ops::RangeInclusive<usize> = 24..=64;
const EXPECTED: &str = "expected whsec_ and 24 to 64 bytes in base64, or two such secrets with a space between them while one replaces the other";

impl Signing {
    /// Reads a secret, or two of them.
    ///
    /// # Errors
    /// When it is none.
    pub fn compile(secret: Secret) -> Result<Signing, FieldError> {
        let keys: Option<Box<[hmac::Key]>> = secret.expose().split(' ').map(key).collect();
        match keys {
            Some(keys) if keys.len() <= 2 => Ok(Signing { secret, keys }),
            Some(_) | None => Err(FieldError::new(NAME, EXPECTED)),
        }
    }

    /// The secret it was read from.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// What stands in `webhook-signature` for a message with this id, sent in this second.
    pub fn sign(&self, id: &str, second: i64, body: &[u8]) -> String {
        let mut signatures = String::new();
        for key in &self.keys {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{second}.").as_bytes());
            context.update(body);
            let space = if signatures.is_empty() { "" } else { " " };
            let signature = STANDARD.encode(context.sign());
            write!(signatures, "{space}v1,{signature}").expect("a string takes any text");
        }
        signatures
    }
}

impl PartialEq for Signing {
    fn eq(&self, other: &Signing) -> bool {
        self.secret == other.secret
    }
}

impl Eq for Signing {}

fn key(text: &str) -> Option<hmac::Key> {
    // Padding is left out by some who make such secrets.
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(text.strip_prefix(PREFIX)?).ok()?;
    KEY_LEN.contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn compile(secret: &str) -> Result<Signing, FieldError> {
        Signing::compile(Secret::new(secret))
    }

    /// The one that all reference libraries of the specification are tested with.
    #[test]
    fn a_signature_is_that_of_the_reference_libraries() {
        let signing = compile(KEY).expect("a secret");
        let signature = signing.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn who_signs_with_the_same_secret_is_the_same() {
        assert_eq!(compile(KEY), compile(KEY));
        assert_ne!(compile(KEY), compile(&format!("{KEY} {KEY}")));
    }

    #[test]
    fn two_secrets_sign_beside_each_other() {
        let other = format!("whsec_{}", STANDARD.encode([7; 64]));
        let both = compile(&format!("{other} {KEY}")).expect("two secrets");
        let alone = |secret: &str| compile(secret).expect("a secret").sign("id", 5, b"");
        assert_eq!(both.sign("id", 5, b""), format!("{} {}", alone(&other), alone(KEY)));
    }

    #[test]
    fn anything_else_is_refused_and_not_repeated() {
        let encoded = |len: usize| format!("whsec_{}", STANDARD.encode(vec![7; len]));
        for secret in [
            String::new(),
            " ".to_owned(),
            KEY["whsec_".len()..].to_owned(),
            encoded(23),
            encoded(65),
            format!("{KEY} "),
            format!("{KEY}  {KEY}"),
            format!("{KEY} {KEY} {KEY}"),
            format!("{KEY}\n"),
            "whsec_not base64 at all, is it?".to_owned(),
            KEY.replace("whsec_", "whsk_"),
        ] {
            let why = compile(&secret).expect_err("no secret").to_string();
            assert!(why.starts_with("signingSecret: expected whsec_ and 24 to 64 bytes"), "{why}");
            assert!(!why.contains("MfKQ9r8GKY"), "{why}");
        }
        for len in [24, 25, 64] {
            assert!(compile(&encoded(len)).is_ok());
            assert!(compile(encoded(len).trim_end_matches('=')).is_ok(), "padding may be left out");
        }
    }
}
