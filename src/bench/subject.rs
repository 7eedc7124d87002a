//! Owns who is measured: our own server, one that runs already, or anything else that POSTs to the receiver.
//! It must not measure: it says what can be known of the subject, and does to it what is asked.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::BenchError;
use super::child::{Child, Files, Stopped};
use super::client::{drive, get};
use super::load::{Create, Delete};
use super::options::Subject as Choice;
use super::procfs::{self, Usage};
use super::progress::Progress;
use super::stream::Identity;

/// Connections to the API while jobs are created or deleted.
const CONNECTIONS: usize = 64;
/// How long all creations together may take.
const CREATE_TIME_MAX: Duration = Duration::from_secs(600);

/// What is measured. Dropped, it is left as it was found.
#[derive(Debug)]
pub(super) struct Subject {
    child: Option<Child>,
    api: Option<(SocketAddr, String)>,
    pids: Vec<u32>,
    /// Jobs to be deleted at the end, because their server stays.
    leave_no_jobs: bool,
    created: Vec<String>,
}

impl Subject {
    /// Starts or finds it.
    pub(super) fn begin(
        choice: &Choice,
        identity: Option<&Identity>,
        progress: &mut Progress,
    ) -> Result<Subject, BenchError> {
        let mut subject =
            Subject { child: None, api: None, pids: Vec::new(), leave_no_jobs: false, created: Vec::new() };
        match choice {
            Choice::Child(options) => {
                let child = Child::start(options, identity, &mut |text| progress.say(text))?;
                subject.api = Some((child.address(), child.address().to_string()));
                subject.pids = vec![child.pid()];
                subject.child = Some(child);
            }
            Choice::Api { address, host, pids } => {
                subject.api = Some((*address, host.clone()));
                subject.pids.clone_from(pids);
                subject.leave_no_jobs = true;
                if subject.metrics().is_none() {
                    return Err(BenchError::Api(format!("failed to read http://{host}/api/metrics")));
                }
            }
            Choice::Elsewhere { pids } => subject.pids.clone_from(pids),
        }
        Ok(subject)
    }

    /// Where its API is.
    pub(super) fn api(&self) -> Option<(SocketAddr, &str)> {
        self.api.as_ref().map(|(address, host)| (*address, host.as_str()))
    }

    /// Creates jobs, as fast as it takes them; how long that took.
    pub(super) fn create(
        &mut self,
        count: u32,
        schedule: &str,
        url: &dyn Fn(u32) -> String,
        stop: &AtomicBool,
    ) -> Result<Duration, BenchError> {
        let Some((address, host)) = &self.api else { return Ok(Duration::ZERO) };
        let mut create = Create::new(host, schedule, count, url);
        let start = Instant::now();
        let connections = CONNECTIONS.min(count as usize);
        let driven = drive(*address, connections, &mut create, start + CREATE_TIME_MAX, stop);
        let (ids, failure) = (create.ids, create.failure);
        let made = ids.len();
        self.created.extend(ids);
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

    /// What its processes used so far.
    pub(super) fn usage(&self) -> Option<Usage> {
        procfs::usage(&self.pids)
    }

    /// What its API tells of itself, without the jobs.
    pub(super) fn metrics(&self) -> Option<Value> {
        let (address, host) = self.api()?;
        let (status, body) = get(address, host, "/api/metrics?limit=1").ok()?;
        let mut metrics: Value = serde_json::from_slice(&body).ok().filter(|_| status == 200)?;
        metrics.as_object_mut()?.remove("jobs");
        Some(metrics)
    }

    /// The size of its files, if they are ours.
    pub(super) fn files(&self) -> Option<Files> {
        self.child.as_ref().map(Child::files)
    }

    /// Fails if our own server has ended by itself; its files then stay.
    pub(super) fn check(&mut self) -> Result<(), BenchError> {
        let Some(child) = &mut self.child else { return Ok(()) };
        if !child.is_gone() {
            return Ok(());
        }
        child.keep();
        Err(BenchError::Server(format!("failed to go on: the server ended by itself (log: {})", child.log().display())))
    }

    /// Stops our own server.
    pub(super) fn stop(&mut self) -> Option<Stopped> {
        let child = self.child.as_mut()?;
        let stopped = child.stop();
        if !stopped.clean {
            child.keep();
            eprintln!("the server did not stop cleanly; its log: {}", child.log().display());
        }
        Some(stopped)
    }

    fn delete(&self) {
        let Some((address, host)) = self.api().filter(|_| self.leave_no_jobs && !self.created.is_empty()) else {
            return;
        };
        let mut delete = Delete::new(host, &self.created);
        let until = Instant::now() + CREATE_TIME_MAX;
        // Also after a Ctrl-C: the jobs would fire for ever.
        let result = drive(address, CONNECTIONS, &mut delete, until, &AtomicBool::new(false));
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
