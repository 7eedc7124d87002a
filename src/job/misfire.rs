//! Owns what becomes of instants that passed while nobody could fire.
//! It must not look for them: the core does.

use serde::{Deserialize, Serialize};

use super::FieldError;

/// The policy as clients write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object such as {\"policy\":\"once\"}")]
pub struct MisfireDefinition {
    /// `once`, `all` or `skip`.
    policy: String,
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
        [Misfire::Once, Misfire::All, Misfire::Skip].into_iter().find(|policy| policy.name() == name)
    }

    /// What a definition means.
    pub(super) fn compile(definition: &MisfireDefinition) -> Result<Misfire, FieldError> {
        let MisfireDefinition { policy } = definition;
        Misfire::from_name(policy)
            .ok_or_else(|| FieldError::unknown_name("misfire.policy", "\"once\", \"all\" or \"skip\"", policy))
    }

    /// The definition that means this.
    pub(super) fn define(self) -> MisfireDefinition {
        MisfireDefinition { policy: self.name().to_owned() }
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
