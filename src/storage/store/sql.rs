//! Owns what the tables say to a database, whichever it is: statements with values, and rows that come back.
//! It must not know a table, nor more of SQL than that values are numbered from 1, as in `?1`.

use std::borrow::Cow;
use std::sync::Arc;

/// A database within a transaction.
///
/// Texts are in what SQLite and PostgreSQL have in common. All whole numbers are 64 bits wide.
pub(in crate::store) trait Sql {
    /// What goes wrong.
    type Error: From<Bad>;

    /// Carries out a statement, at the latest before the transaction ends.
    fn run(&self, text: &str, values: &[Value<'_>]) -> Result<(), Self::Error>;

    /// Carries out a statement: how many rows it changed.
    fn count(&self, text: &str, values: &[Value<'_>]) -> Result<u64, Self::Error>;

    /// Takes every row.
    fn each(
        &self,
        text: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), Bad>,
    ) -> Result<(), Self::Error>;

    /// Takes row after row of what may be many, until there is none or `take` wants no more.
    fn walk(
        &self,
        text: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<bool, Bad>,
    ) -> Result<(), Self::Error>;

    /// An index by name, where that can be said: right behind the table it is of.
    fn index(&self, name: &'static str) -> Cow<'static, str>;

    /// All rows.
    fn all<T>(
        &self,
        text: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Bad>,
    ) -> Result<Vec<T>, Self::Error>
    where
        Self: Sized,
    {
        let mut all = Vec::new();
        self.each(text, values, &mut |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// The first row, if there is one; of what has few.
    fn first<T>(
        &self,
        text: &str,
        values: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, Bad>,
    ) -> Result<Option<T>, Self::Error>
    where
        Self: Sized,
    {
        let (mut found, mut read) = (None, Some(read));
        self.each(text, values, &mut |row| {
            if let Some(read) = read.take() {
                found = Some(read(row)?);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// A value that no version of this program writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Bad {
    /// Which column of what was read; the first is 0.
    pub(in crate::store) column: usize,
    /// What is wrong with it.
    pub(in crate::store) why: String,
}

/// Says what is wrong with a column.
pub(in crate::store) fn bad(column: usize, why: &str) -> Bad {
    Bad { column, why: why.to_owned() }
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "column {}: {}", self.column, self.why)
    }
}

impl std::error::Error for Bad {}

/// A value that goes into a statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::store) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// The values of a statement, in their order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::Value::from($value)),*][..] };
}
pub(in crate::store) use values;

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl From<$type> for Value<'_> {
            fn from(number: $type) -> Self {
                Value::Integer(number.into())
            }
        }
        impl From<&$type> for Value<'_> {
            fn from(number: &$type) -> Self {
                Value::Integer((*number).into())
            }
        }
    )* };
}
integers!(i64, u32, u16, u8, bool);

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Integer(integer(number))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a, const LEN: usize> From<&'a [u8; LEN]> for Value<'a> {
    fn from(bytes: &'a [u8; LEN]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, T::into)
    }
}

/// Databases have signed numbers; ours stay below 2^63 for any life of a store.
pub(in crate::store) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count that fits: nothing that is deleted in a slice is more than a few thousand.
pub(in crate::store) fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A value that comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::store) enum Found<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// What has columns.
pub(in crate::store) trait Columns {
    fn column(&self, index: usize) -> Result<Found<'_>, Bad>;
}

/// A row that comes back.
pub(in crate::store) struct Row<'a>(pub(in crate::store) &'a dyn Columns);

impl Row<'_> {
    /// A column; the first is 0.
    pub(in crate::store) fn get<T: Take>(&self, index: usize) -> Result<T, Bad> {
        let found = self.0.column(index)?;
        T::take(found).ok_or_else(|| bad(index, &format!("{found:?} is not what belongs here")))
    }

    /// A column that holds a text.
    pub(in crate::store) fn text(&self, index: usize) -> Result<&str, Bad> {
        self.text_or_null(index)?.ok_or_else(|| bad(index, "it is null"))
    }

    /// A column that may hold a text.
    pub(in crate::store) fn text_or_null(&self, index: usize) -> Result<Option<&str>, Bad> {
        match self.0.column(index)? {
            Found::Null => Ok(None),
            Found::Text(text) => Ok(Some(text)),
            other @ (Found::Integer(_) | Found::Real(_) | Found::Bytes(_)) => {
                Err(bad(index, &format!("{other:?} is no text")))
            }
        }
    }

    /// A column that holds a code.
    pub(in crate::store) fn code<T>(&self, index: usize, from: fn(u8) -> Option<T>) -> Result<T, Bad> {
        let code: i64 = self.get(index)?;
        u8::try_from(code).ok().and_then(from).ok_or_else(|| bad(index, &format!("unknown code {code}")))
    }
}

/// What a column can be taken as.
pub(in crate::store) trait Take: Sized {
    fn take(found: Found<'_>) -> Option<Self>;
}

macro_rules! taken_as_integers {
    ($($type:ty),*) => { $(
        impl Take for $type {
            fn take(found: Found<'_>) -> Option<Self> {
                match found {
                    Found::Integer(number) => number.try_into().ok(),
                    Found::Null | Found::Real(_) | Found::Text(_) | Found::Bytes(_) => None,
                }
            }
        }
    )* };
}
taken_as_integers!(i64, u64, u32, u16);

impl Take for bool {
    fn take(found: Found<'_>) -> Option<Self> {
        i64::take(found).map(|number| number != 0)
    }
}

impl Take for f64 {
    fn take(found: Found<'_>) -> Option<Self> {
        match found {
            Found::Real(number) => Some(number),
            // Figures are far from what a double cannot hold.
            Found::Integer(number) => Some(number as f64),
            Found::Null | Found::Text(_) | Found::Bytes(_) => None,
        }
    }
}

macro_rules! taken_as_texts {
    ($($type:ty),*) => { $(
        impl Take for $type {
            fn take(found: Found<'_>) -> Option<Self> {
                match found {
                    Found::Text(text) => Some(text.into()),
                    Found::Null | Found::Integer(_) | Found::Real(_) | Found::Bytes(_) => None,
                }
            }
        }
    )* };
}
taken_as_texts!(String, Box<str>, Arc<str>);

impl Take for Vec<u8> {
    fn take(found: Found<'_>) -> Option<Self> {
        match found {
            Found::Bytes(bytes) => Some(bytes.to_vec()),
            Found::Null | Found::Integer(_) | Found::Real(_) | Found::Text(_) => None,
        }
    }
}

impl<const LEN: usize> Take for [u8; LEN] {
    fn take(found: Found<'_>) -> Option<Self> {
        match found {
            Found::Bytes(bytes) => bytes.try_into().ok(),
            Found::Null | Found::Integer(_) | Found::Real(_) | Found::Text(_) => None,
        }
    }
}

impl<T: Take> Take for Option<T> {
    fn take(found: Found<'_>) -> Option<Self> {
        match found {
            Found::Null => Some(None),
            other @ (Found::Integer(_) | Found::Real(_) | Found::Text(_) | Found::Bytes(_)) => T::take(other).map(Some),
        }
    }
}
