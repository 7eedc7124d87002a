//! Owns what a moment is: whole seconds, wall time, monotonic time, and a heap ordered by any of them.
//! It must not read a clock or know what is due: it is the ground floor, and names no other module.
//!
//! `instant` is a whole second, `clocks` are the two kinds of time that pass, `steady` is a wall clock that is not believed when it
//! jumps ahead, `heap` keeps what waits for one.

mod clocks;
mod heap;
mod instant;
mod steady;

pub use clocks::{Deadline, MonoUs, Now, US_PER_SECOND, WallUs};
pub use heap::{Ascending, DeadlineHeap};
pub use instant::Instant;
pub use steady::Steady;
