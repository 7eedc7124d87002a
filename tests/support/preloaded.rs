//! Owns libraries that stand between a process and the system calls of its disk, built from C in the tests' folders.
//! It must not be part of the product.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The library of this source file below `tests/`, built into the folder; None, said aloud, where it cannot be.
pub fn library(folder: &Path, source: &str) -> Option<PathBuf> {
    let library = folder.join("preloaded.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source);
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).args(["-ldl", "-lpthread"]);
    if !cfg!(all(target_os = "linux", target_env = "gnu")) || !compiler.status().is_ok_and(|status| status.success()) {
        println!("skipped: it needs Linux and a C compiler");
        return None;
    }
    Some(library)
}
