//! Owns what clients steer of what is told: channels, policies, silences, and that somebody knows of an incident.
//! It must not judge what is told: `incidents` does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use punctual::channel::{Channel, ChannelDefinition};
use punctual::core::{
    Action, AlertSettings, Command, IncidentId, PolicyScope, Refusal, Reply, Setting, Silence, SilenceId, Silenced,
};
use punctual::job::{AlertDefinition, AlertPolicy, Term};
use punctual::time::{Instant, WallUs};

use super::clients::{Asked, Clients};
use super::coverage::Coverage;
use super::disk::Disk;
use super::plan::Profile;
use super::rng::Rng;

/// The tags there may be.
pub(crate) const TAGS: [&str; 3] = ["blue", "green", "red"];
const CHANNELS: [&str; 3] = ["mail", "ops", "phone"];
/// Periods that a policy may name, in seconds: some for runs of a minute, some for runs of days.
const PERIODS_S: [u64; 6] = [1, 3, 8, 20, 3_600, 20_000];

/// Settings as they are on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) channels: BTreeMap<Arc<str>, Arc<Channel>>,
    pub(crate) policies: BTreeMap<PolicyScope, Arc<AlertPolicy>>,
    pub(crate) silences: BTreeMap<SilenceId, Arc<Silence>>,
}

impl Settings {
    pub(crate) fn apply(&mut self, setting: Setting) {
        match setting {
            Setting::Channel(name, Some(channel)) => drop(self.channels.insert(name, channel)),
            Setting::Channel(name, None) => drop(self.channels.remove(&name)),
            Setting::Policy(scope, Some(policy)) => drop(self.policies.insert(scope, policy)),
            Setting::Policy(scope, None) => drop(self.policies.remove(&scope)),
            Setting::Silence(id, Some(silence)) => {
                assert!(self.silences.keys().all(|other| *other <= id), "the ids of silences rise");
                self.silences.insert(id, silence);
            }
            Setting::Silence(id, None) => drop(self.silences.remove(&id)),
        }
    }

    /// What is in force is what is on disk, once nothing is under way. A silence that is over may lie on disk for longer.
    pub(crate) fn assert_in_force(&self, core: &AlertSettings) {
        let channels = core.channels().map(|(name, channel)| (Arc::clone(name), Arc::clone(channel)));
        assert_eq!(channels.collect::<BTreeMap<_, _>>(), self.channels, "other channels than on disk");
        let of_tags = core.tag_policies().map(|(tag, policy)| (PolicyScope::Tag(tag.into()), Arc::clone(policy)));
        let mut policies: BTreeMap<PolicyScope, Arc<AlertPolicy>> = of_tags.collect();
        let server = self.policies.get(&PolicyScope::Server).map(|policy| (**policy).clone()).unwrap_or_default();
        assert_eq!(*core.server_policy(), server, "another policy of the server than on disk");
        policies
            .extend(self.policies.get_key_value(&PolicyScope::Server).map(|(scope, one)| (scope.clone(), one.clone())));
        assert_eq!(policies, self.policies, "other policies than on disk");
        for (id, silence) in core.silences() {
            assert_eq!(self.silences.get(&id), Some(silence), "a silence that is not on disk");
        }
    }

    /// All of them, as a start reads them.
    pub(crate) fn all(&self) -> Vec<Setting> {
        let channels =
            self.channels.iter().map(|(name, one)| Setting::Channel(Arc::clone(name), Some(Arc::clone(one))));
        let policies = self.policies.iter().map(|(scope, one)| Setting::Policy(scope.clone(), Some(Arc::clone(one))));
        let silences = self.silences.iter().map(|(id, one)| Setting::Silence(*id, Some(Arc::clone(one))));
        channels.chain(policies).chain(silences).collect()
    }
}

fn period(rng: &mut Rng) -> Duration {
    Duration::from_secs(*rng.pick(&PERIODS_S))
}

fn term(rng: &mut Rng) -> Term {
    if rng.per_cent(10) { Term::Never } else { Term::After(period(rng)) }
}

/// A policy that says some things.
fn policy(disk: &Disk, is_long: bool, rng: &mut Rng) -> AlertPolicy {
    let after = rng.per_cent(40).then(|| u32::try_from(rng.within(1..=3)).expect("small"));
    let recovery = rng.per_cent(30).then(|| rng.per_cent(50));
    // Of days, not every few seconds.
    let remind_every = rng.per_cent(40).then(|| match (is_long, term(rng)) {
        (true, Term::After(_)) => Term::After(Duration::from_secs(3_600)),
        (_, term) => term,
    });
    let no_success_for = rng.per_cent(40).then(|| term(rng));
    let late_by = rng.per_cent(40).then(|| term(rng));
    let on_auto_pause = rng.per_cent(30).then(|| rng.per_cent(50));
    // Now and then one that is not there.
    let known = |name: &&&str| disk.settings.channels.contains_key(**name);
    let is_careless = rng.per_cent(10);
    let named: Vec<&str> = CHANNELS.iter().filter(|name| is_careless || known(name)).copied().collect();
    let channels =
        rng.per_cent(60).then(|| named.iter().filter(|_| rng.per_cent(60)).map(|&name| name.into()).collect());
    AlertPolicy {
        after,
        recovery,
        remind_every,
        no_success_for,
        late_by,
        on_auto_pause,
        on_server_trouble: None,
        channels,
    }
}

/// What a job says itself, which must be a definition.
pub(crate) fn of_job(rng: &mut Rng) -> Option<AlertDefinition> {
    if !rng.per_cent(30) {
        return None;
    }
    let text = |rng: &mut Rng| punctual::schedule::duration_text(period(rng));
    Some(AlertDefinition {
        after: rng.per_cent(40).then(|| rng.within(1..=3)),
        no_success_for: rng.per_cent(40).then(|| text(rng)),
        late_by: rng.per_cent(40).then(|| text(rng)),
        // They may be there, or not.
        channels: rng.per_cent(10).then(|| vec![(*rng.pick(&CHANNELS)).to_owned()]),
        ..AlertDefinition::default()
    })
}

impl Clients {
    /// Something about what is told.
    pub(crate) fn steer(&mut self, disk: &Disk, rng: &mut Rng, wall: WallUs) -> Command {
        match rng.within(0..=9) {
            0..=2 => self.steer_channel(disk, rng),
            3 | 4 => {
                let scope = match rng.per_cent(40) {
                    true => PolicyScope::Server,
                    false => PolicyScope::Tag((*rng.pick(&TAGS)).into()),
                };
                let put = rng.per_cent(75).then(|| {
                    let policy = policy(disk, self.profile == Some(Profile::Sparse), rng);
                    let on_server_trouble = (scope == PolicyScope::Server && rng.per_cent(20)).then_some(false);
                    Arc::new(AlertPolicy { on_server_trouble, ..policy })
                });
                let setting = Setting::Policy(scope, put);
                self.ask(Asked::Set { setting: setting.clone() }, Action::Set(setting))
            }
            5 | 6 => self.begin_silence(rng, wall),
            7 => {
                let ids: Vec<SilenceId> = disk.settings.silences.keys().copied().chain([SilenceId(1)]).collect();
                let setting = Setting::Silence(*rng.pick(&ids), None);
                self.ask(Asked::Set { setting: setting.clone() }, Action::Set(setting))
            }
            _ => {
                let open = disk.incidents.values().filter(|incident| incident.closed.is_none());
                let ids: Vec<IncidentId> = open.map(|incident| incident.id).chain([IncidentId(1)]).collect();
                let id = *rng.pick(&ids);
                let (by, note) = (None, Some("on it".into()));
                self.ask(Asked::Acknowledge { id }, Action::Acknowledge { id, by, note })
            }
        }
    }

    pub(crate) fn steer_channel(&mut self, disk: &Disk, rng: &mut Rng) -> Command {
        let name: Arc<str> = (*rng.pick(&CHANNELS)).into();
        let definition = match rng.per_cent(25) {
            true => ChannelDefinition {
                kind: "email".to_owned(),
                url: "smtps://mail.test:465".to_owned(),
                from: Some("punctual@mail.test".to_owned()),
                to: Some(vec![format!("{name}@mail.test")]),
                ..ChannelDefinition::default()
            },
            false => ChannelDefinition {
                kind: "webhook".to_owned(),
                url: format!("https://{name}.test/{}", rng.within(0..=9)),
                ..ChannelDefinition::default()
            },
        };
        let is_there = disk.settings.channels.contains_key(&name);
        let put = (!is_there || rng.per_cent(50))
            .then(|| Arc::new(Channel::compile(&definition, None, true).expect("a channel")));
        let setting = Setting::Channel(name, put);
        self.ask(Asked::Set { setting: setting.clone() }, Action::Set(setting))
    }

    fn begin_silence(&mut self, rng: &mut Rng, wall: WallUs) -> Command {
        let of = match rng.within(0..=2) {
            0 if !self.known.is_empty() => Silenced::Job(*rng.pick(&self.known)),
            0 | 1 => Silenced::Tag((*rng.pick(&TAGS)).into()),
            _ => Silenced::Target(format!("http://t{}.test:80", rng.within(0..=3)).into()),
        };
        let lasts_s = *rng.pick(&[2, 5, 20, 3_600]);
        let ends_at = Instant::from_secs(wall.floor().as_secs() + lasts_s);
        let silence = Silence { of, note: "work in progress".into(), ends_at, created_at: wall, by: None };
        self.ask(Asked::Silence { silence: silence.clone() }, Action::Silence(silence))
    }

    /// What was asked of it is on disk, or was not done.
    pub(crate) fn steered(&mut self, asked: Asked, reply: &Reply, disk: &Disk, coverage: &mut Coverage) {
        match (asked, reply) {
            (Asked::Set { setting }, Reply::Set(done)) => {
                assert_eq!(format!("{setting:?}"), format!("{done:?}"), "something else was done");
                match done {
                    Setting::Channel(name, put) => {
                        coverage.hit(if put.is_some() { "channel put" } else { "channel deleted" });
                        assert!(disk.log_of_settings.iter().any(|line| *line == format!("{done:?}")), "{name}");
                    }
                    Setting::Policy(_, put) => {
                        coverage.hit(if put.is_some() { "policy put" } else { "policy deleted" });
                        assert!(disk.log_of_settings.iter().any(|line| *line == format!("{done:?}")));
                    }
                    Setting::Silence(id, _) => {
                        assert!(!disk.settings.silences.contains_key(id), "a silence was ended that is there");
                        coverage.hit("silence ended by a client");
                    }
                }
            }
            (Asked::Silence { silence }, Reply::Set(Setting::Silence(id, Some(made)))) => {
                assert_eq!(silence, **made);
                let line = format!("{:?}", Setting::Silence(*id, Some(Arc::clone(made))));
                assert!(disk.log_of_settings.contains(&line), "a silence was answered that is not on disk");
                coverage.hit("silence begun");
            }
            (Asked::Silence { silence: Silence { of: Silenced::Job(id), .. } }, Reply::NotFound) => {
                assert!(disk.live(id).is_none(), "a job that is on disk was not found");
            }
            (Asked::Set { setting }, Reply::NoSuchSetting) => {
                let none_is_put = match setting {
                    Setting::Channel(_, put) => put.is_none(),
                    Setting::Policy(_, put) => put.is_none(),
                    Setting::Silence(_, put) => put.is_none(),
                };
                assert!(none_is_put, "what is put need not be there");
                coverage.hit("no such setting");
            }
            (Asked::Set { setting: Setting::Channel(_, None) }, Reply::Conflict(_)) => coverage.hit("channel kept"),
            (Asked::Set { setting: Setting::Policy(_, Some(policy)) }, Reply::Invalid(error)) => {
                assert!(policy.channels.is_some() && error.member == "alerts.channels", "{error}");
                coverage.hit("unknown channel refused");
            }
            (Asked::Set { setting: Setting::Channel(_, Some(channel)) }, Reply::TooMany(_)) => {
                let is_mail = channel.is_mail();
                coverage.hit(if is_mail { "too many channels of e-mail" } else { "too many channels" });
            }
            (Asked::Set { setting: Setting::Policy(_, Some(_)) }, Reply::TooMany(_)) => {
                coverage.hit("too many policies of tags");
            }
            (Asked::Silence { .. }, Reply::TooMany(_)) => coverage.hit("too many silences"),
            (Asked::Acknowledge { id }, Reply::Acknowledged(incident)) => {
                let stored = &disk.incidents[&id];
                let is_known = stored.acknowledged.is_some() || incident.closed.is_some();
                assert!(incident.id == id && is_known, "somebody knows, and it is not on disk");
                coverage.hit("acknowledged");
            }
            (Asked::Acknowledge { .. }, Reply::NoSuchIncident) => coverage.hit("nothing to acknowledge"),
            (_, Reply::Refused(Refusal::NotWritten)) => coverage.hit("setting rejected"),
            (_, Reply::Refused(Refusal::ChangesPending)) => coverage.hit("other changes pending"),
            (_, Reply::Refused(_)) => {}
            (_, other) => panic!("an answer to another question: {other:?}"),
        }
    }
}
