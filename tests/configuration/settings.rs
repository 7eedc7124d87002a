//! Where settings are from and which of them counts; what is wrong with a configuration, before anything is started.
//! It must not test what a setting does.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::Home;

/// A value of each flag that is not its default: as it is typed, and as it stands in a file.
fn samples(home: &Home) -> Vec<(&'static str, String, String)> {
    let file = |name: &str| (home.text(name), format!("{:?}", home.text(name)));
    let text = |value: &str| (value.to_owned(), format!("{value:?}"));
    let number = |value: &str| (value.to_owned(), value.to_owned());
    let several = |all: &[&str]| (all.join(","), format!("{all:?}"));
    [
        ("listen", several(&["127.0.0.1:3100", "127.0.0.1:3101"])),
        ("listen-mode", text("0600")),
        ("tls-cert", file("cert.pem")),
        ("tls-key", file("key.pem")),
        ("db", file("other.db")),
        ("store", text("postgres://db.example")),
        ("node", text("b")),
        ("max-in-flight", number("77")),
        ("workers", number("3")),
        ("timeout-ms", number("1234")),
        ("retries", number("7")),
        ("retry-delay-ms", number("55")),
        ("time-zone", text("Europe/Berlin")),
        ("misfire", text("skip")),
        ("max-lateness-ms", number("5000")),
        ("drain-ms", number("0")),
        ("keep-days", number("3")),
        ("keep-per-job", number("9")),
        ("keep-mib", number("99")),
        ("keep-audit-days", number("4")),
        ("backup-dir", file("backups")),
        ("backup-every-minutes", number("7")),
        ("backup-keep", number("3")),
        ("alert-webhook", text("http://127.0.0.1:9")),
        ("targets", text("public,10.0.0.0/8")),
        ("ca-file", file("cert.pem")),
        ("secrets-key", file("secrets.key")),
        ("cors-origin", text("https://example.com")),
        ("allowed-host", several(&["a.example", "b.example"])),
        ("allow-anonymous-read", number("true")),
        ("bootstrap-token-file", file("token")),
        ("trusted-proxy", several(&["10.0.0.0/8", "::1"])),
        ("log", text("debug")),
        ("log-format", text("json")),
    ]
    .map(|(key, (typed, written))| (key, typed, written))
    .into()
}

#[test]
fn every_flag_is_set_in_three_ways_and_nothing_else_is() {
    let home = Home::new();
    let defaults = home.settings(home.check(&[]));
    let samples = samples(&home);
    let known: Vec<&str> = samples.iter().map(|(key, ..)| *key).collect();
    let mut listed: Vec<&str> = defaults.keys().map(String::as_str).collect();
    listed.sort_by_key(|key| known.iter().position(|known| known == key));
    assert_eq!(listed, known, "each flag of serve has a sample, and each sample a flag");
    for (key, typed, written) in &samples {
        let variable = format!("PUNCTUAL_{}", key.replace('-', "_").to_ascii_uppercase());
        // One of these needs the other.
        let beside = match *key {
            "tls-cert" => vec!["--tls-key".to_owned(), home.text("key.pem")],
            "tls-key" => vec!["--tls-cert".to_owned(), home.text("cert.pem")],
            "node" => vec!["--store".to_owned(), "postgres://db.example".to_owned()],
            "backup-every-minutes" | "backup-keep" => vec!["--backup-dir".to_owned(), home.text("backups")],
            _ => Vec::new(),
        };
        let beside: Vec<&str> = beside.iter().map(String::as_str).collect();
        let flag = if typed == "true" { format!("--{key}") } else { format!("--{key}={typed}") };
        let by_flag = home.check(&[&beside[..], &[&flag]].concat());
        let mut by_environment = home.check(&beside);
        by_environment.env(&variable, typed);
        home.write("p.toml", &format!("# A line before it.\n{key} = {written}\n"));
        let by_file = home.check(&[&beside[..], &["--config", "p.toml"]].concat());
        let ways =
            [(by_flag, format!("--{key}")), (by_environment, variable.clone()), (by_file, "p.toml, line 2".to_owned())];
        for (command, source) in ways {
            let mut found = home.settings(command);
            let changed = found.remove(*key).expect("it is listed");
            assert_eq!(changed, (written.clone(), source), "{key}");
            assert_ne!(changed.0, defaults[*key].0, "{key}: the sample is no default");
            for (other, now) in found.iter().filter(|(other, _)| !beside.contains(&format!("--{other}").as_str())) {
                assert_eq!(now, &defaults[other], "{key} changed {other}");
            }
        }
    }
}

#[test]
fn a_flag_counts_before_the_environment_and_that_before_the_file() {
    let home = Home::new();
    home.write("p.toml", "retries = 1\nlisten = ['127.0.0.1:3001', '127.0.0.1:3002']\nallow-anonymous-read = true\n");
    let with = |flags: &[&str], environment: &[(&str, &str)]| {
        let mut command = home.check(flags);
        command.envs(environment.iter().copied());
        let found = home.settings(command);
        ["retries", "listen", "allow-anonymous-read"].map(|key| found[key].0.clone())
    };
    let of_file = ["1", r#"["127.0.0.1:3001", "127.0.0.1:3002"]"#, "true"];
    let in_environment = [
        ("PUNCTUAL_CONFIG", "p.toml"),
        ("PUNCTUAL_RETRIES", "2"),
        ("PUNCTUAL_LISTEN", "127.0.0.1:4001"),
        ("PUNCTUAL_ALLOW_ANONYMOUS_READ", "false"),
    ];
    assert_eq!(with(&["--config", "p.toml"], &[]), of_file);
    assert_eq!(with(&[], &in_environment[..1]), of_file);
    // A list is replaced as a whole.
    assert_eq!(with(&[], &in_environment), ["2", r#"["127.0.0.1:4001"]"#, "false"]);
    let flags = ["--retries=3", "--listen=127.0.0.1:5001", "--allow-anonymous-read"];
    assert_eq!(with(&flags, &in_environment), ["3", r#"["127.0.0.1:5001"]"#, "true"]);
    home.write("other.toml", "retries = 9\n");
    assert_eq!(with(&["--config=other.toml"], &in_environment[..1])[0], "9");
    // The same without naming the command.
    let mut command = super::command(&["--check", "--config", "p.toml"]);
    command.current_dir(home.path(""));
    assert_eq!(home.settings(command)["retries"], ("1".to_owned(), "p.toml, line 1".to_owned()));
}

#[test]
fn what_is_wrong_with_a_file_is_told_by_line_and_nothing_is_started() {
    let home = Home::new();
    let faults = |text: &str, flags: &[&str]| {
        home.write("p.toml", text);
        let command = home.check(&[&["--config", "p.toml"], flags].concat());
        let started = {
            let mut command = super::command(&["--config", "p.toml"]);
            command.args(flags).current_dir(home.path(""));
            command
        };
        let told = home.faults(command);
        assert_eq!(home.faults(started), told, "a start says the same");
        told
    };
    let told = faults("retries = 'many'\nmax-inflight = 5\n", &[]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("p.toml, line 1: retries: expected a whole number"), "{told:?}");
    assert!(
        told[1].starts_with("p.toml, line 2: max-inflight") && told[1].ends_with("such as max-in-flight"),
        "{told:?}"
    );
    let told = faults("\nretries = 101\n", &[]);
    assert_eq!(told, ["p.toml, line 2: retries: expected a number from 0 to 100, got \"101\""]);
    let told = faults("tls-cert = 'cert.pem'\n", &[]);
    assert_eq!(told, ["p.toml, line 1: tls-cert: expected --tls-key beside it, got \"cert.pem\""]);
    // What is wrong in a flag is told of the flag, whatever the file says.
    let told = faults("retries = 5\n", &["--retries=x"]);
    assert!(told.len() == 1 && told[0].starts_with("--retries: expected a number from 0 to 100"), "{told:?}");
    assert!(faults("retries = \n", &[])[0].starts_with("p.toml, line 1: no TOML"));
    let told = home.faults(home.check(&["--config", "nowhere.toml"]));
    assert!(told.len() == 1 && told[0].starts_with("--config: failed to read nowhere.toml: No such file"), "{told:?}");
    let told = home.faults(home.check(&["--config", "."]));
    assert!(told[0].starts_with("--config: failed to read ."), "{told:?}");
    home.write("long.toml", &"#".repeat((1 << 20) + 1));
    assert!(home.faults(home.check(&["--config", "long.toml"]))[0].contains("longer than 1048576 bytes"));
}

#[test]
fn all_files_that_are_named_are_looked_at() {
    let home = Home::new();
    fs::create_dir(home.path("folder")).expect("it is made");
    home.write("empty.pem", "");
    home.write("open.key", &fs::read_to_string(home.path("secrets.key")).expect("it is there"));
    fs::set_permissions(home.path("open.key"), PermissionsExt::from_mode(0o644)).expect("it is ours");
    let text = "tls-cert = 'cert.pem'\ntls-key = 'secrets.key'\ndb = 'folder'\ntime-zone = 'Europe/Berlim'\n\
        ca-file = 'empty.pem'\nsecrets-key = 'open.key'\nbootstrap-token-file = 'no/token'\n";
    home.write("p.toml", text);
    let told = home.faults(home.check(&["--config", "p.toml"]));
    let wanted = [
        "--tls-key: failed to use secrets.key: there is no private key",
        "failed to read folder: it is a folder",
        "--time-zone: expected an IANA name such as Europe/Berlin",
        "--secrets-key: failed to use the key open.key: others have access to it (mode 0644)",
        "--bootstrap-token-file: failed to write a token to no/token: its folder is not there",
    ];
    for wanted in wanted {
        assert_eq!(told.iter().filter(|told| told.starts_with(wanted)).count(), 1, "{wanted}: {told:?}");
    }
    assert_eq!(told.len(), wanted.len(), "{told:?}");
    home.write("text", "no certificate");
    for (key, name, wanted) in [
        ("ca-file", "text", "--ca-file: failed to read text: malformed root certificates"),
        ("ca-file", "none", "--ca-file: failed to read none: No such file"),
        ("bootstrap-token-file", "text", "--bootstrap-token-file: failed to read a token from text"),
        ("secrets-key", "none", "--secrets-key: failed to read the key none"),
        ("tls-cert", "none", "--tls-cert: failed to read none"),
    ] {
        let flag = format!("--{key}={name}");
        let beside: &[&str] = if key == "tls-cert" { &["--tls-key=key.pem"] } else { &[] };
        let told = home.faults(home.check(&[&[flag.as_str()], beside].concat()));
        assert!(told.len() == 1 && told[0].starts_with(wanted), "{told:?}");
    }
}

#[test]
fn what_is_printed_is_a_configuration_and_tells_no_secret_of_a_url() {
    let home = Home::new();
    let flags = ["--alert-webhook=https://hooks.example.com/services/planted", "--retries=8"];
    let printed = super::run(home.check(&flags));
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    assert!(
        printed.out.contains(r#"alert-webhook = "https://hooks.example.com/..."  # --alert-webhook"#),
        "{}",
        printed.out
    );
    assert!(!printed.out.contains("planted") && !printed.err.contains("planted"));
    home.write("again.toml", &printed.out);
    let again = home.settings(home.check(&["--config", "again.toml"]));
    assert!(again["retries"].0 == "8" && again["retries"].1.starts_with("again.toml, line "), "{again:?}");
}
