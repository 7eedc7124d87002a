//! Owns the commands about nodes: list, drain.
//! It must not decide which of them lives.

use clap::Subcommand;
use serde_json::json;

use super::failure::Failure;
use super::jobs::each;
use super::server::{Ask, Server, encoded};
use super::shown::{self, Format, Shown, Table, text};

/// What can be done with nodes.
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// List the nodes that share the server's database
    #[command(visible_alias = "list")]
    Ls,
    /// Have nodes give away all their jobs, and stay: they take some again once they are started anew
    Drain {
        /// Their names
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
    },
}

/// Does what was asked for.
pub(crate) fn run(command: &NodeCommand, server: &Server, shown: &Shown) -> Result<(), Failure> {
    match command {
        NodeCommand::Ls => ls(server, shown),
        NodeCommand::Drain { nodes } => each(nodes, "drains", |name| {
            server.ask(Ask::post(format!("/api/nodes/{}/drain", encoded(name)), &json!({})))
        }),
    }
}

fn ls(server: &Server, shown: &Shown) -> Result<(), Failure> {
    let answer = server.ask(Ask::get("/api/nodes"))?;
    let told = answer.json()?;
    let all = told["nodes"].as_array().cloned().unwrap_or_default();
    match shown.format {
        Format::Json | Format::Yaml => return shown::print_answer(&answer.text, shown.format),
        Format::Name => return shown::print_lines(all.iter().map(|node| text(&node["name"]))),
        Format::Table | Format::Wide => {}
    }
    let more: &[&str] = if shown.is_wide() { &["NODE ID", "LEASE"] } else { &[] };
    let mut table =
        Table::new(&[&["NAME", "STATE", "SHARDS", "SILENT", "FENCED", "VERSION", "SINCE"][..], more].concat());
    let ms = |value: &serde_json::Value| value.as_u64().map_or_else(String::new, |ms| format!("{ms} ms"));
    for node in &all {
        let name = text(&node["name"]);
        let mut cells = vec![
            if node["answers"] == true { format!("{name} *") } else { name },
            text(&node["state"]),
            text(&node["shards"]),
            ms(&node["silentMs"]),
            text(&node["fenced"]),
            text(&node["version"]),
            shown.time(&node["startedAt"]),
        ];
        if shown.is_wide() {
            cells.extend([text(&node["nodeId"]), ms(&node["leaseMs"])]);
        }
        table.row(cells);
    }
    table.print("the server shares its database with no other")?;
    if told["unownedShards"].as_u64().is_some_and(|unowned| unowned > 0) {
        eprintln!("{} of 256 shards are no node's at the moment", told["unownedShards"]);
    }
    if told["mayLoseCommits"] == true {
        eprintln!("synchronous_commit is off in PostgreSQL: the end of its machine may lose what was acknowledged");
    }
    Ok(())
}
