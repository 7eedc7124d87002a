//! Owns the secrets of a job: which it has, and which a change keeps, drops, or must give anew.
//! It must not seal them, nor let one of them reach a POST that is not known yet.

use http::{HeaderName, HeaderValue};

use super::auth::{Auth, AuthDefinition, sensitive};
use super::headers::name_of;
use super::signing::{self, Signing};
use super::{FieldError, Given, JobSpec, Named, Secret, SecretDefinition, headers};
use crate::limits::SECRET_LEN_MAX;

/// The secrets of a job, all known and ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Secrets {
    pub(super) auth: Option<Auth>,
    pub(super) headers: Box<[SecretHeader]>,
    pub(super) signing: Option<Signing>,
}

/// A header that nobody may read but its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretHeader {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    written: Box<str>,
    secret: Secret,
}

/// What a definition says of secrets. Some are known only once it is clear what was there before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) auth: Given<AuthDefinition>,
    pub(super) headers: Given<Named<SecretDefinition>>,
    pub(super) signing: Given<SecretDefinition>,
}

const HEADERS: &str = "secretHeaders";

/// What stands in the place of any secret that nobody needs: it is one of every kind.
const STAND_IN: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Wanted {
    /// The member that says something of a secret, if there is one.
    pub(super) fn named(&self) -> Option<&'static str> {
        let Wanted { auth, headers, signing } = self;
        let has_headers = headers.value().is_some_and(|Named(headers)| !headers.is_empty());
        auth.value().map(|_| "auth").or(has_headers.then_some(HEADERS)).or(signing.value().map(|_| signing::NAME))
    }

    /// All that is wanted, where `old` is what there was and may be kept. `why`: what is said of a secret that is to be
    /// kept and is not there.
    pub(super) fn resolve(self, old: &Secrets, why: &'static str) -> Result<Secrets, FieldError> {
        let Wanted { auth, headers, signing } = self;
        let auth = match auth {
            Given::LeftOut => old.auth.clone(),
            Given::Null => None,
            Given::Value(definition) => {
                let known = old.auth.as_ref().map(Auth::secret);
                Some(Auth::compile(definition, |name, definition| {
                    let known = known.filter(|(known, _)| *known == name).map(|(_, secret)| secret);
                    choose(name, None, definition, known, why)
                })?)
            }
        };
        let headers = match headers {
            Given::LeftOut => old.headers.clone(),
            Given::Null => Box::default(),
            Given::Value(Named(headers)) => {
                let compiled = headers.into_iter().map(|(written, definition)| {
                    let name = name_of(HEADERS, &written)?;
                    let known = old.headers.iter().find(|header| header.name == name).map(|header| &header.secret);
                    let secret = choose(HEADERS, Some(&written), definition, known, why)?;
                    let value = sensitive(secret.expose()).ok_or_else(|| {
                        FieldError::new(HEADERS, format_args!("expected printable ASCII as the value of {written:?}"))
                    })?;
                    Ok(SecretHeader { name, value, written: written.into(), secret })
                });
                compiled.collect::<Result<_, FieldError>>()?
            }
        };
        let signing = match signing {
            Given::LeftOut => old.signing.clone(),
            Given::Null => None,
            Given::Value(definition) => {
                let known = old.signing.as_ref().map(Signing::secret);
                Some(Signing::compile(choose(signing::NAME, None, definition, known, why)?)?)
            }
        };
        Ok(Secrets { auth, headers, signing })
    }
}

/// The secret that the value of a member means, where `known` is what there was. `why`: what is said of one that is to be
/// kept and is not there.
///
/// # Errors
/// When there is none to be kept, or the one that is given is empty or too long.
pub fn choose_secret(
    member: &'static str,
    definition: SecretDefinition,
    known: Option<&Secret>,
    why: &'static str,
) -> Result<Secret, FieldError> {
    choose(member, None, definition, known, why)
}

/// The same, of a header.
fn choose(
    member: &'static str,
    header: Option<&str>,
    definition: SecretDefinition,
    known: Option<&Secret>,
    why: &'static str,
) -> Result<Secret, FieldError> {
    let of = header.map(|name| format!(" of {name:?}")).unwrap_or_default();
    match definition {
        SecretDefinition::Set => {
            known.cloned().ok_or_else(|| FieldError::new(member, format_args!("expected the secret itself{of}, {why}")))
        }
        SecretDefinition::New(secret) if (1..=SECRET_LEN_MAX).contains(&secret.expose().len()) => Ok(secret),
        SecretDefinition::New(_) => {
            Err(FieldError::new(member, format_args!("expected 1 to {SECRET_LEN_MAX} bytes as the secret{of}")))
        }
    }
}

impl Secrets {
    /// What a definition says of them.
    pub(super) fn define(&self) -> Wanted {
        let Secrets { auth, headers, signing } = self;
        let named = headers.iter().map(|header| (header.written.to_string(), SecretDefinition::Set)).collect();
        Wanted {
            auth: auth.as_ref().map(Auth::define).into(),
            headers: (!headers.is_empty()).then_some(Named(named)).into(),
            signing: signing.as_ref().map(|_| SecretDefinition::Set).into(),
        }
    }

    /// Each secret with the name that it is kept under.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, &Secret)> {
        let auth = self.auth.as_ref().map(Auth::secret).map(|(name, secret)| (name.to_owned(), secret));
        let headers = self.headers.iter().map(|header| (format!("{HEADERS}.{}", header.name), &header.secret));
        let signing = self.signing.as_ref().map(|signing| (signing::NAME.to_owned(), signing.secret()));
        auth.into_iter().chain(headers).chain(signing)
    }

    /// Those that a definition from the store names, where `find` knows them by their names.
    pub(super) fn find(wanted: &Wanted, mut find: impl FnMut(&str) -> Option<Secret>) -> Result<Secrets, FieldError> {
        // What the store says of them is read like what a client says, once the secrets themselves stand in it.
        let mut wanted = wanted.clone();
        let mut fill = |name: &str, definition: &mut SecretDefinition| {
            if let (SecretDefinition::Set, Some(secret)) = (&definition, find(name)) {
                *definition = SecretDefinition::New(secret);
            }
        };
        if let Given::Value(auth) = &mut wanted.auth
            && let Some((name, definition)) = auth.secret_mut()
        {
            fill(name, definition);
        }
        if let Given::Value(Named(headers)) = &mut wanted.headers {
            for (written, definition) in headers {
                fill(&format!("{HEADERS}.{}", written.to_ascii_lowercase()), definition);
            }
        }
        if let Given::Value(signing) = &mut wanted.signing {
            fill(signing::NAME, signing);
        }
        wanted.resolve(&Secrets::default(), "which is not in the store")
    }
}

/// The secrets of a job, from a definition to what is sent.
impl JobSpec {
    /// Finds out which secrets are meant, where the job was `old`: what is left out is kept, null removes, and
    /// `{"set":true}` asks for what is there. Secrets follow a job to no other host. Until this is done, none of them
    /// is part of what is sent, nor can the job be defined to anybody.
    ///
    /// # Errors
    /// Names the member that wants a secret which is not there, or is malformed.
    pub fn inherit_secrets(&mut self, old: Option<&JobSpec>) -> Result<(), FieldError> {
        let none = Secrets::default();
        let known = old.and_then(|old| old.post.secrets());
        let has_moved = known.is_some() && old.is_some_and(|old| old.post.url.target() != self.post.url.target());
        let why = if has_moved { "as the URL's host changed" } else { "as none is set" };
        let wanted = self.take_wanted();
        let secrets = wanted.resolve(known.filter(|_| !has_moved).unwrap_or(&none), why)?;
        self.set_secrets(secrets)
    }

    /// Finds the secrets of a job that comes from the store, by the names that [`JobSpec::secrets`] gave them.
    ///
    /// # Errors
    /// Names the member whose secret is not there.
    pub fn find_secrets(&mut self, find: impl FnMut(&str) -> Option<Secret>) -> Result<(), FieldError> {
        let secrets = Secrets::find(&self.take_wanted(), find)?;
        self.set_secrets(secrets)
    }

    /// The same where the job is only to be shown: each secret that it names counts as set, and is not needed.
    ///
    /// # Errors
    /// Names a member that is malformed.
    pub fn hide_secrets(&mut self) -> Result<(), FieldError> {
        self.find_secrets(|_| Some(Secret::new(STAND_IN)))
    }

    /// Each secret, with a name of its own.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &Secret)> {
        self.post.secrets().into_iter().flat_map(Secrets::all)
    }

    fn set_secrets(&mut self, secrets: Secrets) -> Result<(), FieldError> {
        let none = Secrets::default();
        if self.post.secrets().unwrap_or(&none) == &secrets {
            return Ok(());
        }
        let rare = self.post.rare.get_or_insert_default();
        let plain = rare.headers.iter().map(|header| (&header.name, header.value.len()));
        let secret = secrets.headers.iter().map(|header| (&header.name, header.value.len()));
        let member = if secrets.headers.is_empty() { "headers" } else { HEADERS };
        headers::check(member, plain.chain(secret), secrets.auth.is_some())?;
        rare.secrets = (secrets != none).then(|| Box::new(secrets));
        Ok(())
    }
}

/// A secret shorter than this is found in too much that is none.
const MASKED_LEN_MIN: usize = 4;

impl Secrets {
    /// A text of the target's, without the secrets that it repeats. It may have been cut in the middle of one.
    pub(super) fn mask(&self, text: String) -> String {
        let pair = self.auth.as_ref().and_then(|auth| auth.value.to_str().ok()).unwrap_or_default();
        let sent = pair.split_once(' ').map(|(_, sent)| sent).into_iter();
        let plain = self.all().map(|(_, secret)| secret.expose()).chain(sent);
        masked(text, plain)
    }
}

/// A text without these secrets, where it repeats them, also as JSON has them, or ends in the middle of one.
pub(super) fn masked<'a>(mut text: String, secrets: impl Iterator<Item = &'a str>) -> String {
    let mut forms: Vec<String> = secrets.flat_map(|secret| [secret.to_owned(), escaped(secret)]).collect();
    forms.retain(|secret| secret.len() >= MASKED_LEN_MIN);
    // One may be part of another: what is left of that would be seen.
    forms.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in &forms {
        text = text.replace(secret, MASK);
        let ends = (MASKED_LEN_MIN..secret.len()).rev().filter_map(|len| secret.get(..len));
        if let Some(end) = ends.into_iter().find(|end| text.ends_with(end)) {
            text.truncate(text.len() - end.len());
            text.push_str(MASK);
        }
    }
    text
}

const MASK: &str = "***";

/// The same within a JSON string.
fn escaped(secret: &str) -> String {
    secret.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Context, Definition};
    use crate::time::Instant;

    const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn read(url: &str, members: &str) -> JobSpec {
        let members = if members.is_empty() { String::new() } else { format!(",{members}") };
        let text = format!(r#"{{"schedule":"@daily","api":"{url}","type":"ATLEAST_ONCE"{members}}}"#);
        let definition: Definition = serde_json::from_str(&text).expect(&text);
        JobSpec::compile(&definition, &Context { seals: true, ..Context::at(Instant::from_secs(0)) }).expect(&text)
    }

    fn spec(members: &str) -> JobSpec {
        let mut spec = read("http://a/", members);
        spec.inherit_secrets(None).expect(members);
        spec
    }

    fn all(spec: &JobSpec) -> Vec<(String, String)> {
        spec.secrets().map(|(name, secret)| (name, secret.expose().to_owned())).collect()
    }

    fn json(spec: &JobSpec) -> String {
        serde_json::to_string(&Definition::from(spec)).expect("JSON")
    }

    const MEMBERS: &str = r#""secretHeaders":{"X-Key":"planted-1"},"auth":{"basic":{"username":"me","password":"planted-2"}},"signingSecret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw""#;

    #[test]
    fn secrets_are_sent_and_never_shown() {
        let spec = spec(MEMBERS);
        let sent: Vec<(&str, &str)> =
            spec.post.headers().map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII"))).collect();
        assert_eq!(sent, [("x-key", "planted-1"), ("authorization", "Basic bWU6cGxhbnRlZC0y")]);
        let shown = r#""secretHeaders":{"X-Key":{"set":true}},"auth":{"basic":{"username":"me","password":{"set":true}}},"signingSecret":{"set":true}"#;
        assert!(json(&spec).contains(shown), "{}", json(&spec));
        let debug = format!("{spec:?} {:?}", Definition::from(&spec));
        for planted in ["planted", "bWU6cGxhbnRlZC0y", "MfKQ9r8GKY"] {
            assert!(!debug.contains(planted), "{debug}");
        }
    }

    #[test]
    fn what_a_change_leaves_out_is_kept_and_null_removes() {
        let old = spec(MEMBERS);
        let (headers, auth, signing) =
            (all(&old)[1].clone(), all(&old)[0].clone(), ("signingSecret".to_owned(), SIGNING.to_owned()));
        let new = |name: &str, secret: &str| (name.to_owned(), secret.to_owned());
        for (members, kept) in [
            ("", vec![auth.clone(), headers.clone(), signing.clone()]),
            (r#""auth":null"#, vec![headers.clone(), signing.clone()]),
            (r#""signingSecret":null,"secretHeaders":null"#, vec![auth.clone()]),
            (r#""secretHeaders":{}"#, vec![auth.clone(), signing.clone()]),
            (r#""signingSecret":{"set":true}"#, vec![auth.clone(), headers.clone(), signing.clone()]),
            (
                r#""auth":{"basic":{"username":"you","password":{"set":true}}}"#,
                vec![auth.clone(), headers.clone(), signing.clone()],
            ),
            (r#""auth":{"bearer":"t"}"#, vec![new("auth.bearer", "t"), headers.clone(), signing.clone()]),
            (
                r#""secretHeaders":{"x-KEY":{"set":true},"b":"2"}"#,
                vec![auth.clone(), headers.clone(), new("secretHeaders.b", "2"), signing.clone()],
            ),
        ] {
            let mut spec = read("http://a:80/elsewhere", members);
            spec.inherit_secrets(Some(&old)).expect(members);
            assert_eq!(all(&spec), kept, "{members}");
        }
        // What it answers may be sent back as it is.
        let shown = json(&old);
        let mut again = JobSpec::compile(
            &serde_json::from_str(&shown).expect("it was made"),
            &Context::sealing(Instant::from_secs(0)),
        )
        .expect("it is valid");
        again.inherit_secrets(Some(&old)).expect("all of them are set");
        assert_eq!(again, old);
    }

    #[test]
    fn secrets_follow_a_job_to_no_other_host() {
        let old = spec(MEMBERS);
        for url in ["https://a/", "http://a:81/", "http://b/"] {
            let mut moved = read(url, "");
            moved.inherit_secrets(Some(&old)).expect("they are dropped");
            assert_eq!(all(&moved), []);
            let mut moved = read(url, r#""signingSecret":{"set":true}"#);
            let why = moved.inherit_secrets(Some(&old)).expect_err(url).to_string();
            assert_eq!(why, "signingSecret: expected the secret itself, as the URL's host changed");
            let mut moved = read(url, r#""auth":{"bearer":"new"}"#);
            moved.inherit_secrets(Some(&old)).expect("it is given anew");
            assert_eq!(all(&moved), [("auth.bearer".to_owned(), "new".to_owned())]);
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_not_repeated() {
        let long = "p".repeat(SECRET_LEN_MAX + 1);
        let long = format!(r#""auth":{{"bearer":"planted{long}"}}"#);
        for (members, why) in [
            (r#""signingSecret":{"set":true}"#, "signingSecret: expected the secret itself, as none is set"),
            (r#""auth":{"bearer":{"set":true}}"#, "auth.bearer: expected the secret itself, as none is set"),
            (r#""secretHeaders":{"A":{"set":true}}"#, "secretHeaders: expected the secret itself of \"A\", as none"),
            (r#""signingSecret":"planted""#, "signingSecret: expected whsec_"),
            (r#""signingSecret":"""#, "signingSecret: expected 1 to 4096 bytes"),
            (r#""auth":{}"#, "auth: expected either basic or bearer"),
            (r#""auth":{"bearer":"planted","basic":{"username":"a","password":"planted"}}"#, "auth: expected either"),
            (r#""auth":{"basic":{"username":"a:b","password":"planted"}}"#, "auth.basic.username: expected a name"),
            (r#""auth":{"basic":{"username":"a\nb","password":"planted"}}"#, "auth.basic.username: expected a name"),
            (
                r#""auth":{"basic":{"username":"a","password":"planted\r\n"}}"#,
                "auth.basic.password: expected no control",
            ),
            (r#""auth":{"bearer":"planted\r\nHost: b"}"#, "auth.bearer: expected printable ASCII"),
            (r#""auth":{"bearer":"planted\u00fc"}"#, "auth.bearer: expected printable ASCII"),
            (r#""secretHeaders":{"A":"planted\r\nB: c"}"#, "secretHeaders: expected printable ASCII as the value of"),
            (r#""secretHeaders":{"Host":"planted"}"#, "secretHeaders: expected no \"Host\""),
            (r#""secretHeaders":{"webhook-id":"planted"}"#, "secretHeaders: expected no \"webhook-id\""),
            (r#""secretHeaders":{"A":"planted"},"headers":{"a":"b"}"#, "secretHeaders: expected each header once"),
            (
                r#""auth":{"bearer":"planted"},"headers":{"Authorization":"b"}"#,
                "headers: expected no \"Authorization\"",
            ),
            (
                r#""auth":{"bearer":"planted"},"secretHeaders":{"Authorization":"b"}"#,
                "secretHeaders: expected no \"Auth",
            ),
            (&long, "auth.bearer: expected 1 to 4096 bytes"),
        ] {
            let error = read("http://a/", members).inherit_secrets(None).expect_err(members).to_string();
            assert!(error.starts_with(why) && !error.contains("planted"), "{error}");
        }
        // What is kept must fit what comes with it.
        let old = spec(r#""auth":{"bearer":"planted"}"#);
        let mut new = read("http://a/", r#""headers":{"Authorization":"b"}"#);
        assert!(new.inherit_secrets(Some(&old)).is_err());
    }

    #[test]
    fn what_the_store_keeps_finds_its_secrets_again() {
        let old = spec(MEMBERS);
        let kept = all(&old);
        let definition: Definition = serde_json::from_str(&json(&old)).expect("it was made");
        let context = Context::sealing(Instant::from_secs(0));
        let mut found = JobSpec::compile(&definition, &context).expect("it is valid");
        let find = |name: &str| kept.iter().find(|(kept, _)| kept == name).map(|(_, text)| Secret::new(text.as_str()));
        found.find_secrets(find).expect("all of them are there");
        assert_eq!(found, old);
        let mut lost = JobSpec::compile(&definition, &context).expect("it is valid");
        let why = lost.find_secrets(|name| find(name).filter(|_| name != "signingSecret")).expect_err("one is lost");
        assert_eq!(why.to_string(), "signingSecret: expected the secret itself, which is not in the store");
    }

    #[test]
    fn what_is_only_shown_needs_no_secrets() {
        let shown = json(&spec(MEMBERS));
        let context = Context::sealing(Instant::from_secs(0));
        let mut read = JobSpec::compile(&serde_json::from_str(&shown).expect("it was made"), &context).expect("valid");
        read.hide_secrets().expect("each counts as set");
        assert_eq!(json(&read), shown);
        let names: Vec<String> = read.secrets().map(|(name, _)| name).collect();
        assert_eq!(names, ["auth.basic.password", "secretHeaders.x-key", "signingSecret"]);
    }

    #[test]
    #[should_panic(expected = "secrets are known before a job is defined to anybody")]
    fn what_is_not_resolved_reaches_nobody() {
        drop(Definition::from(&read("http://a/", r#""signingSecret":{"set":true}"#)));
    }

    #[test]
    fn without_a_key_no_secret_is_taken() {
        for (members, member) in [
            (r#""auth":{"bearer":"planted"}"#, "auth"),
            (r#""secretHeaders":{"a":"planted"}"#, "secretHeaders"),
            (r#""signingSecret":{"set":true}"#, "signingSecret"),
        ] {
            let text = format!(r#"{{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE",{members}}}"#);
            let definition: Definition = serde_json::from_str(&text).expect(&text);
            let why = JobSpec::compile(&definition, &Context::at(Instant::from_secs(0))).expect_err(&text).to_string();
            assert!(why.starts_with(&format!("{member}: expected no secret, as ")), "{why}");
            assert!(why.contains("--secrets-key") && why.contains("punctual secrets init"), "{why}");
        }
        let nothing = r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","auth":null,"secretHeaders":{}}"#;
        let definition: Definition = serde_json::from_str(nothing).expect("a definition");
        assert!(JobSpec::compile(&definition, &Context::at(Instant::from_secs(0))).is_ok(), "it says none");
    }

    #[test]
    fn a_target_that_repeats_secrets_does_not_make_them_known() {
        let spec = spec(MEMBERS);
        let secrets = spec.post.secrets().expect("it has some");
        for (said, shown) in [
            ("x-key: planted-1, Basic bWU6cGxhbnRlZC0y and planted-2!", "x-key: ***, Basic *** and ***!"),
            ("it was plante", "it was ***"),
            ("nothing of the kind", "nothing of the kind"),
        ] {
            assert_eq!(secrets.mask(said.to_owned()), shown);
        }
        let spec = self::spec(r#""secretHeaders":{"A":"planted","B":"planted-longer","C":"plan\"ted\\"}"#);
        let secrets = spec.post.secrets().expect("it has some");
        for (said, shown) in [
            ("a: planted, b: planted-longer.", "a: ***, b: ***."),
            (r#"{"c":"plan\"ted\\","raw":"plan"ted\"}"#, r#"{"c":"***","raw":"***"}"#),
            (r#"{"c":"plan\"te"#, r#"{"c":"***"#),
        ] {
            assert_eq!(secrets.mask(said.to_owned()), shown);
        }
    }
}
