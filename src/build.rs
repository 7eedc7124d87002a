//! Has the linker pack the addresses that are set when the program is loaded: a quarter of a megabyte less of it.
//! It must not do so where it would not be loaded then.

use std::process::Command;

/// The first glibc that loads packed addresses (DT_RELR).
const GLIBC_MIN: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_here = variable("TARGET") == variable("HOST");
    if is_here && variable("TARGET") == "x86_64-unknown-linux-gnu" && glibc().is_some_and(|found| found >= GLIBC_MIN) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The C library of this machine.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
