//! Owns the options of wget: what they say of a request.
//! It must not send anything.

use super::request::{Request, Sent};

/// Options whose values say nothing of what is sent.
const QUIET_WITH_VALUE: [&str; 14] = [
    "-O",
    "--output-document",
    "-o",
    "--output-file",
    "-a",
    "--append-output",
    "-P",
    "--directory-prefix",
    "-t",
    "--tries",
    "-w",
    "--wait",
    "--waitretry",
    "--connect-timeout",
];
/// Options that say nothing of what is sent.
const QUIET: [&str; 12] = [
    "-q",
    "--quiet",
    "-nv",
    "--no-verbose",
    "-v",
    "--verbose",
    "--spider",
    "-c",
    "--continue",
    "-N",
    "--timestamping",
    "--no-cache",
];

/// Reads the words behind the program's name.
///
/// # Errors
/// Why nothing can be made of them.
pub(crate) fn read(words: &[String], request: &mut Request, sent: &mut Sent) -> Result<(), String> {
    let mut left: Vec<String> = words.iter().rev().cloned().collect();
    let (mut user, mut password) = (None, String::new());
    while let Some(word) = left.pop() {
        let (name, mut given) = apart(&word);
        let mut take = || given.take().or_else(|| left.pop()).ok_or_else(|| format!("{name} has no value"));
        match name {
            "--header" => request.header(&take()?, sent),
            "--post-data" | "--body-data" => request.data.push(take()?),
            "--post-file" | "--body-file" => return Err("its body comes from a file".to_owned()),
            "-i" | "--input-file" => return Err("its URLs come from a file".to_owned()),
            "--method" => request.method = Some(take()?.to_uppercase()),
            "--user" | "--http-user" => user = Some(take()?),
            "--password" | "--http-password" => password = take()?,
            "-U" | "--user-agent" => drop(request.headers.insert("User-Agent".to_owned(), take()?.into())),
            "--referer" => drop(request.headers.insert("Referer".to_owned(), take()?.into())),
            "-T" | "--timeout" | "--read-timeout" => sent.time_max(name, &take()?)?,
            name if QUIET_WITH_VALUE.contains(&name) => drop(take()?),
            name if QUIET.contains(&name) => {}
            // -qO- is -q -O -.
            name if name.starts_with("-q") && given.is_none() => left.push(format!("-{}", &name[2..])),
            name if name.starts_with('-') => sent.left_out(&word),
            _ => request.url(&word)?,
        }
    }
    if let Some(user) = user {
        sent.basic(&user, &password);
    }
    request.is_globless = true;
    Ok(())
}

/// An option and its value, as far as it stands in the same word: `--timeout=9`, `-O-`, `-t1`.
fn apart(word: &str) -> (&str, Option<String>) {
    if word.starts_with("--") {
        return word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
    }
    let is_short = word.starts_with('-') && word.is_char_boundary(2) && word.len() > 2;
    if is_short && "OoaPtwTUi".contains(&word[1..2]) {
        return (&word[..2], Some(word[2..].to_owned()));
    }
    (word, None)
}
