//! Owns how often an execution may reach its target.
//! It must not know how one is sent.

use super::FieldError;

/// How often an execution may reach its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Repeated until it succeeded or its retries are used up; a crash may repeat it.
    AtLeastOnce,
}

impl Delivery {
    /// The name clients know.
    pub fn name(self) -> &'static str {
        match self {
            Delivery::AtLeastOnce => "ATLEAST_ONCE",
        }
    }

    /// The delivery with that name.
    pub(super) fn compile(name: &str) -> Result<Delivery, FieldError> {
        let found = [Delivery::AtLeastOnce].into_iter().find(|delivery| delivery.name() == name);
        found.ok_or_else(|| FieldError::unknown_name("type", "\"ATLEAST_ONCE\"", name))
    }
}
