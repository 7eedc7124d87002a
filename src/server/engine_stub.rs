//! Owns, until the engine has them, the readers of how channels fare, and test deliveries.
//! It must not outlive the merge with the engine's own.

use std::time::Duration;

use super::engine::{AlertCounts, Engine};
use crate::core::RequestId;
use crate::store::ChannelHealth;

impl Engine {
    /// How a channel fared last.
    pub(super) fn channel_health(&self, _name: &str) -> ChannelHealth {
        ChannelHealth::default()
    }

    /// Messages that wait for a channel.
    pub(super) fn channel_waiting(&self, _name: &str) -> usize {
        0
    }

    /// What became of messages over a channel since the start.
    pub(super) fn channel_counts(&self, _name: &str) -> AlertCounts {
        AlertCounts::default()
    }

    /// Sends a test over a channel that there is. What came of it comes with `take_channel_tests`.
    pub(super) fn test_channel(&mut self, _request: RequestId, _name: &str) {}

    /// What came of tests: how long a delivery took, or why there was none.
    pub(super) fn take_channel_tests(&mut self) -> Vec<(RequestId, Result<Duration, String>)> {
        Vec::new()
    }
}
