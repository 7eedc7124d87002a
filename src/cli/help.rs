//! Owns what the pages of commands tell beside their flags: examples, the members of a job, the environment, exit codes.
//! It must not know what a command does.

use clap::Command;
use schemars::{JsonSchema, SchemaGenerator};

use crate::channel::ChannelDefinition;
use crate::job::{AlertDefinition, Definition};

/// What is typed how, by the words of a command. A test reads each as the command line does.
const EXAMPLES: [(&str, &[&str]); 51] = [
    ("job ls", &["punctual job ls --state failing", "punctual job ls --tag nightly -o json"]),
    ("job get", &["punctual job get backup", "punctual job get backup -o yaml > backup.yaml"]),
    (
        "job create",
        &[
            "punctual job create '*/5 * * * *' https://example.com/hook --name hook",
            "punctual job create '0 9 * * MON-FRI' https://example.com/report --tz Europe/Berlin --json '{\"a\":1}'",
            "punctual job create --at +2h https://example.com/once",
            "punctual job create -f backup.yaml",
        ],
    ),
    ("job edit", &["punctual job edit backup", "punctual job edit backup --set retry.maxAttempts=5 --unset owner"]),
    ("job pause", &["punctual job pause backup --until +2h --note 'disk is being replaced'"]),
    ("job resume", &["punctual job resume backup --missed"]),
    ("job release", &["punctual job release backup"]),
    ("job run", &["punctual job run backup --wait", "punctual job run backup --json '{\"full\":true}'"]),
    ("job replay", &["punctual job replay backup --from -1d --dry-run"]),
    ("job backfill", &["punctual job backfill backup --from 2026-12-01 --to 2026-12-02 --dry-run"]),
    ("job why", &["punctual job why backup --at '2026-12-01 03:00'"]),
    ("job rm", &["punctual job rm backup --yes"]),
    ("execution ls", &["punctual execution ls --job backup --status FAILED --from -1d"]),
    ("execution get", &["punctual execution get 0197f6a1-0000-8000-8000-000000000001.1790000000"]),
    ("execution tail", &["punctual execution tail -f", "punctual execution tail -f --status FAILED -o json"]),
    ("execution replay", &["punctual execution replay 0197f6a1-0000-8000-8000-000000000001.1790000000 --wait"]),
    ("schedule preview", &["punctual schedule preview '0 30 2 * * *' --tz Europe/Berlin --from 2027-03-27"]),
    ("incident ls", &["punctual incident ls --open", "punctual incident ls --job backup --cause FAILING -o json"]),
    ("incident get", &["punctual incident get 1764421200123456"]),
    ("incident ack", &["punctual incident ack 1764421200123456 --note 'disk is being replaced'"]),
    ("node ls", &["punctual node ls", "punctual node ls -o wide"]),
    ("node drain", &["punctual node drain east-2"]),
    ("silence ls", &["punctual silence ls"]),
    (
        "silence create",
        &[
            "punctual silence create --job backup --until +2h --note 'disk is being replaced'",
            "punctual silence create --target https://example.com --until '2026-12-31 09:00' --note maintenance",
        ],
    ),
    ("silence rm", &["punctual silence rm 1764421200123456"]),
    ("channel ls", &["punctual channel ls -o wide"]),
    ("channel get", &["punctual channel get ops", "punctual channel get ops -o yaml > ops.yaml"]),
    (
        "channel set",
        &[
            "punctual channel set ops --set kind=slack --set 'url=${SLACK_URL}'",
            "punctual channel set phone --set kind=ntfy --set url=https://ntfy.sh/my-topic --set token=file:token.txt",
            "punctual channel set mail -f mail.yaml",
        ],
    ),
    ("channel rm", &["punctual channel rm ops --yes"]),
    ("channel test", &["punctual channel test ops"]),
    ("policy ls", &["punctual policy ls"]),
    ("policy get", &["punctual policy get server", "punctual policy get tag:nightly -o yaml"]),
    (
        "policy set",
        &[
            "punctual policy set server --set after=3 --set remindEvery=4h",
            "punctual policy set tag:nightly --set noSuccessFor=26h --set 'channels=[\"ops\"]'",
        ],
    ),
    ("policy rm", &["punctual policy rm tag:nightly"]),
    ("policy of", &["punctual policy of backup"]),
    (
        "apply",
        &[
            "punctual apply -f jobs.yaml --dry-run",
            "punctual apply -f jobs/ --owner billing --prune",
            "punctual apply -f all.ndjson --server http://other:3000",
        ],
    ),
    ("export", &["punctual export > all.ndjson", "punctual export -o yaml --tag nightly"]),
    ("import crontab", &["punctual import crontab /etc/crontab --system --dry-run", "punctual import crontab my.cron"]),
    ("health", &["punctual health", "punctual health --server http://127.0.0.1:3000"]),
    ("context ls", &["punctual context ls"]),
    ("context use", &["punctual context use production"]),
    ("context set", &["punctual context set production --server https://cron.example.com:3443 --token-file token.txt"]),
    ("context rm", &["punctual context rm production"]),
    ("completions", &["punctual completions bash"]),
    ("man", &["punctual man", "punctual man --dir /usr/local/share/man/man1"]),
    ("doctor", &["punctual doctor", "punctual doctor --config /etc/punctual/punctual.toml -o json"]),
    (
        "serve",
        &[
            "punctual serve --listen 127.0.0.1:3000 --db ./data/punctual.db",
            "punctual serve --config /etc/punctual/punctual.toml --check",
        ],
    ),
    (
        "backup",
        &[
            "punctual backup /var/backups/punctual.db",
            "punctual backup today.db --db ./data/punctual.db --replace -o json",
        ],
    ),
    ("restore", &["punctual restore /var/backups/punctual.db --db ./data/punctual.db --secrets-key secrets.key"]),
    (
        "migrate",
        &[
            "punctual migrate --from ./data/punctual.db --to postgres://punctual@db.example/punctual",
            "punctual migrate --from postgres://punctual@db.example/punctual --to ./data/punctual.db -o json",
        ],
    ),
    ("check", &["punctual check --db ./data/punctual.db", "punctual check /var/backups/punctual.db -o json"]),
];

/// Files of jobs, for those who write some.
const FILES: &str = "\
A file has one job or many: YAML documents between lines of ---, a YAML list, or JSON, also one object a line.
  name: backup
  schedule: '0 0 3 * * *'
  timeZone: Europe/Berlin
  api: https://example.com/backup
  auth: { bearer: '${BACKUP_TOKEN}' }
Left out, type is ATLEAST_ONCE. ${NAME} and file:PATH are put in where secrets stand, and nowhere else.";

/// The exit codes.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 what was typed is wrong; 3 it ran and the answer is no; \
     4 not allowed; 5 not found; 6 changed meanwhile.";

/// What every command that talks to a server reads.
const ENVIRONMENT: &str = "PUNCTUAL_URL, PUNCTUAL_TOKEN and PUNCTUAL_CONTEXT say which server and how one gets in; a flag counts \
     before them. NO_COLOR ends colours, TZ is the zone that times are shown in.";

/// The commands with all that is told of them. `is_read` says that somebody will read it: that takes a moment longer.
pub(super) fn explained(mut command: Command, is_read: bool) -> Command {
    let members = |members: fn() -> String| if is_read { members() } else { String::new() };
    for (words, examples) in EXAMPLES {
        let path: Vec<&str> = words.split(' ').collect();
        command = at(command, &path, |command| {
            let is_local =
                ["backup", "restore", "migrate", "check", "serve", "doctor", "completions", "man"].contains(&words);
            let mut long = format!("Examples:\n  {}\n", examples.join("\n  "));
            if matches!(words, "job create" | "apply") {
                long += &format!("\nFiles: {FILES}\n");
            }
            if matches!(words, "job create" | "job edit" | "apply") {
                long += &format!("\nMembers of a job:\n{}", members(members_of::<Definition>));
            }
            if words == "channel set" {
                long += &format!("\nMembers of a channel:\n{}", members(members_of::<ChannelDefinition>));
            }
            if words == "policy set" {
                long += &format!("\nMembers of a policy:\n{}", members(members_of::<AlertDefinition>));
            }
            if !is_local {
                long += &format!("\n{ENVIRONMENT}\n");
            }
            long += &format!("\n{EXIT_CODES}");
            let short = format!("Examples:\n  {}\n\n--help says more.", examples.join("\n  "));
            command.after_help(short).after_long_help(long)
        });
    }
    command.after_help(EXIT_CODES)
}

/// The command at the end of some words, changed.
fn at(command: Command, words: &[&str], change: impl FnOnce(Command) -> Command) -> Command {
    match words {
        [] => change(command),
        [first, rest @ ..] => command.mut_subcommand(first, |inner| at(inner, rest, change)),
    }
}

/// The members of a definition, each with what it means, as the description of the API has them.
fn members_of<T: JsonSchema>() -> String {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let mut text = String::new();
    for (name, member) in schema.get("properties").and_then(|all| all.as_object()).into_iter().flatten() {
        let meaning = member["description"].as_str().unwrap_or_default().replace(['\n', '`'], " ");
        text += &format!("  {name:17} {}\n", meaning.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    text
}

/// Which command somebody typed, as far as the words go, and what it is called in full.
pub(super) fn typed_of(command: &Command, typed: impl Iterator<Item = String>) -> (&Command, String) {
    let (mut place, mut words) = (command, command.get_name().to_owned());
    for word in typed {
        if let Some(inner) = place.find_subcommand(&word) {
            place = inner;
            words = format!("{words} {}", inner.get_name());
        }
    }
    (place, words)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::super::Arguments;
    use super::*;

    #[test]
    fn every_example_is_understood() {
        let command = explained(Arguments::command(), true);
        for (words, examples) in EXAMPLES {
            for example in examples {
                // What a shell makes of it; what goes into a file is the shell's.
                let line = example.split(" > ").next().expect("it has a first part");
                let typed = words_of_line(line);
                let matches =
                    command.clone().try_get_matches_from(&typed).unwrap_or_else(|why| panic!("{line}: {why}"));
                Arguments::from_arg_matches(&matches).unwrap_or_else(|why| panic!("{line}: {why}"));
                assert!(typed.join(" ").starts_with(&format!("punctual {words}")), "{line} is an example of {words}");
            }
        }
    }

    /// The words of a line, in single quotes or plain.
    fn words_of_line(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (place, part) in line.split('\'').enumerate() {
            if place % 2 == 1 {
                words.last_mut().expect("there is one").push_str(part);
                continue;
            }
            for (number, word) in part.split(' ').enumerate() {
                if number > 0 {
                    words.push(String::new());
                }
                words.last_mut().expect("there is one").push_str(word);
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn the_members_of_a_job_are_told() {
        let members = members_of::<Definition>();
        for member in ["schedule", "api", "type", "secretHeaders", "excludeCalendars"] {
            assert!(members.lines().any(|line| line.trim_start().starts_with(member)), "{member} is not in {members}");
        }
        let command = explained(Arguments::command(), true);
        let typed = ["x", "job", "ls", "get"].map(str::to_owned);
        assert_eq!(typed_of(&command, typed.into_iter()).1, "punctual job ls");
    }
}
