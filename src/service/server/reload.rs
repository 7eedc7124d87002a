//! Owns the second look at the configuration, while the server runs: a thread reads and checks it as a whole, and the loop
//! takes over what can be changed.
//! It must not read a file on the loop, nor take a part of a configuration that is not valid.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::calls::Calls;
use super::check::check_anew;
use super::engine::Engine;
use super::tls::{Identity, Notify, Tls};
use crate::config::{BackupPlan, Config};
use crate::core::{Defaults, Input};
use crate::job::RetryPolicy;
use crate::schedule::{Zone, Zones};
use crate::time::Now;

/// Reads the configuration again, from wherever it was read; an error has a line for each fault.
pub type Reread = Arc<dyn Fn() -> Result<Config, Vec<String>> + Send + Sync>;

/// A configuration that is valid, with what it names.
struct Fresh {
    config: Config,
    identity: Option<Identity>,
    zone: Zone,
}

type Found = Result<Box<Fresh>, Vec<String>>;

/// What is in force, and what is being read.
pub(super) struct Reload {
    reread: Reread,
    /// What the server runs with, at this moment.
    config: Config,
    zones: Zones,
    notify: Notify,
    found: (Sender<Found>, Receiver<Found>),
    is_reading: bool,
    /// Whether it is to be read once more: who changed it since then wants that.
    again: bool,
}

/// What a configuration can change in a server that runs.
pub(super) struct Live<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) calls: &'a mut Calls,
    pub(super) tls: Option<&'a Tls>,
    pub(super) drain_max: &'a mut Duration,
}

impl Reload {
    pub(super) fn new(reread: Reread, config: Config, zones: Zones, notify: Notify) -> Reload {
        // One is read at a time.
        Reload { reread, config, zones, notify, found: bounded(1), is_reading: false, again: false }
    }

    /// Begins to read it. What comes of it is there for `apply` later.
    pub(super) fn begin(&mut self) {
        if self.is_reading {
            self.again = true;
            return;
        }
        let (reread, zones, notify) = (Arc::clone(&self.reread), self.zones.clone(), Arc::clone(&self.notify));
        let say = self.found.0.clone();
        let started = thread::Builder::new().name("reload".to_owned()).spawn(move || {
            // There is room for it, and the loop lives as long as the process.
            drop(say.try_send(read(&reread, &zones)));
            notify();
        });
        match started {
            Ok(_) => self.is_reading = true,
            Err(why) => refused(&[why.to_string()]),
        }
    }

    /// Whether it is being read.
    pub(super) fn is_reading(&self) -> bool {
        self.is_reading
    }

    /// Takes over what was read, if something was: as a whole, or not at all.
    pub(super) fn apply(&mut self, live: Live<'_>, now: Now) {
        let Ok(found) = self.found.1.try_recv() else { return };
        self.is_reading = false;
        match found {
            Ok(fresh) => match may_serve(&fresh.config, live.calls) {
                Ok(()) => self.take(*fresh, live, now),
                Err(fault) => refused(&[fault]),
            },
            Err(faults) => refused(&faults),
        }
        if std::mem::take(&mut self.again) {
            self.begin();
        }
    }

    fn take(&mut self, fresh: Fresh, live: Live<'_>, now: Now) {
        let Fresh { config, identity, zone } = fresh;
        let (changed, later) = differences(&self.config, &config);
        let Live { engine, calls, tls, drain_max } = live;
        // What stays as it is keeps standing in what is in force, so that it is told of again.
        let old = &mut self.config;
        if let (Some(tls), Some(identity)) = (tls, identity) {
            tls.renew(identity, config.trusted_proxies.clone());
            old.tls = config.tls;
        }
        let retry = RetryPolicy::doubling(config.retries, config.retry_delay);
        let defaults = Defaults { retry, misfire: config.misfire, lateness_max: config.max_lateness };
        engine.input(Input::Defaults(defaults), now);
        (old.retries, old.retry_delay) = (config.retries, config.retry_delay);
        (old.misfire, old.max_lateness) = (config.misfire, config.max_lateness);
        calls.zone = zone;
        old.time_zone = config.time_zone;
        *drain_max = config.drain;
        old.drain = config.drain;
        engine.keep_history(config.keep);
        old.keep = config.keep;
        engine.redirect_alerts(config.alert_webhook.clone());
        old.alert_webhook = config.alert_webhook;
        calls.gate.cors_origin.clone_from(&config.cors_origin);
        calls.cors.origin.clone_from(&config.cors_origin);
        old.cors_origin = config.cors_origin;
        calls.gate.allowed_hosts.clone_from(&config.allowed_hosts);
        old.allowed_hosts = config.allowed_hosts;
        calls.gate.trusted_proxies.clone_from(&config.trusted_proxies);
        old.trusted_proxies = config.trusted_proxies;
        calls.access.let_anonymous_read(config.allow_anonymous_read);
        old.allow_anonymous_read = config.allow_anonymous_read;
        if !calls.logs.set_level(config.log) {
            tracing::warn!("the level of the log stays as it is: the log is not this server's own");
        }
        old.log = config.log;
        let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") };
        tracing::info!(changed, "the configuration was read again");
        if !later.is_empty() {
            let settings = later.join(", ");
            tracing::warn!(settings, "what has changed of these counts after a restart only");
        }
    }
}

fn refused(faults: &[String]) {
    for why in faults {
        tracing::error!(why, "the configuration was not taken over; all of the one before stays");
    }
}

fn read(reread: &Reread, zones: &Zones) -> Found {
    let config = reread()?;
    let faults: Vec<String> = check_anew(&config).iter().map(ToString::to_string).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    // Each was looked at just now; a file may be another one already.
    let identity = config.tls.as_ref().map(Identity::read).transpose().map_err(|why| vec![why])?;
    let zone = zones.get(&config.time_zone).map_err(|why| vec![format!("--time-zone: {}", why.message())])?;
    Ok(Box::new(Fresh { config, identity, zone }))
}

/// As at a start: nobody could use a server that others reach if there is no token and nobody may read.
fn may_serve(config: &Config, calls: &Calls) -> Result<(), String> {
    if calls.access.may_serve_with(config.allow_anonymous_read) {
        return Ok(());
    }
    Err("--allow-anonymous-read: expected to stay, as others reach the server and there is no token".to_owned())
}

/// Which settings differ: those that can be changed now, and those that count after a restart.
fn differences(old: &Config, new: &Config) -> (Vec<&'static str>, Vec<&'static str>) {
    // Taken apart, so that a new setting does not compile before it is in one of the lists.
    let Config {
        listen,
        listen_mode,
        tls,
        store,
        max_in_flight,
        workers,
        timeout,
        retries,
        retry_delay,
        time_zone,
        misfire,
        max_lateness,
        drain,
        keep,
        // No flag changes it.
        housekeeping: _,
        alert_webhook,
        targets,
        ca_file,
        secrets_key,
        cors_origin,
        allowed_hosts,
        allow_anonymous_read,
        bootstrap_token_file,
        trusted_proxies,
        log,
        log_format,
        backups,
    } = new;
    let folder = |plan: &Option<BackupPlan>| plan.as_ref().map(|plan| plan.folder.clone());
    let every = |plan: &Option<BackupPlan>| plan.as_ref().map(|plan| plan.every);
    let kept = |plan: &Option<BackupPlan>| plan.as_ref().map(|plan| plan.keep);
    let files = |config: &Config| config.tls.as_ref().map(|tls| (tls.cert.clone(), tls.key.clone()));
    let (old_files, new_files) = (files(old), files(new));
    // Whether there is TLS at all is a matter of where is listened.
    let keeps_tls = old.tls.is_some() == tls.is_some();
    let differs =
        |place: fn(&(PathBuf, PathBuf)) -> &Path| old_files.as_ref().map(place) != new_files.as_ref().map(place);
    let (cert, key) = (differs(|files| &files.0), differs(|files| &files.1));
    let now = [
        ("tls-cert", keeps_tls && cert),
        ("tls-key", keeps_tls && key),
        ("retries", *retries != old.retries),
        ("retry-delay-ms", *retry_delay != old.retry_delay),
        ("time-zone", *time_zone != old.time_zone),
        ("misfire", *misfire != old.misfire),
        ("max-lateness-ms", *max_lateness != old.max_lateness),
        ("drain-ms", *drain != old.drain),
        ("keep-days", keep.age != old.keep.age),
        ("keep-per-job", keep.rows_per_job != old.keep.rows_per_job),
        ("keep-mib", keep.bytes != old.keep.bytes),
        ("keep-audit-days", keep.audit_age != old.keep.audit_age),
        ("alert-webhook", *alert_webhook != old.alert_webhook),
        ("cors-origin", *cors_origin != old.cors_origin),
        ("allowed-host", *allowed_hosts != old.allowed_hosts),
        ("allow-anonymous-read", *allow_anonymous_read != old.allow_anonymous_read),
        ("trusted-proxy", *trusted_proxies != old.trusted_proxies),
        ("log", *log != old.log),
    ];
    let later = [
        ("listen", *listen != old.listen),
        ("listen-mode", *listen_mode != old.listen_mode),
        ("tls-cert", !keeps_tls),
        ("tls-key", !keeps_tls),
        ("db", store.file() != old.store.file()),
        ("store", store.file().is_none() && *store != old.store),
        ("max-in-flight", *max_in_flight != old.max_in_flight),
        ("workers", *workers != old.workers),
        ("timeout-ms", *timeout != old.timeout),
        ("targets", *targets != old.targets),
        ("ca-file", *ca_file != old.ca_file),
        ("secrets-key", *secrets_key != old.secrets_key),
        ("bootstrap-token-file", *bootstrap_token_file != old.bootstrap_token_file),
        ("log-format", *log_format != old.log_format),
        ("backup-dir", folder(backups) != folder(&old.backups)),
        ("backup-every-minutes", every(backups) != every(&old.backups)),
        ("backup-keep", kept(backups) != kept(&old.backups)),
    ];
    let named =
        |all: &[(&'static str, bool)]| all.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    (named(&now), named(&later))
}
