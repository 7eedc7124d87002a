//! Where things are kept, from the ground up: threads that give way (`background`), files that are there as a whole
//! (`durable`), what secrets are sealed with (`vault`), who may do what (`access`), a connection to a database server
//! (`postgres`), and the `store` of all that must not be lost.
//!
//! A package of its own: it knows the kernel and nothing of what is served, and is compiled for size. The crate `punctual`
//! describes the whole.

pub use punctual_kernel::{channel, clock, cluster, core, job, limits, mix, schedule, time};

pub mod access;
pub mod background;
pub mod durable;
pub mod postgres;
pub mod store;
pub mod vault;
