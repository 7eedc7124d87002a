//! Owns how PostgreSQL carries out what the tables say: what gives no rows waits, and goes out with what comes next.
//! It must not know a table, nor end a transaction by itself.

use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::postgres::{Any, Connection, Done, Error, Param, Pipeline, Row as Raw};
use crate::store::sql::{Bad, Columns, Found, Row, Sql, Value, bad};
use crate::time::MonoUs;

/// Rows that a cursor gives at once.
const FETCH_ROWS: usize = 256;

/// A connection, until a moment.
pub(super) struct Session<'a> {
    connection: RefCell<&'a mut Connection>,
    queue: RefCell<Vec<Queued>>,
    until: MonoUs,
}

/// A statement that waits.
struct Queued {
    text: String,
    values: Vec<Owned>,
}

/// A value that waits.
#[derive(Clone, Debug)]
enum Owned {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Owned {
    fn of(value: &Value<'_>) -> Owned {
        match *value {
            Value::Null => Owned::Null,
            Value::Integer(number) => Owned::Integer(number),
            Value::Text(text) => Owned::Text(text.to_owned()),
            Value::Bytes(bytes) => Owned::Bytes(bytes.to_vec()),
        }
    }

    fn as_any(&self) -> Any<'_> {
        match self {
            Owned::Null => Any::Null,
            Owned::Integer(number) => Any::Integer(*number),
            Owned::Text(text) => Any::Text(text),
            Owned::Bytes(bytes) => Any::Bytes(bytes),
        }
    }
}

fn any<'a>(value: &Value<'a>) -> Any<'a> {
    match *value {
        Value::Null => Any::Null,
        Value::Integer(number) => Any::Integer(number),
        Value::Text(text) => Any::Text(text),
        Value::Bytes(bytes) => Any::Bytes(bytes),
    }
}

impl Columns for Raw<'_> {
    fn column(&self, index: usize) -> Result<Found<'_>, Bad> {
        let found = self.any(index).map_err(|why| bad(index, &why.to_string()))?;
        Ok(match found {
            Any::Null => Found::Null,
            Any::Integer(number) => Found::Integer(number),
            Any::Real(number) => Found::Real(number),
            Any::Text(text) => Found::Text(text),
            Any::Bytes(bytes) => Found::Bytes(bytes),
        })
    }
}

impl From<Bad> for Error {
    fn from(bad: Bad) -> Error {
        Error::Value(bad.to_string())
    }
}

/// Values are numbered with another sign than in SQLite. No text of ours has a question mark elsewhere.
fn translated(text: &str) -> String {
    text.replace('?', "$")
}

impl<'a> Session<'a> {
    pub(super) fn new(connection: &'a mut Connection, until: MonoUs) -> Session<'a> {
        Session { connection: RefCell::new(connection), queue: RefCell::default(), until }
    }

    /// Sends what waits, and behind it what `add` adds: what that came to, in its order.
    pub(super) fn flush_with(&self, add: impl FnOnce(&mut Pipeline<'_>)) -> Result<Vec<Done>, Error> {
        let queued = self.queue.take();
        let mut connection = self.connection.borrow_mut();
        let mut pipeline = connection.pipeline();
        for Queued { text, values } in &queued {
            let values: Vec<Any<'_>> = values.iter().map(Owned::as_any).collect();
            let params: Vec<&dyn Param> = values.iter().map(|value| value as &dyn Param).collect();
            pipeline.run(text, &params);
        }
        add(&mut pipeline);
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        Ok(pipeline.finish(self.until)?.split_off(queued.len()))
    }

    /// Sends what waits.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.flush_with(|_| {}).map(drop)
    }

    /// Takes every row of a statement with values of any type.
    pub(super) fn each_of(
        &self,
        text: &str,
        params: &[&dyn Param],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), Bad>,
    ) -> Result<(), Error> {
        self.flush()?;
        let take = |row: Raw<'_>| take(&Row(&row)).map_err(Error::from);
        // As they come: there may be a million.
        self.connection.borrow_mut().each(text, params, self.until, take).map(drop)
    }

    /// Ends a transaction by which nothing is to be changed, however it went.
    pub(super) fn end(&self) -> Result<(), Error> {
        self.queue.take();
        self.query("ROLLBACK", &[]).map(drop)
    }

    /// Carries out one statement with values of any type.
    pub(super) fn query(&self, text: &str, params: &[&dyn Param]) -> Result<Done, Error> {
        let mut done = self.flush_with(|pipeline| pipeline.run(text, params))?;
        Ok(done.pop().expect("each statement comes to something"))
    }
}

impl Sql for Session<'_> {
    type Error = Error;

    fn run(&self, text: &str, values: &[Value<'_>]) -> Result<(), Error> {
        let values = values.iter().map(Owned::of).collect();
        self.queue.borrow_mut().push(Queued { text: translated(text), values });
        Ok(())
    }

    fn count(&self, text: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        let values: Vec<Any<'_>> = values.iter().map(any).collect();
        let params: Vec<&dyn Param> = values.iter().map(|value| value as &dyn Param).collect();
        self.query(&translated(text), &params).map(|done| done.affected)
    }

    fn each(
        &self,
        text: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), Bad>,
    ) -> Result<(), Error> {
        let values: Vec<Any<'_>> = values.iter().map(any).collect();
        let params: Vec<&dyn Param> = values.iter().map(|value| value as &dyn Param).collect();
        self.each_of(&translated(text), &params, take)
    }

    fn walk(
        &self,
        text: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<bool, Bad>,
    ) -> Result<(), Error> {
        // The connection knows a statement by its text, and with it which columns come: those of one walk are not another's.
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let walk = format!("walk_{:016x}", hasher.finish());
        self.run(&format!("DECLARE {walk} NO SCROLL CURSOR FOR {text}"), values)?;
        loop {
            let done = self.query(&format!("FETCH FORWARD {FETCH_ROWS} FROM {walk}"), &[])?;
            let mut goes_on = done.rows.len() == FETCH_ROWS;
            for row in done.rows.iter() {
                if !take(&Row(&row))? {
                    goes_on = false;
                    break;
                }
            }
            if !goes_on {
                return self.run(&format!("CLOSE {walk}"), &[]);
            }
        }
    }

    fn index(&self, _: &'static str) -> Cow<'static, str> {
        // The planner sees by itself.
        "".into()
    }
}
