//! Owns the scopes: what somebody may do, each with all that the ones below it may.
//! It must not name what belongs to one: the table of routes does.

use std::fmt;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See everything but tokens and the audit log.
    Read,
    /// The same, and change, run and delete jobs.
    Write,
    /// The same, and administer: tokens, the audit log.
    Admin,
}

impl Scope {
    /// All of them, from the least.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];
    /// Their names.
    pub const NAMES: [&str; 3] = [Scope::Read.name(), Scope::Write.name(), Scope::Admin.name()];

    /// The name, as clients write it.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }

    /// The scope with that name.
    pub fn from_name(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
