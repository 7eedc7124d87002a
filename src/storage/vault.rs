//! Owns the sealing of secrets: the key, its file, and the form in which a sealed secret is kept.
//! It must not know whose secrets they are, nor keep one in clear.
//!
//! A sealed secret is a version, the id of the key, a nonce and what ChaCha20-Poly1305 (RFC 8439) makes of the text. To
//! change the form, raise the version and go on reading the old one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::durable;

/// What the file of a key begins with, so that a person, or a scanner for leaked secrets, knows what it is.
const PREFIX: &str = "punctual-secrets-key-1:";
const KEY_LEN: usize = 32;
/// The form of a sealed secret.
const VERSION: u8 = 1;
/// How many bytes name the key.
const ID_LEN: usize = 8;
const HEAD_LEN: usize = 1 + ID_LEN + NONCE_LEN;

/// The name of the systemd credential that is the key where no other is named.
const CREDENTIAL: &str = "punctual.secrets-key";

/// The key that systemd hands to this service (`LoadCredential=punctual.secrets-key:FILE`), if it does.
pub fn credential() -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join(CREDENTIAL);
    path.exists().then_some(path)
}

/// What seals and opens secrets.
pub struct Vault {
    key: LessSafeKey,
    /// Tells keys apart, and nothing about them.
    id: [u8; ID_LEN],
    blind: Blind,
    random: SystemRandom,
}

/// What hides digests of texts that may have secrets in them: whoever guesses a text cannot see that he is right, unless
/// he has the key.
#[derive(Clone, Debug)]
pub struct Blind(hmac::Key);

impl Blind {
    /// What is kept in place of a digest: equal for equal ones.
    pub fn hide(&self, digest: &[u8; 32]) -> [u8; 32] {
        hmac::sign(&self.0, digest).as_ref().try_into().expect("an HMAC with SHA-256 has 32 bytes")
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Vault {
    /// The vault with this key.
    pub fn new(key: &[u8; KEY_LEN]) -> Vault {
        let derived = |purpose: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), purpose);
        let named = derived(b"the id of a key of punctual secrets");
        let id = named.as_ref().first_chunk().copied().expect("a SHA-256 is longer than an id");
        let blind = derived(b"the key that hides digests of punctual requests");
        let blind = Blind(hmac::Key::new(hmac::HMAC_SHA256, blind.as_ref()));
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the algorithm takes keys of this length");
        Vault { key: LessSafeKey::new(key), id, blind, random: SystemRandom::new() }
    }

    /// Whether what one of them seals the other one opens.
    pub fn has_key_of(&self, other: &Vault) -> bool {
        self.id == other.id
    }

    /// What hides digests.
    pub fn blind(&self) -> Blind {
        self.blind.clone()
    }

    /// The vault whose key is in this file.
    ///
    /// # Errors
    /// When the file is not there, is no key, or is open to others than its owner and group.
    pub fn open_file(path: &Path) -> Result<Vault, KeyFileError> {
        let unreadable = |why| KeyFileError::Unreadable(path.to_owned(), why);
        let file = File::open(path).map_err(unreadable)?;
        check_mode(path, &file.metadata().map_err(unreadable)?)?;
        let mut text = String::new();
        // A key is short: of another file no more is read than shows that it is none.
        let read = file.take(1_024).read_to_string(&mut text);
        match read {
            Err(why) if why.kind() != io::ErrorKind::InvalidData => return Err(unreadable(why)),
            Ok(_) | Err(_) => {}
        }
        let key = text.trim().strip_prefix(PREFIX).and_then(|key| STANDARD.decode(key).ok());
        let key: Option<[u8; KEY_LEN]> = key.and_then(|key| key.try_into().ok());
        key.map(|key| Vault::new(&key)).ok_or_else(|| KeyFileError::NotAKey(path.to_owned()))
    }

    /// Makes a file with a new key that only its owner may read.
    ///
    /// # Errors
    /// When there is such a file already, or it cannot be written.
    pub fn make_file(path: &Path) -> Result<(), KeyFileError> {
        let failed = |why: io::Error| match why.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
            _ => KeyFileError::Unwritable(path.to_owned(), why),
        };
        let mut key = [0; KEY_LEN];
        SystemRandom::new().fill(&mut key).map_err(|_| failed(io::Error::other("the system gives no random bytes")))?;
        // What is sealed with it may be on disk before long: so must it be.
        durable::write_new(path, format!("{PREFIX}{}\n", STANDARD.encode(key)).as_bytes()).map_err(failed)
    }

    /// Seals a text for a place. It opens in that place only.
    pub fn seal(&self, place: &[u8], text: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).expect("the system gives random bytes, as it did when the server started");
        let mut sealed = Vec::with_capacity(HEAD_LEN + text.len() + CHACHA20_POLY1305.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        let mut inside = text.as_bytes().to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let done = self.key.seal_in_place_append_tag(nonce, Aad::from(place), &mut inside);
        done.expect("a secret is shorter than what the algorithm can seal");
        sealed.append(&mut inside);
        sealed
    }

    /// The text that was sealed for this place.
    ///
    /// # Errors
    /// When it was sealed with another key, or is not what was sealed for this place.
    pub fn unseal(&self, place: &[u8], sealed: &[u8]) -> Result<String, UnsealError> {
        let (head, inside) = sealed.split_at_checked(HEAD_LEN).ok_or(UnsealError::Damaged)?;
        let (version, head) = head.split_first().ok_or(UnsealError::Damaged)?;
        let (id, nonce) = head.split_at(ID_LEN);
        if *version != VERSION {
            return Err(UnsealError::Damaged);
        }
        if id != self.id {
            return Err(UnsealError::OtherKey);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError::Damaged)?;
        let mut inside = inside.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(place), &mut inside);
        let text = opened.map_err(|_| UnsealError::Damaged)?;
        String::from_utf8(text.to_vec()).map_err(|_| UnsealError::Damaged)
    }
}

/// A group may read it, as it does where an access list lets one more user in; everybody else may not. So may be what
/// systemd mounts: 0400, or 0440 where an access list names the user of the service.
#[cfg(unix)]
fn check_mode(path: &Path, metadata: &std::fs::Metadata) -> Result<(), KeyFileError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    if mode & 0o027 != 0 { Err(KeyFileError::TooOpen(path.to_owned(), mode & 0o777)) } else { Ok(()) }
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &std::fs::Metadata) -> Result<(), KeyFileError> {
    Ok(())
}

/// Why a sealed secret cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsealError {
    /// It was sealed with another key.
    OtherKey,
    /// It is not what was sealed for this place.
    Damaged,
}

/// Why a file serves as no key.
#[derive(Debug)]
pub enum KeyFileError {
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// Others may read it, or more than its owner may write it.
    TooOpen(PathBuf, u32),
    /// It holds something else.
    NotAKey(PathBuf),
    /// It is there already.
    Exists(PathBuf),
    /// It cannot be made.
    Unwritable(PathBuf, io::Error),
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFileError::Unreadable(path, why) => write!(f, "failed to read the key {}: {why}", path.display()),
            KeyFileError::TooOpen(path, mode) => write!(
                f,
                "failed to use the key {}: others have access to it (mode {mode:04o}); chmod 600 makes it yours alone",
                path.display()
            ),
            KeyFileError::NotAKey(path) => {
                write!(f, "failed to use the key {}: it is no key that `punctual secrets init` made", path.display())
            }
            KeyFileError::Exists(path) => {
                write!(
                    f,
                    "failed to make the key {}: there is such a file, and it is never overwritten",
                    path.display()
                )
            }
            KeyFileError::Unwritable(path, why) => write!(f, "failed to make the key {}: {why}", path.display()),
        }
    }
}

impl std::error::Error for KeyFileError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let vault = Vault::new(&[7; KEY_LEN]);
        for text in ["", "hunter2", "\u{fc}\0\n", &"x".repeat(5_000)] {
            let sealed = vault.seal(b"job a, secret b", text);
            assert_eq!(vault.unseal(b"job a, secret b", &sealed).as_deref(), Ok(text));
            assert_eq!(vault.unseal(b"job a, secret c", &sealed), Err(UnsealError::Damaged));
            assert_eq!(Vault::new(&[8; KEY_LEN]).unseal(b"job a, secret b", &sealed), Err(UnsealError::OtherKey));
            assert_ne!(vault.seal(b"job a, secret b", text), sealed, "no two are alike");
            assert!(text.len() < 4 || !sealed.windows(4).any(|window| text.as_bytes().starts_with(window)));
        }
    }

    #[test]
    fn what_is_damaged_anywhere_does_not_open() {
        let vault = Vault::new(&[7; KEY_LEN]);
        let sealed = vault.seal(b"place", "hunter2");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(vault.unseal(b"place", &damaged).is_err(), "byte {at}");
            assert_eq!(vault.unseal(b"place", &sealed[..at]), Err(UnsealError::Damaged), "cut at {at}");
        }
    }

    /// Secrets in databases out there must open for ever.
    #[test]
    fn what_was_sealed_long_ago_opens_still() {
        let sealed = "AazTuQkqtn6bAAECAwQFBgcICQoLRACfVwnpnUQMLexHvaig6dBeBLkpl94=";
        let sealed = STANDARD.decode(sealed).expect("base64");
        assert_eq!(Vault::new(&[7; KEY_LEN]).unseal(b"place", &sealed).as_deref(), Ok("hunter2"));
    }

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        Vault::make_file(&path).expect("it can be made");
        let made = fs::read_to_string(&path).expect("it is there");
        let why = Vault::make_file(&path).expect_err("it is there").to_string();
        assert!(why.contains("never overwritten"), "{why}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), made);
        let vault = Vault::open_file(&path).expect("it is a key");
        let sealed = vault.seal(b"", "x");
        assert_eq!(Vault::open_file(&path).expect("it is a key").unseal(b"", &sealed).as_deref(), Ok("x"));
        let key = made.trim().trim_start_matches(PREFIX);
        assert!(!format!("{vault:?}").contains(key));
        assert!(
            Vault::make_file(&folder.path().join("no/key"))
                .expect_err("no folder")
                .to_string()
                .contains("failed to make")
        );
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        assert!(Vault::open_file(&path).expect_err("nothing is there").to_string().contains("failed to read the key"));
        Vault::make_file(&path).expect("it can be made");
        let made = fs::read_to_string(&path).expect("it is there");
        for text in
            [&b""[..], b"planted", PREFIX.as_bytes(), &made.as_bytes()[..made.len() - 9], b"\xff\xfe", &[b'a'; 5_000]]
        {
            fs::write(&path, text).expect("it can be written");
            let why = Vault::open_file(&path).expect_err("it is no key").to_string();
            assert!(why.contains("it is no key") && !why.contains("planted"), "{why}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        Vault::make_file(&path).expect("it can be made");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        for (mode, is_closed) in
            [(0o400, true), (0o440, true), (0o640, true), (0o644, false), (0o660, false), (0o604, false)]
        {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("it is ours");
            let opened = Vault::open_file(&path);
            assert_eq!(opened.is_ok(), is_closed, "{mode:o}: {opened:?}");
            if let Err(why) = opened {
                assert!(why.to_string().contains(&format!("(mode {mode:04o}); chmod 600")), "{why}");
            }
        }
    }
}
