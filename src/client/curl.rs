//! Owns what a curl or wget command sends, as members of a job, with remarks about what is not taken over.
//! It must not send it.

use serde_json::json;

use super::request::{Request, Sent};
use super::server::encoded;
use super::{shell, wget};

/// Flags of curl that say nothing of what is sent.
const QUIET: [&str; 20] = [
    "-O",
    "--remote-name",
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-f",
    "--fail",
    "--fail-with-body",
    "-v",
    "--verbose",
    "-i",
    "--include",
    "-N",
    "--no-buffer",
    "--compressed",
    "--http1.1",
    "-#",
    "--no-progress-meter",
    "-4",
];
/// The same with a value.
const QUIET_WITH_VALUE: [&str; 12] = [
    "-o",
    "--output",
    "-w",
    "--write-out",
    "-c",
    "--cookie-jar",
    "--connect-timeout",
    "--retry-delay",
    "--retry-max-time",
    "-D",
    "--dump-header",
    "--stderr",
];
/// Those that a job has nothing for.
const OTHERS_WITH_VALUE: &[&str] = &[
    "-x",
    "--proxy",
    "--connect-to",
    "--resolve",
    "-E",
    "--cert",
    "--key",
    "--cacert",
    "--capath",
    "--pass",
    "-r",
    "--range",
    "-z",
    "--time-cond",
    "--interface",
    "--limit-rate",
    "-Q",
    "--quote",
    "-U",
    "--proxy-user",
    "--dns-servers",
    "--max-redirs",
    "--ciphers",
    "--tls-max",
    "--proto",
    "--noproxy",
    "-Y",
    "--speed-limit",
    "-y",
    "--speed-time",
    "--max-filesize",
    "--local-port",
    "--aws-sigv4",
    "--rate",
];
/// Short names of what means the same.
const SAME: [(&str, &str); 11] = [
    ("--request", "-X"),
    ("--header", "-H"),
    ("--data", "-d"),
    ("--data-binary", "-d"),
    ("--data-ascii", "-d"),
    ("--user", "-u"),
    ("--user-agent", "-A"),
    ("--referer", "-e"),
    ("--cookie", "-b"),
    ("--max-time", "-m"),
    ("--head", "-I"),
];

/// Options that make something of the request that a job cannot be, each with the reason.
const IMPOSSIBLE: [(&[&str], &str); 4] = [
    (&["-F", "--form", "--form-string"], "its body is a form of several parts"),
    (&["-T", "--upload-file"], "its body comes from a file"),
    (&["-K", "--config"], "its options come from a file"),
    (&["--unix-socket", "--abstract-unix-socket"], "it asks a socket of its own machine"),
];
/// Words of the shell after which a command is run never, once or often, as the shell finds.
const LOOPS: [&str; 4] = ["for", "while", "until", "case"];

/// What a line of shell sends, if one of its commands is curl or wget.
///
/// # Errors
/// Why nothing can be made of it.
pub(crate) fn read(line: &str) -> Result<Sent, String> {
    let commands = run_by_shells(shell::commands(line))?;
    if let Some(word) = commands.iter().find_map(|words| LOOPS.iter().find(|word| words[0] == **word)) {
        return Err(format!("how often the shell runs it ({word}) is not known"));
    }
    let is_sending = |word: &String| matches!(word.rsplit('/').next(), Some("curl" | "wget"));
    let mut sending = commands.iter().filter(|words| words.iter().any(is_sending));
    let Some(command) = sending.next() else { return Err("no command of it is curl or wget".to_owned()) };
    if sending.next().is_some() {
        return Err("it sends more than one request".to_owned());
    }
    let mut sent = Sent::default();
    let start = command.iter().position(is_sending).expect("it was found");
    for words in &commands {
        let left = if words == command { &words[..start] } else { &words[..] };
        if !left.is_empty() {
            sent.left_out(&left.join(" "));
        }
    }
    known(line)?;
    let rest = &command[start + 1..];
    let mut request = Request::default();
    if command[start].ends_with("wget") {
        wget::read(rest, &mut request, &mut sent)?;
    } else {
        options(rest, &mut request, &mut sent)?;
    }
    request.finish(&mut sent)?;
    Ok(sent)
}

/// The commands, with those in place of `sh -c '...'` that it runs.
fn run_by_shells(commands: Vec<Vec<String>>) -> Result<Vec<Vec<String>>, String> {
    let is_shell = |word: &String| matches!(word.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ash" | "zsh"));
    let is_flag = |word: &str| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c');
    let mut all = Vec::new();
    for words in commands {
        let flag = words.iter().position(is_shell).map(|shell| shell + 1);
        let flag = flag.filter(|&flag| words.get(flag).is_some_and(|word| is_flag(word)));
        match flag.and_then(|flag| words.get(flag + 1)) {
            Some(line) => {
                known(line)?;
                all.extend(shell::commands(line));
            }
            None => all.push(words),
        }
    }
    Ok(all)
}

/// Nothing in a line is the shell's to say.
fn known(line: &str) -> Result<(), String> {
    match shell::unknown(line) {
        Some(unknown) => Err(format!("what the shell makes of {unknown} is not known")),
        None => Ok(()),
    }
}

/// Reads the words behind the program's name.
fn options(words: &[String], request: &mut Request, sent: &mut Sent) -> Result<(), String> {
    let mut left: Vec<String> = words.iter().rev().cloned().collect();
    while let Some(mut word) = left.pop() {
        let mut value = None;
        if word.starts_with("--")
            && let Some((name, given)) = word.clone().split_once('=')
        {
            (word, value) = (name.to_owned(), Some(given.to_owned()));
        } else if word.starts_with('-') && !word.starts_with("--") && word.len() > 2 && word.is_char_boundary(2) {
            // -fsSd x is -f -s -S -d x, and -XPUT is -X PUT.
            let rest = word.split_off(2);
            if "XHduAebmowcDFxTErKzQUYy".contains(&word[1..]) {
                value = Some(rest)
            } else {
                left.push(format!("-{rest}"))
            }
        }
        let name = SAME.iter().find(|(long, _)| *long == word).map_or(word.as_str(), |(_, short)| short).to_owned();
        let mut take = || value.take().or_else(|| left.pop()).ok_or_else(|| format!("{name} has no value"));
        if let Some((_, why)) = IMPOSSIBLE.iter().find(|(names, _)| names.contains(&name.as_str())) {
            return Err((*why).to_owned());
        }
        match name.as_str() {
            "-X" => request.method = Some(take()?.to_uppercase()),
            "-H" => request.header(&take()?, sent),
            "--data-urlencode" => {
                let data = take()?;
                let (name, text) = data.split_once('=').map_or(("", data.as_str()), |(name, text)| (name, text));
                if name.contains('@') || (!data.contains('=') && data.contains('@')) {
                    return Err("its body comes from a file".to_owned());
                }
                let equals = if name.is_empty() { "" } else { "=" };
                request.data.push(format!("{name}{equals}{}", encoded(text)));
            }
            "-d" | "--json" => {
                let data = take()?;
                if data.starts_with('@') {
                    return Err("its body comes from a file".to_owned());
                }
                request.data.push(data);
                request.is_json |= name == "--json";
            }
            "--data-raw" => request.data.push(take()?),
            "-g" | "--globoff" => request.is_globless = true,
            "--url" => request.url(&take()?)?,
            "-u" => {
                let user = take()?;
                let (name, password) = user.split_once(':').unwrap_or((&user, ""));
                sent.basic(name, password);
            }
            "--oauth2-bearer" => drop(sent.job.insert("auth".to_owned(), json!({ "bearer": take()? }))),
            "-A" => drop(request.headers.insert("User-Agent".to_owned(), take()?.into())),
            "-e" => drop(request.headers.insert("Referer".to_owned(), take()?.into())),
            "-b" => match take()? {
                cookies if cookies.contains('=') => drop(request.headers.insert("Cookie".to_owned(), cookies.into())),
                _ => return Err("its cookies come from a file".to_owned()),
            },
            "-m" => sent.time_max("-m", &take()?)?,
            "--retry" => {
                let retries: u64 = take()?.parse().map_err(|_| "--retry is no number".to_owned())?;
                sent.job.insert("retry".to_owned(), json!({ "maxAttempts": retries.saturating_add(1) }));
            }
            "-G" | "--get" => request.is_query = true,
            "-I" => request.method = Some("HEAD".to_owned()),
            "-L" | "--location" => sent.remarks.push("-L is not taken over: redirects are not followed".to_owned()),
            "-k" | "--insecure" => {
                sent.remarks.push("-k is not taken over: certificates are always checked".to_owned())
            }
            name if QUIET_WITH_VALUE.contains(&name) => drop(take()?),
            name if OTHERS_WITH_VALUE.contains(&name) => sent.left_out(&format!("{name} {}", take()?)),
            name if QUIET.contains(&name) => {}
            name if name.starts_with('-') => sent.left_out(name),
            _ => request.url(&word)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn commands_become_members() {
        let cases = [
            ("curl -fsS https://a/x", json!({ "api": "https://a/x", "method": "GET" })),
            (
                "/usr/bin/wget -q -O /dev/null \"https://a/b?c=1&d=2\"",
                json!({ "api": "https://a/b?c=1&d=2", "method": "GET" }),
            ),
            (
                "wget -qO- --post-data='a=1' --timeout=9 a.example/x",
                json!({ "api": "http://a.example/x", "body": "a=1", "timeoutMs": 9000, "headers": { "Content-Type": "application/x-www-form-urlencoded" } }),
            ),
            (
                "curl -g --data-raw @a --oauth2-bearer t 'HTTPS://A/[1]' # why",
                json!({ "api": "https://A/[1]", "body": "@a", "auth": { "bearer": "t" }, "headers": { "Content-Type": "application/x-www-form-urlencoded" } }),
            ),
            ("curl -b a=1 https://a", json!({ "api": "https://a", "method": "GET", "headers": { "Cookie": "a=1" } })),
            ("bash -lc 'curl http://[::1]:8080/'", json!({ "api": "http://[::1]:8080/", "method": "GET" })),
            (
                "( curl https://me:p%40w@a/ )",
                json!({ "api": "https://a/", "method": "GET", "auth": { "basic": { "username": "me", "password": "p@w" } } }),
            ),
            (
                "wget -t1 -P /x --user=me --password p -qO- https://a",
                json!({ "api": "https://a", "method": "GET", "auth": { "basic": { "username": "me", "password": "p" } } }),
            ),
            (
                "curl -XPUT --json '{\"a\":1}' -m 1.5 --retry 3 https://a",
                json!({ "api": "https://a", "method": "PUT", "body": "{\"a\":1}", "timeoutMs": 1500, "retry": { "maxAttempts": 4 } }),
            ),
            (
                "curl -G --data-urlencode 'q=a b&c' --data-urlencode =d https://a",
                json!({ "api": "https://a?q=a%20b%26c&d", "method": "GET" }),
            ),
            ("curl -d a=1 -d b=2 -G https://a/?z=3", json!({ "api": "https://a/?z=3&a=1&b=2", "method": "GET" })),
            (
                "curl -u me:p:w -H 'X-A: 1' -I https://a >/dev/null 2>&1",
                json!({ "api": "https://a", "method": "HEAD", "headers": { "X-A": "1" }, "auth": { "basic": { "username": "me", "password": "p:w" } } }),
            ),
            (
                "curl -H 'Authorization: Bearer t' -H 'authorization: Basic x' https://a",
                json!({ "api": "https://a", "method": "GET", "auth": { "bearer": "t" }, "secretHeaders": { "Authorization": "Basic x" } }),
            ),
        ];
        for (line, expected) in cases {
            let sent = read(line).unwrap_or_else(|why| panic!("{line}: {why}"));
            assert_eq!((Value::from(sent.job), sent.remarks), (expected, vec![]), "{line}");
        }
        // How much may be is the server's to say.
        let sent = read("curl --retry 18446744073709551615 -m inf https://a").expect("it is curl");
        assert_eq!((&sent.job["retry"]["maxAttempts"], &sent.job["timeoutMs"]), (&u64::MAX.into(), &u64::MAX.into()));
        let sent = read("cd /app && curl -kL https://a | logger").expect("it is curl");
        assert_eq!(sent.remarks.len(), 4, "{:?}", sent.remarks);
    }

    #[test]
    fn what_cannot_be_known_is_refused() {
        for line in [
            "/bin/backup.sh",
            "curl https://a https://b",
            "curl -d @file https://a",
            "bash -c 'curl -H \"Authorization: Bearer $TOKEN\" https://a/x'",
            "sh -c 'curl https://a/$(hostname)'",
            "curl --json @file https://a",
            "curl -b cookies.txt https://a",
            "curl -F a=@b https://a",
            "curl --data-urlencode a@b https://a",
            "curl -T a https://a",
            "curl https://a/[1-3]",
            "curl 'https://a/{b,c}'",
            "curl https://a/$?",
            "wget -i urls",
            "while true; do curl https://a; done",
            "curl -\u{fc}x -- ",
            "curl",
            "curl $URL",
            "curl https://a/$(date)",
            "curl ftp://a",
            "curl a; curl b",
            "curl -X",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
