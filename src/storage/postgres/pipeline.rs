//! Owns statements that are sent together: composed one by one, carried out in order, answered together.
//! It must not send a part of them when one cannot be composed.
//!
//! There is one Sync, at the end: until then nothing is committed, unless a statement says so. After an error the server
//! passes over the rest.

use std::sync::Arc;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::Oid;
use postgres_protocol::message::backend::{CommandCompleteBody, DataRowBody, Message};
use postgres_protocol::message::frontend::{self, BindError};

use super::bounds::PIPELINE_LEN_MAX;
use super::connection::Connection;
use super::copy::{CopyRows, fail};
use super::error::{Error, ServerError};
use super::rows::{Row, Rows};
use super::statements::Statement;
use super::values::Param;
use crate::time::MonoUs;

/// Statements that are sent together.
pub struct Pipeline<'a> {
    connection: &'a mut Connection,
    out: BytesMut,
    items: Vec<Item>,
    /// Why it cannot be sent.
    unfit: Option<Error>,
}

/// What one statement came to.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Its rows.
    pub rows: Rows,
    /// How many rows it changed, copied or gave.
    pub affected: u64,
}

/// What is expected of the server for a statement.
#[derive(Debug)]
struct Item {
    statement: Statement,
    is_prepared_here: bool,
    is_copy: bool,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(connection: &'a mut Connection) -> Pipeline<'a> {
        Pipeline { connection, out: BytesMut::new(), items: Vec::new(), unfit: None }
    }

    /// How many statements there are; it is the number of the next one.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a statement. What is wrong with it is told at the end.
    pub fn run(&mut self, sql: &str, params: &[&dyn Param]) {
        let added = self.add(sql, params, false);
        self.note(added);
    }

    /// Adds `COPY t (a, b) FROM STDIN (FORMAT binary)` with its rows. If `fill` gives an error the server is told that, and
    /// nothing of the pipeline counts.
    pub fn copy_in(&mut self, sql: &str, fill: impl FnOnce(&mut CopyRows<'_>) -> Result<(), Error>) {
        let added = self.add(sql, &[], true).and_then(|()| {
            if self.unfit.is_some() {
                return Ok(());
            }
            let mut rows = CopyRows::begin(&mut self.out);
            let filled = fill(&mut rows);
            match rows.end(filled) {
                Ok(()) => frontend::copy_done(&mut self.out),
                Err(why) => fail(&why.to_string(), &mut self.out),
            }
            self.check_len()
        });
        self.note(added);
    }

    /// Sends all, and what each came to, in order.
    ///
    /// # Errors
    /// [`Error::Server`] says which statement was refused: then none was carried out, but for those before a COMMIT.
    pub fn finish(mut self, until: MonoUs) -> Result<Vec<Done>, Error> {
        self.send(until, |connection, items| {
            let mut all = Vec::with_capacity(items.len());
            for (place, item) in items.iter().enumerate() {
                let mut rows: Option<Rows> = None;
                let answered = connection.answer(item, until, &mut |columns, body| {
                    rows.get_or_insert_with(|| Rows::of(Arc::clone(columns))).push(body)
                })?;
                match answered {
                    Ok(affected) => all.push(Done { rows: rows.unwrap_or_default(), affected }),
                    Err(error) => return connection.failed(place, item, error, until).map(Err),
                }
            }
            Ok(connection.synchronized(items.len(), until)?.map_or(Ok(all), Err))
        })
    }

    /// The same for one statement whose rows are handed on.
    pub(super) fn each(
        mut self,
        until: MonoUs,
        take: &mut dyn FnMut(Row<'_>) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        self.send(until, |connection, items| {
            let (mut failed, mut count) = (None, 0);
            for (place, item) in items.iter().enumerate() {
                let mut rows: Option<Rows> = None;
                let answered = connection.answer(item, until, &mut |columns, body| {
                    let rows = rows.get_or_insert_with(|| Rows::of(Arc::clone(columns)));
                    rows.clear();
                    rows.push(body)?;
                    if failed.is_none()
                        && let Some(row) = rows.get(0)
                    {
                        count += 1;
                        failed = take(row).err();
                    }
                    Ok(())
                })?;
                if let Err(error) = answered {
                    let why = connection.failed(place, item, error, until)?;
                    return Ok(Err(failed.unwrap_or(why)));
                }
            }
            let refused = connection.synchronized(items.len(), until)?;
            Ok(failed.or(refused).map_or(Ok(count), Err))
        })
    }

    fn add(&mut self, sql: &str, params: &[&dyn Param], is_copy: bool) -> Result<(), Error> {
        if self.unfit.is_some() {
            return Ok(());
        }
        let parameters: Vec<Oid> = params.iter().map(|param| param.oid()).collect();
        let (statement, is_new) = self.connection.statements.take(sql, &parameters);
        let name = statement.name();
        self.items.push(Item { statement, is_prepared_here: is_new, is_copy });
        let unfit = |why: std::io::Error| Error::Value(why.to_string());
        if is_new {
            frontend::parse(&name, sql, parameters, &mut self.out).map_err(unfit)?;
            frontend::describe(b'S', &name, &mut self.out).map_err(unfit)?;
        }
        let write = |param: &&dyn Param, out: &mut BytesMut| param.write(out);
        frontend::bind("", &name, [1], params, write, [1], &mut self.out).map_err(|why| match why {
            BindError::Conversion(why) => Error::Value(why.to_string()),
            BindError::Serialization(why) => unfit(why),
        })?;
        frontend::execute("", 0, &mut self.out).map_err(unfit)?;
        self.check_len()
    }

    fn check_len(&self) -> Result<(), Error> {
        if self.out.len() > PIPELINE_LEN_MAX {
            return Err(Error::Value(format!("more than {PIPELINE_LEN_MAX} bytes to be sent at once")));
        }
        Ok(())
    }

    fn note(&mut self, added: Result<(), Error>) {
        if let Err(why) = added {
            let place = self.items.len().saturating_sub(1);
            self.unfit = Some(Error::Value(format!("statement {place}: {why}")));
        }
    }

    /// Sends all, and reads what comes of it. Of an error that the connection survives it is told inside.
    fn send<T>(
        &mut self,
        until: MonoUs,
        read: impl FnOnce(&mut Connection, &[Item]) -> Result<Result<T, Error>, Error>,
    ) -> Result<T, Error> {
        if let Some(why) = self.unfit.take() {
            return Err(why);
        }
        let (out, items) = (std::mem::take(&mut self.out), std::mem::take(&mut self.items));
        let answered = self.connection.call(|connection| {
            let stale = connection.statements.take_stale();
            for statement in &stale {
                let closed = frontend::close(b'S', &statement.name(), &mut connection.wire.out);
                closed.map_err(|why| Error::Value(why.to_string()))?;
            }
            connection.wire.out.unsplit(out);
            frontend::sync(&mut connection.wire.out);
            for _ in &stale {
                let Message::CloseComplete = connection.next(until)? else { return Err(unexpected()) };
            }
            read(connection, &items)
        });
        answered?
    }
}

impl Drop for Pipeline<'_> {
    fn drop(&mut self) {
        self.connection.statements.forget_unprepared();
    }
}

/// Takes in a row with columns of these types.
type Take<'a> = dyn FnMut(&Arc<[Oid]>, &DataRowBody) -> Result<(), Error> + 'a;

/// How far the answer to a statement is.
enum Step {
    Prepared,
    Parameters,
    Columns,
    Bound,
    Rows,
}

impl Connection {
    /// Reads the answer to a statement: how many rows it changed, or why it was refused.
    fn answer(&mut self, item: &Item, until: MonoUs, take: &mut Take<'_>) -> Result<Result<u64, ServerError>, Error> {
        let columns = &item.statement.columns;
        let mut step = if item.is_prepared_here { Step::Prepared } else { Step::Bound };
        loop {
            step = match (step, self.next(until)?) {
                (_, Message::ErrorResponse(body)) => return Ok(Err(ServerError::read(body.fields()))),
                (Step::Prepared, Message::ParseComplete) => Step::Parameters,
                (Step::Parameters, Message::ParameterDescription(_)) => Step::Columns,
                (Step::Columns, Message::RowDescription(body)) => {
                    let types = body.fields().map(|field| Ok(field.type_oid())).collect::<Vec<Oid>>();
                    let types = types.map_err(|_| Error::protocol("a malformed description of rows"))?;
                    columns.get_or_init(|| types.into());
                    Step::Bound
                }
                (Step::Columns, Message::NoData) => {
                    columns.get_or_init(Arc::default);
                    Step::Bound
                }
                (Step::Bound, Message::BindComplete) => Step::Rows,
                (Step::Rows, Message::DataRow(body)) => {
                    take(columns.get().ok_or_else(unexpected)?, &body)?;
                    Step::Rows
                }
                (Step::Rows, Message::CopyInResponse(body)) if item.is_copy && body.format() == 1 => Step::Rows,
                (Step::Rows, Message::CopyInResponse(_)) => {
                    return Err(Error::protocol("it waits for rows to be copied, in binary, and there are none"));
                }
                (Step::Rows, Message::CommandComplete(body)) => return Ok(Ok(affected(&body))),
                (Step::Rows, Message::EmptyQueryResponse) => return Ok(Ok(0)),
                _ => return Err(unexpected()),
            };
        }
    }

    /// Passes over what is behind a statement that was refused: the error to tell.
    fn failed(&mut self, place: usize, item: &Item, error: ServerError, until: MonoUs) -> Result<Error, Error> {
        // Its plan does not fit any more, or the server forgot it: it is prepared anew next time.
        if matches!(error.code.as_str(), "0A000" | "26000") {
            self.statements.forget(&item.statement);
        }
        self.synchronized(place, until)?;
        Ok(Error::Server(Box::new(ServerError { statement: Some(place), ..error })))
    }

    /// Reads on until the server is ready for more: the error of the commit, if there was one.
    fn synchronized(&mut self, place: usize, until: MonoUs) -> Result<Option<Error>, Error> {
        let mut failed = None;
        loop {
            match self.next(until)? {
                Message::ReadyForQuery(body) => {
                    self.set_transaction(body.status())?;
                    return Ok(failed);
                }
                Message::ErrorResponse(body) if failed.is_none() => {
                    let error = ServerError { statement: Some(place), ..ServerError::read(body.fields()) };
                    failed = Some(Error::Server(Box::new(error)));
                }
                _ => return Err(unexpected()),
            }
        }
    }
}

/// How many rows a command says it was about.
pub(super) fn affected(body: &CommandCompleteBody) -> u64 {
    let tag = body.tag().unwrap_or_default();
    tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default()
}

fn unexpected() -> Error {
    Error::protocol("a message that does not belong to a statement")
}
