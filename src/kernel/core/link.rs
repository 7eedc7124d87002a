//! Owns how a table points into another one, or nowhere.
//! It must not know what lies there.

/// A slot, or none, in the room of a slot. Tables of a million have many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link(u32);

impl Link {
    /// It points nowhere. No slot is that large: see [`slot`](super::slot).
    pub(super) const NONE: Link = Link(u32::MAX);

    pub(super) fn get(self) -> Option<u32> {
        (self != Link::NONE).then_some(self.0)
    }
}

impl From<u32> for Link {
    fn from(slot: u32) -> Link {
        debug_assert_ne!(slot, u32::MAX, "memory ends before that");
        Link(slot)
    }
}

impl From<Option<u32>> for Link {
    fn from(slot: Option<u32>) -> Link {
        slot.map_or(Link::NONE, Link::from)
    }
}
