//! Owns the look at files that hold secrets, which nobody else must read, and at the end of the certificate.
//! It must not read a secret: their modes are enough.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Finding;
use crate::clock;
use crate::config::{Config, TlsFiles};
use crate::limits::CERTIFICATE_END_NEAR;
use crate::server;
use crate::time::WallUs;

const CERTIFICATE: &str = "certificate";
const SECRETS: &str = "secret files";

/// When the server's own certificate ends, or one of those that lead to a root.
pub(super) fn certificate(files: &TlsFiles) -> Finding {
    match server::certificate_times(files) {
        Err(why) => Finding::fail(CERTIFICATE, why, "`punctual serve --check` says the same"),
        Ok((begins, ends)) => judge_times(begins, ends, clock::wall()),
    }
}

fn judge_times(begins: WallUs, ends: WallUs, now: WallUs) -> Finding {
    let renew = "renew it, then kill -HUP the server";
    let days = ends.since_us(now) / 86_400_000_000;
    let finding = if now < begins {
        Finding::fail(
            CERTIFICATE,
            format!("it counts from {begins} only"),
            "no client takes it before: look at the clock",
        )
    } else if now >= ends {
        Finding::fail(CERTIFICATE, format!("it ended at {ends}: no client takes it"), renew)
    } else if ends.since_us(now) < i64::try_from(CERTIFICATE_END_NEAR.as_micros()).unwrap_or(i64::MAX) {
        Finding::warn(CERTIFICATE, format!("it ends at {ends}, in {days} days"), renew)
    } else {
        Finding::ok(CERTIFICATE, format!("it ends at {ends}, in {days} days"))
    };
    #[expect(clippy::cast_precision_loss, reason = "figures are for reading")]
    finding.with(&[("daysLeft", days as f64)])
}

/// Whether others than owner and group may read or write a file that is there.
pub(super) fn is_open(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
}

/// Every file with a secret that others may read, or that there is none. The key of secrets is looked at with the
/// configuration, as no server starts with one that is open.
pub(super) fn files(config: &Config, contexts: Option<&Path>) -> Vec<Finding> {
    let named = [
        ("the key of the certificate", config.tls.as_ref().map(|files| files.key.as_path())),
        ("the first token", config.bootstrap_token_file.as_deref()),
        ("the tokens of contexts", contexts),
    ];
    let there = || named.iter().filter_map(|(what, path)| Some((what, (*path)?))).filter(|(_, path)| path.exists());
    let open: Vec<Finding> = there()
        .filter(|(_, path)| is_open(path))
        .map(|(what, path)| {
            let shown = path.display();
            Finding::fail(SECRETS, format!("others can read {shown}, {what}"), format!("chmod 600 {shown}"))
        })
        .collect();
    if !open.is_empty() {
        return open;
    }
    match there().count() {
        0 => vec![Finding::ok(SECRETS, "there are none to be read")],
        count => vec![Finding::ok(SECRETS, format!("{count} looked at, and others can read none"))],
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_certificate_is_told_of_before_it_ends() {
        let day = |day: i64| WallUs(day * 86_400_000_000);
        let level = |begins: i64, ends: i64| judge_times(day(begins), day(ends), day(1_000)).level;
        assert_eq!([level(0, 1_100), level(0, 1_010)], [Level::Ok, Level::Warn]);
        assert_eq!([level(0, 1_000), level(0, 999), level(1_001, 1_100)], [Level::Fail; 3]);
    }
}
