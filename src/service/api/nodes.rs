//! Owns the nodes of the API: how they are asked for, how they look, how one is told to give away what it has.
//! It must not decide which of them lives.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Read};
use super::errors::ApiError;
use super::json::{Moment, ok};
use super::matching::Matched;
use crate::http::Response;
use crate::time::WallUs;

/// All nodes.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Nodes))
}

/// A node is to give away all it has.
pub(super) fn drain(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let name = crate::http::query::segment(matched.text()).map_err(|_| ApiError::no_such_node())?;
    Ok(Call::DrainNode(name.into()))
}

/// The nodes that share a database, as this one sees them.
#[derive(Debug, Default)]
pub struct Nodes {
    /// Every one of which something is left, in the order in which they came.
    pub nodes: Vec<NodeView>,
    /// Shards that no node has that lives.
    pub unowned_shards: usize,
    /// How far this machine's clock is ahead of the database's, in microseconds.
    pub clock_ahead_us: Option<i64>,
    /// Whether what the database acknowledges may be lost if its machine fails.
    pub may_lose_commits: bool,
}

/// A node as another one sees it.
#[derive(Debug)]
pub struct NodeView {
    /// Its number: another one each time it starts or is taken for dead.
    pub id: u64,
    /// What it is called.
    pub name: Box<str>,
    /// The version that it runs.
    pub version: Box<str>,
    /// When it started.
    pub started_at: WallUs,
    /// Whether it is the one that answers.
    pub is_self: bool,
    /// Whether others took it for dead.
    pub is_dead: bool,
    /// Whether it gives away all it has.
    pub is_leaving: bool,
    /// How many shards it has.
    pub shards: usize,
    /// For how long it has shown no sign of life, in milliseconds.
    pub silent_ms: Option<u64>,
    /// For how long it may go on sending unless it hears from the database, in milliseconds; of the one that answers.
    pub lease_ms: Option<u64>,
    /// How often its process was taken for dead, so that what it wrote was refused.
    pub fenced: u64,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Nodes")]
pub(super) struct NodesBody<'a> {
    /// Those that share the database; none if it is this server's alone.
    nodes: Vec<NodeBody<'a>>,
    /// Parts of all jobs, of 256, that no node has at the moment: nothing of them is sent.
    unowned_shards: usize,
    /// How far the clock of this node is ahead of the database's, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead_ms: Option<f64>,
    /// PostgreSQL acknowledges before it is on its disk (`synchronous_commit` is off): its machine's end may lose some.
    may_lose_commits: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Node")]
struct NodeBody<'a> {
    /// Another one each time it starts or was taken for dead.
    node_id: u64,
    name: &'a str,
    version: &'a str,
    #[schemars(with = "Moment")]
    started_at: String,
    /// Leaving: it gives away what it has. Dead: others take over what is left of it.
    #[schemars(extend("enum" = ["active", "leaving", "dead"]))]
    state: &'static str,
    /// Whether it is the one that answers.
    answers: bool,
    /// Parts of all jobs, of 256, that it has.
    shards: usize,
    /// For how long it has shown no sign of life.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_ms: Option<u64>,
    /// For how long it goes on sending unless the database answers; of the one that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ms: Option<u64>,
    /// How often it was taken for dead and what it wrote was refused; it went on as another node.
    fenced: u64,
}

impl<'a> From<&'a NodeView> for NodeBody<'a> {
    fn from(view: &'a NodeView) -> NodeBody<'a> {
        let state = match (view.is_dead, view.is_leaving) {
            (true, _) => "dead",
            (false, true) => "leaving",
            (false, false) => "active",
        };
        NodeBody {
            node_id: view.id,
            name: &view.name,
            version: &view.version,
            started_at: view.started_at.to_string(),
            state,
            answers: view.is_self,
            shards: view.shards,
            silent_ms: view.silent_ms,
            lease_ms: view.lease_ms,
            fenced: view.fenced,
        }
    }
}

/// The nodes.
pub fn nodes(found: &Nodes) -> Response {
    ok(&NodesBody {
        nodes: found.nodes.iter().map(NodeBody::from).collect(),
        unowned_shards: found.unowned_shards,
        clock_ahead_ms: found.clock_ahead_us.map(|us| us as f64 / 1000.0),
        may_lose_commits: found.may_lose_commits,
    })
}
