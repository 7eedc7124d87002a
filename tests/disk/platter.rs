//! Owns what a disk may hold when the power is cut: what was synced, and of what was not any part, in any order.
//! It must be no kinder than a disk: nothing is kept for sure that no sync was waited for.
//!
//! Writes are kept or lost by sectors. A change of names is on disk once its folder is synced; until then only the first so
//! many of them may be, as a file system with a journal has it. After a sync that failed what it was for may be lost for
//! ever, although later syncs of the same file succeed: the system has forgotten that it is not on disk
//! (https://wiki.postgresql.org/wiki/Fsync_Errors).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use super::support::random::Random;
use super::trace::{FileNumber, Step};

/// What a disk writes at once, in bytes.
const SECTOR: u64 = 512;

/// How sure it is that a change is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surety {
    /// It was synced.
    Sure,
    /// A sync of it is still to come.
    Waiting,
    /// A sync of it failed.
    Doubtful,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Resize(u64),
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What is on disk, but for the changes.
    base: Vec<u8>,
    changes: Vec<(Surety, Change)>,
}

#[derive(Clone, Debug)]
enum Naming {
    Is(String, FileNumber),
    IsNot(String),
}

/// A disk, as far as a process knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Platter {
    files: HashMap<FileNumber, File>,
    /// Files that were there before, until they are opened.
    before: BTreeMap<String, Vec<u8>>,
    /// Names that are on disk.
    names: BTreeMap<String, FileNumber>,
    /// Changes of names whose folder was not synced yet.
    namings: Vec<Naming>,
    folders: Vec<FileNumber>,
    numbers_of_before: u32,
}

/// Of what was not synced, what is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Everything.
    All,
    /// Nothing: the process was killed, and the machine was not.
    Nothing,
    /// Each sector or not.
    Sectors,
    /// Each write or not: those that are kept are kept as a whole.
    Writes,
    /// The end of what was written last.
    Tail,
}

impl Loss {
    pub(crate) const ALL: [Loss; 5] = [Loss::All, Loss::Nothing, Loss::Sectors, Loss::Writes, Loss::Tail];
}

impl Platter {
    /// What is in a folder, all of it on disk.
    pub(crate) fn of(folder: &Path) -> Platter {
        let mut platter = Platter { numbers_of_before: u32::MAX, ..Platter::default() };
        for entry in fs::read_dir(folder).expect("it is there") {
            let entry = entry.expect("it can be listed");
            let name = entry.file_name().into_string().expect("names are texts");
            if entry.path().is_file() && !name.ends_with("-shm") {
                platter.before.insert(name, fs::read(entry.path()).expect("it can be read"));
            }
        }
        platter
    }

    /// One more thing was done.
    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Created(file, name) => {
                self.files.insert(*file, File::default());
                self.namings.push(Naming::Is(name.clone(), *file));
            }
            Step::Opened(file, name) => {
                let base = self.before.remove(name).unwrap_or_else(|| panic!("{name} was there before"));
                self.files.insert(*file, File { base, changes: Vec::new() });
                self.names.insert(name.clone(), *file);
            }
            Step::Folder(file) => self.folders.push(*file),
            Step::Wrote(file, at, data) => self.change(*file, Change::Write(*at, data.clone())),
            Step::Resized(file, length) => self.change(*file, Change::Resize(*length)),
            Step::Synced(file) if self.folders.contains(file) => {
                for naming in std::mem::take(&mut self.namings) {
                    name(&mut self.names, &naming);
                }
            }
            Step::Synced(file) => self.file(*file).sync(),
            Step::NotSynced(file) if self.folders.contains(file) => {}
            Step::NotSynced(file) => {
                for (surety, _) in &mut self.file(*file).changes {
                    if *surety == Surety::Waiting {
                        *surety = Surety::Doubtful;
                    }
                }
            }
            Step::Removed(name) => {
                self.know(name);
                self.namings.push(Naming::IsNot(name.clone()));
            }
            Step::Renamed(from, to) => {
                let file = self.know(from);
                // One step, so both or neither.
                self.namings.push(Naming::Is(to.clone(), file));
                self.namings.push(Naming::IsNot(from.clone()));
            }
            Step::Linked(from, to) => {
                let file = self.know(from);
                self.namings.push(Naming::Is(to.clone(), file));
            }
            Step::Said(_) => {}
        }
    }

    /// The number of what has this name now; a file that was not opened yet gets one.
    fn know(&mut self, name: &str) -> FileNumber {
        let newest = self.namings.iter().rev().find_map(|naming| match naming {
            Naming::Is(known, file) if known == name => Some(*file),
            Naming::Is(..) | Naming::IsNot(_) => None,
        });
        if let Some(file) = newest.or_else(|| self.names.get(name).copied()) {
            return file;
        }
        let base = self.before.remove(name).unwrap_or_else(|| panic!("{name} is there"));
        let file = self.numbers_of_before;
        self.numbers_of_before -= 1;
        self.files.insert(file, File { base, changes: Vec::new() });
        self.names.insert(name.to_owned(), file);
        file
    }

    fn file(&mut self, file: FileNumber) -> &mut File {
        self.files.get_mut(&file).expect("it was opened before")
    }

    fn change(&mut self, file: FileNumber, change: Change) {
        self.file(file).changes.push((Surety::Waiting, change));
    }

    /// Puts what is left after a power cut into an empty folder.
    pub(crate) fn cut(&self, loss: Loss, random: &mut Random, into: &Path) {
        let mut names = self.names.clone();
        let kept = match loss {
            Loss::All => 0,
            Loss::Nothing => self.namings.len(),
            Loss::Sectors | Loss::Writes | Loss::Tail => random.below(self.namings.len() as u64 + 1) as usize,
        };
        // A name that is gone by a rename is gone with it.
        let kept = kept + usize::from(matches!(self.namings.get(kept), Some(Naming::IsNot(_))) && kept > 0);
        self.namings[..kept].iter().for_each(|naming| name(&mut names, naming));
        for (name, file) in &names {
            fs::write(into.join(name), self.files[file].left(loss, random)).expect("it can be written");
        }
        for (name, bytes) in &self.before {
            fs::write(into.join(name), bytes).expect("it can be written");
        }
    }
}

fn name(names: &mut BTreeMap<String, FileNumber>, naming: &Naming) {
    match naming {
        Naming::Is(name, file) => drop(names.insert(name.clone(), *file)),
        Naming::IsNot(name) => drop(names.remove(name)),
    }
}

impl File {
    fn sync(&mut self) {
        for (surety, _) in &mut self.changes {
            if *surety == Surety::Waiting {
                *surety = Surety::Sure;
            }
        }
        // What is behind a doubtful change has to wait for it, to come after it.
        let sure = self.changes.iter().take_while(|(surety, _)| *surety == Surety::Sure).count();
        for (_, change) in self.changes.drain(..sure) {
            apply(&mut self.base, &change, |_| true);
        }
    }

    fn left(&self, loss: Loss, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.base.clone();
        let unsure = self.changes.iter().filter(|(surety, _)| *surety != Surety::Sure).count();
        let tail = random.below(unsure as u64 + 1) as usize;
        let mut met = 0;
        for (surety, change) in &self.changes {
            if *surety == Surety::Sure {
                apply(&mut bytes, change, |_| true);
                continue;
            }
            met += 1;
            match loss {
                Loss::All => {}
                Loss::Nothing => apply(&mut bytes, change, |_| true),
                Loss::Sectors => apply(&mut bytes, change, |_| random.below(2) == 0),
                Loss::Writes if random.below(2) == 0 => apply(&mut bytes, change, |_| true),
                Loss::Writes => {}
                Loss::Tail if met <= tail => apply(&mut bytes, change, |_| true),
                Loss::Tail if met == tail + 1 => {
                    let sectors = random.below(9);
                    apply(&mut bytes, change, |sector| sector < sectors);
                }
                Loss::Tail => {}
            }
        }
        bytes
    }
}

/// Changes bytes as far as sectors are kept: `keeps` is asked for each that is touched, by its place among them.
fn apply(bytes: &mut Vec<u8>, change: &Change, mut keeps: impl FnMut(u64) -> bool) {
    match change {
        Change::Resize(length) => {
            if keeps(0) {
                bytes.resize(usize::try_from(*length).expect("it is a small file"), 0);
            }
        }
        Change::Write(at, data) => {
            let end = at + data.len() as u64;
            let mut from = *at;
            while from < end {
                let to = ((from / SECTOR + 1) * SECTOR).min(end);
                if keeps(from / SECTOR - at / SECTOR) {
                    let (start, stop) = (from as usize, to as usize);
                    if bytes.len() < stop {
                        bytes.resize(stop, 0);
                    }
                    bytes[start..stop].copy_from_slice(&data[(from - at) as usize..(to - at) as usize]);
                }
                from = to;
            }
        }
    }
}
