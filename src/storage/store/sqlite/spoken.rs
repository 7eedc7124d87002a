//! Owns how SQLite carries out what the tables say.
//! It must not know a table.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::store::sql::{Bad, Columns, Found, Row, Sql, Value, bad};

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Columns for rusqlite::Row<'_> {
    fn column(&self, index: usize) -> Result<Found<'_>, Bad> {
        let found = self.get_ref(index).map_err(|why| bad(index, &why.to_string()))?;
        Ok(match found {
            ValueRef::Null => Found::Null,
            ValueRef::Integer(number) => Found::Integer(number),
            ValueRef::Real(number) => Found::Real(number),
            ValueRef::Text(text) => Found::Text(str::from_utf8(text).map_err(|why| bad(index, &why.to_string()))?),
            ValueRef::Blob(bytes) => Found::Bytes(bytes),
        })
    }
}

impl From<Bad> for rusqlite::Error {
    fn from(Bad { column, why }: Bad) -> rusqlite::Error {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, why.into())
    }
}

impl Sql for Connection {
    type Error = rusqlite::Error;

    fn run(&self, text: &str, values: &[Value<'_>]) -> rusqlite::Result<()> {
        self.count(text, values).map(drop)
    }

    fn count(&self, text: &str, values: &[Value<'_>]) -> rusqlite::Result<u64> {
        self.prepare_cached(text)?.execute(params_from_iter(values)).map(|rows| rows as u64)
    }

    fn each(
        &self,
        text: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), Bad>,
    ) -> rusqlite::Result<()> {
        self.walk(text, values, &mut |row| take(row).map(|()| true))
    }

    fn walk(
        &self,
        text: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<bool, Bad>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.prepare_cached(text)?;
        let mut found = statement.query(params_from_iter(values))?;
        while let Some(row) = found.next()? {
            if !take(&Row(row))? {
                break;
            }
        }
        Ok(())
    }

    fn index(&self, name: &'static str) -> Cow<'static, str> {
        format!("INDEXED BY {name}").into()
    }
}
