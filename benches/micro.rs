//! Owns the micro benches: the pieces whose cost every execution or request pays.
//! It must not need more than a temporary folder; as part of `cargo test` each runs once.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use punctual::api;
use punctual::core::{
    Bounds, Class, ExecutionKey, Forecast, Input, LedgerRow, Persist, Ranking, Restored, Scheduler, Seq, Settings,
    Shards, Status as Ending, StoredJob, Totals,
};
use punctual::http::{Decoder, Limits, Response, Status, encode, http_date};
use punctual::job::{Context, Definition, JobId, JobKey, JobSpec, Misfire, RetryPolicy, Revision};
use punctual::limits::{FORECAST_STEPS_PER_TURN, RANKING_LOOKS_MAX};
use punctual::schedule::{Calendars, Dates, Rule, Schedule, Terms, Zone, Zones};
use punctual::store::{Batch, Housekeeping, Keep, Store, Writer, WriterEvent};
use punctual::time::{DeadlineHeap, Instant, MonoUs, Now, US_PER_SECOND, WallUs};

/// Ids in the heap.
const WAITING: u32 = 100_000;
/// Jobs in the core; a test makes do with fewer.
const JOBS: u64 = if cfg!(debug_assertions) { 2_000 } else { 100_000 };
/// Rows in a batch of the writer.
const BATCH: u64 = 1_000;
/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600;
/// The first Monday after it.
const MONDAY: i64 = NOW + 4 * 86_400;

fn heap(criterion: &mut Criterion) {
    let mut heap = DeadlineHeap::default();
    for id in 0..WAITING {
        heap.set(id, u64::from(id.wrapping_mul(2_654_435_761) % 1_000));
    }
    let mut turn: u32 = 0;
    criterion.bench_function("heap: move one of 100,000", |bencher| {
        bencher.iter(|| {
            turn = turn.wrapping_add(1);
            let id = turn.wrapping_mul(7_919) % WAITING;
            heap.set(id, u64::from(turn % 1_000));
        });
    });
    let mut heap = DeadlineHeap::default();
    for id in 0..WAITING {
        heap.set(id, 0_u64);
    }
    criterion.bench_function("heap: pop one due of 100,000 and set it a second later", |bencher| {
        bencher.iter(|| {
            let (key, _) = heap.peek().expect("never empty");
            let id = heap.pop_due(key).expect("the smallest is due");
            heap.set(black_box(id), key + 1);
        });
    });
}

fn next_instant(criterion: &mut Criterion) {
    for text in ["* * * * * *", "*/10 * * * * *", "0 30 9 * * MON-FRI", "0 0 0 29 2 *", "@every 90s"] {
        let schedule = Schedule::parse(text, Zone::default(), Instant::from_secs(NOW)).expect("a schedule");
        let mut at = Instant::from_secs(NOW);
        criterion.bench_function(&format!("next instant: {text}"), |bencher| {
            bencher.iter(|| {
                // Begins anew near the horizon.
                at = schedule.next_after(black_box(at)).unwrap_or(Instant::from_secs(NOW));
                at
            });
        });
    }
    let zone = Zones::bundled().get("Europe/Berlin").expect("a zone");
    for text in ["0 30 2 * * *", "0 */10 * * * *", "0 0 9 LW * *"] {
        let schedule = Schedule::parse(text, zone.clone(), Instant::from_secs(NOW)).expect("a schedule");
        let mut at = Instant::from_secs(NOW);
        criterion.bench_function(&format!("next instant in Berlin: {text}"), |bencher| {
            bencher.iter(|| {
                at = schedule.next_after(black_box(at)).unwrap_or(Instant::from_secs(NOW));
                at
            });
        });
    }
    let mondays: Vec<String> =
        (0..3_800).map(|week| Instant::from_secs(MONDAY + 7 * 86_400 * week).to_string()[..10].to_owned()).collect();
    let mut calendars = Calendars::default();
    let dates = Dates::parse(mondays.iter().map(String::as_str), mondays.len()).expect("dates");
    calendars.insert("closed", dates.into()).expect("a calendar");
    let calendars = calendars.get("closed").into_iter().collect();
    let terms = Terms { zone: zone.clone(), calendars, ..Terms::plain(Rule::Text("0 0 9 * * MON".into())) };
    let schedule = Schedule::compile(&terms, Instant::from_secs(NOW)).expect("a schedule");
    let second = Instant::from_secs(MONDAY + 9 * 3_600);
    criterion.bench_function("next instant, 3,800 Mondays left out: within a second", |bencher| {
        bencher.iter(|| schedule.next_in(black_box(Instant::from_secs(second.as_secs() - 1)), second));
    });
    criterion.bench_function("next instant, 3,800 Mondays left out: behind all", |bencher| {
        bencher.iter(|| schedule.next_after(black_box(second)));
    });
    let schedule = Schedule::parse("0 */10 9-17 * * MON-FRI", zone, Instant::from_secs(NOW)).expect("a schedule");
    for count in [5, 1_000] {
        criterion.bench_function(&format!("schedule: describe, and preview of {count}"), |bencher| {
            bencher.iter(|| (schedule.explain(), schedule.preview(Instant::from_secs(NOW), Instant::LAST, count)));
        });
    }
    criterion.bench_function("schedule: parse", |bencher| {
        bencher.iter(|| Schedule::parse(black_box("0 */5 9-17 * * MON-FRI"), Zone::default(), Instant::from_secs(NOW)));
    });
}

/// A core with jobs, each of which has this schedule and a target of its own.
fn core(schedule: impl Fn(u64) -> String) -> Scheduler {
    let now = Now { wall: WallUs(NOW * US_PER_SECOND), mono: MonoUs(0) };
    let second = std::time::Duration::from_secs(1);
    let mut core = Scheduler::new(Settings {
        in_flight_max: 1_024,
        retry: RetryPolicy::doubling(0, second),
        misfire: Misfire::Once,
        lateness_max: second,
        lead_us: punctual::limits::ARM_LEAD_US,
        skew_us: None,
        noise: 0,
        bounds: Bounds::default(),
    });
    for number in 0..JOBS {
        let definition = Definition::plain(&schedule(number), &format!("http://host-{number}/"));
        // What counts from its creation was created at another second.
        let created = Instant::from_secs(NOW - i64::try_from(number % 3_600).expect("it is small"));
        let spec = JobSpec::compile(&definition, &Context::at(created)).expect("it is a job");
        let revision = Revision::first(JobId::new(JobKey(number + 1), [0; 10]), spec, WallUs::of(created));
        let job = StoredJob { revision, totals: Totals::default() };
        core.handle_input(Input::RestoreJob(Box::new(job)), now);
    }
    core.handle_input(
        Input::Acquired(Restored {
            shards: Shards::ALL,
            epochs: Vec::new(),
            next_seq: 1,
            next_job: JOBS + 1,
            next_incident: 1,
            newest: None,
        }),
        now,
    );
    while core.poll_output().is_some() {}
    core
}

fn looks(criterion: &mut Criterion) {
    let hourly = |number: u64| format!("{} {} * * * *", number % 60, number / 60 % 60);
    let mut group = criterion.benchmark_group("looks");
    group.sample_size(10);
    let steady = |number: u64| format!("@every {}s", 60 + number % 7);
    let rare = |number: u64| format!("{} {} 4 * * *", number % 60, number / 60 % 60);
    let often = |number: u64| format!("{}-59 * {}-23 * * *", number % 30, number / 30 % 20);
    let mut one = core(hourly);
    group.bench_function("the targets that matter most, all", |bencher| {
        bencher.iter(|| {
            let mut ranking = Ranking::new(20);
            assert!(ranking.advance(black_box(&one), usize::MAX));
            ranking.end()
        });
    });
    group.bench_function("the targets that matter most, a piece", |bencher| {
        bencher.iter(|| Ranking::new(20).advance(black_box(&one), RANKING_LOOKS_MAX));
    });
    let schedules: [(&str, &dyn Fn(u64) -> String); 4] =
        [("hourly", &hourly), ("steady", &steady), ("daily", &rare), ("every second", &often)];
    for (name, schedule) in schedules {
        one = core(schedule);
        let wall = WallUs(NOW * US_PER_SECOND);
        group.bench_function(format!("the next hour, {name}, all"), |bencher| {
            bencher.iter(|| {
                let mut forecast = Forecast::new(black_box(&one), wall);
                while !forecast.advance(&one, FORECAST_STEPS_PER_TURN, wall) {}
                forecast.end()
            });
        });
    }
    group.finish();
}

fn http(criterion: &mut Criterion) {
    let body = r#"{"schedule":"* * * * * *","api":"http://127.0.0.1:4444/job/1","type":"ATLEAST_ONCE"}"#;
    let request = format!(
        "POST /api/jobs HTTP/1.1\r\nHost: localhost:3000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let limits = Limits { head_len_max: 8_192, headers_max: 64, body_len_max: api::body_limit };
    let mut decoder = Decoder::new(limits);
    criterion.bench_function("http: decode a creation", |bencher| {
        bencher.iter(|| decoder.decode(black_box(request.as_bytes())).1.expect("well-formed"));
    });
    let response = Response::new(Status::CREATED, vec![b'x'; 700]);
    let date = http_date(NOW);
    let mut out = Vec::new();
    criterion.bench_function("http: encode an answer of 700 bytes", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode(black_box(&response), false, true, false, &date, &mut out);
        });
    });
}

fn writer(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("bench.db")).expect("a new database");
    let (ring, rung) = crossbeam_channel::bounded(16);
    let notify = std::sync::Arc::new(move || {
        // Full: it is rung already.
        ring.try_send(()).ok();
    });
    let age = std::time::Duration::from_secs(86_400);
    let keep = Keep { age, rows_per_job: 1_000_000, bytes: 1 << 40, audit_age: age };
    let mut writer = Writer::start(store, keep, Housekeeping::default(), notify).expect("a thread");
    let mut number = 0;
    let mut group = criterion.benchmark_group("writer");
    group.throughput(criterion::Throughput::Elements(BATCH)).sample_size(20);
    for (name, status) in [("arm 1,000 rows", Ending::Pending), ("finish 1,000 rows", Ending::Success)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || batch(&mut number, status),
                |batch| {
                    writer.send(batch);
                    loop {
                        rung.recv().expect("the writer runs");
                        match writer.try_event() {
                            Some(WriterEvent::Committed { .. }) => break,
                            Some(WriterEvent::Failing { why, .. }) => panic!("{why}"),
                            Some(WriterEvent::Fenced | WriterEvent::Joined) => panic!("a file is nobody else's"),
                            Some(WriterEvent::Working | WriterEvent::ChoreFailed { .. }) | None => {}
                        }
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    writer.stop();
}

/// Rows of 1,000 jobs, one each, at the next second.
fn batch(number: &mut u64, status: Ending) -> Batch {
    let second = NOW + i64::try_from(*number / BATCH).unwrap_or(0);
    let mut items = Vec::new();
    for job in 0..BATCH {
        *number += 1;
        let key = ExecutionKey::scheduled(JobKey(job + 1), Instant::from_secs(second));
        let mut row = LedgerRow::pending(Seq(*number), key, Class::OnTime);
        row.record.status = status;
        if status == Ending::Success {
            row.record.executed = Some(WallUs(second * US_PER_SECOND + 250));
            (row.record.http_status, row.record.duration_us) = (Some(200), Some(900));
        }
        items.push((*number, Persist::Row(row, None)));
    }
    Batch { items, ..Batch::default() }
}

criterion_group!(benches, heap, next_instant, looks, http, writer);
criterion_main!(benches);
