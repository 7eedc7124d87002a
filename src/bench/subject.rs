//! Owns who is measured: our own server or several that share a database, one that runs already, or anything else that POSTs
//! to the receiver.
//! It must not measure: it says what can be known of the subject, and does to it what is asked.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::BenchError;
use super::child::{Child, Files, Place, Stopped};
use super::client::{drive, get};
use super::load::{Create, Delete, When};
use super::nodes;
use super::options::{ChildOptions, Subject as Choice};
use super::procfs::{self, Usage};
use super::progress::Progress;
use super::stream::Identity;
use crate::clock;
use crate::job::JobId;
use crate::store::{Became, Borrowed};
use crate::time::{Instant as Second, WallUs};

/// Connections to the API while jobs are created or deleted.
const CONNECTIONS: usize = 64;
/// The same while they are created many with one request: one batch is sent while another one is written.
const BATCH_CONNECTIONS: usize = 2;
/// How long all creations together may take.
const CREATE_TIME_MAX: Duration = Duration::from_secs(600);

/// What is measured. Dropped, it is left as it was found.
#[derive(Debug)]
pub(super) struct Subject {
    // In this order they go: nobody uses the database any more when it is given back.
    children: Vec<Child>,
    database: Option<Borrowed>,
    /// Where its API is: with several nodes any of these.
    addresses: Vec<SocketAddr>,
    /// What the first of them is called.
    host: String,
    pids: Vec<u32>,
    /// Jobs to be deleted at the end, because their server stays.
    leave_no_jobs: bool,
    created: Vec<String>,
    /// Where among those the measured ones begin, in the order of their numbers.
    measured_from: usize,
}

impl Subject {
    /// Starts or finds it.
    pub(super) fn begin(
        choice: &Choice,
        identity: Option<&Identity>,
        progress: &mut Progress,
    ) -> Result<Subject, BenchError> {
        let mut subject = Subject {
            children: Vec::new(),
            database: None,
            addresses: Vec::new(),
            host: String::new(),
            pids: Vec::new(),
            leave_no_jobs: false,
            created: Vec::new(),
            measured_from: 0,
        };
        match choice {
            Choice::Child(options) => subject.start(options, identity, progress)?,
            Choice::Api { address, host, pids } => {
                subject.addresses.push(*address);
                subject.host.clone_from(host);
                subject.pids.clone_from(pids);
                subject.leave_no_jobs = true;
                if subject.metrics().is_empty() {
                    return Err(BenchError::Api(format!("failed to read http://{host}/api/metrics")));
                }
            }
            Choice::Elsewhere { pids } => subject.pids.clone_from(pids),
        }
        Ok(subject)
    }

    /// Starts our own server, or all that are to share a database.
    fn start(
        &mut self,
        options: &ChildOptions,
        identity: Option<&Identity>,
        progress: &mut Progress,
    ) -> Result<(), BenchError> {
        if let Some(shared) = &options.shared {
            let mut database = Borrowed::take(&shared.url).map_err(BenchError::Server)?;
            if options.keep {
                database.keep();
            }
            progress.say(&format!("starting nodes on the shared database: {}", shared.nodes));
            self.database = Some(database);
        }
        for number in 1..=options.shared.as_ref().map_or(1, |shared| shared.nodes) {
            let place = Place {
                name: &format!("bench-{number}"),
                shared: self.database.as_ref().map(|database| database.url()),
            };
            let child = Child::start(options, place, identity, &mut |text| progress.say(text))?;
            self.addresses.push(child.address());
            self.children.push(child);
        }
        self.host = self.addresses[0].to_string();
        Ok(())
    }

    /// Waits until every node has its share of all jobs; what each has then.
    pub(super) fn settle(&self, stop: &AtomicBool) -> Result<Vec<u64>, BenchError> {
        match &self.database {
            None => Ok(Vec::new()),
            Some(_) => nodes::settle(&self.children, stop),
        }
    }

    /// Where its API is, and what the first address is called.
    pub(super) fn api(&self) -> Option<(&[SocketAddr], &str)> {
        (!self.addresses.is_empty()).then_some((&self.addresses, &self.host))
    }

    /// Creates so many jobs, so many with one request, as fast as it takes them; how long that took. Those that are measured come last.
    pub(super) fn create(
        &mut self,
        (count, batch): (u32, u32),
        when: &When,
        url: &dyn Fn(u32) -> String,
        stop: &AtomicBool,
    ) -> Result<Duration, BenchError> {
        let Some((addresses, host)) = self.api() else { return Ok(Duration::ZERO) };
        let mut create = Create::new(host, when, (count, batch), url);
        let start = Instant::now();
        let most = if batch == 1 { CONNECTIONS } else { BATCH_CONNECTIONS };
        let connections = most.min(count.div_ceil(batch) as usize);
        let driven = drive(addresses, connections, &mut create, start + CREATE_TIME_MAX, stop);
        let (ids, failure) = (create.ids, create.failure);
        let made = ids.len();
        self.measured_from = self.created.len();
        self.created.extend(ids.into_values());
        driven.map_err(|why| BenchError::Io("create jobs", why))?;
        if let Some(failure) = failure {
            return Err(BenchError::Api(format!("failed to create a job: the API answered {failure}")));
        }
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(BenchError::Interrupted);
        }
        if made < count as usize {
            return Err(BenchError::Api(format!("failed to create {count} jobs within 10 minutes: {made} are")));
        }
        Ok(start.elapsed())
    }

    /// The ids of jobs created so far.
    pub(super) fn created(&self) -> &[String] {
        &self.created
    }

    /// Notes further jobs that were created at its API.
    pub(super) fn also_created(&mut self, ids: Vec<String>) {
        self.created.extend(ids);
    }

    /// What each of its servers used so far, or all processes together that are not our own.
    pub(super) fn usages(&self) -> Vec<Option<Usage>> {
        if self.children.is_empty() {
            return vec![self.pids.iter().filter_map(|pid| procfs::usage(*pid)).reduce(Usage::plus)];
        }
        self.children.iter().map(Child::usage).collect()
    }

    /// What its API tells of itself, without the jobs; of several nodes each that lives.
    pub(super) fn metrics(&self) -> Vec<Value> {
        let read = |address: &SocketAddr| {
            let (status, body) = get(*address, &self.host, "/api/metrics?limit=1").ok()?;
            let mut metrics: Value = serde_json::from_slice(&body).ok().filter(|_| status == 200)?;
            metrics.as_object_mut()?.remove("jobs");
            Some(metrics)
        };
        self.addresses.iter().filter_map(read).collect()
    }

    /// How many commits it has made, if it says so.
    pub(super) fn commits(&self) -> Option<u64> {
        self.metrics().iter().map(|metrics| metrics.pointer("/store/commit/count")?.as_u64()).sum()
    }

    /// Our own servers.
    pub(super) fn children(&self) -> &[Child] {
        &self.children
    }

    /// The size of its files, if they are ours.
    pub(super) fn files(&self) -> Option<Files> {
        self.children.first().filter(|_| self.database.is_none()).map(Child::files)
    }

    /// The node that is to be killed, and the numbers of the jobs that it has.
    pub(super) fn victim(&mut self) -> Result<(String, Vec<u32>), BenchError> {
        let (Some(child), Some(database)) = (self.children.last(), &mut self.database) else {
            return Err(BenchError::Server("failed to kill a node: none is our own".to_owned()));
        };
        let mut keys = database.jobs_of(child.name()).map_err(BenchError::Server)?;
        keys.sort_unstable();
        let numbered = (0..).zip(&self.created[self.measured_from..]);
        let is_its_own = |id: &str| id.parse().is_ok_and(|id: JobId| keys.binary_search(&id.key()).is_ok());
        let jobs = numbered.filter(|(_, id)| is_its_own(id)).map(|(job, _)| job).collect();
        Ok((child.name().to_owned(), jobs))
    }

    /// Kills that node; when.
    pub(super) fn kill(&mut self) -> WallUs {
        let at = clock::wall();
        if let Some(child) = self.children.last_mut() {
            child.kill();
            self.addresses.pop();
        }
        at
    }

    /// Fails if a server of our own has ended by itself; its files then stay.
    pub(super) fn check(&mut self) -> Result<(), BenchError> {
        let mut running = self.children.iter_mut().filter(|child| !child.is_killed());
        let Some(child) = running.find_map(|child| child.is_gone().then_some(child)) else { return Ok(()) };
        child.keep();
        Err(BenchError::Server(format!("failed to go on: the server ended by itself (log: {})", child.log().display())))
    }

    /// Stops our own servers, all at once.
    pub(super) fn stop(&mut self) -> Option<Stopped> {
        let mut running: Vec<&mut Child> = self.children.iter_mut().filter(|child| !child.is_killed()).collect();
        running.iter_mut().for_each(|child| child.begin_stop());
        let mut all: Option<Stopped> = None;
        for child in running {
            let stopped = child.stop();
            if !stopped.clean {
                child.keep();
                eprintln!("the server did not stop cleanly; its log: {}", child.log().display());
            }
            all = Some(all.map_or(stopped, |all| all.and(stopped)));
        }
        all
    }

    /// What the shared database has of the executions of a window, once its servers have ended.
    pub(super) fn became(&mut self, (from, until): (u32, u32)) -> Result<Option<Became>, BenchError> {
        let Some(database) = &mut self.database else { return Ok(None) };
        let became = database.became(Second::from_secs(from.into()), Second::from_secs(until.into()));
        became.map(Some).map_err(BenchError::Server)
    }

    fn delete(&self) {
        let Some((addresses, host)) = self.api().filter(|_| self.leave_no_jobs && !self.created.is_empty()) else {
            return;
        };
        let mut delete = Delete::new(host, &self.created);
        let until = Instant::now() + CREATE_TIME_MAX;
        // Also after a Ctrl-C: the jobs would fire for ever.
        let result = drive(addresses, CONNECTIONS, &mut delete, until, &AtomicBool::new(false));
        if result.is_err() || delete.failures > 0 {
            eprintln!("failed to delete every job that was created at http://{host}");
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.delete();
    }
}
