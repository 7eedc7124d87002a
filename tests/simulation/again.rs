//! Owns clients that do not hear an answer and ask again, or do not: with an idempotency key, under which the answer is on disk
//! together with what it says, and without one.
//! It must not look into the core.

use punctual::core::{Action, Command, Input, Reply, RequestId, Run};
use punctual::time::Instant;

use super::clients::{Asked, Clients};
use super::coverage::Coverage;
use super::plan::SECOND_US;
use super::world::{Event, World};

/// A request that may have to be sent again.
pub(crate) struct Sent {
    asked: Asked,
    action: Action,
    read_at: Instant,
    key: Option<u64>,
}

impl Sent {
    /// Another one of the same request.
    fn copy(&self) -> Option<Sent> {
        let action = copy_of(&self.action)?;
        Some(Sent { asked: self.asked.clone(), action, read_at: self.read_at, key: self.key })
    }
}

/// The same action, if it is one that clients here repeat. What many jobs at once are to be is not.
fn copy_of(action: &Action) -> Option<Action> {
    Some(match action {
        Action::Create { spec, entropy, pause } => {
            Action::Create { spec: spec.clone(), entropy: *entropy, pause: pause.clone() }
        }
        Action::Update { id, spec, keep_active, expected } => {
            Action::Update { id: *id, spec: spec.clone(), keep_active: *keep_active, expected: expected.clone() }
        }
        Action::Delete { id, expected } => Action::Delete { id: *id, expected: expected.clone() },
        Action::Pause { id, until, note, expected } => {
            Action::Pause { id: *id, until: *until, note: note.clone(), expected: expected.clone() }
        }
        Action::Resume { id, missed, expected } => {
            Action::Resume { id: *id, missed: *missed, expected: expected.clone() }
        }
        Action::Release { id } => Action::Release { id: *id },
        Action::PutCalendar { name, dates } => Action::PutCalendar { name: name.clone(), dates: dates.clone() },
        Action::DeleteCalendar { name } => Action::DeleteCalendar { name: name.clone() },
        Action::Set(setting) => Action::Set(setting.clone()),
        Action::Silence(silence) => Action::Silence(silence.clone()),
        Action::Acknowledge { id, by, note } => Action::Acknowledge { id: *id, by: by.clone(), note: note.clone() },
        Action::ReplayAll(origins) => Action::ReplayAll(origins.clone()),
        Action::Run(run) => {
            let Run { id, of, own_body, force, wait } = &**run;
            let own_body = own_body.clone();
            Action::Run(Box::new(Run { id: *id, of: *of, own_body, force: *force, wait: *wait }))
        }
        Action::Apply(_) => return None,
    })
}

/// Whether an answer says that something was done, and so is on disk.
fn is_done(asked: &Asked, reply: &Reply) -> bool {
    match reply {
        // It may have gone on already.
        Reply::Updated(_) if matches!(asked, Asked::Resume { .. }) => false,
        Reply::Created(_) | Reply::Updated(_) | Reply::Deleted | Reply::Started(_) | Reply::Ended(..) => true,
        Reply::CalendarPut { .. } | Reply::CalendarDeleted | Reply::Set(_) | Reply::Acknowledged(_) => true,
        Reply::StartedAll(ids, _) => !ids.is_empty(),
        Reply::Unchanged(_) | Reply::Nameless | Reply::NotFound | Reply::NoSuchCalendar => false,
        Reply::NoSuchSetting | Reply::NoSuchIncident | Reply::NameTaken(_) | Reply::Changed(_) => false,
        Reply::TooMany(_) | Reply::Conflict(_) | Reply::Invalid(_) | Reply::Refused(_) => false,
        Reply::OwnedElsewhere => false,
    }
}

impl Clients {
    /// Keeps what is needed to send a request again. `has_key`: under a key, which only who is told what it will be answered
    /// can have.
    fn keep(&mut self, command: &Command, key: Option<u64>) {
        let Some(action) = copy_of(&command.action) else { return };
        let asked = self.open[&command.request].clone();
        // A job that is to be another one twice is not what its client wrote.
        let is_update = matches!(asked, Asked::Update { .. }) && key.is_none();
        if is_update || !self.may_be_repeated(&asked) {
            return;
        }
        self.sent.insert(command.request, Sent { asked, action, read_at: command.read_at, key });
    }

    /// The key of a request that is under way.
    pub(crate) fn key_of(&self, request: RequestId) -> Option<u64> {
        self.sent.get(&request)?.key
    }

    fn is_under_way(&self, key: u64) -> bool {
        self.open.keys().any(|request| self.key_of(*request) == Some(key))
    }
}

impl World {
    /// A client sends a request.
    pub(crate) fn submit(&mut self, command: Command) {
        let key = (command.plans && self.rng.per_cent(70)).then(|| self.rng.next());
        self.clients.keep(&command, key);
        let sent = self.clients.sent.get(&command.request).and_then(Sent::copy);
        if let Some(sent) = sent.filter(|sent| sent.key.is_some())
            && !self.healed
            && self.rng.per_cent(5)
        {
            // It does not wait for the answer.
            let wait_us = self.rng.within(0..=SECOND_US);
            self.after(wait_us, Event::AskAgain(Box::new(sent)));
        }
        self.feed(Input::Command(Box::new(command)));
    }

    /// An answer arrives, or is lost; then its client asks again, or does not.
    pub(crate) fn answer(&mut self, request: RequestId, reply: &Reply) {
        let sent = self.clients.sent.remove(&request);
        if let Some((Sent { asked, .. }, key)) = sent.as_ref().and_then(|sent| Some((sent, sent.key?)))
            && is_done(asked, reply)
        {
            assert!(self.disk.keys.contains(&key), "{reply:?} is done, and its key is not on disk with it");
        }
        let astray = if self.healed { 0 } else { self.plan.astray_per_cent };
        let is_lost = sent.is_some() && self.rng.per_cent(astray);
        let again = sent.filter(|_| is_lost && self.rng.per_cent(70));
        self.coverage.hit_if(is_lost, "answer lost");
        self.coverage.hit_if(is_lost && again.is_none(), "answer lost for good");
        self.clients.answered(request, reply, again.is_some(), &self.disk, &mut self.coverage);
        if let Some(sent) = again {
            let wait_us = self.rng.within(0..=3 * SECOND_US);
            self.after(wait_us, Event::AskAgain(Box::new(sent)));
        }
    }

    /// The process died: of those who wait for an answer some ask again once it is back.
    pub(crate) fn leave_unanswered(&mut self) {
        let sent = std::mem::take(&mut self.clients.sent);
        for (_, sent) in sent {
            self.coverage.hit("died before it answered");
            if !self.healed && self.rng.per_cent(70) {
                let wait_us = self.down_us + self.rng.within(0..=3 * SECOND_US);
                self.after(wait_us, Event::AskAgain(Box::new(sent)));
            }
        }
    }

    /// A client asks again. Under a key it is answered what is on disk, if anything is.
    pub(crate) fn ask_again(&mut self, sent: Sent) {
        if self.core.is_none() {
            return self.after(SECOND_US, Event::AskAgain(Box::new(sent)));
        }
        match sent.key {
            None => self.coverage.hit("asked again without a key"),
            Some(key) if self.disk.keys.contains(&key) => {
                return self.coverage.hit("asked again, and answered what is on disk");
            }
            Some(key) if self.clients.is_under_way(key) => {
                self.coverage.hit("asked again while it was under way");
                return self.after(SECOND_US, Event::AskAgain(Box::new(sent)));
            }
            Some(_) => self.coverage.hit("asked again, and done for the first time"),
        }
        let Some(Sent { asked, action, read_at, key }) = sent.copy() else { return };
        let command = self.clients.ask_once_more(asked, action, key.is_some());
        let command = Command { read_at, ..command };
        self.clients.sent.insert(command.request, sent);
        self.feed(Input::Command(Box::new(command)));
    }
}

/// Notes that a request is one that was sent before.
impl Clients {
    fn ask_once_more(&mut self, asked: Asked, action: Action, has_key: bool) -> Command {
        if let Some(draft) = asked.draft() {
            // It may come to be in force now.
            self.refused.remove(&draft);
        }
        let mut command = self.ask(asked, action);
        if has_key && !command.plans {
            // Who has a key wants to know what it will be answered.
            let asked = self.open.remove(&command.request).expect("it was just asked");
            command = self.ask(asked, command.action);
        }
        self.repeated.insert(command.request);
        command
    }
}

/// What was said under a key is on disk once.
pub(crate) fn note_key(keys: &mut std::collections::BTreeSet<u64>, key: Option<u64>) {
    let Some(key) = key else { return };
    assert!(keys.insert(key), "what was asked under one key was done twice");
}

/// Counts what an ambiguous commit had in it, by how it went out.
pub(crate) fn note_ambiguous(kinds: impl Iterator<Item = usize>, end: End, coverage: &mut Coverage) {
    for kind in kinds {
        coverage.hit(AMBIGUOUS[kind][end as usize]);
    }
}

/// What became of a batch whose commit may have failed.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// It was written after all.
    Written,
    /// The process died, and it is on disk.
    Survived,
    /// The process died, and it is not.
    Lost,
}

/// For each kind of item and each end.
pub(crate) const AMBIGUOUS: [[&str; 3]; 7] = [
    ["ambiguous row written", "ambiguous row survived", "ambiguous row lost"],
    ["ambiguous change written", "ambiguous change survived", "ambiguous change lost"],
    ["ambiguous changes together written", "ambiguous changes together survived", "ambiguous changes together lost"],
    ["ambiguous calendar written", "ambiguous calendar survived", "ambiguous calendar lost"],
    ["ambiguous run written", "ambiguous run survived", "ambiguous run lost"],
    ["ambiguous setting written", "ambiguous setting survived", "ambiguous setting lost"],
    ["ambiguous incident written", "ambiguous incident survived", "ambiguous incident lost"],
];

/// What a sweep must have seen.
pub(crate) const REQUIRED: &[&str] = &[
    "answer lost",
    "answer lost for good",
    "asked again without a key",
    "asked again, and answered what is on disk",
    "asked again while it was under way",
    "asked again, and done for the first time",
    "died before it answered",
];
