//! Owns one connection to a server that takes statements, one call at a time: each ends before its deadline, in one way.
//! It must not go on with a connection of which it is not known what comes next.

use std::collections::VecDeque;
use std::fmt;

use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::bounds::NOTIFICATIONS_MAX;
use super::cancel::Canceller;
use super::copy::{self, Unpacker};
use super::error::{Error, Sent, ServerError};
use super::pipeline::{Pipeline, affected};
use super::rows::{Row, Rows};
use super::startup::Greeting;
use super::statements::Statements;
use super::values::Param;
use super::wire::Wire;
use crate::time::MonoUs;

/// A connection. One whose call was lost ([`Error::is_lost`]) is of no more use.
pub struct Connection {
    pub(super) wire: Wire,
    pub(super) statements: Statements,
    greeting: Greeting,
    canceller: Canceller,
    transaction: Transaction,
    notifications: VecDeque<Notification>,
    notifications_lost: u64,
    /// Why it is of no use any more.
    lost: Option<String>,
}

/// Something that a session of the same database told with NOTIFY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The process of the server that told it.
    pub pid: i32,
    /// Over which channel.
    pub channel: String,
    /// What.
    pub payload: String,
}

/// Whether a transaction is open behind a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// None is.
    None,
    /// One that was begun.
    Open,
    /// One that takes nothing but its end, as something in it failed.
    Failed,
}

impl Connection {
    pub(super) fn new(wire: Wire, greeting: Greeting, canceller: Canceller) -> Connection {
        Connection {
            wire,
            statements: Statements::default(),
            greeting,
            canceller,
            transaction: Transaction::None,
            notifications: VecDeque::new(),
            notifications_lost: 0,
            lost: None,
        }
    }

    /// The server's process that serves this connection.
    pub fn pid(&self) -> i32 {
        self.greeting.pid
    }

    /// What the server says its version is, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub fn version(&self) -> &str {
        &self.greeting.version
    }

    /// Whether the server has become a standby or read-only, as far as it told.
    pub fn is_read_only(&self) -> bool {
        self.greeting.is_standby || self.greeting.is_read_only
    }

    /// Whether a transaction is open.
    pub fn transaction(&self) -> Transaction {
        self.transaction
    }

    /// Whether it is of no use any more.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// What cancels what this connection is doing, from any thread.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Statements that are sent together, and are one transaction.
    pub fn pipeline(&mut self) -> Pipeline<'_> {
        Pipeline::new(self)
    }

    /// The rows of one statement.
    ///
    /// # Errors
    /// When it was not carried out, or that is not known.
    pub fn query(&mut self, sql: &str, params: &[&dyn Param], until: MonoUs) -> Result<Rows, Error> {
        let mut pipeline = self.pipeline();
        pipeline.run(sql, params);
        Ok(pipeline.finish(until)?.pop().map(|done| done.rows).unwrap_or_default())
    }

    /// How many rows one statement changed.
    ///
    /// # Errors
    /// When it was not carried out, or that is not known.
    pub fn execute(&mut self, sql: &str, params: &[&dyn Param], until: MonoUs) -> Result<u64, Error> {
        let mut pipeline = self.pipeline();
        pipeline.run(sql, params);
        Ok(pipeline.finish(until)?.pop().map(|done| done.affected).unwrap_or_default())
    }

    /// Hands on the rows of one statement as they come; how many there were. After an error of `take` the others are passed
    /// over, which takes as long as reading them ([`Canceller`] ends it earlier).
    ///
    /// # Errors
    /// When it was not carried out, that is not known, or `take` gave one.
    pub fn each(
        &mut self,
        sql: &str,
        params: &[&dyn Param],
        until: MonoUs,
        mut take: impl FnMut(Row<'_>) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let mut pipeline = self.pipeline();
        pipeline.run(sql, params);
        pipeline.each(until, &mut take)
    }

    /// Carries out several statements that have no parameters and whose rows nobody wants, such as a migration. They are
    /// one transaction unless they say otherwise.
    ///
    /// # Errors
    /// When one was not carried out, or that is not known.
    pub fn batch(&mut self, sql: &str, until: MonoUs) -> Result<(), Error> {
        self.call(|connection| {
            frontend::query(sql, &mut connection.wire.out).map_err(|why| Error::Value(why.to_string()))?;
            let mut failed = None;
            loop {
                match connection.next(until)? {
                    Message::ReadyForQuery(body) => {
                        connection.set_transaction(body.status())?;
                        return failed.map_or(Ok(()), Err);
                    }
                    Message::ErrorResponse(body) => {
                        failed = Some(Error::Server(Box::new(ServerError::read(body.fields()))));
                    }
                    Message::RowDescription(_)
                    | Message::DataRow(_)
                    | Message::CommandComplete(_)
                    | Message::EmptyQueryResponse
                    | Message::CopyOutResponse(_)
                    | Message::CopyData(_)
                    | Message::CopyDone => {}
                    Message::CopyInResponse(_) => {
                        copy::fail("there is nothing to copy", &mut connection.wire.out);
                        connection.wire.flush(until)?;
                    }
                    _ => return Err(Error::protocol("a message that does not belong to a statement")),
                }
            }
        })
    }

    /// Hands on the rows that `COPY ... TO STDOUT (FORMAT binary)` gives, as they come; how many there were. Nobody says the
    /// types of their columns: only lengths are checked.
    ///
    /// # Errors
    /// When it was not carried out, that is not known, or `take` gave one.
    pub fn copy_out(
        &mut self,
        sql: &str,
        until: MonoUs,
        mut take: impl FnMut(Row<'_>) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let (count, failed) = self.call(|connection| {
            frontend::query(sql, &mut connection.wire.out).map_err(|why| Error::Value(why.to_string()))?;
            let (mut unpacker, mut count, mut failed) = (Unpacker::default(), 0, None);
            let mut is_copy = false;
            loop {
                match connection.next(until)? {
                    Message::ReadyForQuery(body) => {
                        connection.set_transaction(body.status())?;
                        return Ok((count, failed));
                    }
                    Message::ErrorResponse(body) => {
                        failed.get_or_insert(Error::Server(Box::new(ServerError::read(body.fields()))));
                    }
                    Message::CopyOutResponse(body) if body.format() == 1 && !is_copy => is_copy = true,
                    Message::CopyData(body) if is_copy => {
                        unpacker.push(body.data());
                        while let Some(row) = unpacker.next()? {
                            if failed.is_none() {
                                count += 1;
                                failed = take(row).err();
                            }
                        }
                    }
                    Message::CopyDone if is_copy => unpacker.end()?,
                    Message::CommandComplete(body) => count = affected(&body).max(count),
                    _ => return Err(Error::protocol("a message that does not belong to a binary copy")),
                }
            }
        })?;
        failed.map_or(Ok(count), Err)
    }

    /// What was told over channels that this session listens to (LISTEN), also during other calls. If there is nothing yet it
    /// waits for something; nothing until then is no error.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn notifications(&mut self, until: MonoUs) -> Result<Vec<Notification>, Error> {
        self.call(|connection| {
            while connection.notifications.is_empty() {
                match connection.wire.listen(until) {
                    Err(Error::Timeout { .. }) => break,
                    heard => heard?,
                }
                connection.absorb_all()?;
            }
            Ok(connection.notifications.drain(..).collect())
        })
    }

    /// How many notifications there was no room for since this was asked last: whoever waits for one looks for itself.
    pub fn take_notifications_lost(&mut self) -> u64 {
        std::mem::take(&mut self.notifications_lost)
    }

    /// Does something with the server, and remembers whether the connection survived it.
    pub(super) fn call<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T, Error>) -> Result<T, Error> {
        if let Some(why) = &self.lost {
            return Err(Error::Lost { sent: Sent::Nothing, why: why.clone(), last: None });
        }
        self.wire.begin();
        // What a server said that left since is heard before something is sent in vain.
        let begun = self.wire.look().and_then(|()| self.absorb_all());
        let result = begun.or_else(|why| self.absorb_all().and(Err(why))).and_then(|()| work(self));
        result.map_err(|why| {
            let why = why.having(self.wire.sent());
            match &why {
                Error::Lost { why, .. } => self.lost = Some(format!("lost before: {why}")),
                why if why.is_lost() => self.lost = Some(format!("lost before: {why}")),
                _ => {}
            }
            why
        })
    }

    /// The next message that belongs to a call.
    pub(super) fn next(&mut self, until: MonoUs) -> Result<Message, Error> {
        loop {
            let message = self.wire.next(until)?;
            if let Some(message) = self.absorb(message)? {
                return Ok(message);
            }
        }
    }

    /// Takes in what a server says behind a call.
    pub(super) fn set_transaction(&mut self, status: u8) -> Result<(), Error> {
        if !self.wire.out.is_empty() {
            return Err(Error::protocol("the end of an answer before all was asked"));
        }
        self.transaction = match status {
            b'I' => Transaction::None,
            b'T' => Transaction::Open,
            b'E' => Transaction::Failed,
            _ => return Err(Error::protocol("an unknown state of a transaction")),
        };
        Ok(())
    }

    /// Takes in what came while nothing was asked.
    fn absorb_all(&mut self) -> Result<(), Error> {
        while let Some(message) = self.wire.received()? {
            if self.absorb(message)?.is_some() {
                return Err(Error::protocol("a message that nobody asked for"));
            }
        }
        Ok(())
    }

    /// Takes in what a server may say at any time; gives back everything else.
    fn absorb(&mut self, message: Message) -> Result<Option<Message>, Error> {
        match message {
            Message::NoticeResponse(_) => {}
            Message::ParameterStatus(body) => {
                if let (Ok(name), Ok(value)) = (body.name(), body.value()) {
                    self.greeting.set(name.as_bytes(), value.as_bytes());
                }
            }
            Message::NotificationResponse(body) => {
                let (Ok(channel), Ok(payload)) = (body.channel(), body.message()) else {
                    return Err(Error::protocol("a notification that is no text"));
                };
                if self.notifications.len() < NOTIFICATIONS_MAX {
                    let (channel, payload) = (channel.to_owned(), payload.to_owned());
                    self.notifications.push_back(Notification { pid: body.process_id(), channel, payload });
                } else {
                    self.notifications_lost += 1;
                }
            }
            Message::ErrorResponse(body) => {
                let error = ServerError::read(body.fields());
                if error.is_fatal() {
                    let why = "the server ended it".to_owned();
                    return Err(Error::Lost { sent: Sent::Part, why, last: Some(Box::new(error)) });
                }
                return Ok(Some(Message::ErrorResponse(body)));
            }
            other => return Ok(Some(other)),
        }
        Ok(None)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.lost.is_none() {
            frontend::terminate(&mut self.wire.out);
            self.wire.part();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("pid", &self.pid()).field("lost", &self.lost).finish_non_exhaustive()
    }
}
