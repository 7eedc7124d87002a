//! Owns rows of any table as a server takes many of them at once: each value as just the type of its column, and what only this
//! backend keeps beside them.
//! It must not send them.

use super::columns::WrittenAs;
use crate::core::Shard;
use crate::job::{Definition, JobKey};
use crate::postgres::{CopyRows, Error, Param};
use crate::store::migration::{Cell, Cells, Kind, Table};

/// Whose rows that are moved here are said to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) node: i64,
}

/// What a table has beside the columns that are moved.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Nothing,
    /// The shard of a job.
    Home,
    /// The node of an unfinished execution, and the shard of its job, as its key says.
    Unfinished(i64),
    /// When an execution was written, and in which batch of which node: one that is counted.
    Written(i64),
}

/// How rows of a table are copied.
#[derive(Debug)]
pub(super) struct Packing {
    /// The statement that takes them.
    pub(super) text: String,
    kinds: Vec<Kind>,
    beside: Beside,
    /// Where the job stands, and what else is needed of a row.
    places: [usize; 2],
}

/// How rows of this table are copied; those of history into this partition.
pub(super) fn pack(table: &Table, partition: Option<i64>, Owner { node }: Owner) -> Packing {
    let (beside, more, places) = match (table.name, partition) {
        ("jobs", _) => (Beside::Home, ", shard", ["id", "definition"]),
        ("ledger", _) => (Beside::Unfinished(node), ", node, known, shard", ["job_id", "job_id"]),
        (_, Some(_)) => (Beside::Written(node), ", written_at, node, batch", ["scheduled_time", "executed_after"]),
        (_, None) => (Beside::Nothing, "", [table.columns[0].0; 2]),
    };
    let name = partition.map_or_else(|| table.name.to_owned(), |number| format!("executions_{number}"));
    Packing {
        text: format!("COPY {name} ({}{more}) FROM STDIN (FORMAT binary)", table.column_list()),
        kinds: table.columns.iter().map(|(_, kind)| *kind).collect(),
        beside,
        places: places.map(|column| table.place_of(column)),
    }
}

impl Packing {
    /// Adds rows.
    pub(super) fn fill(&self, rows: &[Cells], out: &mut CopyRows<'_>) -> Result<(), Error> {
        for row in rows {
            let mut typed = Vec::with_capacity(row.len() + 3);
            for (place, (cell, kind)) in row.iter().zip(&self.kinds).enumerate() {
                typed.push(Typed::of(cell, *kind).ok_or_else(|| unfit(place, cell))?);
            }
            self.add_beside(row, &mut typed)?;
            let params: Vec<&dyn Param> = typed.iter().map(Typed::param).collect();
            out.row(&params)?;
        }
        Ok(())
    }

    fn add_beside(&self, row: &Cells, typed: &mut Vec<Typed<'_>>) -> Result<(), Error> {
        let [first, second] = self.places;
        let number = |place: usize| match &row[place] {
            Cell::Integer(number) => Ok(*number),
            other @ (Cell::Null | Cell::Text(_) | Cell::Bytes(_)) => Err(unfit(place, other)),
        };
        match self.beside {
            Beside::Nothing => {}
            Beside::Home => {
                let shard = shard_of(number(first)?, &row[second]).ok_or_else(|| unfit(second, &row[second]))?;
                typed.push(Typed::Small(Some(shard.0.into())));
            }
            Beside::Unfinished(node) => {
                let shard = Shard::of_key(JobKey(number(first)?.unsigned_abs()));
                typed.extend([Typed::Big(Some(node)), Typed::Flag(Some(false)), Typed::Small(Some(shard.0.into()))]);
            }
            Beside::Written(node) => {
                let after = number(second).unwrap_or(0);
                let written =
                    WrittenAs { at: number(first)?.saturating_mul(1_000_000).saturating_add(after), node, batch: 0 };
                typed.extend([written.at, written.node, written.batch].map(|number| Typed::Big(Some(number))));
            }
        }
        Ok(())
    }
}

/// The shard of a job with this definition.
fn shard_of(job: i64, definition: &Cell) -> Option<Shard> {
    let Cell::Text(definition) = definition else { return None };
    let definition: Definition = serde_json::from_str(definition).ok()?;
    let shared = definition.concurrency_key.as_ref().map(|key| Shard::of_name(key.name()));
    Some(shared.unwrap_or(Shard::of_key(JobKey(job.unsigned_abs()))))
}

fn unfit(place: usize, cell: &Cell) -> Error {
    Error::Value(format!("column {place}: {cell:?} is not what belongs here"))
}

/// A value as a type of the server.
enum Typed<'a> {
    Big(Option<i64>),
    Int(Option<i32>),
    Small(Option<i16>),
    Flag(Option<bool>),
    Text(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
}

impl<'a> Typed<'a> {
    fn of(cell: &'a Cell, kind: Kind) -> Option<Typed<'a>> {
        Some(match (cell, kind) {
            (Cell::Null, Kind::Big) => Typed::Big(None),
            (Cell::Null, Kind::Int) => Typed::Int(None),
            (Cell::Null, Kind::Small) => Typed::Small(None),
            (Cell::Null, Kind::Flag) => Typed::Flag(None),
            (Cell::Null, Kind::Text) => Typed::Text(None),
            (Cell::Null, Kind::Bytes) => Typed::Bytes(None),
            (Cell::Integer(number), Kind::Big) => Typed::Big(Some(*number)),
            (Cell::Integer(number), Kind::Int) => Typed::Int(Some(i32::try_from(*number).ok()?)),
            (Cell::Integer(number), Kind::Small) => Typed::Small(Some(i16::try_from(*number).ok()?)),
            (Cell::Integer(number), Kind::Flag) => Typed::Flag(Some(*number != 0)),
            (Cell::Text(text), Kind::Text) => Typed::Text(Some(text)),
            (Cell::Bytes(bytes), Kind::Bytes) => Typed::Bytes(Some(bytes)),
            (Cell::Integer(_), Kind::Text | Kind::Bytes) => return None,
            (Cell::Text(_) | Cell::Bytes(_), _) => return None,
        })
    }

    fn param(&self) -> &dyn Param {
        match self {
            Typed::Big(value) => value,
            Typed::Int(value) => value,
            Typed::Small(value) => value,
            Typed::Flag(value) => value,
            Typed::Text(value) => value,
            Typed::Bytes(value) => value,
        }
    }
}
