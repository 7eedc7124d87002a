//! Owns what a seed stands for: settings, workload, the character of each target, and the faults in their time.
//! It must not know how a fault is carried out.

use std::time::Duration;

use punctual::core::{Bounds, Settings};
use punctual::job::{Misfire, RetryPolicy};

use super::berlin;
use super::bounds;
use super::rng::Rng;

pub(crate) const SECOND_US: u64 = 1_000_000;

/// What kind of run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// A few lively jobs for a minute or two.
    Busy,
    /// A few sparse jobs over days.
    Sparse,
    /// More than ten thousand jobs on one second.
    Storm,
    /// More due work for one dead target than may wait for it.
    Overload,
}

/// How a target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    /// One in three fails.
    Flaky,
    /// Always 500.
    Broken,
    /// Refuses connections, with spells of health.
    Dead,
    /// Takes seconds, and fails often.
    Slow,
    /// Many attempts come to no end before the faults heal.
    Hanging,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies and comes back after a while.
    Crash { down_us: u64 },
    /// The process is told to stop, and comes back after a while.
    Drain { down_us: u64 },
    /// The disk is full, or has room again.
    DiskFull(bool),
    /// Each commit takes so long.
    DiskSlow { commit_us: u64 },
    /// The wall clock is set.
    ClockStep { by_us: i64 },
    /// The wall clock runs faster or slower than true time.
    Slew { ppm: i64 },
    /// The machine sleeps.
    Suspend { for_us: u64 },
    /// The loop does not get to run.
    Stall { for_us: u64 },
    /// One job gets more changes at once than may wait.
    ChangeBurst,
}

pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    pub(crate) settings: Settings,
    pub(crate) manners: Vec<Manner>,
    pub(crate) jobs: u64,
    /// Whether jobs have policies of their own.
    pub(crate) has_policies: bool,
    /// How many channels clients make at the start.
    pub(crate) channels: u64,
    /// A change of the clock in Berlin that the run is to meet.
    pub(crate) meets: Option<i64>,
    /// How long the faults last.
    pub(crate) length_us: u64,
    pub(crate) faults: Vec<(u64, Fault)>,
    /// The mean time between commands; None: only those at the start.
    pub(crate) command_every_us: Option<u64>,
    /// How many acknowledgements and reports of a hundred go astray, each way.
    pub(crate) astray_per_cent: u64,
    /// How many batches of a hundred fail.
    pub(crate) batch_fails_per_cent: u64,
    /// How many moments of a hundred that matter the wall clock steps at.
    pub(crate) steps_per_cent: u64,
    /// How many turns of a hundred come late, or in the wrong order.
    pub(crate) turn_errs_per_cent: u64,
    pub(crate) batch_len_max: u64,
}

impl Plan {
    pub(crate) fn new(seed: u64, profile: Profile) -> Plan {
        let mut rng = Rng::new(seed ^ 0x706c_616e);
        match profile {
            Profile::Busy => Plan::busy(seed, &mut rng),
            Profile::Sparse => Plan::sparse(seed, &mut rng),
            Profile::Storm => Plan::storm(seed),
            Profile::Overload => Plan::overload(seed),
        }
    }

    fn busy(seed: u64, rng: &mut Rng) -> Plan {
        let length_us = rng.within(15..=60) * SECOND_US;
        let manners =
            [Manner::Well, Manner::Well, Manner::Flaky, Manner::Broken, Manner::Dead, Manner::Slow, Manner::Hanging];
        Plan {
            seed,
            profile: Profile::Busy,
            settings: Settings { bounds: bounds::of_seed(seed), ..settings(rng) },
            manners: (0..rng.within(1..=4)).map(|_| *rng.pick(&manners)).collect(),
            jobs: rng.within(1..=6),
            has_policies: rng.per_cent(60),
            channels: *rng.pick(&[0, 1, 1, 2]),
            meets: None,
            length_us,
            faults: faults(rng, length_us, Profile::Busy),
            command_every_us: rng.per_cent(80).then(|| rng.within(1..=15) * SECOND_US),
            astray_per_cent: *rng.pick(&[0, 5, 20]),
            batch_fails_per_cent: *rng.pick(&[0, 0, 3, 15]),
            steps_per_cent: *rng.pick(&[0, 0, 0, 2, 10]),
            turn_errs_per_cent: *rng.pick(&[0, 3, 10]),
            batch_len_max: *rng.pick(&[1, 3, 1000]),
        }
    }

    fn sparse(seed: u64, rng: &mut Rng) -> Plan {
        let length_us = rng.within(12..=72) * 3600 * SECOND_US;
        let change = *rng.pick(&[berlin::SPRING, berlin::AUTUMN]);
        Plan {
            profile: Profile::Sparse,
            meets: rng.per_cent(50).then_some(change),
            jobs: rng.within(1..=5),
            length_us,
            faults: faults(rng, length_us, Profile::Sparse),
            command_every_us: rng.per_cent(70).then(|| rng.within(1..=9) * 3600 * SECOND_US),
            ..Plan::busy(seed, rng)
        }
    }

    fn storm(seed: u64) -> Plan {
        let mut rng = Rng::new(seed);
        let crash = Fault::Crash { down_us: 2 * SECOND_US };
        Plan {
            profile: Profile::Storm,
            settings: Settings {
                in_flight_max: 1024,
                lateness_max: Duration::from_secs(20),
                misfire: Misfire::Once,
                ..settings(&mut rng)
            },
            manners: vec![Manner::Well, Manner::Well, Manner::Flaky, Manner::Slow],
            jobs: 14_000,
            has_policies: false,
            channels: 1,
            length_us: 110 * SECOND_US,
            // The second is the first minute mark; see `World::new`.
            faults: vec![(30 * SECOND_US + 40_000, crash), (36 * SECOND_US, Fault::Crash { down_us: 60 * SECOND_US })],
            command_every_us: Some(10 * SECOND_US),
            astray_per_cent: 5,
            batch_fails_per_cent: 3,
            steps_per_cent: 0,
            turn_errs_per_cent: 3,
            batch_len_max: 4_000,
            ..Plan::busy(seed, &mut rng)
        }
    }

    fn overload(seed: u64) -> Plan {
        let mut rng = Rng::new(seed);
        Plan {
            profile: Profile::Overload,
            settings: Settings {
                in_flight_max: 4,
                lateness_max: Duration::from_secs(5),
                misfire: Misfire::Once,
                retry: RetryPolicy::doubling(0, Duration::ZERO),
                lead_us: punctual::limits::ARM_LEAD_US,
                skew_us: None,
                noise: seed,
                bounds: Bounds::default(),
            },
            manners: vec![Manner::Hanging],
            jobs: 2_400,
            has_policies: false,
            channels: 1,
            length_us: 62 * SECOND_US,
            faults: vec![(60 * SECOND_US, Fault::ChangeBurst)],
            command_every_us: None,
            astray_per_cent: 0,
            batch_fails_per_cent: 0,
            steps_per_cent: 0,
            turn_errs_per_cent: 0,
            batch_len_max: 100_000,
            ..Plan::busy(seed, &mut rng)
        }
    }
}

fn settings(rng: &mut Rng) -> Settings {
    Settings {
        in_flight_max: *rng.pick(&[1, 2, 3, 8, 64]),
        retry: RetryPolicy::doubling(
            u32::try_from(rng.within(0..=3)).expect("at most three"),
            Duration::from_millis(rng.within(1..=3000)),
        ),
        misfire: *rng.pick(&[Misfire::Once, Misfire::All, Misfire::Skip]),
        lateness_max: Duration::from_secs(rng.within(1..=30)),
        lead_us: punctual::limits::ARM_LEAD_US,
        skew_us: None,
        noise: rng.next(),
        bounds: Bounds::default(),
    }
}

/// Each seed has some kinds of faults and lacks others: a fault is not to hide behind another in every run.
fn faults(rng: &mut Rng, length_us: u64, profile: Profile) -> Vec<(u64, Fault)> {
    let mut kinds = Vec::new();
    for kind in 0..10 {
        if rng.per_cent(45) {
            kinds.push(kind);
        }
    }
    let mut faults = Vec::new();
    let mut at_us = 0;
    let pause_us = length_us / rng.within(2..=12);
    // Sparse jobs have time for longer gaps.
    let unit_us = if profile == Profile::Sparse { 1_800 * SECOND_US } else { SECOND_US };
    while !kinds.is_empty() {
        at_us += rng.within(0..=2 * pause_us);
        if at_us >= length_us {
            break;
        }
        let long_us = rng.within(0..=12 * unit_us);
        let fault = match rng.pick(&kinds) {
            0 | 1 => Fault::Crash {
                down_us: if profile == Profile::Busy && rng.per_cent(20) { 200 * long_us } else { long_us },
            },
            2 => Fault::Drain { down_us: long_us },
            3 => {
                faults.push((at_us + long_us.min(20 * SECOND_US), Fault::DiskFull(false)));
                Fault::DiskFull(true)
            }
            4 => Fault::DiskSlow { commit_us: rng.within(1_000..=4 * SECOND_US) },
            5 => {
                let back_us = -i64::try_from(long_us / 4 + 60_000).expect("short");
                let forward_us = i64::try_from(long_us * rng.within(1..=8) + 60_000).expect("short");
                Fault::ClockStep { by_us: *rng.pick(&[back_us, forward_us, forward_us / 100, back_us / 5]) }
            }
            6 => Fault::Slew { ppm: *rng.pick(&[-50_000, -500, 0, 500, 50_000]) },
            7 => Fault::Suspend { for_us: long_us },
            8 => {
                // The clock is set back while the process is down, or just before it dies.
                let back_us = i64::try_from(rng.within(60_000..=20 * unit_us)).expect("short");
                let before_us = rng.within(0..=2 * SECOND_US);
                faults.push((at_us + long_us / 2, Fault::ClockStep { by_us: -back_us }));
                let down_us = rng.within(0..=long_us);
                Fault::Crash { down_us: if rng.per_cent(50) { down_us } else { before_us } }
            }
            9 if rng.per_cent(70) => Fault::Stall { for_us: long_us / 2 },
            _ => Fault::ChangeBurst,
        };
        faults.push((at_us, fault));
    }
    faults
}
