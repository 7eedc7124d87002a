//! Owns what a seed stands for: how many nodes and jobs, how long things take, what goes wrong and when.
//! It must not know how a fault is carried out.

use super::super::rng::Rng;

pub(crate) const SECOND_US: u64 = 1_000_000;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A process dies and another one is started after a while.
    Crash { node: usize, down_us: u64 },
    /// A process stands still, with its workers.
    Pause { node: usize, for_us: u64 },
    /// The same, right between the look of a worker at its lease and the first byte.
    PauseAtLook { node: usize, for_us: u64 },
    /// A process is to stop, and is started after a while.
    Drain { node: usize, down_us: u64 },
    /// Nobody reaches the store.
    StoreDown { for_us: u64 },
    /// One node does not.
    CutOff { node: usize, for_us: u64 },
    /// Somebody sets a node's wall clock; it stays near the others.
    Step { node: usize },
}

pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) jobs: u64,
    pub(crate) length_us: u64,
    pub(crate) faults: Vec<(u64, Fault)>,
    /// How many requests to the store of a hundred take long, and answers of a hundred that are lost.
    pub(crate) slow_per_cent: u64,
    pub(crate) lost_per_cent: u64,
    /// How many attempts of a hundred fail.
    pub(crate) fails_per_cent: u64,
    pub(crate) command_every_us: u64,
    /// How many changes of a hundred the store does not take.
    pub(crate) rejected_per_cent: u64,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Plan {
        let mut rng = Rng::new(seed ^ 0x6e6f_6465);
        let length_us = rng.within(20..=45) * SECOND_US;
        let nodes = usize::try_from(rng.within(2..=4)).expect("few");
        Plan {
            seed,
            nodes,
            jobs: rng.within(3..=12),
            length_us,
            faults: faults(&mut rng, nodes, length_us),
            slow_per_cent: *rng.pick(&[0, 0, 1, 4]),
            lost_per_cent: *rng.pick(&[0, 0, 1, 4]),
            fails_per_cent: *rng.pick(&[0, 20, 50]),
            command_every_us: rng.within(1..=6) * SECOND_US / 2,
            rejected_per_cent: *rng.pick(&[0, 5]),
        }
    }
}

/// Each seed has some kinds of faults and lacks others: a fault is not to hide behind another in every run.
fn faults(rng: &mut Rng, nodes: usize, length_us: u64) -> Vec<(u64, Fault)> {
    let kinds: Vec<u64> = (0..7).filter(|_| rng.per_cent(45)).collect();
    let (mut faults, mut at_us) = (Vec::new(), 5 * SECOND_US);
    while !kinds.is_empty() {
        at_us += rng.within(SECOND_US / 10..=9 * SECOND_US);
        if at_us >= length_us {
            break;
        }
        let node = usize::try_from(rng.within(0..=nodes as u64 - 1)).expect("few");
        let down_us = rng.within(0..=8 * SECOND_US);
        faults.push((
            at_us,
            match *rng.pick(&kinds) {
                0 => Fault::Crash { node, down_us },
                1 => Fault::Pause { node, for_us: rng.within(SECOND_US / 5..=7 * SECOND_US) },
                2 => Fault::Drain { node, down_us },
                3 => Fault::StoreDown { for_us: rng.within(SECOND_US / 5..=6 * SECOND_US) },
                4 => Fault::CutOff { node, for_us: rng.within(SECOND_US / 5..=6 * SECOND_US) },
                5 => Fault::PauseAtLook { node, for_us: rng.within(SECOND_US..=8 * SECOND_US) },
                _ => Fault::Step { node },
            },
        ));
    }
    faults
}
