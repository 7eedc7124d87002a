//! Owns name resolution for ureq, without the thread per request that ureq's own starts.
//! It must not keep answers beyond their time, and is where addresses that must not be reached will be refused.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer of the system is believed.
const KEEP: Duration = Duration::from_secs(30);
/// Answers kept at once; beyond, all are looked up again.
const KEPT_MAX: usize = 10_000;
/// Addresses tried for one name.
const ADDRESSES_MAX: usize = 16;

type Kept = HashMap<(String, u16), (Instant, Vec<SocketAddr>)>;

/// Resolves names through the system, and shares the answers among all workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolver {
    kept: Arc<Mutex<Kept>>,
}

impl UreqResolver for Resolver {
    fn resolve(&self, uri: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut resolved = self.empty();
        for address in self.addresses(host, port)?.into_iter().take(ADDRESSES_MAX) {
            resolved.push(address);
        }
        if resolved.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(resolved) }
    }
}

impl Resolver {
    fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ureq::Error> {
        if let Ok(literal) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(literal, port)]);
        }
        let name = (host.to_owned(), port);
        if let Some((at, addresses)) = self.lock().get(&name)
            && at.elapsed() < KEEP
        {
            return Ok(addresses.clone());
        }
        let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
        let mut kept = self.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(name, (Instant::now(), found.clone()));
        Ok(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // A worker that panicked here leaves a whole map behind: every change is a single call.
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
