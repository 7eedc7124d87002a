//! Owns what a definition is read with, beside its own text.
//! It must not read anything itself.

use crate::time::Instant;

/// What a definition is read with.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The second in which the schedule was given: where `@every` counts from.
    pub anchor: Instant,
}

impl Context {
    /// One that knows no more than the time.
    pub fn at(anchor: Instant) -> Context {
        Context { anchor }
    }
}
