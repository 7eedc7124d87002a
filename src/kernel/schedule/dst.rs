//! Owns what becomes of wall-clock times that a change of the clock skips or shows twice, as somebody chose.
//! It must not know zones nor when a schedule is due.

/// What becomes of the *fixed* times of a schedule when the clock is changed. A schedule with `*`, `?` or a step in its
/// second, minute or hour is paced by elapsed time and does not ask: it simply runs on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Dst {
    /// Of times that do not exist on that day.
    pub gap: Gap,
    /// Of times that exist twice on that day.
    pub overlap: Overlap,
}

/// What becomes of times that the clock skips.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Gap {
    /// All of them are due once, at the first instant after the gap.
    #[default]
    RunAfter,
    /// They are not due on that day.
    Skip,
}

/// What becomes of times that the clock shows twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Overlap {
    /// Due when it is shown first.
    #[default]
    First,
    /// Due when it is shown last.
    Last,
    /// Due both times.
    Both,
}

impl Dst {
    /// What "paced by elapsed time" comes to: every instant at which the clock shows a matching time, and no other.
    pub(super) const ELAPSED: Dst = Dst { gap: Gap::Skip, overlap: Overlap::Both };
}

impl Gap {
    /// Every policy.
    pub const ALL: [Gap; 2] = [Gap::RunAfter, Gap::Skip];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Gap::RunAfter => "run_after",
            Gap::Skip => "skip",
        }
    }
}

impl Overlap {
    /// Every policy.
    pub const ALL: [Overlap; 3] = [Overlap::First, Overlap::Last, Overlap::Both];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Overlap::First => "first",
            Overlap::Last => "last",
            Overlap::Both => "both",
        }
    }
}
