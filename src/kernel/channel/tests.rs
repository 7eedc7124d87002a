//! Owns the tests of what channels are: members and kinds, secrets that are kept, dropped and restored, nothing printed.
//! It must not send anything.

use super::*;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn read(text: &str) -> ChannelDefinition {
    serde_json::from_str(text).expect(text)
}

fn compile(text: &str, before: Option<&Channel>) -> Result<Channel, FieldError> {
    Channel::compile(&read(text), before, true)
}

fn channel(text: &str) -> Channel {
    compile(text, None).expect(text)
}

fn shown(channel: &Channel) -> String {
    serde_json::to_string(&channel.define()).expect("JSON")
}

const ALL: [&str; 7] = [
    r#"{"kind":"webhook","url":"https://a.test/hook?x=y"}"#,
    r#"{"kind":"webhook","url":"https://a.test/hook","signingSecret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#,
    r#"{"kind":"slack","url":"https://hooks.slack.com/services/T0/B0/hidden"}"#,
    r#"{"kind":"ntfy","url":"http://ntfy.test/topic"}"#,
    r#"{"kind":"ntfy","url":"http://ntfy.test/topic","token":"tk_planted"}"#,
    r#"{"kind":"email","url":"smtp://mail.test:587","from":"punctual@a.test","to":["a@b.test"]}"#,
    r#"{"kind":"email","url":"smtps://mail.test:465","username":"me","password":"planted","from":"p@a.test","to":["a@b.test","c@d.test"]}"#,
];

#[test]
fn a_channel_comes_back_from_what_it_means_and_from_the_store() {
    for text in ALL {
        let channel = channel(text);
        let hidden = text
            .replace(&format!("\"{KEY}\""), r#"{"set":true}"#)
            .replace("\"tk_planted\"", r#"{"set":true}"#)
            .replace("\"planted\"", r#"{"set":true}"#);
        assert_eq!(shown(&channel), hidden);
        let secrets: Vec<_> = channel.secrets().into_iter().map(|(name, text)| (name.into(), text.into())).collect();
        assert_eq!(secrets.len(), usize::from(hidden.contains("\"set\"")), "{text}");
        assert_eq!(Channel::restore(&read(&hidden), secrets.clone()).as_ref(), Ok(&channel));
        // What is answered may be sent back as it is.
        assert_eq!(compile(&hidden, Some(&channel)).as_ref(), Ok(&channel));
        if !secrets.is_empty() {
            let why = Channel::restore(&read(&hidden), Vec::new()).expect_err("it is not there").to_string();
            assert!(why.ends_with("expected the secret itself, which is not in the store"), "{why}");
        }
    }
}

#[test]
fn nothing_that_prints_a_channel_prints_a_secret_or_a_path() {
    for text in ALL {
        let debug = format!("{:?} {:?}", channel(text), read(text));
        for secret in ["MfKQ9r8GKY", "planted", "hidden"] {
            assert!(!debug.contains(secret), "{debug}");
        }
    }
    assert_eq!(channel(ALL[2]).target(), "https://hooks.slack.com:443");
    assert_eq!(channel(ALL[5]).target(), "smtp://mail.test:587");
}

#[test]
fn secrets_are_kept_at_the_same_server_only() {
    let hook = channel(ALL[1]);
    let kept = |text: &str| compile(text, Some(&hook)).expect(text).secrets().len();
    assert_eq!(kept(r#"{"kind":"webhook","url":"https://a.test/elsewhere"}"#), 1);
    assert_eq!(kept(r#"{"kind":"webhook","url":"https://a.test/hook","signingSecret":null}"#), 0);
    assert_eq!(kept(r#"{"kind":"webhook","url":"https://b.test/hook"}"#), 0);
    assert_eq!(kept(r#"{"kind":"ntfy","url":"https://a.test/hook"}"#), 0);
    let moved = r#"{"kind":"webhook","url":"https://b.test/hook","signingSecret":{"set":true}}"#;
    let why = compile(moved, Some(&hook)).expect_err("it would follow").to_string();
    assert_eq!(why, "signingSecret: expected the secret itself, as the kind or the host changed");
    let mail = channel(ALL[6]);
    let text = r#"{"kind":"email","url":"smtps://mail.test","username":"you","from":"p@a.test","to":["x@y.test"]}"#;
    assert_eq!(compile(text, Some(&mail)).expect(text).secrets(), [("password", "planted")]);
    let text = r#"{"kind":"email","url":"smtps://mail.test","from":"p@a.test","to":["x@y.test"]}"#;
    assert_eq!(compile(text, Some(&mail)).expect(text).secrets(), [], "nobody logs in");
    let text = r#"{"kind":"email","url":"smtps://evil.test","username":"me","from":"p@a.test","to":["x@y.test"]}"#;
    let why = compile(text, Some(&mail)).expect_err("it would follow").to_string();
    assert_eq!(why, "password: expected the password of the user that username names");
}

#[test]
fn what_is_wrong_is_named_with_what_was_expected() {
    for (text, why) in [
        (r#"{"kind":"pager","url":"http://a/"}"#, "kind: expected one of webhook, slack, ntfy, email, got \"pager\""),
        (r#"{"kind":"webhook","url":"ftp://a/"}"#, "url: expected the scheme http or https"),
        (r#"{"kind":"ntfy","url":"http://u:p@a/"}"#, "url: expected a URL without user:password@"),
        (r#"{"kind":"webhook","url":"http://a/","signingSecret":"short"}"#, "signingSecret: expected whsec_"),
        (
            r#"{"kind":"webhook","url":"http://a/","signingSecret":{"set":true}}"#,
            "signingSecret: expected the secret itself, as none",
        ),
        (r#"{"kind":"webhook","url":"http://a/","token":"x"}"#, "token: expected none with the kind webhook"),
        (
            r#"{"kind":"slack","url":"http://a/","signingSecret":"x"}"#,
            "signingSecret: expected none with the kind slack",
        ),
        (r#"{"kind":"slack","url":"http://a/","to":[]}"#, "to: expected none with the kind slack"),
        (r#"{"kind":"ntfy","url":"http://a/b","username":"x"}"#, "username: expected none with the kind ntfy"),
        (r#"{"kind":"ntfy","url":"http://a/b","token":"a\nb"}"#, "token: expected printable ASCII"),
        (r#"{"kind":"ntfy","url":"http://a/"}"#, "url: expected the URL of a topic"),
        (r#"{"kind":"ntfy","url":"http://a/b","token":""}"#, "token: expected 1 to 4096 bytes"),
        (r#"{"kind":"email","url":"http://a/","from":"a@b","to":["a@b"]}"#, "url: expected smtp://"),
        (r#"{"kind":"email","url":"smtp://a","to":["a@b"]}"#, "from: expected the address"),
        (r#"{"kind":"email","url":"smtp://a","from":"a","to":["a@b"]}"#, "from: expected an address such as"),
        (r#"{"kind":"email","url":"smtp://a","from":"a@b"}"#, "to: expected 1 to 10 addresses, got 0"),
        (r#"{"kind":"email","url":"smtp://a","from":"a@b","to":[]}"#, "to: expected 1 to 10 addresses, got 0"),
        (r#"{"kind":"email","url":"smtp://a","from":"a@b","to":["a\nb@c"]}"#, "to: expected an address such as"),
        (
            r#"{"kind":"email","url":"smtp://a","from":"a@b","to":["a@b"],"username":"x"}"#,
            "password: expected the password",
        ),
        (
            r#"{"kind":"email","url":"smtp://a","from":"a@b","to":["a@b"],"username":"","password":"x"}"#,
            "username: expected 1 to",
        ),
        (
            r#"{"kind":"email","url":"smtp://a","from":"a@b","to":["a@b"],"username":"a","password":"x\ny"}"#,
            "password: expected no control",
        ),
        (
            r#"{"kind":"email","url":"smtp://a","from":"a@b","to":["a@b"],"password":"x"}"#,
            "username: expected the user",
        ),
        (
            r#"{"kind":"email","url":"smtp://a","from":"a@b","to":["a@b"],"token":"x"}"#,
            "token: expected none with the kind email",
        ),
    ] {
        let error = compile(text, None).expect_err(text).to_string();
        assert!(error.starts_with(why), "{error}");
    }
}

#[test]
fn without_a_key_no_secret_is_taken() {
    for (text, member) in [(ALL[1], "signingSecret"), (ALL[4], "token"), (ALL[6], "password")] {
        let error = Channel::compile(&read(text), None, false).expect_err(text).to_string();
        assert!(error.starts_with(&format!("{member}: expected no secret, as the server has no key")), "{error}");
    }
    for text in [ALL[0], ALL[2], ALL[3], ALL[5]] {
        assert!(Channel::compile(&read(text), None, false).is_ok(), "{text}");
    }
}

#[test]
fn the_description_names_the_kinds_and_what_a_secret_looks_like_in_answers() {
    let schema = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let schema = serde_json::to_value(schema.into_root_schema_for::<ChannelDefinition>()).expect("JSON");
    let kinds = serde_json::json!(["webhook", "slack", "ntfy", "email"]);
    assert_eq!(schema["properties"]["kind"]["enum"], kinds, "{schema}");
    for kind in kinds.as_array().expect("they are several") {
        let definition = ChannelDefinition { kind: kind.as_str().expect("a text").to_owned(), ..read(ALL[0]) };
        let why = Channel::compile(&definition, None, true).err().map(|why| why.member);
        assert_ne!(why, Some("kind"), "each of them is one");
    }
}
