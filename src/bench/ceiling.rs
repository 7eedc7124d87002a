//! Owns the limits of the machine: what its receiver takes from a bare client, and from the workers alone.
//! It must not involve the scheduler or the store: results are held against what is left without them.

use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::client::{Answer, Next, Source, drive};
use super::folder;
use super::procfs;
use super::receiver::{Behaviour, Receiver};
use super::spread::Spread;
use super::stream::Identity;
use crate::clock;
use crate::core::{Attempt, Class, ExecutionId, Handle, Kind, Seq};
use crate::dispatch::{self, Allowlist, DispatchSettings, Pool};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Post, Revision, SharedPost, TargetUrl};
use crate::store::{self, AuditRow, Difference};
use crate::time::Instant as Second;

/// Connections of the bare client.
pub(super) const CONNECTIONS: usize = 64;
/// What may be in flight where the subject does not say.
pub(super) const MAX_IN_FLIGHT: u32 = 256;
/// Small synchronous writes that are timed.
const SYNCS: usize = 200;
/// The first part of each measurement, which does not count: connections are made.
const RUN_UP: Duration = Duration::from_millis(300);

/// What the machine can do. CPU times are of the sender alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Requests a second from the bare client.
    pub(super) receiver: Limit,
    /// POSTs a second from the worker pool.
    pub(super) workers: Limit,
    /// The same over TLS, if that is what is measured.
    pub(super) workers_tls: Option<Limit>,
}

/// One limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) per_second: f64,
    pub(super) cpu_us: Option<f64>,
}

/// What a small synchronous write costs, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sync {
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
}

/// Appends blocks to a file in this folder and makes each durable; None where that is not possible.
pub(super) fn sync(folder: &Path) -> Option<Sync> {
    let path = folder.join(format!("punctual-bench-sync-{}", std::process::id()));
    let mut file = File::create(&path).ok()?;
    let took = (0..SYNCS).map(|_| {
        let start = Instant::now();
        file.write_all(&[0; 4_096])?;
        file.sync_data()?;
        Ok(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
    });
    let took = took.collect::<io::Result<Vec<u64>>>();
    // A file that stays in a folder for temporary ones does no harm.
    drop(std::fs::remove_file(&path));
    let mut took = took.ok()?;
    took.sort_unstable();
    Some(Sync { p50_us: took[SYNCS / 2], p99_us: took[SYNCS * 99 / 100] })
}

/// How many jobs a second SQLite alone creates in this folder, so many with each commit; None where that is not possible.
pub(super) fn creations(folder: &Path, batch: usize, time: Duration) -> Option<f64> {
    let now = clock::wall();
    let definition = Definition::plain("0 0 0 1 1 *", "http://127.0.0.1:9/created-alone");
    let spec = JobSpec::compile(&definition, &Context::at(now.floor())).ok()?;
    let jobs = (1..).map(|key| {
        let revision = Arc::new(Revision::first(JobId::new(JobKey(key), [1; 10]), spec.clone(), now));
        let audited = AuditRow {
            at: now,
            token: None,
            client: "127.0.0.1".into(),
            operation: "createJob",
            subject: Some(revision.id.to_string().into()),
            difference: Difference::Job(None, Some(Arc::clone(&revision))),
            status: 201,
        };
        (revision, audited)
    });
    let folder = folder::make(folder).ok()?;
    let rate = store::creations_alone(&folder.join("alone.db"), jobs, batch, time);
    folder::discard(&folder);
    rate.ok()
}

/// Measures each for so long.
pub(super) fn measure(
    threads: u32,
    max_in_flight: u32,
    time: Duration,
    identity: Option<&Identity>,
    stop: &AtomicBool,
) -> io::Result<Limits> {
    let plain = Behaviour { spread: Spread::PLAIN, delay: Duration::ZERO, fail_per_cent: 0, slack_us: 0 };
    let receiver = Receiver::start(plain, None, 0, threads)?;
    let bare = bare(&receiver, time, stop)?;
    let plainly = workers(&receiver, &[], max_in_flight, time, stop)?;
    drop(receiver);
    let over_tls = identity.map(|identity| {
        let receiver = Receiver::start(plain, Some(identity.clone()), 0, threads)?;
        workers(&receiver, identity.pem.as_bytes(), max_in_flight, time, stop)
    });
    Ok(Limits { receiver: bare, workers: plainly, workers_tls: over_tls.transpose()? })
}

/// Sends the same request again and again, about as long as one of ours.
struct Flood {
    request: Vec<u8>,
}

impl Source for Flood {
    fn next(&mut self, _: Instant, out: &mut Vec<u8>) -> Next {
        out.extend_from_slice(&self.request);
        Next::Send { tag: 0 }
    }

    fn answered(&mut self, _: &Answer<'_>) {}
}

fn bare(receiver: &Receiver, time: Duration, stop: &AtomicBool) -> io::Result<Limit> {
    let request = b"POST /job/0 HTTP/1.1\r\nhost: 127.0.0.1:40000\r\nuser-agent: Punctual/0.1.0\r\n\
        content-type: application/json\r\ncontent-length: 2\r\n\
        idempotency-key: 00000000-0001-8000-8000-000000000000-1767229831\r\n\
        punctual-job-id: 00000000-0001-8000-8000-000000000000\r\n\
        punctual-scheduled-time: 2026-01-01T01:10:31Z\r\npunctual-attempt: 1\r\npunctual-late: false\r\n\r\n{}";
    let mut flood = Flood { request: request.to_vec() };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, receiver.ports()[0]));
    drive(&[address], CONNECTIONS, &mut flood, Instant::now() + RUN_UP, stop)?;
    let mark = Mark::set(receiver);
    drive(&[address], CONNECTIONS, &mut flood, Instant::now() + time, stop)?;
    Ok(mark.limit(receiver))
}

fn workers(
    receiver: &Receiver,
    roots: &[u8],
    max_in_flight: u32,
    time: Duration,
    stop: &AtomicBool,
) -> io::Result<Limit> {
    let (ring, rung) = bounded(1);
    let settings = DispatchSettings {
        workers: dispatch::default_workers(),
        in_flight_max: max_in_flight,
        idle_max: max_in_flight,
        timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
        user_agent: "Punctual/bench".to_owned(),
        targets: Allowlist::default(),
        extra_roots: roots.to_vec(),
    };
    let notify = Arc::new(move || {
        // A bell that is rung already need not be rung again.
        ring.try_send(()).ok();
    });
    let mut pool = Pool::start(settings, notify)?;
    let fabricate = fabricator(&receiver.url(0))?;
    let mut seq = u64::from(max_in_flight);
    pool.send((0..seq).map(&fabricate));
    let start = Instant::now();
    let mut mark = None;
    let mut reports = Vec::new();
    let mut out = max_in_flight as usize;
    loop {
        // A lost wake-up would only cost this wait.
        rung.recv_timeout(Duration::from_millis(50)).ok();
        pool.receive(max_in_flight as usize, &mut reports);
        out -= reports.len();
        let now = Instant::now();
        let ends = now >= start + RUN_UP + time || stop.load(Ordering::Relaxed);
        if mark.is_none() && now >= start + RUN_UP {
            mark = Some(Mark::set(receiver));
        }
        if ends {
            let limit = mark.map(|mark| mark.limit(receiver));
            // What is out comes back, so that the threads end with the pool.
            drop(pool);
            return limit.ok_or_else(|| io::ErrorKind::Interrupted.into());
        }
        let more = reports.drain(..).count();
        out += more;
        let from = seq;
        seq += more as u64;
        pool.send((from..seq).map(&fabricate));
        assert!(out <= max_in_flight as usize, "each report makes room for one attempt");
    }
}

/// Makes attempts for one job that does not exist.
fn fabricator(url: &str) -> io::Result<impl Fn(u64) -> Attempt + use<>> {
    let id = JobId::new(JobKey(1), [1; 10]);
    let url = TargetUrl::parse(url).map_err(|why| io::Error::other(why.to_string()))?;
    let post = Arc::new(Post::to(url));
    Ok(move |seq: u64| {
        let instant = Second::from_secs(i64::try_from(seq).unwrap_or(0));
        let id = ExecutionId { job: id, instant, kind: Kind::Scheduled, number: 0 };
        let handle = Handle { slot: 0, seq: Seq(seq) };
        Attempt { handle, number: 1, id, class: Class::OnTime, epoch: 0, post: SharedPost::Own(Arc::clone(&post)) }
    })
}

/// Where a measurement began.
struct Mark {
    at: Instant,
    requests: u64,
    cpu: Option<Duration>,
}

impl Mark {
    fn set(receiver: &Receiver) -> Mark {
        Mark { at: Instant::now(), requests: receiver.requests(), cpu: sender_cpu(receiver) }
    }

    fn limit(&self, receiver: &Receiver) -> Limit {
        let requests = (receiver.requests() - self.requests) as f64;
        let cpu = sender_cpu(receiver).zip(self.cpu).map(|(now, then)| now.saturating_sub(then));
        Limit {
            per_second: requests / self.at.elapsed().as_secs_f64(),
            cpu_us: cpu.filter(|_| requests > 0.0).map(|cpu| cpu.as_secs_f64() * 1e6 / requests),
        }
    }
}

/// What this process used, without its receiver.
fn sender_cpu(receiver: &Receiver) -> Option<Duration> {
    let all = procfs::cpu(Path::new("/proc/self"))?;
    Some(all.saturating_sub(procfs::cpu_of_all(&receiver.tasks())?))
}
