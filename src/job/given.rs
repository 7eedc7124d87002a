//! Owns members of which it counts whether they were left out or null.
//! It must not know what either means for a member.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A member as a client wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Given<T> {
    /// Not at all.
    #[default]
    LeftOut,
    /// As null.
    Null,
    /// With a value.
    Value(T),
}

impl<T> Given<T> {
    /// Whether it was left out.
    pub fn is_left_out(&self) -> bool {
        matches!(self, Given::LeftOut)
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Given::LeftOut | Given::Null => None,
            Given::Value(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Given<T> {
    /// What is not there is left out.
    fn from(value: Option<T>) -> Given<T> {
        value.map_or(Given::LeftOut, Given::Value)
    }
}

impl<T: Serialize> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given<T>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Given::Null, Given::Value))
    }
}
