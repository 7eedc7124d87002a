//! Owns the threads of a node: what they share, and that they start together.
//! It must not do what one of them does.

use std::io;
use std::sync::{Arc, Mutex};

use super::listener;
use super::loader::Loader;
use super::lookout::Lookout;
use super::open::Store;
use super::writer::{self, Beside};
use crate::schedule::Zones;
use crate::store::sharing::{Shared, Sharing};
use crate::store::writing::Writer;
use crate::store::{Housekeeping, Keep};

/// Starts all that writes, looks and listens for a node; `notify` is called after whatever they say. Jobs that are taken over
/// are read with these zones.
///
/// # Errors
/// When a thread cannot be started.
pub(in crate::store) fn start(
    store: Store,
    keep: Keep,
    housekeeping: Housekeeping,
    zones: Zones,
    notify: Arc<dyn Fn() + Send + Sync>,
) -> io::Result<(Writer, Sharing)> {
    let (sharing, shared) = Sharing::new(store.node(), Arc::clone(&notify));
    let Shared { orders, asks, me, teller } = shared;
    let (url, vault, homes) = (store.url.clone(), store.vault.clone(), Arc::new(Mutex::default()));
    listener::start(url.clone(), Arc::clone(&me), teller.clone())?;
    let lookout = Lookout::new(url.clone(), vault.clone(), teller.clone());
    lookout.start(asks)?;
    let loader = Loader { url, vault, zones, homes: Arc::clone(&homes), me, teller: teller.clone() };
    let claims = loader.start()?;
    let writer = writer::start(store, keep, housekeeping, Beside { orders, teller, claims, homes }, notify)?;
    Ok((writer, sharing))
}
