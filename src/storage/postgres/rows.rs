//! Owns rows as a server sent them: bytes with the places of their fields, which are read as what they are asked for.
//! It must not copy a text, nor take a field for a type that it is not.

use std::ops::Range;
use std::sync::Arc;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::DataRowBody;
use postgres_protocol::{Oid, types};

use super::bounds::ROWS_LEN_MAX;
use super::error::Error;
use super::values::oid;

/// The rows of one statement.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The types of the columns.
    types: Arc<[Oid]>,
    bytes: Vec<u8>,
    /// Where in `bytes` each field stands, row after row.
    fields: Vec<Option<Range<u32>>>,
    len: usize,
}

impl Rows {
    /// None yet, of these types.
    pub(super) fn of(types: Arc<[Oid]>) -> Rows {
        Rows { types, ..Rows::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One by its place.
    pub fn get(&self, place: usize) -> Option<Row<'_>> {
        (place < self.len).then(|| {
            let width = self.types.len();
            Row { types: Some(&self.types), bytes: &self.bytes, fields: &self.fields[place * width..][..width] }
        })
    }

    /// The first one.
    ///
    /// # Errors
    /// When there is none.
    pub fn first(&self) -> Result<Row<'_>, Error> {
        self.get(0).ok_or_else(|| Error::Value("there is no row".to_owned()))
    }

    /// All of them, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len).filter_map(|place| self.get(place))
    }

    /// Takes in another one.
    pub(super) fn push(&mut self, body: &DataRowBody) -> Result<(), Error> {
        let (base, from) = (self.bytes.len(), self.fields.len());
        let bytes = body.buffer();
        if base + bytes.len() > ROWS_LEN_MAX {
            return Err(Error::protocol("more rows than can be kept at once"));
        }
        self.bytes.extend_from_slice(bytes);
        let mut ranges = body.ranges();
        let malformed = |_| Error::protocol("a malformed row");
        while let Some(range) = ranges.next().map_err(malformed)? {
            let place = |at: usize| u32::try_from(base + at).map_err(|_| Error::protocol("rows that are too long"));
            self.fields.push(match range {
                Some(range) => Some(place(range.start)?..place(range.end)?),
                None => None,
            });
            if self.fields.len() - from > self.types.len() {
                break;
            }
        }
        if self.fields.len() - from != self.types.len() {
            return Err(Error::protocol("a row with another number of columns than was told"));
        }
        self.len += 1;
        Ok(())
    }

    /// Forgets them, and keeps the room for others.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.len = 0;
    }
}

/// One row. Columns are counted from 0.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Of a copy nobody says the types.
    types: Option<&'a [Oid]>,
    bytes: &'a [u8],
    fields: &'a [Option<Range<u32>>],
}

/// Reads a field of these types, as what it is asked for, or as a null.
macro_rules! readers {
    ($($name:ident, $opt:ident, $type:ty, $what:literal, [$($oid:ident),*], $read:expr;)*) => {
        $(
            #[doc = concat!("A column of ", $what, ".")]
            ///
            /// # Errors
            /// When there is no such column, it has another type, or it is null.
            pub fn $name(&self, column: usize) -> Result<$type, Error> {
                self.$opt(column)?.ok_or_else(|| unfit(column, "it is null"))
            }

            #[doc = concat!("A column of ", $what, " that may be null.")]
            ///
            /// # Errors
            /// When there is no such column, or it has another type.
            pub fn $opt(&self, column: usize) -> Result<Option<$type>, Error> {
                let Some(bytes) = self.field(column, &[$(oid::$oid),*])? else { return Ok(None) };
                let read: fn(&'a [u8]) -> Option<$type> = $read;
                read(bytes).map(Some).ok_or_else(|| unfit(column, concat!("it is no ", $what)))
            }
        )*
    };
}

impl<'a> Row<'a> {
    /// A row of fields in these bytes, of types that nobody said.
    pub(super) fn untyped(bytes: &'a [u8], fields: &'a [Option<Range<u32>>]) -> Row<'a> {
        Row { types: None, bytes, fields }
    }

    /// The type of a column, where it was said.
    pub(super) fn type_of(&self, column: usize) -> Option<Oid> {
        self.types?.get(column).copied()
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether a column is null.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn is_null(&self, column: usize) -> Result<bool, Error> {
        self.fields.get(column).map(Option::is_none).ok_or_else(|| unfit(column, "there is no such column"))
    }

    readers! {
        bool, opt_bool, bool, "bool", [BOOL], |bytes| types::bool_from_sql(bytes).ok();
        i16, opt_i16, i16, "int2", [INT2], |bytes| types::int2_from_sql(bytes).ok();
        i32, opt_i32, i32, "int4", [INT4], |bytes| types::int4_from_sql(bytes).ok();
        i64, opt_i64, i64, "int8", [INT8], |bytes| types::int8_from_sql(bytes).ok();
        u32, opt_u32, u32, "oid", [OID], |bytes| types::oid_from_sql(bytes).ok();
        f64, opt_f64, f64, "float8", [FLOAT8], |bytes| types::float8_from_sql(bytes).ok();
        text, opt_text, &'a str, "text", [TEXT, VARCHAR, BPCHAR, NAME, UNKNOWN, JSON], |bytes| {
            std::str::from_utf8(bytes).ok()
        };
        jsonb, opt_jsonb, &'a str, "jsonb", [JSONB], |bytes| {
            // Its version comes first.
            std::str::from_utf8(bytes.strip_prefix(&[1])?).ok()
        };
        bytes, opt_bytes, &'a [u8], "bytea", [BYTEA, UUID], Some;
    }

    /// The elements of a column with an array of int8, each of which may be null.
    ///
    /// # Errors
    /// When there is no such column, it has another type, or it is null.
    pub fn i64s(&self, column: usize) -> Result<Vec<Option<i64>>, Error> {
        let elements = self.elements(column, oid::INT8_ARRAY, oid::INT8)?;
        let read = |element: Option<&'a [u8]>| element.map(types::int8_from_sql).transpose().ok();
        elements.into_iter().map(|element| read(element).ok_or_else(|| unfit(column, "it is no int8[]"))).collect()
    }

    /// The elements of a column with an array of texts, each of which may be null.
    ///
    /// # Errors
    /// When there is no such column, it has another type, or it is null.
    pub fn texts(&self, column: usize) -> Result<Vec<Option<&'a str>>, Error> {
        let elements = self.elements(column, oid::TEXT_ARRAY, oid::TEXT)?;
        let read = |element: Option<&'a [u8]>| element.map(std::str::from_utf8).transpose().ok();
        elements.into_iter().map(|element| read(element).ok_or_else(|| unfit(column, "it is no text[]"))).collect()
    }

    fn elements(&self, column: usize, array: Oid, element: Oid) -> Result<Vec<Option<&'a [u8]>>, Error> {
        let bytes = self.field(column, &[array])?.ok_or_else(|| unfit(column, "it is null"))?;
        let malformed = || unfit(column, "it is no array of these");
        let read = types::array_from_sql(bytes).map_err(|_| malformed())?;
        if read.element_type() != element {
            return Err(malformed());
        }
        // Without a hint of how many there are: that is what the server claims.
        let (mut elements, mut values) = (Vec::new(), read.values());
        while let Some(value) = values.next().map_err(|_| malformed())? {
            elements.push(value);
        }
        Ok(elements)
    }

    /// The bytes of a column that has one of these types.
    fn field(&self, column: usize, expected: &[Oid]) -> Result<Option<&'a [u8]>, Error> {
        let field = self.fields.get(column).ok_or_else(|| unfit(column, "there is no such column"))?;
        if let Some(&found) = self.types.and_then(|types| types.get(column))
            && !expected.contains(&found)
        {
            return Err(unfit(column, &format!("its type is {found}, expected {expected:?} (pg_type.oid)")));
        }
        let Some(range) = field else { return Ok(None) };
        let bytes = self.bytes.get(range.start as usize..range.end as usize);
        bytes.map(Some).ok_or_else(|| unfit(column, "it lies outside its row"))
    }
}

fn unfit(column: usize, why: &str) -> Error {
    Error::Value(format!("column {column}: {why}"))
}
