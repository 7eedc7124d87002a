//! Owns values of whatever type: what a statement is given without its type being said, and a field as what it is.
//! It must not know types beyond those that databases have in common.

use bytes::BytesMut;
use postgres_protocol::{IsNull, Oid, types};

use super::error::Error;
use super::rows::Row;
use super::values::{Param, Unfit, Value, oid};

/// A value of whatever type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Any<'a> {
    /// No value.
    Null,
    /// A whole number; int8 as a parameter.
    Integer(i64),
    /// A number; float8 as a parameter.
    Real(f64),
    /// A text. As a parameter it is of the type that belongs where it goes, such as json.
    Text(&'a str),
    /// Bytes; bytea as a parameter.
    Bytes(&'a [u8]),
}

impl Param for Any<'_> {
    fn oid(&self) -> Oid {
        match self {
            Any::Null | Any::Text(_) => oid::UNKNOWN,
            Any::Integer(_) => oid::INT8,
            Any::Real(_) => oid::FLOAT8,
            Any::Bytes(_) => oid::BYTEA,
        }
    }

    fn write(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        match *self {
            Any::Null => return Ok(IsNull::Yes),
            Any::Integer(number) => types::int8_to_sql(number, out),
            Any::Real(number) => types::float8_to_sql(number, out),
            Any::Text(text) => return Value::put(text, out),
            Any::Bytes(bytes) => types::bytea_to_sql(bytes, out),
        }
        Ok(IsNull::No)
    }
}

impl<'a> Row<'a> {
    /// A column of whatever type; one of a type that is unknown here is a text.
    ///
    /// # Errors
    /// When there is no such column, or it is not what its type says.
    pub fn any(&self, column: usize) -> Result<Any<'a>, Error> {
        let found = match self.type_of(column) {
            Some(oid::INT8) => self.opt_i64(column)?.map(Any::Integer),
            Some(oid::INT4) => self.opt_i32(column)?.map(|number| Any::Integer(number.into())),
            Some(oid::INT2) => self.opt_i16(column)?.map(|number| Any::Integer(number.into())),
            Some(oid::BOOL) => self.opt_bool(column)?.map(|is| Any::Integer(is.into())),
            Some(oid::FLOAT8) => self.opt_f64(column)?.map(Any::Real),
            Some(oid::BYTEA) => self.opt_bytes(column)?.map(Any::Bytes),
            Some(_) | None => self.opt_text(column)?.map(Any::Text),
        };
        Ok(found.unwrap_or(Any::Null))
    }
}
