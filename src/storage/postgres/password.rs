//! Owns the file that passwords are looked up in, in the format of `~/.pgpass`: `host:port:database:user:password`.
//! It must not take one that others can read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::bounds::PASSWORD_FILE_LEN_MAX;
use super::url::{Host, Password, Place};

/// The password that a file has for a host, if it has one.
pub(super) fn looked_up(path: &Path, host: &Host, database: &str, user: &str) -> Result<Option<Password>, String> {
    let read = || {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut text = String::new();
        file.take(PASSWORD_FILE_LEN_MAX).read_to_string(&mut text)?;
        std::io::Result::Ok((mode, text))
    };
    let (mode, text) = read().map_err(|why| format!("the password file {}: {why}", path.display()))?;
    if mode & 0o077 != 0 {
        return Err(format!("the password file {} can be read by others: its mode must be 600", path.display()));
    }
    Ok(found(&text, host, database, user))
}

/// The password of the first line that fits.
fn found(text: &str, host: &Host, database: &str, user: &str) -> Option<Password> {
    let port = host.port.to_string();
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(fields);
    lines.find_map(|fields| {
        let [named, of_port, of_database, of_user, password] = <[String; 5]>::try_from(fields).ok()?;
        let is_host = match &host.place {
            Place::Network(name) => named == *name,
            Place::Folder(folder) => named == "localhost" || Path::new(&named) == folder,
        };
        let fits = |field: &str, value: &str| field == "*" || field == value;
        let fits = (named == "*" || is_host) && fits(&of_port, &port) && fits(&of_database, database);
        (fits && (of_user == "*" || of_user == user)).then_some(Password(password))
    })
}

/// The fields of a line. A backslash takes the meaning from what follows it; the fifth goes to the end of the line.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut chars) = (vec![String::new()], line.chars());
    while let Some(char) = chars.next() {
        let is_last = fields.len() == 5;
        let field = fields.last_mut().expect("there is one from the start");
        match char {
            '\\' => field.extend(chars.next()),
            ':' if !is_last => fields.push(String::new()),
            _ => field.push(char),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn network(name: &str, port: u16) -> Host {
        Host { place: Place::Network(name.to_owned()), port }
    }

    fn password(text: &str, host: &Host) -> Option<String> {
        found(text, host, "base", "me").map(|found| found.0)
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let text =
            "# a:1:base:me:comment\na:1:other:me:1\nshort\na:1:base:*:2\\:\\\\x:y\n*:2:*:me:3\n::1:x\n\\:\\:1:*:*:*:6";
        assert_eq!(password(text, &network("a", 1)).as_deref(), Some("2:\\x:y"));
        assert_eq!(password(text, &network("b", 2)).as_deref(), Some("3"));
        assert_eq!(password(text, &network("b", 1)), None);
        assert_eq!(password(text, &network("::1", 9)).as_deref(), Some("6"));
        let folder = Host { place: Place::Folder(PathBuf::from("/run/pg")), port: 1 };
        assert_eq!(password("localhost:1:base:me:4", &folder).as_deref(), Some("4"));
        assert_eq!(password("/run/pg:1:base:me:5", &folder).as_deref(), Some("5"));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pass");
        let look = || looked_up(&path, &network("a", 1), "base", "me");
        assert!(look().expect_err("it is not there").contains("No such file"));
        fs::write(&path, "a:1:base:me:planted\n").expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
        let why = look().expect_err("others can read it");
        assert!(why.ends_with("can be read by others: its mode must be 600"), "{why}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        assert_eq!(look(), Ok(Some(Password("planted".to_owned()))));
    }
}
