//! Owns PostgreSQL servers of tests: made in a folder of their own, found on loopback and a unix socket, gone with the test.
//! It must not need anything of the code under test, nor leave a process or a folder behind, however a test ends.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// As whom tests log in.
pub const USER: &str = "punctual";
/// The password of it.
pub const PASSWORD: &str = "planted-in-a-test";

/// How long a start or a stop may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// How clients log in: a method of `pg_hba.conf`.
    pub auth: &'static str,
    /// Whether it has a certificate, for `localhost` and `127.0.0.1`.
    pub tls: bool,
    /// Whether it is a standby that follows nobody: in recovery, and read-only.
    pub standby: bool,
    /// More settings, as `postgresql.conf` has them.
    pub settings: Vec<(&'static str, &'static str)>,
}

impl Default for Options {
    fn default() -> Self {
        Options { auth: "scram-sha-256", tls: false, standby: false, settings: Vec::new() }
    }
}

/// A server. Dropped, it goes with all that it wrote; so it does when the process ends that made it.
pub struct Postgres {
    // In this order they go: the server first, then what it leaves.
    guard: Option<Guard>,
    place: Place,
    port: u16,
    options: Options,
}

/// A folder that belongs to whom PostgreSQL runs as, and what is run in it.
struct Place {
    folder: PathBuf,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    janitor: Option<Guard>,
}

/// A shell that waits for a word, or for the end of this process, and then cleans up.
struct Guard {
    shell: Child,
    /// Closed with this process, however that ends.
    line: Option<ChildStdin>,
}

/// Starts a server, waits for a word, ends it. Without a word nobody needs its files any more.
const GUARD: &str = r#"
    folder=$1; shift
    "$@" >>"$folder/log" 2>&1 </dev/null &
    server=$!
    read -r word
    case "$word" in
        keep) kill -INT "$server" ;;
        *) kill -QUIT "$server" ;;
    esac
    wait "$server"
"#;

/// Removes a folder once nobody uses it, whatever is still written there.
const JANITOR: &str = r#"
    folder=$1
    read -r _
    tries=0
    while [ -e "$folder" ] && [ "$tries" -lt 300 ]; do
        server=$(head -n 1 "$folder/data/postmaster.pid" 2>/dev/null)
        [ -n "$server" ] && kill -0 "$server" 2>/dev/null || rm -rf "$folder"
        [ -e "$folder" ] && sleep 0.1
        tries=$((tries + 1))
    done
"#;

impl Postgres {
    /// A server, running. None: there is no PostgreSQL here, which is said.
    ///
    /// # Panics
    /// When it does not start, or when there is none although `PUNCTUAL_REQUIRE_POSTGRES` is set.
    pub fn start(options: &Options) -> Option<Postgres> {
        let Some(programs) = programs() else {
            let require = std::env::var_os("PUNCTUAL_REQUIRE_POSTGRES").is_some();
            assert!(!require, "PUNCTUAL_REQUIRE_POSTGRES is set, and there is no PostgreSQL (initdb, postgres)");
            eprintln!("LEFT OUT: there is no PostgreSQL (Debian: apt-get install postgresql)");
            return None;
        };
        let options = options.clone();
        let mut server = Postgres { guard: None, place: Place::new(programs), port: 0, options };
        server.initialise();
        server.start_again();
        Some(server)
    }

    /// One server for all tests of this process that need no more than a database of their own.
    pub fn shared() -> Option<&'static Postgres> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        // Nobody pulls its plug.
        let quick = || Options { settings: vec![("fsync", "off")], ..Options::default() };
        SHARED.get_or_init(|| Postgres::start(&quick())).as_ref()
    }

    /// The URL of a new, empty database of the shared server.
    pub fn database() -> Option<String> {
        Some(Postgres::shared()?.new_database())
    }

    /// The URL of a new, empty database.
    pub fn new_database(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut command = self.place.program("createdb");
        command
            .arg("--host")
            .arg(&self.place.folder)
            .args(["--port", &self.port.to_string()])
            .env("PGPASSWORD", PASSWORD);
        succeed(command.args(["--username", USER, "--no-password", &name]));
        self.url_of(&name)
    }

    /// A standby that follows this server, running: a copy of it as it is now.
    ///
    /// # Panics
    /// When it cannot be made, or does not start.
    pub fn standby(&self, options: &Options) -> Postgres {
        let options = Options { standby: true, ..options.clone() };
        let mut standby = Postgres { guard: None, place: Place::new(self.place.programs.clone()), port: 0, options };
        let mut command = standby.place.program("pg_basebackup");
        command.arg("--pgdata").arg(standby.data()).args(["--host", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--username", USER, "--no-password", "--checkpoint=fast", "--no-sync", "--write-recovery-conf"]);
        succeed(command.env("PGPASSWORD", PASSWORD));
        standby.start_again();
        standby
    }

    /// Makes a primary of a standby: from then on it is written to.
    pub fn promote(&self) {
        assert_eq!(self.ask("SELECT pg_promote(true, 60)"), "t", "{}", self.log());
    }

    /// What this says, one row a line, though the server be read-only for others.
    ///
    /// # Panics
    /// When the server does not carry it out.
    pub fn ask(&self, sql: &str) -> String {
        self.ask_of("postgres", sql)
    }

    /// The same of a database.
    pub fn ask_of(&self, database: &str, sql: &str) -> String {
        let mut command = self.place.program("psql");
        command.arg("--host").arg(&self.place.folder).args(["--port", &self.port.to_string(), "--username", USER]);
        command.env("PGPASSWORD", PASSWORD).env("PGOPTIONS", "-c default_transaction_read_only=off");
        command.args(["--no-password", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", sql]);
        let output = command.arg(database).output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Over loopback, to the database that is always there.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Over loopback, to this database.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Over its unix socket.
    pub fn socket_url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@/postgres?host={}&port={}", self.folder().display(), self.port)
    }

    /// Its port on loopback, and of its unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its socket, its log (`log`), its certificate (`server.crt`) and its data (`data`) are.
    pub fn folder(&self) -> &Path {
        &self.place.folder
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Ends it as an administrator does, and starts it again: clients are told.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Ends it as an administrator does; its files stay.
    pub fn stop(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.stop();
        }
    }

    /// Kills all its processes at once. It can be started again.
    pub fn kill(&self) {
        let server = self.server().expect("it runs");
        let mut processes = vec![server];
        processes.extend(children(server));
        for process in processes {
            // A child may be gone already.
            kill_process(process, Signal::KILL).unwrap_or_default();
        }
        // The kernel frees its port when it is reaped.
        wait("the end of a server that was killed", || self.server().is_none().then_some(()));
    }

    /// Starts it after it was killed, or for the first time.
    pub fn start_again(&mut self) {
        self.stop();
        // Somebody else may take a port that is free.
        for _ in 0..5 {
            if self.port == 0 {
                self.port = free_port();
            }
            if self.try_start() {
                return;
            }
            self.port = 0;
        }
        panic!("PostgreSQL does not start: {}", self.log());
    }

    /// Makes its files.
    fn initialise(&self) {
        if self.options.tls {
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
            self.place.own("server.crt", made.cert.pem().as_bytes());
            self.place.own("server.key", made.signing_key.serialize_pem().as_bytes());
        }
        let auth = self.options.auth;
        let mut command = self.place.command("cp");
        command.arg("-R").arg(template(&self.place.programs, auth == "md5")).arg(self.data());
        succeed(&mut command);
        let kinds = [
            "local all all",
            "host all all 127.0.0.1/32",
            "local replication all",
            "host replication all 127.0.0.1/32",
        ];
        let lines: String = kinds.iter().map(|kind| format!("{kind} {auth}\n")).collect();
        self.place.own("data/pg_hba.conf", lines.as_bytes());
        if self.options.standby {
            self.place.own("data/standby.signal", b"");
        }
    }

    /// Whether it started.
    fn try_start(&mut self) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "guard"]).arg(self.folder()).arg(self.place.programs.join("postgres"));
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        let folder = self.folder().display();
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={folder}"),
            // A standby must allow as many as its primary did when it was made.
            format!("max_connections={}", if self.options.standby { 200 } else { 100 }),
            "shared_buffers=16MB".to_owned(),
            // Nothing is left of it elsewhere when it is killed.
            "dynamic_shared_memory_type=mmap".to_owned(),
            "logging_collector=off".to_owned(),
        ] {
            command.args(["-c", &setting]);
        }
        if self.options.tls {
            command.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={folder}/server.crt")]);
            command.args(["-c", &format!("ssl_key_file={folder}/server.key")]);
        }
        for (name, value) in &self.options.settings {
            command.args(["-c", &format!("{name}={value}")]);
        }
        // What a server that was killed left there tells of no server.
        fs::remove_file(self.data().join("postmaster.pid")).unwrap_or_default();
        let known = self.log().len();
        let guard = self.place.guarded(command);
        let begin = Instant::now();
        let has_started = loop {
            let status = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            if matches!(status.lines().nth(7).map(str::trim), Some("ready" | "standby")) && self.server().is_some() {
                break true;
            }
            let has_ended = ["database system is shut down", "FATAL:  could not create any TCP/IP sockets"];
            let log = self.log();
            if has_ended.iter().any(|words| log[known..].contains(words)) || begin.elapsed() > PATIENCE {
                break false;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        if has_started {
            self.guard = Some(guard);
        } else {
            guard.stop();
        }
        has_started
    }

    /// The process that all others are children of, if it runs.
    fn server(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.parse().ok().and_then(Pid::from_raw)?;
        let state = stat(pid.as_raw_nonzero().get())?;
        (state.0 != "Z").then_some(pid)
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }
}

impl Place {
    fn new(programs: PathBuf) -> Place {
        let folder = tempfile::Builder::new().prefix("punctual-postgres-").tempdir().expect("a folder").keep();
        let owner = geteuid().is_root().then(unprivileged);
        if let Some((user, group)) = owner {
            chown(&folder, Some(user), Some(group)).expect("root may");
        }
        let mut place = Place { folder, programs, owner, janitor: None };
        let mut janitor = Command::new("sh");
        janitor.args(["-c", JANITOR, "janitor"]).arg(&place.folder);
        place.janitor = Some(place.guarded(janitor));
        place
    }

    /// A shell that hears when this process ends.
    fn guarded(&self, mut command: Command) -> Guard {
        self.demote(&mut command);
        // Whoever interrupts a test from a terminal must not interrupt who cleans up.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().expect("there is a shell");
        let line = shell.stdin.take();
        Guard { shell, line }
    }

    /// A program of PostgreSQL.
    fn program(&self, name: &str) -> Command {
        self.command(self.programs.join(name))
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        self.demote(&mut command);
        command.stdin(Stdio::null());
        command
    }

    /// PostgreSQL does not run as root.
    fn demote(&self, command: &mut Command) {
        // The folder of this process may be none that the other user can enter.
        command.current_dir(&self.folder).env_remove("PGDATA").env("LC_ALL", "C");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
    }

    /// Writes a file that nobody else can read.
    fn own(&self, name: &str, content: &[u8]) {
        let path = self.folder.join(name);
        fs::write(&path, content).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        if let Some((user, group)) = self.owner {
            chown(&path, Some(user), Some(group)).expect("root may");
        }
    }
}

/// The data of a server that was never started, made once: that takes longer than copying it.
fn template(programs: &Path, is_md5: bool) -> &'static Path {
    static TEMPLATES: [OnceLock<(Place, PathBuf)>; 2] = [OnceLock::new(), OnceLock::new()];
    let (_, data) = TEMPLATES[usize::from(is_md5)].get_or_init(|| {
        let place = Place::new(programs.to_owned());
        place.own("password", format!("{PASSWORD}\n").as_bytes());
        let (mut command, data) = (place.program("initdb"), place.folder.join("template"));
        command.arg("--pgdata").arg(&data).arg("--pwfile").arg(place.folder.join("password"));
        // By this the password is hashed, too.
        let auth = if is_md5 { "md5" } else { "scram-sha-256" };
        command.args(["--username", USER, "--auth", auth, "--encoding", "UTF8", "--locale", "C", "--no-sync"]);
        succeed(&mut command);
        (place, data)
    });
    data
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.line.take());
        self.end();
    }
}

impl Guard {
    /// Has it end the server, and leave the files.
    fn stop(mut self) {
        let mut line = self.line.take().expect("it is told once");
        line.write_all(b"keep\n").expect("the shell listens");
    }

    /// Waits until it has done its work.
    fn end(&mut self) {
        self.shell.wait().expect("it is a child");
    }
}

/// Where the programs of PostgreSQL are.
fn programs() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let mut folders: Vec<PathBuf> = in_path;
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    if let Ok(listed) = fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<PathBuf> = listed.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
        versions.sort();
        folders.extend(versions.into_iter().rev());
    }
    folders.into_iter().find(|folder| ["initdb", "postgres", "createdb"].iter().all(|name| folder.join(name).is_file()))
}

/// A user and a group that are not root.
fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("there are users");
    let of = |name: &str| {
        let fields: Vec<&str> = users.lines().find(|line| line.starts_with(&format!("{name}:")))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody")).expect("there is a user who may do little")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback").port()
}

/// State and parent of a process, as Linux tells them.
fn stat(pid: i32) -> Option<(String, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

fn children(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("this is Linux");
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|(_, of)| of == parent.as_raw_nonzero().get()))
        .filter_map(Pid::from_raw)
        .collect()
}

fn wait<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
