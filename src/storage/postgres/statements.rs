//! Owns which statements a server has prepared for this connection, by their text and the types of their parameters.
//! It must not send anything.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use postgres_protocol::Oid;

use super::bounds::STATEMENTS_MAX;

/// A statement that is prepared, or will be once the server has answered.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    number: u64,
    /// The types of its columns, once the server has told.
    pub(super) columns: Arc<OnceLock<Arc<[Oid]>>>,
}

impl Statement {
    /// What the server calls it.
    pub(super) fn name(&self) -> String {
        format!("s{}", self.number)
    }
}

#[derive(Debug)]
struct Known {
    parameters: Box<[Oid]>,
    statement: Statement,
    /// The higher the later.
    used: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Statements {
    known: HashMap<Box<str>, Vec<Known>>,
    len: usize,
    /// Counts statements and uses; so no two have the same, and a name is never used again.
    count: u64,
    /// What the server may forget.
    stale: Vec<Statement>,
}

impl Statements {
    /// The statement with this text for parameters of these types, and whether it has still to be prepared.
    pub(super) fn take(&mut self, sql: &str, parameters: &[Oid]) -> (Statement, bool) {
        self.count += 1;
        let used = self.count;
        if let Some(known) =
            self.known.get_mut(sql).and_then(|known| known.iter_mut().find(|known| *known.parameters == *parameters))
        {
            known.used = used;
            return (known.statement.clone(), false);
        }
        if self.len >= STATEMENTS_MAX {
            self.forget_oldest();
        }
        let statement = Statement { number: used, columns: Arc::default() };
        let known = Known { parameters: parameters.into(), statement: statement.clone(), used };
        self.known.entry(sql.into()).or_default().push(known);
        self.len += 1;
        (statement, true)
    }

    /// Forgets a statement that the server does not carry out any more.
    pub(super) fn forget(&mut self, statement: &Statement) {
        self.retain(|known| known.statement.number != statement.number);
    }

    /// Forgets what the server did not come to prepare.
    pub(super) fn forget_unprepared(&mut self) {
        self.retain(|known| known.statement.columns.get().is_some());
    }

    /// What the server may forget, once.
    pub(super) fn take_stale(&mut self) -> Vec<Statement> {
        std::mem::take(&mut self.stale)
    }

    fn forget_oldest(&mut self) {
        let oldest = self.known.values().flatten().map(|known| known.used).min();
        self.retain(|known| Some(known.used) != oldest);
    }

    fn retain(&mut self, keeps: impl Fn(&Known) -> bool) {
        let stale = &mut self.stale;
        self.known.retain(|_, known| {
            for known in known.extract_if(.., |known| !keeps(known)) {
                stale.push(known.statement);
            }
            !known.is_empty()
        });
        // The order of a map must not be seen.
        stale.sort_by_key(|statement| statement.number);
        self.len = self.known.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(statements: &mut Statements, sql: &str, parameters: &[Oid]) -> String {
        let (statement, is_new) = statements.take(sql, parameters);
        assert_eq!(is_new, statement.columns.set(Arc::default()).is_ok(), "{sql}");
        statement.name()
    }

    #[test]
    fn a_text_is_prepared_once_for_each_choice_of_types() {
        let mut statements = Statements::default();
        let first = prepare(&mut statements, "a", &[20]);
        assert_eq!(prepare(&mut statements, "a", &[20]), first);
        assert_ne!(prepare(&mut statements, "a", &[23]), first);
        assert_ne!(prepare(&mut statements, "b", &[20]), first);
        assert_eq!(statements.len, 3);
        assert!(statements.take_stale().is_empty());
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_makes_room() {
        let mut statements = Statements::default();
        let names: Vec<_> = (0..STATEMENTS_MAX).map(|n| prepare(&mut statements, &n.to_string(), &[])).collect();
        prepare(&mut statements, "0", &[]);
        prepare(&mut statements, "new", &[]);
        let stale: Vec<_> = statements.take_stale().iter().map(Statement::name).collect();
        assert_eq!(stale, names[1..2]);
        assert_eq!(statements.len, STATEMENTS_MAX);
    }

    #[test]
    fn what_was_not_prepared_is_forgotten_with_its_name() {
        let mut statements = Statements::default();
        prepare(&mut statements, "a", &[]);
        let (lost, is_new) = statements.take("b", &[]);
        assert!(is_new && !statements.take("b", &[]).1, "it is on its way");
        statements.forget_unprepared();
        let (again, is_new) = statements.take("b", &[]);
        assert!(is_new && again.name() != lost.name());
        assert_eq!(statements.take_stale().len(), 1);
        assert!(!statements.take("a", &[]).1);
    }
}
