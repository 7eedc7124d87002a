//! What fuzzing has found worth keeping, with the same properties, as ordinary tests: each entry of each corpus.
//! It must not search: `tests/fuzz/run` does.

#[path = "fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use targets::TARGETS;

/// What an entry may have: they are small so that people can read them.
const ENTRY_LEN_MAX: u64 = 1_024;
/// How many a target may have, and has at least.
const ENTRIES: std::ops::RangeInclusive<usize> = 10..=100;

fn entries(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let listed = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut entries: Vec<PathBuf> = listed.map(|entry| entry.expect("it can be listed").path()).collect();
    entries.sort();
    entries
}

#[test]
fn each_entry_of_each_corpus_keeps_the_properties_of_its_target() {
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        for entry in entries(name) {
            let data = fs::read(&entry).expect("it can be read");
            if catch_unwind(AssertUnwindSafe(|| target(&data))).is_err() {
                broken.push(entry);
            }
        }
    }
    assert!(broken.is_empty(), "what was said above is of {broken:#?}");
}

#[test]
fn corpora_are_small_and_there_is_one_for_each_target() {
    for (name, _) in TARGETS {
        let entries = entries(name);
        assert!(ENTRIES.contains(&entries.len()), "{name}: {}", entries.len());
        for entry in entries {
            let len = fs::metadata(&entry).expect("it is there").len();
            assert!(len <= ENTRY_LEN_MAX, "{}: {len} bytes", entry.display());
        }
    }
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")).expect("it is there");
    assert_eq!(folders.count(), TARGETS.len());
}
