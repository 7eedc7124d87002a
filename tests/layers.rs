//! Holds the layering: which module may name which, and which crates only one module may name.
//! It must not know what the modules do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the ground up, each with everything it may name: only what stands above it in this list, and
/// nothing that it does not need.
const LAYERS: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("limits", &[]),
    ("mix", &[]),
    ("background", &[]),
    ("durable", &[]),
    ("vault", &["durable"]),
    ("access", &["time", "limits"]),
    ("http", &[]),
    ("clock", &["time"]),
    ("schedule", &["time", "limits", "mix"]),
    ("telemetry", &["time", "limits"]),
    ("job", &["time", "limits", "mix", "schedule"]),
    ("channel", &["limits", "job"]),
    ("core", &["time", "limits", "mix", "schedule", "job", "channel"]),
    ("cluster", &["time", "limits", "core"]),
    ("dispatch", &["time", "limits", "mix", "clock", "job", "core"]),
    ("mail", &["time", "limits", "clock", "channel", "core", "dispatch"]),
    ("postgres", &["time", "limits", "clock"]),
    (
        "store",
        &[
            "time",
            "limits",
            "postgres",
            "background",
            "durable",
            "vault",
            "access",
            "clock",
            "schedule",
            "job",
            "channel",
            "core",
            "cluster",
        ],
    ),
    ("alert", &["time", "limits", "job", "channel", "core", "store"]),
    ("api", &["time", "limits", "access", "http", "telemetry", "schedule", "job", "channel", "core", "store"]),
    ("web", &["http"]),
    ("config", &["telemetry", "job", "dispatch", "store"]),
    (
        "server",
        &[
            "time",
            "limits",
            "access",
            "background",
            "durable",
            "http",
            "clock",
            "vault",
            "telemetry",
            "schedule",
            "job",
            "channel",
            "core",
            "cluster",
            "dispatch",
            "store",
            "alert",
            "mail",
            "api",
            "web",
            "config",
        ],
    ),
    ("doctor", &["time", "limits", "clock", "schedule", "dispatch", "postgres", "store", "config", "server"]),
    // A package of its own: what it does not depend on it cannot name.
    ("client", &[]),
    ("bench", &["time", "background", "clock", "schedule", "job", "core", "dispatch", "store"]),
    (
        "cli",
        &[
            "time",
            "limits",
            "background",
            "access",
            "clock",
            "vault",
            "schedule",
            "telemetry",
            "job",
            "channel",
            "dispatch",
            "postgres",
            "store",
            "api",
            "config",
            "server",
            "doctor",
            "bench",
        ],
    ),
];

/// Names that only these folders and files may use: the pure ones touch nothing.
const KEPT_APART: &[(&str, &[&str])] = &[
    ("httparse", &["http", "dispatch", "bench"]),
    ("rusqlite", &["store/sqlite"]),
    ("postgres_protocol", &["postgres"]),
    ("fallible_iterator", &["postgres"]),
    ("mio::", &["server", "dispatch", "bench"]),
    ("ureq", &["dispatch", "client"]),
    ("clap", &["cli", "client"]),
    (
        "std::thread",
        &[
            "dispatch",
            "mail",
            "postgres/socket.rs",
            "store",
            "server/tls",
            "server/start.rs",
            "server/usage.rs",
            "server/backups.rs",
            "server/reload.rs",
            "doctor",
            "bench",
            "client",
        ],
    ),
    (
        "std::net",
        &[
            "access",
            "channel/mailbox.rs",
            "server",
            "dispatch",
            "mail",
            "postgres",
            "config.rs",
            "doctor",
            "bench",
            "cli",
        ],
    ),
    (
        "std::fs",
        &[
            "postgres/password.rs",
            "postgres/tls.rs",
            "store",
            "server",
            "doctor",
            "bench",
            "vault.rs",
            "durable.rs",
            "cli",
            "client",
        ],
    ),
    ("crossbeam_channel", &["dispatch", "mail", "store", "server/tls", "server/reload.rs", "bench"]),
    ("SystemTime", &["clock.rs"]),
    ("tracing", &["server", "telemetry"]),
    ("serde_json", &["store", "api", "alert", "bench", "job/json.rs", "cli", "client"]),
    ("getrandom", &["server"]),
    ("use ring::", &["vault.rs", "job/signing.rs", "postgres/tls.rs"]),
    ("thread_priority", &["background.rs"]),
    ("flate2", &["web"]),
    ("prometheus_client", &["api/exposition.rs"]),
    ("toml::", &["cli/file.rs"]),
];

/// A file beyond this is two things.
const LINES_MAX: usize = 800;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("src is there") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("build.rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 40, "the walk must find the sources");
    found
}

/// Packages that group modules. That their arrows point downwards, too, the compiler sees to.
const PACKAGES: &[&str] = &["kernel", "storage", "service"];

/// Where a file stands under src; modules are spoken of without their package, as everywhere.
fn below_src(path: &Path) -> &Path {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("below src");
    PACKAGES.iter().find_map(|package| below.strip_prefix(package).ok()).unwrap_or(below)
}

/// The module a file belongs to: its folder under src, or its own name.
fn module_of(path: &Path) -> String {
    let first =
        below_src(path).components().next().expect("a file has a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file without its tests, which may use what they like, and without comments.
fn code(path: &Path, text: &str) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if name == "tests" || name.ends_with("_tests") {
        return String::new();
    }
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    product.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules that a piece of code names.
fn named(code: &str) -> BTreeSet<&str> {
    let names = code.split("crate::").skip(1);
    names.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()).collect()
}

#[test]
fn arrows_point_downwards() {
    let (mut used, mut faults) = (BTreeSet::new(), Vec::new());
    for (path, text) in sources() {
        let module = module_of(&path);
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let allowed = LAYERS.iter().find(|(name, _)| *name == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{} is in no layer", path.display()));
        for name in named(&code(&path, &text)) {
            if name != module && !allowed.contains(&name) {
                faults.push(format!("{} names {name}", path.display()));
            }
            used.insert((module.clone(), name.to_owned()));
        }
    }
    for (place, (module, allowed)) in LAYERS.iter().enumerate() {
        for name in *allowed {
            if !LAYERS[..place].iter().any(|(below, _)| below == name) {
                faults.push(format!("{module} may name {name}, which is not below it"));
            }
            if !used.contains(&((*module).to_owned(), (*name).to_owned())) {
                faults.push(format!("{module} may name {name}, and does not"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn what_touches_the_world_is_named_only_where_it_belongs() {
    let (mut used, mut faults) = (BTreeSet::new(), Vec::new());
    for (path, text) in sources() {
        let module = module_of(&path);
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let code = code(&path, &text);
        for (name, modules) in KEPT_APART.iter().filter(|(name, _)| code.contains(name)) {
            let owner = modules.iter().find(|place| below_src(&path).starts_with(**place));
            match owner {
                Some(owner) => drop(used.insert((*name, *owner))),
                None => faults.push(format!("{} names {name}", path.display())),
            }
        }
    }
    for (name, modules) in KEPT_APART {
        for module in *modules {
            if !used.contains(&(*name, *module)) {
                faults.push(format!("{module} may name {name}, and does not"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Members that only the table which declares them may write: they are private to its file.
const OWNED: &[(&str, &[&str])] = &[
    ("core/executions.rs", &["state: State", "prev: Link", "next: Link"]),
    ("core/jobs.rs", &["armed_through: Instant", "due_through: Instant", "next: Instant", "concurrency_key: Link"]),
];

#[test]
fn tables_alone_set_states_and_move_cursors() {
    let source = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernel").join(name);
        fs::read_to_string(path).unwrap_or_else(|why| panic!("{name}: {why}"))
    };
    for (file, members) in OWNED {
        for member in *members {
            let declared = format!("\n    {member},\n");
            assert!(source(file).contains(&declared), "{file} does not keep `{member}` to itself");
        }
    }
    for (path, text) in sources().into_iter().filter(|(path, _)| module_of(path) == "core") {
        let code = code(&path, &text);
        for sets in [".state = ", "= State::", "state: State::"] {
            let mut lines =
                code.lines().filter(|line| line.contains(sets) && !line.contains("== ") && !line.contains("!= "));
            let owner = path.ends_with("core/executions.rs");
            assert!(owner || lines.next().is_none(), "{} sets a state", path.display());
        }
    }
}

#[test]
fn files_say_what_they_own_and_stay_small() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not say what it owns", path.display());
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines: what two things is it?", path.display());
    }
}

#[test]
fn there_is_no_async_runtime_in_the_tree() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).expect("it is committed");
    for name in ["tokio", "async-std", "smol", "async-executor", "futures-executor"] {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} is in the tree");
    }
}

/// The `//!` lines at the top of a file.
fn header(text: &str) -> String {
    text.lines().take_while(|line| line.starts_with("//!")).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_room_names_what_is_in_it() {
    let mut faults = Vec::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| path.ends_with("mod.rs") || path.ends_with("lib.rs")) {
        let folder = path.parent().expect("a file is in a folder");
        for entry in fs::read_dir(folder).expect("it was walked") {
            let entry = entry.expect("it can be listed").path();
            let name = entry.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let is_test = name == "tests" || name.ends_with("_tests");
            let product = !matches!(name.as_str(), "mod" | "lib" | "main" | "Cargo" | "build") && !is_test;
            let named = [format!("`{name}`"), format!("`{name}/`")].iter().any(|name| header(&text).contains(name));
            if product && !named {
                faults.push(format!("{} does not name {name}", below_src(&path).display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
