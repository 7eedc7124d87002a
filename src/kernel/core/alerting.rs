//! Owns the settings of what is told: channels, policies of tags and of the server, silences. What is in force, what is
//! being written, and which policy counts for a job.
//! It must not know what is wrong: `incidents` do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::io::{Output, Persist, Refusal, Reply, RequestId};
use super::receipts::Receipt;
use super::scheduler::{Phase, Scheduler};
use super::setting::{PolicyScope, Setting, Silence, SilenceId, Silenced};
use crate::channel::Channel;
use crate::job::{AlertPolicy, FieldError, JobSpec};
use crate::time::{Now, WallUs};

const NAMED: &str = "a job or a policy names this channel";

/// The settings in force.
#[derive(Debug, Default)]
pub struct AlertSettings {
    channels: BTreeMap<Arc<str>, Arc<Channel>>,
    server: Arc<AlertPolicy>,
    tags: BTreeMap<Box<str>, Arc<AlertPolicy>>,
    silences: BTreeMap<SilenceId, Arc<Silence>>,
    /// When the first of them ends.
    silence_end: Option<WallUs>,
    /// Whether jobs are looked at whose own policy says nothing.
    watches: bool,
}

impl AlertSettings {
    /// The channels, in the order of their names.
    pub fn channels(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Channel>)> {
        self.channels.iter()
    }

    /// The channel with this name.
    pub fn channel(&self, name: &str) -> Option<&Arc<Channel>> {
        self.channels.get(name)
    }

    /// The server's policy.
    pub fn server_policy(&self) -> &AlertPolicy {
        &self.server
    }

    /// The policies of tags, in the order of these.
    pub fn tag_policies(&self) -> impl Iterator<Item = (&str, &Arc<AlertPolicy>)> {
        self.tags.iter().map(|(tag, policy)| (&**tag, policy))
    }

    /// The policies that count for a job, the narrowest first: its own, those of its tags by name, the server's.
    pub fn policies_of<'a>(&'a self, spec: &'a JobSpec) -> impl Iterator<Item = (Whose<'a>, &'a AlertPolicy)> {
        let mut tags: Vec<&str> = match spec.labels() {
            Some(labels) if !self.tags.is_empty() => labels.tags.iter().map(|tag| &**tag).collect(),
            Some(_) | None => Vec::new(),
        };
        tags.sort_unstable();
        let of_tags = tags.into_iter().filter_map(|tag| Some((Whose::Tag(tag), &**self.tags.get(tag)?)));
        let own = spec.alerts().map(|policy| (Whose::Job, policy));
        own.into_iter().chain(of_tags).chain(std::iter::once((Whose::Server, &*self.server)))
    }

    /// The policy that counts for a job, member by member.
    pub fn policy_of(&self, spec: &JobSpec) -> AlertPolicy {
        self.policies_of(spec).fold(AlertPolicy::default(), |policy, (_, wider)| policy.over(wider))
    }

    /// The silences, in the order in which they were made.
    pub fn silences(&self) -> impl Iterator<Item = (SilenceId, &Arc<Silence>)> {
        self.silences.iter().map(|(&id, silence)| (id, silence))
    }

    /// All of them, each as whoever sets it says it.
    pub fn all(&self) -> impl Iterator<Item = Setting> {
        let channels =
            self.channels.iter().map(|(name, channel)| Setting::Channel(Arc::clone(name), Some(Arc::clone(channel))));
        let server = (*self.server != AlertPolicy::default()).then(|| Arc::clone(&self.server));
        let server = server.map(|policy| Setting::Policy(PolicyScope::Server, Some(policy)));
        let tags = self.tags.iter();
        let tags = tags.map(|(tag, policy)| Setting::Policy(PolicyScope::Tag(tag.clone()), Some(Arc::clone(policy))));
        let silences = self.silences.iter().map(|(&id, silence)| Setting::Silence(id, Some(Arc::clone(silence))));
        channels.chain(server).chain(tags).chain(silences)
    }

    /// Whether this is in force as it is.
    pub fn has(&self, setting: &Setting) -> bool {
        match setting {
            Setting::Channel(name, channel) => self.channels.get(name) == channel.as_ref(),
            Setting::Policy(PolicyScope::Server, policy) => {
                *self.server == policy.as_deref().cloned().unwrap_or_default()
            }
            Setting::Policy(PolicyScope::Tag(tag), policy) => self.tags.get(tag) == policy.as_ref(),
            Setting::Silence(id, silence) => self.silences.get(id) == silence.as_ref(),
        }
    }

    fn names(&self, channel: &str) -> bool {
        let policies = self.tags.values().chain([&self.server]);
        policies.into_iter().any(|policy| names(policy, channel))
    }

    fn apply(&mut self, setting: Setting) {
        match setting {
            Setting::Channel(name, Some(channel)) => drop(self.channels.insert(name, channel)),
            Setting::Channel(name, None) => drop(self.channels.remove(&name)),
            Setting::Policy(PolicyScope::Server, policy) => self.server = policy.unwrap_or_default(),
            Setting::Policy(PolicyScope::Tag(tag), Some(policy)) => drop(self.tags.insert(tag, policy)),
            Setting::Policy(PolicyScope::Tag(tag), None) => drop(self.tags.remove(&tag)),
            Setting::Silence(id, Some(silence)) => drop(self.silences.insert(id, silence)),
            Setting::Silence(id, None) => drop(self.silences.remove(&id)),
        }
        let watches = |policy: &AlertPolicy| {
            [policy.no_success_for, policy.late_by].into_iter().flatten().any(|term| term.time().is_some())
        };
        self.watches = watches(&self.server) || self.tags.values().any(|policy| watches(policy));
        self.silence_end = self.silences.values().map(|silence| WallUs::of(silence.ends_at)).min();
    }
}

/// Whose policy says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// The job's own.
    Job,
    /// That of a tag.
    Tag(&'a str),
    /// The server's.
    Server,
}

fn names(policy: &AlertPolicy, channel: &str) -> bool {
    policy.channels.iter().flat_map(|channels| channels.iter()).any(|name| &**name == channel)
}

/// The settings, and changes of them on their way to the disk, oldest first.
#[derive(Debug, Default)]
pub(super) struct Alerting {
    in_force: AlertSettings,
    pending: VecDeque<(u64, RequestId, Setting)>,
    /// Channels whose deletion is being written: nobody may come to name one.
    leaving: BTreeSet<Arc<str>>,
    /// How many changes there were.
    changes: u64,
    /// Silences that are being written have ids, too.
    newest_silence: u64,
}

impl Alerting {
    /// Nothing is in force, and ids that were used are used up.
    pub(super) fn emptied(&self) -> Alerting {
        Alerting { newest_silence: self.newest_silence, ..Alerting::default() }
    }

    /// Takes who waits for the disk.
    pub(super) fn take_requests(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        std::mem::take(&mut self.pending).into_iter().map(|(_, request, _)| request)
    }
}

impl Scheduler {
    /// The channels, policies and silences in force.
    pub fn settings(&self) -> &AlertSettings {
        &self.alerting.in_force
    }

    /// Whether a job is to be looked at when nothing of it ends.
    pub(super) fn may_watch(&self, spec: &JobSpec) -> bool {
        spec.alerts().is_some() || self.settings().watches
    }

    /// A setting that was found on disk, or that another node has changed.
    pub(super) fn find_setting(&mut self, setting: Setting, now: Now) {
        if let Setting::Silence(id, _) = &setting {
            self.alerting.newest_silence = self.alerting.newest_silence.max(id.0);
        }
        self.alerting.in_force.apply(setting.clone());
        if self.phase == Phase::Running {
            self.follow_setting(&setting, now);
        }
    }

    /// What follows from a setting that is in force as of now.
    fn follow_setting(&mut self, setting: &Setting, now: Now) {
        match setting {
            Setting::Policy(..) => self.reconsider_all(now),
            // Somebody may hear now of what nobody heard of.
            Setting::Channel(_, Some(_)) | Setting::Silence(_, None) => self.tell_untold(),
            Setting::Channel(_, None) | Setting::Silence(_, Some(_)) => {}
        }
    }

    /// A client changes or removes a setting.
    pub(super) fn set(&mut self, request: RequestId, setting: Setting) {
        if let Err(reply) = self.check_setting(&setting) {
            return self.output(Output::Reply(request, reply));
        }
        self.submit_setting(request, setting);
    }

    /// A client begins a silence.
    pub(super) fn silence(&mut self, request: RequestId, silence: Silence, now: Now) {
        if matches!(silence.of, Silenced::Job(id) if self.find(id).is_none()) {
            return self.output(Output::Reply(request, Reply::NotFound));
        }
        let pending = self.alerting.pending.iter();
        let new = pending.filter(|(.., setting)| matches!(setting, Setting::Silence(_, Some(_)))).count();
        let most = self.settings.bounds.silences_max;
        if self.settings().silences.len() + new >= most {
            let why = format!("there are {most} silences, and no more may be");
            return self.output(Output::Reply(request, Reply::TooMany(why)));
        }
        let id = self.number_by_time(self.alerting.newest_silence, now);
        self.alerting.newest_silence = id;
        self.submit_setting(request, Setting::Silence(SilenceId(id), Some(Arc::new(silence))));
    }

    /// Whether the channels that a job is to name are there.
    pub(super) fn check_channels_of(&self, spec: &JobSpec) -> Result<(), Reply> {
        spec.alerts().map_or(Ok(()), |policy| self.check_channels(policy))
    }

    fn check_channels(&self, policy: &AlertPolicy) -> Result<(), Reply> {
        let is_there = |name: &str| self.settings().channel(name).is_some() && !self.alerting.leaving.contains(name);
        let unknown = policy.channels.iter().flat_map(|names| names.iter()).find(|name| !is_there(name));
        unknown.map_or(Ok(()), |name| {
            let why = format_args!("expected names of channels, but there is no channel {name:?}");
            Err(Reply::Invalid(FieldError::new("alerts.channels", why)))
        })
    }

    fn check_setting(&self, setting: &Setting) -> Result<(), Reply> {
        let settings = self.settings();
        let pending = || self.alerting.pending.iter().map(|(.., setting)| setting);
        let is_there = match setting {
            Setting::Channel(name, Some(channel)) => {
                let new = pending().filter_map(|setting| match setting {
                    Setting::Channel(name, Some(channel)) => Some((name, channel)),
                    Setting::Channel(_, None) | Setting::Policy(..) | Setting::Silence(..) => None,
                });
                let mut all: BTreeMap<&Arc<str>, &Arc<Channel>> = settings.channels.iter().chain(new).collect();
                all.insert(name, channel);
                let mails = all.values().filter(|channel| channel.is_mail()).count();
                let (most, mails_max) = (self.settings.bounds.channels_max, self.settings.bounds.mail_channels_max);
                if all.len() > most || mails > mails_max {
                    let why = format!("expected at most {most} channels, {mails_max} of them of e-mail");
                    return Err(Reply::TooMany(why));
                }
                true
            }
            Setting::Channel(name, None) if settings.channels.contains_key(name) => {
                if self.receipts.has_changes() || self.gathering.has_changes() {
                    // One of them may come to name it.
                    return Err(Reply::Refused(Refusal::ChangesPending));
                }
                let specs = self.jobs.after(None).map(|slot| self.jobs[slot].spec());
                let mut policies = specs.filter_map(JobSpec::alerts);
                if settings.names(name) || policies.any(|policy| names(policy, name)) {
                    return Err(Reply::Conflict(NAMED));
                }
                true
            }
            Setting::Channel(_, None) => false,
            Setting::Policy(scope, Some(policy)) => {
                self.check_channels(policy)?;
                let tags = pending().filter_map(|setting| match setting {
                    Setting::Policy(PolicyScope::Tag(tag), Some(_)) => Some(tag),
                    Setting::Policy(..) | Setting::Channel(..) | Setting::Silence(..) => None,
                });
                let mut all: BTreeSet<&Box<str>> = settings.tags.keys().chain(tags).collect();
                if let PolicyScope::Tag(tag) = scope {
                    all.insert(tag);
                }
                let most = self.settings.bounds.tag_policies_max;
                if all.len() > most {
                    return Err(Reply::TooMany(format!("expected at most {most} tags with a policy")));
                }
                true
            }
            Setting::Policy(PolicyScope::Server, None) => true,
            Setting::Policy(PolicyScope::Tag(tag), None) => settings.tags.contains_key(tag),
            Setting::Silence(id, _) => settings.silences.contains_key(id),
        };
        if is_there { Ok(()) } else { Err(Reply::NoSuchSetting) }
    }

    fn submit_setting(&mut self, request: RequestId, setting: Setting) {
        if let Setting::Channel(name, None) = &setting {
            self.alerting.leaving.insert(Arc::clone(name));
        }
        self.alerting.changes += 1;
        let id = self.alerting.changes;
        self.alerting.pending.push_back((id, request, setting.clone()));
        let number = self.persist(Persist::Setting(setting.clone()), Receipt::Setting(id));
        if std::mem::take(&mut self.plans) {
            self.output(Output::Planned(number, request, Reply::Set(setting)));
        }
    }

    /// A change of a setting is on disk, or will never be.
    pub(super) fn setting_settled(&mut self, id: u64, written: bool, now: Now) {
        let place = self.alerting.pending.iter().position(|(other, ..)| *other == id);
        let (_, request, setting) =
            place.and_then(|place| self.alerting.pending.remove(place)).expect("a change is settled once");
        if let Setting::Channel(name, None) = &setting {
            self.alerting.leaving.remove(name);
        }
        if !written {
            return self.refuse(request, Refusal::NotWritten);
        }
        self.alerting.in_force.apply(setting.clone());
        self.follow_setting(&setting, now);
        self.output(Output::Reply(request, Reply::Set(setting)));
    }

    /// When the next silence ends.
    pub(super) fn next_silence_end(&self) -> Option<WallUs> {
        self.settings().silence_end
    }

    /// Silences that are over go. Whether there were any.
    pub(super) fn end_silences(&mut self, now: Now) -> bool {
        let is_over = |silence: &Silence| WallUs::of(silence.ends_at) <= now.wall;
        let over = self.settings().silences().filter(|(_, silence)| is_over(silence)).map(|(id, _)| id);
        let over: Vec<SilenceId> = over.collect();
        for &id in &over {
            let setting = Setting::Silence(id, None);
            self.alerting.in_force.apply(setting.clone());
            // If it cannot be written, it is over at the next start all the same.
            self.persist(Persist::Setting(setting), Receipt::Nothing);
        }
        !over.is_empty()
    }
}
