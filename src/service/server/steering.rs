//! Owns requests that steer what is told, where they take more than handing a change to the core: a channel made over the
//! one that there is, a test that is waited for, and what an answer tells beside the core's.
//! It must not know what a channel is, or whether something is to be told.

use std::sync::Arc;
use std::time::Duration;

use super::calls::{Calls, herd_of, refuse};
use super::connection::Given;
use super::engine::Engine;
use crate::api::{self, ApiError, Beside};
use crate::channel::ChannelDefinition;
use crate::core::{Action, Refusal, Reply, RequestId, Scheduler, Setting};
use crate::limits::CHANNEL_TESTS_MAX;
use crate::time::Now;

impl Calls {
    /// Makes a channel over the one that has its name, so that secrets are kept that are left out. What is being written
    /// is not known yet: another change of it has to wait for that.
    pub(super) fn put_channel(
        &mut self,
        engine: &mut Engine,
        now: Now,
        request: RequestId,
        name: Arc<str>,
        definition: &ChannelDefinition,
    ) -> Given {
        if self.channels_changing.values().any(|other| *other == name) {
            return refuse(&ApiError::from(Refusal::ChangesPending));
        }
        let before = engine.core().settings().channel(&name).map(AsRef::as_ref);
        match api::channel_over(definition, before, self.seals) {
            Ok(channel) => {
                let setting = Setting::Channel(Arc::clone(&name), Some(channel));
                let given = self.change(engine, now, request, Action::Set(setting));
                if matches!(given, Given::Later) {
                    self.channels_changing.insert(request, name);
                }
                given
            }
            Err(error) => refuse(&error),
        }
    }

    /// Sends something over a channel once. Whether it arrives is waited for like the end of an execution.
    pub(super) fn test_channel(&mut self, engine: &mut Engine, now: Now, request: RequestId, name: &str) -> Given {
        if engine.core().settings().channel(name).is_none() {
            return refuse(&ApiError::no_such_channel());
        }
        if self.channel_tests.len() >= CHANNEL_TESTS_MAX {
            return refuse(&ApiError::too_many("too many tests of channels are under way; try again"));
        }
        self.channel_tests.insert(request);
        engine.test_channel(request, name, now);
        Given::MuchLater
    }

    /// What came of a test of a channel.
    pub(super) fn channel_tested(&mut self, request: RequestId, result: Result<Duration, String>) -> Given {
        self.channel_tests.remove(&request);
        Given::Answer(self.cors.mark(api::channel_tested(result)))
    }

    /// What a client is told beside the core's answer. To be asked for before the request is over.
    pub(super) fn beside(&self, core: &Scheduler, request: RequestId, reply: &Reply) -> Beside {
        let is_of_policy = self.audits.get(request).is_some_and(|asking| api::is_of_policy(asking.operation));
        let silenced_by = match reply {
            Reply::Acknowledged(incident) => core.silence_of(incident),
            _ => None,
        };
        Beside { herd: herd_of(core, reply), silenced_by, is_of_policy, elsewhere: self.replays.told(request) }
    }
}
