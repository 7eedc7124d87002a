//! Owns a database on a server out of which everything is moved, or into which: a side of a migration; and what keeps nodes
//! off it meanwhile.
//! It must not serve anything, nor read or write while a node lives there.

use super::counts;
use super::open::{OpenError, bring_up_to_date, connect, soon};
use super::packing::{Owner, pack};
use super::partitions;
use super::session::Session;
use crate::clock;
use crate::limits::{LOOK_EVERY, MIGRATION_LOCK_WAIT, MIGRATION_PARTITION_ROWS, REVOKE_AFTER, STORE_LOAD_TIME_MAX};
use crate::postgres::{Connection, Error, Url};
use crate::store::migration::{Cell, Cells, HISTORY_BY_TIME, IN_PART, MARK, Side, Table, number};
use crate::store::sql::{Bad, Row, Sql, Value, values};
use crate::time::{Instant, MonoUs};

/// Shared by all nodes, each for as long as its connection lasts, and held by whoever moves the database alone: the bytes
/// of "punctmov".
const LOCK: i64 = 0x7075_6e63_746d_6f76;
/// The bits of a number of the ledger that are not the node's.
const NUMBER_BITS: u32 = 40;
/// Where another statement waited too long for a lock (`lock_not_available`).
const LOCKED: &str = "55P03";

/// Lets a node in, unless the database is being moved or is there in part. It has a share of the lock from then on.
pub(super) fn admit(connection: &mut Connection, until: MonoUs) -> Result<(), OpenError> {
    let failed = |why: Error| OpenError::Failed(why.to_string());
    let share = connection.query("SELECT pg_try_advisory_lock_shared($1)", &[&LOCK], until).map_err(failed)?;
    if !share.first().and_then(|row| row.bool(0)).map_err(failed)? {
        return Err(OpenError::Failed("a migration of this database is under way; wait until it has ended".to_owned()));
    }
    let marked = connection.query("SELECT 1 FROM marks WHERE name = $1", &[&MARK], until).map_err(failed)?;
    if marked.is_empty() { Ok(()) } else { Err(OpenError::Failed(IN_PART.to_owned())) }
}

/// A database, with no node on it.
pub(in crate::store) struct ServerSide {
    place: String,
    connection: Connection,
    /// The partition that executions are put into, and how many it has.
    partition: Option<(i64, u64)>,
}

impl ServerSide {
    /// Connects, brings the schema up to date, and keeps nodes off until the connection ends. What something is moved out of
    /// must be there as a whole.
    ///
    /// # Errors
    /// When there is no such database, it is of a newer version, or a node lives.
    pub(in crate::store) fn open(url: &Url, is_source: bool) -> Result<ServerSide, String> {
        ServerSide::come(url, is_source).map_err(|why| {
            // Here the database has no flag of its own.
            let why = why.to_string();
            format!("failed to open {url}: {}", why.strip_prefix("--store: ").unwrap_or(&why))
        })
    }

    fn come(url: &Url, is_source: bool) -> Result<ServerSide, OpenError> {
        let failed = |why: Error| OpenError::Failed(why.to_string());
        let url = url.clone().with_application_name("punctual migrate");
        let mut connection = connect(&url).map_err(failed)?;
        let known =
            connection.query("SELECT to_regclass('punctual_schema') IS NOT NULL", &[], soon()).map_err(failed)?;
        if is_source && !known.first().and_then(|row| row.bool(0)).map_err(failed)? {
            return Err(OpenError::Failed("there is nothing of punctual in it".to_owned()));
        }
        take_lock(&mut connection)?;
        let schema = bring_up_to_date(&mut connection)?;
        if !schema.is_known() {
            // There may be something in it of which this build knows nothing.
            return Err(OpenError::newer(schema));
        }
        let mut side = ServerSide { place: url.to_string(), connection, partition: None };
        side.expect_no_node()?;
        let marked = format!("SELECT 1::int8 FROM marks WHERE name = '{MARK}'");
        if is_source && number(&mut side, &marked).map_err(OpenError::Failed)?.is_some() {
            return Err(OpenError::Failed(IN_PART.to_owned()));
        }
        // Rows are walked in the order of their keys, which all have an index.
        side.connection
            .batch("SET enable_sort TO off; SET jit TO off; SET synchronous_commit TO off", soon())
            .map_err(failed)?;
        Ok(side)
    }

    /// Waits whether a node shows that it lives. None that does not writes here any more.
    fn expect_no_node(&mut self) -> Result<(), OpenError> {
        let failed = |why: Error| OpenError::Failed(why.to_string());
        let find = "SELECT id, name, beat FROM nodes WHERE NOT dead ORDER BY id";
        let found = self.connection.query(find, &[], soon()).map_err(failed)?;
        let until = clock::mono().plus(REVOKE_AFTER);
        for row in found.iter() {
            let read = || Ok((row.i64(0)?, row.text(1)?, row.i64(2)?));
            let (node, name, beat) = read().map_err(failed)?;
            while clock::mono() < until {
                std::thread::sleep(LOOK_EVERY);
            }
            let revoke = "UPDATE nodes SET dead = true WHERE id = $1 AND beat = $2";
            if self.connection.execute(revoke, &[&node, &beat], soon()).map_err(failed)? == 0 {
                return Err(OpenError::InUse(name.to_owned()));
            }
        }
        Ok(())
    }

    /// A session for something that may take long.
    fn session(&mut self) -> Session<'_> {
        Session::new(&mut self.connection, clock::mono().plus(STORE_LOAD_TIME_MAX))
    }

    /// Carries out a piece of work as a transaction.
    fn transact(&mut self, work: impl FnOnce(&Session<'_>) -> Result<(), Error>) -> Result<(), String> {
        let session = self.session();
        let done = session.run("BEGIN", &[]).and_then(|()| work(&session));
        let done = done.and_then(|()| session.run("COMMIT", &[])).and_then(|()| session.flush());
        done.map_err(|why| {
            session.end().ok();
            why.to_string()
        })
    }

    /// The last of history's tables that has rows.
    fn filled(&mut self) -> Result<Option<i64>, String> {
        number(self, "SELECT max(number) FROM partitions WHERE rows > 0")
    }

    /// Where the next executions go.
    fn partition(&mut self) -> Result<i64, String> {
        if let Some((number, rows)) = self.partition
            && rows < MIGRATION_PARTITION_ROWS
        {
            return Ok(number);
        }
        let newest = partitions::newest(&mut self.connection, soon()).map_err(|why| why.to_string())?;
        let rows = match newest {
            Some(newest) => number(self, &format!("SELECT rows FROM partitions WHERE number = {newest}"))?,
            None => None,
        };
        let (place, rows) = match (newest, rows.map(i64::unsigned_abs)) {
            (Some(newest), Some(rows)) if rows < MIGRATION_PARTITION_ROWS => (newest, rows),
            (newest, _) => {
                let begun = partitions::begin(&mut self.connection, newest, soon());
                (begun.map_err(|why| why.to_string())?, 0)
            }
        };
        self.partition = Some((place, rows));
        Ok(place)
    }

    /// Who is said to have written what is moved: a node that is no more.
    fn mover(&mut self) -> Result<i64, String> {
        let mover = number(self, "SELECT max(id) FROM nodes")?;
        mover.ok_or_else(|| "there is no node in a database into which something was moved".to_owned())
    }
}

/// Takes the lock that nodes have shares of.
fn take_lock(connection: &mut Connection) -> Result<(), OpenError> {
    let wait = format!("SET lock_timeout TO '{}ms'", MIGRATION_LOCK_WAIT.as_millis());
    let taken = connection
        .batch(&wait, soon())
        .and_then(|()| connection.query("SELECT pg_advisory_lock($1)", &[&LOCK], soon()).map(drop))
        .and_then(|()| connection.batch("RESET lock_timeout", soon()));
    taken.map_err(|why| match why.sqlstate() {
        Some(LOCKED) => {
            OpenError::Failed("a server uses this database, or another migration does; stop it first".to_owned())
        }
        Some(_) | None => OpenError::Failed(why.to_string()),
    })
}

impl Side for ServerSide {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn walk(
        &mut self,
        text: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<bool, Bad>,
    ) -> Result<(), String> {
        self.transact(|session| Sql::walk(session, text, values, take))
    }

    fn source_of(&mut self, table: &Table) -> Result<String, String> {
        if !table.is_history() {
            return Ok(table.name.to_owned());
        }
        let session = self.session();
        let all = partitions::all(&session).map_err(|why| why.to_string())?;
        let columns = table.column_list();
        // The model has no index: with it among them, they could not be walked in the order of theirs.
        let parts: Vec<String> =
            all.iter().map(|partition| format!("SELECT {columns} FROM executions_{}", partition.number)).collect();
        Ok(if parts.is_empty() {
            "executions_model".to_owned()
        } else {
            format!("({}) AS e", parts.join(" UNION ALL "))
        })
    }

    fn history(&self) -> &'static Table {
        // As it would have come about: so old tables go as a whole, and a page looks into few of them.
        HISTORY_BY_TIME
    }

    fn settle(&mut self) -> Result<(), String> {
        let kept = self.source_of(HISTORY_BY_TIME)?;
        self.transact(|session| {
            let open = "SELECT id FROM nodes WHERE counted < batch ORDER BY id";
            for node in session.all(open, &[], |row| row.get::<i64>(0))? {
                counts::lock(session, node)?;
                counts::uncounted(session, Some(node))?.write(session)?;
                session.run("UPDATE nodes SET counted = batch WHERE id = ?1", values![node])?;
            }
            // What retention took before it was counted is not there, and was not taken off.
            let recount = format!(
                "UPDATE job_totals t SET kept = f.rows FROM (SELECT job_id, coalesce(c.rows, 0) AS rows FROM job_totals \
                 LEFT JOIN (SELECT job_id, count(*) AS rows FROM {kept} GROUP BY job_id) c USING (job_id)) f \
                 WHERE f.job_id = t.job_id AND f.rows <> t.kept"
            );
            session.run(&recount, &[])
        })
    }

    fn numbered_through(&mut self) -> Result<i64, String> {
        // Behind all that the last node may have drawn; nothing is above what it had.
        let nodes = number(self, "SELECT max(id) FROM nodes")?.unwrap_or(0);
        let highest =
            "SELECT max(v) FROM (SELECT max(seq) AS v FROM ledger UNION ALL SELECT max(seq) FROM alerts) AS f";
        let highest = number(self, highest)?.unwrap_or(0);
        Ok(highest.max((nodes + 1) << NUMBER_BITS))
    }

    fn begin(&mut self, mark: i64, numbered_through: i64) -> Result<(), String> {
        let nodes = number(self, "SELECT max(id) FROM nodes")?.unwrap_or(0);
        let (mover, now) = ((numbered_through >> NUMBER_BITS).max(nodes) + 1, clock::wall().0);
        self.transact(|session| {
            session.run("INSERT INTO marks (name, value) VALUES (?1, ?2)", values![MARK, mark])?;
            // What is unfinished is taken over from it, as from any node that died. Nodes that come have higher numbers, and so
            // have their rows.
            let join = "INSERT INTO nodes (id, name, version, started_at, counted_at, dead) OVERRIDING SYSTEM VALUE \
                        VALUES (?1, 'migrate', ?2, ?3, ?3, true)";
            session.run(join, values![mover, env!("CARGO_PKG_VERSION"), now])?;
            session.run("SELECT setval(pg_get_serial_sequence('nodes', 'id'), ?1)", values![mover])
        })
    }

    fn last(&mut self, table: &Table) -> Result<Option<Cells>, String> {
        let source = if table.is_history() {
            match self.filled()? {
                Some(number) => format!("executions_{number}"),
                None => return Ok(None),
            }
        } else if table.name == "marks" {
            // It has some from the beginning. They are put once more.
            return Ok(None);
        } else {
            table.name.to_owned()
        };
        let key = table.key_list();
        let find = format!("SELECT {key} FROM {source} ORDER BY {} DESC LIMIT 1", key.replace(", ", " DESC, "));
        Cell::first(self, &find, table.key_len)
    }

    fn put(&mut self, table: &Table, rows: &[Cells]) -> Result<(), String> {
        if table.name == "marks" {
            return self.transact(|session| {
                rows.iter().try_for_each(|row| {
                    let put =
                        "INSERT INTO marks (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";
                    session.run(put, &[row[0].value(), row[1].value()])
                })
            });
        }
        let owner = Owner { node: self.mover()? };
        let partition = if table.is_history() { Some(self.partition()?) } else { None };
        let packed = pack(table, partition, owner);
        let count = rows.len() as u64;
        let instants = (table.is_history()).then(|| instants_of(rows)).flatten();
        self.transact(|session| {
            session.flush_with(|pipeline| pipeline.copy_in(&packed.text, |out| packed.fill(rows, out)))?;
            if table.name == "ledger" {
                let home =
                    "UPDATE ledger l SET shard = j.shard FROM jobs j WHERE j.id = l.job_id AND l.shard <> j.shard";
                session.run(home, &[])?;
            }
            if let (Some(partition), Some(instants)) = (partition, instants) {
                partitions::widen(session, partition, instants)?;
                session.run("UPDATE partitions SET rows = rows + ?2 WHERE number = ?1", values![partition, count])?;
            }
            Ok(())
        })?;
        if let Some((_, rows)) = &mut self.partition
            && partition.is_some()
        {
            *rows += count;
        }
        Ok(())
    }

    fn finish(&mut self, _: i64) -> Result<(), String> {
        let next =
            "SELECT setval(pg_get_serial_sequence('audit', 'id'), max(id)) FROM audit HAVING max(id) IS NOT NULL";
        self.transact(|session| session.run(next, &[]))?;
        let session = self.session();
        let all = partitions::all(&session).map_err(|why| why.to_string())?;
        drop(session);
        let until = || clock::mono().plus(STORE_LOAD_TIME_MAX);
        // Otherwise pages would be slow until the server comes to it by itself.
        let tables = all.iter().map(|partition| format!("VACUUM (ANALYZE) executions_{}", partition.number));
        let statements = tables.chain(["ANALYZE".to_owned()]);
        for statement in statements {
            self.connection.batch(&statement, until()).map_err(|why| why.to_string())?;
        }
        partitions::show(&mut self.connection, until()).map_err(|why| why.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        let durable = self.connection.batch("SET synchronous_commit TO on", soon());
        durable.map_err(|why| why.to_string())?;
        self.transact(|session| session.run("DELETE FROM marks WHERE name = ?1", values![MARK]))
    }
}

/// The first and the last instant of some rows of history, which are in the order of time.
fn instants_of(rows: &[Cells]) -> Option<(Instant, Instant)> {
    let second = |row: &Cells| match row.first() {
        Some(Cell::Integer(second)) => Some(Instant::from_secs(*second)),
        Some(Cell::Null | Cell::Text(_) | Cell::Bytes(_)) | None => None,
    };
    Some((second(rows.first()?)?, second(rows.last()?)?))
}
