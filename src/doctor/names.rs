//! Owns the look at what the network needs before anything is sent: names that are found, addresses that are allowed, root
//! certificates that are trusted.
//! It must not connect to a target.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs};

use super::Finding;
use super::asking;
use crate::config::Config;
use crate::dispatch;
use crate::limits::RESOLVER_TIME_GOOD;

const RESOLVER: &str = "resolver";
const ROOTS: &str = "roots";

/// Looks up this machine's own name, and that of the alert webhook.
pub(super) fn resolver(config: &Config) -> Vec<Finding> {
    let mut findings = vec![look_up("localhost", 80, |_| Ok(()))];
    if let Some(webhook) = &config.alert_webhook {
        findings.push(look_up(webhook.host(), webhook.port(), |address| dispatch::may_reach(address, &config.targets)));
    }
    findings
}

fn look_up(host: &str, port: u16, may_reach: impl Fn(IpAddr) -> Result<(), String>) -> Finding {
    // An IPv6 address in a URL stands in brackets.
    let asked = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let looked = asking::within(move || (asked.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    let advice = "look at /etc/resolv.conf and /etc/hosts; `getent hosts NAME` asks the same";
    let (found, took) = match looked {
        None => return Finding::fail(RESOLVER, format!("{host}: no answer in time"), advice),
        Some((Err(why), _)) => return Finding::fail(RESOLVER, format!("{host} is not found: {why}"), advice),
        Some((Ok(found), took)) => (found, took),
    };
    let took_ms = took.as_secs_f64() * 1_000.0;
    let Some(first) = found.first() else {
        return Finding::fail(RESOLVER, format!("{host} has no address"), advice);
    };
    let text = format!("{host} is {} ({took_ms:.1} ms)", first.ip());
    let refused: Vec<String> = found.iter().filter_map(|address| may_reach(address.ip()).err()).collect();
    let finding = if refused.len() == found.len() {
        Finding::fail(RESOLVER, format!("{text}, and {}", refused[0]), "no alert gets there: let --targets allow it")
    } else if took > RESOLVER_TIME_GOOD {
        Finding::warn(
            RESOLVER,
            text,
            "lookups are slow: a resolver of this machine (systemd-resolved, unbound) remembers",
        )
    } else {
        Finding::ok(RESOLVER, text)
    };
    finding.with(&[("tookMs", took_ms)])
}

/// How many root certificates the machine has, and the file beside them.
pub(super) fn roots(config: &Config) -> Finding {
    let (machine, troubles) = dispatch::machine_roots();
    // What is wrong with the file is wrong with the configuration, and told there.
    let of_file = config.ca_file.as_ref().and_then(|path| dispatch::check_roots(&fs::read(path).ok()?).ok());
    let beside = of_file.map(|count| format!(", and {count} of --ca-file")).unwrap_or_default();
    let advice = "install the package ca-certificates, or set SSL_CERT_FILE";
    let finding = if machine == 0 {
        let found = format!("this machine has none: those that are built in are trusted{beside}");
        Finding::warn(ROOTS, found, advice)
    } else if let Some(trouble) = troubles.first() {
        Finding::warn(ROOTS, format!("{machine} of this machine{beside}; some cannot be read: {trouble}"), advice)
    } else {
        Finding::ok(ROOTS, format!("{machine} of this machine{beside}"))
    };
    finding.with(&[("machine", f64::from(u32::try_from(machine).unwrap_or(u32::MAX)))])
}
