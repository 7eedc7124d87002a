//! Owns values on their way from one database to the other, and what they come to: the same in both.
//! It must not know whose they are.

use super::side::Side;
use crate::store::sql::{Bad, Found, Row, Value, bad};

/// A value on its way.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row on its way.
pub(in crate::store) type Cells = Vec<Cell>;

impl Cell {
    /// The first columns of a row.
    pub(super) fn all_of(row: &Row<'_>, count: usize) -> Result<Cells, Bad> {
        (0..count).map(|index| Cell::of(row, index)).collect()
    }

    fn of(row: &Row<'_>, index: usize) -> Result<Cell, Bad> {
        Ok(match row.0.column(index)? {
            Found::Null => Cell::Null,
            Found::Integer(number) => Cell::Integer(number),
            // PostgreSQL has no texts with a zero byte; what targets and clients say is cleared of it before it is kept.
            Found::Text(text) => Cell::Text(text.replace('\0', "\u{fffd}")),
            Found::Bytes(bytes) => Cell::Bytes(bytes.to_vec()),
            Found::Real(number) => return Err(bad(index, &format!("{number} is no value that is kept"))),
        })
    }

    /// The first row of a statement that reads.
    pub(in crate::store) fn first(side: &mut dyn Side, text: &str, width: usize) -> Result<Option<Cells>, String> {
        let mut found = None;
        side.walk(text, &[], &mut |row| {
            found = Some(Cell::all_of(row, width)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// As a value of a statement.
    pub(in crate::store) fn value(&self) -> Value<'_> {
        match self {
            Cell::Null => Value::Null,
            Cell::Integer(number) => Value::Integer(*number),
            Cell::Text(text) => Value::Text(text),
            Cell::Bytes(bytes) => Value::Bytes(bytes),
        }
    }

    /// How much memory it takes up, about.
    pub(super) fn len(&self) -> usize {
        match self {
            Cell::Null | Cell::Integer(_) => 16,
            Cell::Text(text) => 16 + text.len(),
            Cell::Bytes(bytes) => 16 + bytes.len(),
        }
    }
}

/// What rows come to in their order: FNV-1a of 64 bits over their values, each with its type and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Digest {
    pub(super) const NONE: Digest = Digest(0xcbf2_9ce4_8422_2325);

    pub(super) fn add(&mut self, row: &[Cell]) {
        for cell in row {
            match cell {
                Cell::Null => self.bytes(&[0]),
                Cell::Integer(number) => {
                    self.bytes(&[1]);
                    self.bytes(&number.to_le_bytes());
                }
                Cell::Text(text) => self.counted(2, text.as_bytes()),
                Cell::Bytes(bytes) => self.counted(3, bytes),
            }
        }
    }

    /// As a number that a mark can hold.
    pub(super) fn as_mark(self) -> i64 {
        (self.0 >> 1).cast_signed()
    }

    fn counted(&mut self, kind: u8, bytes: &[u8]) {
        self.bytes(&[kind]);
        self.bytes(&(bytes.len() as u64).to_le_bytes());
        self.bytes(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_differ_come_to_something_else() {
        let of = |rows: &[&[Cell]]| {
            let mut digest = Digest::NONE;
            rows.iter().for_each(|row| digest.add(row));
            digest
        };
        let text = |text: &str| Cell::Text(text.to_owned());
        let one = of(&[&[Cell::Integer(1), text("ab")], &[Cell::Integer(2), Cell::Null]]);
        assert_eq!(one, of(&[&[Cell::Integer(1), text("ab")], &[Cell::Integer(2), Cell::Null]]));
        for other in [
            of(&[&[Cell::Integer(2), Cell::Null], &[Cell::Integer(1), text("ab")]]),
            of(&[&[Cell::Integer(1), text("a"), text("b")], &[Cell::Integer(2), Cell::Null]]),
            of(&[&[Cell::Integer(1), Cell::Bytes(b"ab".to_vec())], &[Cell::Integer(2), Cell::Null]]),
            of(&[&[Cell::Integer(1), text("ab")], &[Cell::Integer(2)]]),
            of(&[&[Cell::Integer(1), text("ab")]]),
        ] {
            assert_ne!(one, other);
        }
        assert!(one.as_mark() >= 0);
    }
}
