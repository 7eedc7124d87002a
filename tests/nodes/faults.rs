//! Owns what goes wrong: faults that a seed draws, how each begins, and how it is healed.
//! It must not know what follows from them.

use std::fmt;

use crate::cluster::Cluster;
use crate::database::{Database, rest_ms};
use crate::proxy::{Direction, Line, Which};
use crate::support::random::Random;

/// What is broken, and healed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node is killed, and started again.
    Kill(usize),
    /// It is told to stop, and started again.
    Stop(usize),
    /// It stands still.
    Pause(usize),
    /// Its line to the database is another one.
    Line(usize, Line),
    /// The primary is killed, and started again.
    Crash,
    /// The primary is killed, and the standby takes its place.
    Replace,
    /// The primary takes no changes.
    ReadOnly,
    /// All sessions are ended.
    Sessions,
    /// The standby stands still, so that no commit comes to its end.
    Hang,
    /// The lines of all nodes to the database are another one.
    Lines(Line),
}

/// The kinds there are.
const KINDS: usize = 20;

/// Draws kinds so that each comes before any comes again.
pub struct Bag {
    random: Random,
    left: Vec<usize>,
}

impl Bag {
    pub fn new(random: Random) -> Bag {
        Bag { random, left: Vec::new() }
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    /// The next fault, at one of so many nodes, and for how many milliseconds it lasts.
    pub fn draw(&mut self, nodes: usize) -> (Fault, u64) {
        if self.left.is_empty() {
            self.left = (0..KINDS).collect();
        }
        let place = usize::try_from(self.random.below(self.left.len() as u64)).expect("it is small");
        let kind = self.left.swap_remove(place);
        let node = usize::try_from(self.random.below(nodes as u64)).expect("it is small");
        let mut below = |end| self.random.below(end);
        let line = |line| Fault::Line(node, line);
        let is_long = below(2) == 0;
        match kind {
            0 => (Fault::Kill(node), below(500)),
            1..4 => (Fault::Kill(node), 4_000 + below(2_000)),
            4 => (Fault::Stop(node), below(2_000)),
            5 => (Fault::Pause(node), 500 + below(1_500)),
            6 | 7 => (Fault::Pause(node), 2_600 + below(3_000)),
            8 => (line(Line::Cut), below(if is_long { 5_000 } else { 1_000 })),
            9 => (line(Line::Held(Which::Both)), 1_000 + below(4_000)),
            10 => (line(Line::Held(Which::Only(Direction::Up))), 1_000 + below(4_000)),
            11 => (line(Line::Held(Which::Only(Direction::Down))), 1_000 + below(4_000)),
            12 => (line(Line::Lost(Which::Only(Direction::Up))), 1_000 + below(4_000)),
            13 => (line(Line::Lost(Which::Only(Direction::Down))), 1_000 + below(4_000)),
            14 if is_long => (line(Line::Slow(20 + below(200))), 4_000),
            14 | 15 => {
                let left = usize::try_from(1 + below(30_000)).expect("it is small");
                (line(Line::Part { left, is_cut: is_long }), 2_000 + below(3_000))
            }
            16 if is_long => (Fault::Crash, below(3_000)),
            16 => (Fault::Sessions, 0),
            18 => (Fault::Hang, 500 + below(if is_long { 5_000 } else { 1_500 })),
            19 if is_long => (Fault::Lines(Line::Held(Which::Both)), 1_000 + below(4_000)),
            19 => (Fault::Lines(Line::Cut), 1_000 + below(4_000)),
            _ if is_long => (Fault::Replace, below(2_000)),
            _ => (Fault::ReadOnly, 500 + below(3_500)),
        }
    }
}

impl Fault {
    /// Which node it is about.
    pub fn node(self) -> Option<usize> {
        match self {
            Fault::Kill(node) | Fault::Stop(node) | Fault::Pause(node) | Fault::Line(node, _) => Some(node),
            Fault::Crash | Fault::Replace | Fault::ReadOnly | Fault::Sessions | Fault::Hang => None,
            Fault::Lines(_) => None,
        }
    }

    pub fn begin(self, cluster: &mut Cluster, database: &mut Database) {
        match self {
            Fault::Kill(node) => cluster.kill(node),
            Fault::Stop(node) => cluster.signal(node, "TERM"),
            Fault::Pause(node) => cluster.signal(node, "STOP"),
            Fault::Line(node, line) => cluster.nodes[node].proxy.set(line),
            Fault::Crash | Fault::Replace => database.kill(),
            Fault::ReadOnly => database.set_read_only(true),
            Fault::Sessions => database.end_sessions(),
            Fault::Hang => database.signal_standby("STOP"),
            Fault::Lines(line) => cluster.nodes.iter().for_each(|node| node.proxy.set(line)),
        }
    }

    /// What does not need a database that works is healed first.
    pub fn heal(self, cluster: &mut Cluster, database: &mut Database) {
        match self {
            Fault::Kill(_) | Fault::Stop(_) | Fault::Sessions => {}
            Fault::Pause(node) => cluster.signal(node, "CONT"),
            Fault::Line(node, _) => cluster.nodes[node].proxy.set(Line::Open),
            Fault::Crash => database.start_again(),
            Fault::Replace => database.replace(),
            Fault::ReadOnly => database.set_read_only(false),
            Fault::Hang => database.signal_standby("CONT"),
            Fault::Lines(_) => cluster.nodes.iter().for_each(|node| node.proxy.set(Line::Open)),
        }
    }

    /// What does.
    pub fn mend(self, cluster: &mut Cluster, database: &mut Database) {
        match self {
            Fault::Kill(node) => cluster.run(node),
            Fault::Stop(node) => {
                cluster.wait(node);
                rest_ms(300);
                cluster.run(node);
            }
            Fault::Replace => database.follow(),
            Fault::Pause(_) | Fault::Line(..) | Fault::Lines(_) | Fault::Hang => {}
            Fault::Crash | Fault::ReadOnly | Fault::Sessions => {}
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(node) => write!(f, "kill -9 of node-{node}"),
            Fault::Stop(node) => write!(f, "stop of node-{node}"),
            Fault::Pause(node) => write!(f, "pause of node-{node}"),
            Fault::Line(node, line) => write!(f, "line of node-{node}: {line:?}"),
            Fault::Crash => f.write_str("kill -9 of the primary"),
            Fault::Replace => f.write_str("promotion of the standby after a kill -9 of the primary"),
            Fault::ReadOnly => f.write_str("read-only primary"),
            Fault::Sessions => f.write_str("all sessions ended"),
            Fault::Hang => f.write_str("standby that stands still"),
            Fault::Lines(line) => write!(f, "lines of all nodes: {line:?}"),
        }
    }
}
