//! Owns the nodes under test: servers that share a database, each behind a line of its own.
//! It must not outlive its value, nor know why a node is started or ended.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::database::{Database, rest_ms};
use crate::proxy::Proxy;
use crate::support::api::Api;
use crate::support::server::{Server, command};

/// How long a start may be refused while the database comes back.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Where the nodes listen; None: it does not run.
pub type Apis = Arc<Vec<Mutex<Option<Api>>>>;

pub struct Node {
    pub name: String,
    pub proxy: Proxy,
    url: String,
    flags: Vec<String>,
    server: Option<Server>,
}

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub apis: Apis,
}

impl Cluster {
    /// So many nodes on a database, running.
    pub fn start(database: &Database, count: usize, flags: &[&str]) -> Cluster {
        let node = |number| {
            let proxy = Proxy::start(&database.ports);
            let (name, url) = (format!("node-{number}"), database.url(&proxy.hosts()));
            Node { name, proxy, url, flags: flags.iter().map(ToString::to_string).collect(), server: None }
        };
        let nodes: Vec<Node> = (0..count).map(node).collect();
        let apis = (0..count).map(|_| Mutex::new(None)).collect();
        let mut cluster = Cluster { nodes, apis: Arc::new(apis) };
        (0..count).for_each(|place| cluster.run(place));
        cluster
    }

    /// Starts a node that does not run.
    pub fn run(&mut self, place: usize) {
        let (node, begin) = (&mut self.nodes[place], Instant::now());
        while node.server.is_none() {
            assert!(begin.elapsed() < START_PATIENCE, "{} does not start", node.name);
            // It ends if the database cannot be reached, as a supervisor expects that starts it again.
            node.server = Server::try_spawn(node.command());
            rest_ms(50);
        }
        self.tell(place);
    }

    /// Kills a node.
    pub fn kill(&mut self, place: usize) {
        let server = self.nodes[place].server.take().expect("it runs");
        *self.apis[place].lock().expect("no thread panics with it") = None;
        server.kill();
    }

    pub fn signal(&self, place: usize, name: &str) {
        self.nodes[place].server.as_ref().expect("it runs").signal(name);
    }

    /// Waits for the end of a node that was told to stop.
    pub fn wait(&mut self, place: usize) {
        let status = self.nodes[place].server.take().expect("it runs").wait();
        *self.apis[place].lock().expect("no thread panics with it") = None;
        assert!(status.success(), "{}: {status}", self.nodes[place].name);
    }

    /// Every node runs, or is not to.
    pub fn assert_alive(&mut self) {
        for Node { name, server, .. } in &mut self.nodes {
            let ended = server.as_mut().and_then(Server::ended);
            assert!(ended.is_none(), "{name} ended by itself: {ended:?}");
        }
    }

    pub fn api(&self, place: usize) -> Api {
        self.nodes[place].server.as_ref().expect("it runs").api.clone()
    }

    fn tell(&self, place: usize) {
        *self.apis[place].lock().expect("no thread panics with it") = Some(self.api(place));
    }
}

impl Node {
    fn command(&self) -> Command {
        let mut command = command(&["--listen", "127.0.0.1:0", "--node", &self.name]);
        command.args(&self.flags).env("PUNCTUAL_STORE", &self.url);
        match log(&self.name) {
            Some(file) => command.args(["--log", "info"]).stderr(file),
            None => command.args(["--log", "error"]).stderr(Stdio::null()),
        };
        command
    }
}

/// Where a node logs, if `PUNCTUAL_FAULTS_LOGS` names a folder.
fn log(name: &str) -> Option<File> {
    let folder = PathBuf::from(std::env::var_os("PUNCTUAL_FAULTS_LOGS")?);
    let file = OpenOptions::new().create(true).append(true).open(folder.join(format!("{name}.log")));
    Some(file.expect("the folder is there"))
}
