//! Owns how often an execution may reach its target.
//! It must not know how one is sent.

use super::FieldError;
use super::shapes::Choice;

/// How often an execution may reach its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Repeated until it succeeded or its retries are used up; a crash may repeat it.
    #[default]
    AtLeastOnce,
    /// Never sent again where it may have arrived, neither after a failure nor after a crash.
    AtMostOnce,
}

impl Delivery {
    const ALL: [Delivery; 2] = [Delivery::AtLeastOnce, Delivery::AtMostOnce];

    /// The name clients know.
    pub fn name(self) -> &'static str {
        match self {
            Delivery::AtLeastOnce => "ATLEAST_ONCE",
            Delivery::AtMostOnce => "ATMOST_ONCE",
        }
    }

    /// The delivery with that name.
    pub(super) fn compile(name: &str) -> Result<Delivery, FieldError> {
        let found = Delivery::ALL.into_iter().find(|delivery| delivery.name() == name);
        found.ok_or_else(|| FieldError::unknown_name("type", "\"ATLEAST_ONCE\" or \"ATMOST_ONCE\"", name))
    }
}

impl Choice for Delivery {
    fn names() -> Vec<&'static str> {
        Delivery::ALL.map(Delivery::name).into()
    }
}
