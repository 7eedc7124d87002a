//! Owns taking in what clients said at any node of what belongs to no job: calendars, channels, policies, silences.
//! It must not write: it is in the database already.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::{CalendarChange, Input, Setting};
use crate::server::engine::Engine;
use crate::store::SharedConfig;
use crate::time::Now;

/// Lets the core know what has changed.
pub(super) fn take(engine: &mut Engine, config: SharedConfig, now: Now) {
    let SharedConfig { version: _, calendars, settings, channels } = config;
    for calendar in calendars_to_learn(engine, calendars) {
        engine.input(Input::RestoreCalendar(calendar), now);
    }
    for setting in settings_to_learn(engine, settings) {
        engine.input(Input::RestoreSetting(setting), now);
    }
    engine.resume_telling(channels, Vec::new(), now);
}

fn calendars_to_learn(engine: &Engine, found: Vec<CalendarChange>) -> Vec<CalendarChange> {
    let known = engine.core().calendars();
    let names: BTreeSet<Arc<str>> = found.iter().map(|calendar| Arc::clone(&calendar.name)).collect();
    let gone = known.iter().filter(|(name, _)| !names.contains(*name));
    let gone: Vec<CalendarChange> = gone.map(|(name, _)| CalendarChange { name: name.into(), dates: None }).collect();
    let is_new = |calendar: &CalendarChange| {
        let before = known.iter().find(|(name, _)| **name == *calendar.name);
        before.map(|(_, dates)| dates) != calendar.dates.as_ref()
    };
    found.into_iter().filter(is_new).chain(gone).collect()
}

fn settings_to_learn(engine: &Engine, found: Vec<Setting>) -> Vec<Setting> {
    let known = engine.core().settings();
    let mut gone: Vec<Setting> = known.all().map(|setting| without(&setting)).collect();
    gone.retain(|setting| !found.iter().any(|other| is_of_same(setting, other)));
    found.into_iter().filter(|setting| !known.has(setting)).chain(gone).collect()
}

/// That there is none.
fn without(setting: &Setting) -> Setting {
    match setting {
        Setting::Channel(name, _) => Setting::Channel(Arc::clone(name), None),
        Setting::Policy(scope, _) => Setting::Policy(scope.clone(), None),
        Setting::Silence(id, _) => Setting::Silence(*id, None),
    }
}

fn is_of_same(one: &Setting, other: &Setting) -> bool {
    match (one, other) {
        (Setting::Channel(one, _), Setting::Channel(other, _)) => one == other,
        (Setting::Policy(one, _), Setting::Policy(other, _)) => one == other,
        (Setting::Silence(one, _), Setting::Silence(other, _)) => one == other,
        (Setting::Channel(..) | Setting::Policy(..) | Setting::Silence(..), _) => false,
    }
}
