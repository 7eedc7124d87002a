//! Owns what a process did to the files of a folder, in order, as the shim wrote it down.
//! It must not judge any of it.

use std::fs;
use std::path::Path;

/// A file, by the number that the shim gave it.
pub(crate) type FileNumber = u32;

/// One thing that was done, and succeeded unless it says otherwise.
#[derive(Debug)]
pub(crate) enum Step {
    /// A file came into being under this name.
    Created(FileNumber, String),
    /// A file that was there before was opened by this name for the first time.
    Opened(FileNumber, String),
    /// The folder was opened, or one in it.
    Folder(FileNumber),
    /// Bytes were written at a place.
    Wrote(FileNumber, u64, Vec<u8>),
    /// A file was cut or extended to a length.
    Resized(FileNumber, u64),
    /// A file or a folder was synced.
    Synced(FileNumber),
    /// The sync of a file failed.
    NotSynced(FileNumber),
    /// A name was removed.
    Removed(String),
    /// A name became another one.
    Renamed(String, String),
    /// A file has a second name.
    Linked(String, String),
    /// The process said something.
    Said(String),
}

/// Reads a trace. What the process was killed at is left out.
pub(crate) fn read(path: &Path) -> Vec<Step> {
    let bytes = fs::read(path).expect("the shim wrote a trace");
    let (mut rest, mut steps) = (&bytes[..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk::<17>() {
        let file = u32::from_ne_bytes(head[1..5].try_into().expect("four bytes"));
        let at = u64::from_ne_bytes(head[5..13].try_into().expect("eight bytes"));
        let length = u32::from_ne_bytes(head[13..17].try_into().expect("four bytes")) as usize;
        let Some(data) = behind.get(..length) else { break };
        steps.push(step(head[0], file, at, data));
        rest = &behind[length..];
    }
    assert!(!steps.is_empty(), "the shim saw the process");
    steps
}

fn step(what: u8, file: FileNumber, at: u64, data: &[u8]) -> Step {
    let text = || String::from_utf8(data.to_vec()).expect("names and remarks are texts");
    let pair = || {
        let text = text();
        let (from, to) = text.split_once('\0').expect("there are two names");
        (from.to_owned(), to.to_owned())
    };
    match what {
        b'c' => Step::Created(file, text()),
        b'o' => Step::Opened(file, text()),
        b'd' => Step::Folder(file),
        b'w' => Step::Wrote(file, at, data.to_vec()),
        b't' => Step::Resized(file, at),
        b's' => Step::Synced(file),
        b'f' => Step::NotSynced(file),
        b'u' => Step::Removed(text()),
        b'r' => {
            let (from, to) = pair();
            Step::Renamed(from, to)
        }
        b'l' => {
            let (from, to) = pair();
            Step::Linked(from, to)
        }
        b'!' => Step::Said(text()),
        other => panic!("the shim and this file differ: {other}"),
    }
}
