//! Owns what is written down of requests that change something: who asks, and what came of it.
//! It must not write: what is written down goes to the disk with the change itself wherever that can be.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::access::Stranger;
use super::calls::Calls;
use super::engine::Engine;
use crate::access::Who;
use crate::api::{self, ApiError};
use crate::core::{AlertSettings, PolicyScope, Reply, RequestId, Scheduler, Setting};
use crate::http::{Request, Status};
use crate::job::{AlertPolicy, JobId};
use crate::store::{AuditRow, Difference, Differing, values_between};
use crate::time::{Now, WallUs};

/// A request as far as it is written down.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) who: Who,
    /// From where.
    pub(super) client: IpAddr,
    /// Whether it came over TLS, to this server or a proxy that is trusted.
    pub(super) is_secure: bool,
    /// What it is called.
    pub(super) operation: &'static str,
    /// What its path names.
    pub(super) subject: Box<str>,
}

impl Asking {
    /// What is written down of it. `subject`: what it is about, if its path does not name that.
    pub(super) fn row(&self, subject: Option<Box<str>>, status: Status, at: WallUs) -> AuditRow {
        let named = (!self.subject.is_empty()).then(|| self.subject.clone());
        AuditRow {
            at,
            token: self.who.principal,
            client: self.client.to_string().into(),
            operation: self.operation,
            subject: named.or(subject),
            difference: Difference::None,
            status: status.code(),
        }
    }
}

/// Requests that change something and are under way.
#[derive(Debug, Default)]
pub(super) struct Audits {
    /// Each with whether it is written down already, with what it changes.
    under_way: BTreeMap<RequestId, (Asking, bool)>,
}

impl Audits {
    pub(super) fn begin(&mut self, request: RequestId, asking: Asking) {
        self.under_way.insert(request, (asking, false));
    }

    /// A request is over, and nothing came of it that is worth a word.
    pub(super) fn end(&mut self, request: RequestId) {
        self.under_way.remove(&request);
    }

    /// What is to be written down with a change that will be answered like this.
    pub(super) fn plan(&mut self, core: &Scheduler, request: RequestId, reply: &Reply, at: WallUs) -> Option<AuditRow> {
        let (asking, is_written) = self.under_way.get_mut(&request)?;
        *is_written = true;
        Some(told(core, asking, reply, at))
    }

    /// What is still to be written down of a request that the core has answered.
    pub(super) fn settle(
        &mut self,
        core: &Scheduler,
        request: RequestId,
        reply: &Reply,
        at: WallUs,
    ) -> Option<AuditRow> {
        let (asking, is_written) = self.under_way.remove(&request)?;
        // If it was to be and is not on disk, that was given up with the change.
        let is_new = !is_written || matches!(reply, Reply::Refused(_));
        is_new.then(|| told(core, &asking, reply, at))
    }

    /// What is known of a request that goes on.
    pub(super) fn get(&self, request: RequestId) -> Option<&Asking> {
        self.under_way.get(&request).map(|(asking, _)| asking)
    }

    /// A request that changes many jobs.
    pub(super) fn take(&mut self, request: RequestId) -> Option<Asking> {
        self.under_way.remove(&request).map(|(asking, _)| asking)
    }
}

fn told(core: &Scheduler, asking: &Asking, reply: &Reply, at: WallUs) -> AuditRow {
    let status = status_of(reply);
    let changed = match reply {
        Reply::Created(view) | Reply::Updated(view) => Some(&view.revision),
        _ => None,
    };
    let set = match reply {
        Reply::Set(setting) => Some(name_of(setting)),
        _ => None,
    };
    let row = asking.row(changed.map(|revision| revision.id.to_string().into()).or(set), status, at);
    let is_new = matches!(reply, Reply::Created(_));
    // While a change is on its way to the disk, what is in force is what it changes.
    let old = asking.subject.parse().ok().filter(|_| !is_new).and_then(|id: JobId| core.revision_of(id.key()));
    let difference = match (reply, changed) {
        (Reply::Set(setting), None) => match change_of(core.settings(), setting) {
            differing if differing.is_empty() => Difference::None,
            differing => Difference::Members(differing),
        },
        (_, Some(new)) => Difference::Job(old.cloned(), Some(new.clone())),
        (Reply::Deleted, None) if old.is_some() => Difference::Job(old.cloned(), None),
        _ => Difference::None,
    };
    AuditRow { difference, ..row }
}

/// The members in which a setting that is on its way to the disk differs from that in force.
fn change_of(settings: &AlertSettings, setting: &Setting) -> Differing {
    match setting {
        Setting::Channel(name, new) => {
            let (old, new) = (settings.channel(name).map(|old| old.define()), new.as_ref().map(|new| new.define()));
            values_between(old.as_ref(), new.as_ref())
        }
        Setting::Policy(scope, new) => {
            let old = match scope {
                PolicyScope::Server => Some(settings.server_policy()),
                PolicyScope::Tag(tag) => {
                    settings.tag_policies().find(|(other, _)| **other == **tag).map(|(_, policy)| policy.as_ref())
                }
            };
            let (old, new) = (old.map(AlertPolicy::define), new.as_ref().map(|new| new.define()));
            values_between(old.as_ref(), new.as_ref())
        }
        Setting::Silence(id, new) => {
            let old = settings.silences().find(|(other, _)| other == id).map(|(_, silence)| silence);
            let [old, new] = [old, new.as_ref()].map(|silence| silence.map(|silence| api::silence(*id, silence)));
            values_between(old.as_ref(), new.as_ref())
        }
    }
}

/// What a setting is called where a path does not name it.
fn name_of(setting: &Setting) -> Box<str> {
    match setting {
        Setting::Channel(name, _) => name.as_ref().into(),
        Setting::Policy(PolicyScope::Server, _) => "server".into(),
        Setting::Policy(PolicyScope::Tag(tag), _) => tag.clone(),
        Setting::Silence(id, _) => id.to_string().into(),
    }
}

/// The status of the answer to a change.
fn status_of(reply: &Reply) -> Status {
    match reply {
        Reply::Created(_) => Status::CREATED,
        Reply::Updated(_) | Reply::Unchanged(_) | Reply::CalendarPut { .. } | Reply::Ended(..) => Status::OK,
        Reply::Set(Setting::Channel(_, None) | Setting::Policy(_, None) | Setting::Silence(_, None)) => {
            Status::NO_CONTENT
        }
        Reply::Set(Setting::Silence(_, Some(_))) => Status::CREATED,
        Reply::Set(Setting::Channel(_, Some(_)) | Setting::Policy(_, Some(_))) | Reply::Acknowledged(_) => Status::OK,
        Reply::Started(_) | Reply::StartedAll(..) => Status::ACCEPTED,
        Reply::Deleted | Reply::CalendarDeleted => Status::NO_CONTENT,
        Reply::NotFound | Reply::Nameless | Reply::NoSuchCalendar => Status::NOT_FOUND,
        Reply::NoSuchSetting | Reply::NoSuchIncident => Status::NOT_FOUND,
        Reply::TooMany(_) | Reply::Invalid(_) => Status::BAD_REQUEST,
        Reply::NameTaken(_) | Reply::Conflict(_) | Reply::OwnedElsewhere => Status::CONFLICT,
        Reply::Changed(_) => Status::PRECONDITION_FAILED,
        Reply::Refused(refusal) => ApiError::from(*refusal).status,
    }
}

impl Calls {
    /// Somebody asked for what his token does not allow: that is written down, unless it happens too often.
    pub(super) fn note_trespass(&mut self, engine: &mut Engine, asking: &Asking, asked: &Request, now: Now) {
        if !self.access.is_too_often(asking.client, now) {
            let what = format!("{} {:.200}", asked.method.name(), asked.path);
            engine.write_down(None, asking.row(Some(what.into()), Status::FORBIDDEN, now.wall), now.mono);
        }
    }

    /// Somebody was not let in: that is written down, unless there are too many.
    pub(super) fn note_stranger(&mut self, engine: &mut Engine, asking: &Asking, stranger: &Stranger, now: Now) {
        if stranger.is_told {
            tracing::warn!(client = %asking.client, "a token that does not count was shown");
            engine.write_down(None, asking.row(None, stranger.error.status, now.wall), now.mono);
        }
    }
}
