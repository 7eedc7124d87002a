//! Owns a server that is measured: its start on a temporary or a shared database, and its end, whatever happens.
//! It must not outlive the run, nor take its folder away when something went wrong with it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::options::ChildOptions;
use super::procfs::{self, Usage};
use super::stream::Identity;
use super::{BenchError, folder, history};

/// How long the server may take to start; it grows with what its database holds.
const START_TIME_MAX: Duration = Duration::from_secs(120);
/// How long it may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

/// What a server is called, and the database that it shares with others, if it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) shared: Option<&'a str>,
}

/// The running server.
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    /// What it is called among others.
    name: String,
    address: SocketAddr,
    folder: PathBuf,
    keep: bool,
    /// When it was asked to stop.
    stopping: Option<Instant>,
    /// How it ended, once it has.
    end: Option<Stopped>,
    /// What it used until it was killed, if it was.
    killed: Option<Usage>,
}

/// How the server ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopped {
    pub(super) took: Duration,
    pub(super) clean: bool,
}

impl Stopped {
    /// Of both, who were asked at the same time.
    pub(super) fn and(self, other: Stopped) -> Stopped {
        Stopped { took: self.took.max(other.took), clean: self.clean && other.clean }
    }
}

/// What the server's files take up, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Files {
    pub(super) database: u64,
    pub(super) wal: u64,
}

impl Child {
    /// Makes the folder, fills the database unless it is one that is shared, starts the server, and waits until it listens.
    pub(super) fn start(
        options: &ChildOptions,
        place: Place<'_>,
        identity: Option<&Identity>,
        say: &mut dyn FnMut(&str),
    ) -> Result<Child, BenchError> {
        let folder = folder::make(&options.folder)?;
        let database = folder.join("bench.db");
        if options.history > 0 {
            say(&format!("filling the database with {} finished executions", options.history));
            if let Err(why) = history::fill(&database, options.history) {
                folder::discard(&folder);
                return Err(why);
            }
        }
        match spawn(options, place, identity, &folder, &database) {
            Ok(process) => await_address(process, place.name, folder, options.keep),
            Err(why) => {
                folder::discard(&folder);
                Err(BenchError::Server(format!("failed to start the server: {why}")))
            }
        }
    }

    /// Where its API listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it used so far.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.killed.or_else(|| procfs::usage(self.process.id()))
    }

    /// Whether it was killed.
    pub(super) fn is_killed(&self) -> bool {
        self.killed.is_some()
    }

    /// Ends it at once, as a crash would.
    pub(super) fn kill(&mut self) {
        let usage = self.usage().unwrap_or_default();
        self.killed = Some(Usage { rss_kib: 0, ..usage });
        // Both fail only if it is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
        self.end = Some(Stopped { took: Duration::ZERO, clean: false });
    }

    /// Where it writes its log.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// What its files take up now.
    pub(super) fn files(&self) -> Files {
        let length = |name: &str| fs::metadata(self.folder.join(name)).map_or(0, |file| file.len());
        Files { database: length("bench.db"), wal: length("bench.db-wal") }
    }

    /// Whether it has ended by itself.
    pub(super) fn is_gone(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Leaves the folder behind.
    pub(super) fn keep(&mut self) {
        self.keep = true;
    }

    /// Asks it to stop: once, as asked again it ends at once.
    pub(super) fn begin_stop(&mut self) {
        if self.stopping.is_none() && !self.is_gone() {
            terminate(&mut self.process);
        }
        self.stopping.get_or_insert_with(Instant::now);
    }

    /// Asks it to stop, and makes it if it does not.
    pub(super) fn stop(&mut self) -> Stopped {
        if let Some(end) = self.end {
            return end;
        }
        self.begin_stop();
        let start = self.stopping.unwrap_or_else(Instant::now);
        let status = wait(&mut self.process, STOP_TIME_MAX);
        if status.is_none() {
            // Both fail only if it is gone after all.
            drop(self.process.kill());
            drop(self.process.wait());
        }
        let clean = status.is_some_and(|status| status.success());
        *self.end.insert(Stopped { took: start.elapsed(), clean })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
        if !self.keep {
            folder::discard(&self.folder);
        }
    }
}

fn spawn(
    options: &ChildOptions,
    place: Place<'_>,
    identity: Option<&Identity>,
    folder: &Path,
    database: &Path,
) -> io::Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").arg("--listen=http://127.0.0.1:0").arg("--db").arg(database).args(&options.flags);
    // What is in the environment is for a server that is not measured: above all where its jobs are.
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PUNCTUAL_")) {
        command.env_remove(variable);
    }
    if let Some(url) = place.shared {
        // Not as a flag, which everybody sees: there may be a password in it.
        command.arg("--node").arg(place.name).env("PUNCTUAL_STORE", url);
    }
    if let Some(identity) = identity {
        let path = folder.join("receiver.pem");
        fs::write(&path, &identity.pem)?;
        command.arg("--ca-file").arg(path);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(folder.join("server.log"))?);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // A Ctrl-C is for this process, which then stops the server in order.
        command.process_group(0);
    }
    command.spawn()
}

/// Reads the address from the first line it prints. From here on the process is stopped if anything goes wrong.
fn await_address(mut process: Process, name: &str, folder: PathBuf, keep: bool) -> Result<Child, BenchError> {
    let output = process.stdout.take();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut child = Child {
        process,
        name: name.to_owned(),
        address: nowhere,
        folder,
        keep,
        stopping: None,
        end: None,
        killed: None,
    };
    let (tell, told) = mpsc::channel();
    let reader = std::thread::Builder::new().name("server-output".to_owned()).spawn(move || {
        // To the end, so that the server never waits for somebody to read; told is gone after the first line.
        for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok) {
            drop(tell.send(line));
        }
    });
    let line = reader.ok().and_then(|_| told.recv_timeout(START_TIME_MAX).ok()).unwrap_or_default();
    match line.split_once("http://").and_then(|(_, address)| address.trim().parse().ok()) {
        Some(address) => {
            child.address = address;
            Ok(child)
        }
        None => {
            child.keep();
            let log = fs::read_to_string(child.log()).unwrap_or_default();
            let last = log.lines().last().unwrap_or("it said nothing");
            let path = child.log();
            Err(BenchError::Server(format!("failed to start the server: {last} (log: {})", path.display())))
        }
    }
}

fn wait(process: &mut Process, time: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        match process.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return None,
        }
    }
    None
}

#[cfg(target_os = "linux")]
fn terminate(process: &mut Process) {
    let pid = i32::try_from(process.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It fails only if the process is gone.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    }
}

#[cfg(not(target_os = "linux"))]
fn terminate(process: &mut Process) {
    drop(process.kill());
}
