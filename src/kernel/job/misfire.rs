//! Owns what becomes of instants that passed while nobody could fire.
//! It must not look for them: the core does.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::whole;
use super::shapes::{Choice, NameOf};
use super::{FieldError, bounded};
use crate::limits::MISFIRE_ALL_MAX;

/// How late a run may at least and at most be allowed to begin.
const LATENESS_MIN_MS: u64 = 1_000;
const LATENESS_MAX_MS: u64 = 366 * 86_400_000;

/// The policy as clients write it. What is left out is as the server was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object such as {\"policy\":\"once\"}")]
#[schemars(rename = "Misfire")]
pub struct MisfireDefinition {
    /// `once`, `all` or `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameOf<Misfire>>")]
    policy: Option<String>,
    /// How late a run may begin, also one for a missed instant.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = LATENESS_MIN_MS, max = LATENESS_MAX_MS))]
    max_lateness_ms: Option<u64>,
    /// How many runs `all` makes for one gap.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MISFIRE_ALL_MAX))]
    max_catch_up: Option<u64>,
}

/// What a job says of instants that passed while nobody could fire. What it leaves open is as the server was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MisfireRule {
    /// What is run for them.
    pub policy: Option<Misfire>,
    /// How late a run may begin, also one for a missed instant.
    pub lateness_max: Option<Duration>,
    /// How many runs `all` makes for one gap.
    pub catch_up_max: Option<u32>,
}

/// What to do about instants that passed while nobody could fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfire {
    /// One run for the latest missed instant, which says how many it stands for.
    Once,
    /// A run for every missed instant, up to a bound; one row covers the rest.
    All,
    /// No run; one row covers them.
    Skip,
}

impl Misfire {
    const ALL: [Misfire; 3] = [Misfire::Once, Misfire::All, Misfire::Skip];

    /// The name users know.
    pub fn name(self) -> &'static str {
        match self {
            Misfire::Once => "once",
            Misfire::All => "all",
            Misfire::Skip => "skip",
        }
    }

    /// The policy with that name.
    pub fn from_name(name: &str) -> Option<Misfire> {
        Misfire::ALL.into_iter().find(|policy| policy.name() == name)
    }

    /// Whether a missed instant that has a row already is run, given whether it is the latest of those missed.
    pub fn runs(self, is_latest: bool) -> bool {
        match self {
            Misfire::Once => is_latest,
            Misfire::All => true,
            Misfire::Skip => false,
        }
    }
}

impl Choice for Misfire {
    fn names() -> Vec<&'static str> {
        Misfire::ALL.map(Misfire::name).into()
    }
}

impl MisfireRule {
    /// What a definition means.
    pub(super) fn compile(definition: &MisfireDefinition) -> Result<MisfireRule, FieldError> {
        let MisfireDefinition { policy, max_lateness_ms, max_catch_up } = definition;
        let policy = policy.as_deref().map(|name| {
            Misfire::from_name(name)
                .ok_or_else(|| FieldError::unknown_name("misfire.policy", "\"once\", \"all\" or \"skip\"", name))
        });
        let lateness = max_lateness_ms.map(|ms| bounded("misfire.maxLatenessMs", ms, LATENESS_MIN_MS, LATENESS_MAX_MS));
        let most = u64::from(MISFIRE_ALL_MAX);
        let catch_up = max_catch_up.map(|count| bounded("misfire.maxCatchUp", count, 1, most));
        Ok(MisfireRule {
            policy: policy.transpose()?,
            lateness_max: lateness.transpose()?.map(Duration::from_millis),
            catch_up_max: catch_up.transpose()?.map(|count| u32::try_from(count).expect("it is bounded")),
        })
    }

    /// The definition that means this.
    pub(super) fn define(self) -> MisfireDefinition {
        let millis = |time: Duration| u64::try_from(time.as_millis()).expect("it was read from as many");
        MisfireDefinition {
            policy: self.policy.map(|policy| policy.name().to_owned()),
            max_lateness_ms: self.lateness_max.map(millis),
            max_catch_up: self.catch_up_max.map(u64::from),
        }
    }
}
