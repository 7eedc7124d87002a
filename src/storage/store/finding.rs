//! Owns what a look at a database may find wrong: what, how often, and some of it by name.
//! It must not look.

use crate::limits::{FINDINGS_MAX, FINDINGS_NAMED_MAX};

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What, in the plural.
    pub what: String,
    /// How often, up to a bound.
    pub count: u32,
    /// Some of them.
    pub examples: Vec<String>,
}

impl Finding {
    /// One that has not been met.
    pub(in crate::store) fn new(what: &str) -> Finding {
        Finding { what: what.to_owned(), count: 0, examples: Vec::new() }
    }

    /// One that was met, and of which there is no more to say.
    pub fn once(what: &str) -> Finding {
        Finding { count: 1, ..Finding::new(what) }
    }

    /// It is met.
    pub(in crate::store) fn note(&mut self, example: impl FnOnce() -> String) {
        self.count = (self.count + 1).min(FINDINGS_MAX);
        if self.examples.len() < FINDINGS_NAMED_MAX {
            self.examples.push(example());
        }
    }

    pub(in crate::store) fn if_any(self) -> Option<Finding> {
        (self.count > 0).then_some(self)
    }
}
