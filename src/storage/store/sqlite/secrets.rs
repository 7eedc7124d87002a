//! Owns the secrets of a database file: how they are opened, and what is said when they cannot be.
//! It must not hand one out: the tables know whose it is.

use std::path::Path;

use rusqlite::Connection;

use super::Store;
use super::open::{OpenError, damaged};
use crate::store::tables::secrets::{self, Found, Unopened};
use crate::vault::Vault;

impl Store {
    /// Seals secrets with this key, and opens those that are there.
    #[must_use]
    pub fn with_vault(mut self, vault: Option<Vault>) -> Store {
        self.vault = vault;
        self
    }
}

/// Opens all secrets of a database.
pub(super) fn open_all(connection: &Connection, path: &Path, vault: Option<&Vault>) -> Result<Found, OpenError> {
    secrets::open_all(connection, vault).map_err(|why| match why {
        Unopened::Unread(why) => damaged(path, &why),
        Unopened::Sealed => OpenError::Sealed(path.to_owned()),
        Unopened::OtherKey => OpenError::OtherKey(path.to_owned()),
        Unopened::Damaged(why) => OpenError::Damaged(path.to_owned(), why),
    })
}
