//! Holds the configuration file against the flags of `serve`: what each key takes, what is refused and how it is told, and
//! that the example in `contrib` is the list of flags.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::Arguments;
use super::file::{self, File, Kind};

/// What stands in the example where there is no default.
const EXAMPLES: [(&str, &str); 16] = [
    ("backup-dir", r#""/var/backups/punctual""#),
    ("backup-every-minutes", "1440"),
    ("backup-keep", "7"),
    ("listen", "[\"127.0.0.1:3000\"]"),
    ("tls-cert", r#""/etc/punctual/cert.pem""#),
    ("tls-key", r#""/etc/punctual/key.pem""#),
    ("store", r#""postgres://punctual@db.example/punctual""#),
    ("node", r#""a""#),
    ("workers", "2"),
    ("alert-webhook", r#""https://example.com/failed""#),
    ("ca-file", r#""/etc/punctual/roots.pem""#),
    ("secrets-key", r#""/etc/punctual/secrets.key""#),
    ("cors-origin", r#""https://example.com""#),
    ("allowed-host", r#"["cron.example.com"]"#),
    ("bootstrap-token-file", r#""/var/lib/punctual/first.token""#),
    ("trusted-proxy", r#"["10.0.0.0/8"]"#),
];

/// The head of the example.
const HEAD: &str = "\
# The configuration of Punctual: every key with its default, or with an example where it says so. It is found by
# `punctual --config FILE` or PUNCTUAL_CONFIG, checked by `punctual serve --check --config FILE`, and read again on SIGHUP.
# A flag counts before the environment, that before this file.
";

/// As wide as the sources.
const WIDTH: usize = 120;

fn example(command: &Command) -> String {
    let mut text = HEAD.to_owned();
    for (key, flag) in file::keys(command) {
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        text.push('\n');
        let mut line = "#".to_owned();
        for word in help.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH {
                writeln!(text, "{line}").expect("a text takes all");
                line = "#".to_owned();
            }
            write!(line, " {word}").expect("a text takes all");
        }
        writeln!(text, "{line}").expect("a text takes all");
        let defaults: Vec<String> =
            flag.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        let found = EXAMPLES.iter().find(|(name, _)| *name == key);
        let value = match (Kind::of(flag), defaults.as_slice()) {
            (Kind::Switch, _) => "false".to_owned(),
            (_, []) => found.unwrap_or_else(|| panic!("{key} has no default: it needs an example")).1.to_owned(),
            (Kind::Number, [one, ..]) => one.clone(),
            (Kind::Texts { is_repeated: true }, all) => format!("{all:?}"),
            (Kind::Text | Kind::Texts { .. }, [one, ..]) => format!("{one:?}"),
        };
        let remark = match found {
            Some(("listen", _)) => "  # unless systemd hands over sockets",
            Some(_) => "  # an example; none unless given",
            None => "",
        };
        writeln!(text, "# {key} = {value}{remark}").expect("a text takes all");
    }
    text
}

fn read(text: &str) -> Result<File, Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.toml");
    fs::write(&path, text).expect("it is written");
    let told = |fault: String| fault.replace(path.to_str().expect("a text"), "p.toml");
    File::read(&path, &Arguments::command()).map_err(|faults| faults.into_iter().map(told).collect())
}

/// Written anew with `PUNCTUAL_REWRITE=1`.
#[test]
fn the_example_is_the_list_of_flags() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/punctual.toml");
    let wanted = example(&Arguments::command());
    if std::env::var_os("PUNCTUAL_REWRITE").is_some() {
        fs::write(&path, &wanted).expect("it can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "contrib/punctual.toml is another one: PUNCTUAL_REWRITE=1 cargo test --lib the_example");
}

#[test]
fn the_example_says_something_valid_about_every_key() {
    let command = Arguments::command();
    let text = example(&command);
    assert!(read(&text).expect("all of it is commented out").entries.is_empty());
    let is_key = |line: &&str| line.strip_prefix("# ").is_some_and(|rest| rest.split(' ').nth(1) == Some("="));
    let lines: Vec<&str> = text.lines().filter(is_key).map(|line| &line[2..]).collect();
    let file = read(&lines.join("\n")).expect("all keys have valid values");
    let mut found: Vec<&str> = file.entries.iter().map(|entry| entry.key.as_str()).collect();
    let mut wanted: Vec<&str> = file::keys(&command).map(|(key, _)| key).collect();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    assert!(EXAMPLES.iter().all(|(key, _)| wanted.contains(key)), "an example is for no flag");
}

#[test]
fn numbers_are_what_flags_refuse_texts_for() {
    let command = Arguments::command();
    for (key, flag) in file::keys(&command).filter(|(_, flag)| Kind::of(flag) != Kind::Switch) {
        let refused = super::serve::parse([format!("--{key}=x").as_str()].into_iter());
        let says_number = refused.err().is_some_and(|why| why.contains("a number from"));
        assert_eq!(Kind::of(flag) == Kind::Number, says_number, "--{key}: the name of its value says what it takes");
    }
}

#[test]
fn keys_become_what_is_typed() {
    let text = "listen = ['127.0.0.1:1', \"unix:/a\"]\nretries = 5\nmax-in-flight = 12_000\n\
        targets = ['public', '10.0.0.0/8']\nallow-anonymous-read = true\nallowed-host = 'a'\n";
    let file = read(text).expect("it is valid");
    let words: Vec<&str> = file.entries.iter().flat_map(|entry| &entry.words).map(String::as_str).collect();
    let wanted = [
        "--listen=127.0.0.1:1",
        "--listen=unix:/a",
        "--retries=5",
        "--max-in-flight=12000",
        "--targets=public,10.0.0.0/8",
        "--allow-anonymous-read",
        "--allowed-host=a",
    ];
    assert_eq!(words, wanted);
    assert!(read("allow-anonymous-read = false").expect("it is valid").entries[0].words.is_empty());
}

#[test]
fn whatever_is_wrong_is_named_with_its_line() {
    for (text, told) in [
        ("\nretries = \"3\"", "p.toml, line 2: retries: expected a whole number, got the text \"3\""),
        ("retries = 3.5", "p.toml, line 1: retries: expected a whole number, got the number 3.5"),
        ("retries = 0x10", "p.toml, line 1: retries: expected a whole number, got the number 0x10"),
        ("db = 5", "p.toml, line 1: db: expected a text in quotes, got the number 5"),
        ("db = ['a']", "p.toml, line 1: db: expected a text in quotes, got an array"),
        ("db = 2026-01-01", "p.toml, line 1: db: expected a text in quotes, got the time 2026-01-01"),
        ("listen = true", "p.toml, line 1: listen: expected a text in quotes, or an array of texts, got true"),
        (
            "listen = [\n 3000 ]",
            "p.toml, line 1: listen: expected a text in quotes, or an array of texts, got an array",
        ),
        ("listen = []", "got an empty array"),
        ("allow-anonymous-read = 'yes'", "allow-anonymous-read: expected true or false, got the text \"yes\""),
        (
            "max_in_flight = 1",
            "p.toml, line 1: max_in_flight: expected the name of a flag of serve such as max-in-flight",
        ),
        ("\n\nretry = 1", "p.toml, line 3: retry: expected the name of a flag of serve such as retries"),
        ("zzz = 1", "zzz: expected the name of a flag of serve, without its dashes"),
        ("config = 'a'", "config: expected the name of a flag"),
        ("check = true", "check: expected the name of a flag"),
        ("[server]\ndb = 'a'", "p.toml, line 1: server: expected the name of a flag of serve"),
        ("db = 'a'\ndb = 'b'", "p.toml, line 2: no TOML: duplicate key"),
        ("db = \n", "p.toml, line 1: no TOML:"),
        ("db 'a'", "p.toml, line 1: no TOML:"),
    ] {
        let faults = read(text).expect_err(text);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(faults[0].contains(told) && !faults[0].contains('\n'), "{text}: {faults:?}");
    }
    let faults = read("retries = true\nzzz = 1\ndb = 7\n").expect_err("three faults");
    let lines: Vec<&str> = faults.iter().filter_map(|fault| fault.split(": ").next()).collect();
    assert_eq!(lines, ["p.toml, line 1", "p.toml, line 2", "p.toml, line 3"], "all of them, in order: {faults:?}");
}
