//! Owns the way from libFuzzer to a target: which one is meant, and what its report of coverage calls the code.
//! It must not judge: the targets do.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

mod symbols;

use std::sync::OnceLock;

use targets::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

/// The target that the environment names.
fn chosen() -> Target {
    let name = std::env::var("PUNCTUAL_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    let (_, target) = found.unwrap_or_else(|| panic!("PUNCTUAL_FUZZ_TARGET: expected one of {}", names.join(", ")));
    *target
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.get_or_init(chosen)(data));
