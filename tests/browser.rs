//! A real browser with pages that mean no good, against the real binary: what they can read and change.
//! It must not take a page at its word: each attack is tried on a server without a guard as well, where it has to work.
//!
//! The browser is Chromium, driven by chromedriver; both are looked for in `PATH` (Debian: `chromium`,
//! `chromium-driver`). Without them these tests are left out, unless `PUNCTUAL_REQUIRE_BROWSER=1` says that this is a
//! failure. Each test has a browser of its own, so that none finds what another one left; so there are few of them, and
//! each tries much.

mod support;

#[path = "browser/changes.rs"]
mod changes;
#[path = "browser/client.rs"]
mod client;
#[path = "browser/named.rs"]
mod named;
#[path = "browser/reads.rs"]
mod reads;
#[path = "browser/rebinding.rs"]
mod rebinding;
#[path = "browser/signed_in.rs"]
mod signed_in;
#[path = "browser/site.rs"]
mod site;

use std::collections::BTreeSet;

use serde_json::json;
use site::Site;
use support::api::Api;
use support::browser::Browser;
use support::server::Server;
use tempfile::TempDir;

/// As what changed, if nothing did.
const NOT_A_LINE: [&str; 0] = [];

/// A browser, the site that its pages come from, and the server that they are after.
struct Setup {
    browser: Browser,
    site: Site,
    /// A client that is no browser.
    api: Api,
    _server: Server,
    _folder: TempDir,
}

impl Setup {
    /// None: there is no browser.
    fn new(flags: &[&str]) -> Option<Setup> {
        Some(Setup::with(Browser::start()?, Site::hostile(), flags))
    }

    fn with(browser: Browser, site: Site, flags: &[&str]) -> Setup {
        let folder = tempfile::tempdir().expect("a folder");
        let flags = [&["--max-in-flight", "16", "--retries", "0"], flags].concat();
        let server = Server::start(&folder.path().join("p.db"), &flags);
        Setup { browser, site, api: server.api.clone(), _server: server, _folder: folder }
    }

    fn api(&self) -> &Api {
        &self.api
    }

    /// A job that is not due in this test; its id.
    fn job(&self) -> String {
        self.api().create("@yearly", "http://127.0.0.1:9/")
    }

    /// All that a page could have changed: what is exported, line by line, and which executions there are. Not what became
    /// of these, which goes on by itself.
    fn state(&self) -> BTreeSet<String> {
        let export = self.api().send("GET", "/api/export", None);
        assert_eq!(export.status, 200, "{}", export.text);
        let executions = self.api().pages("/api/executions?limit=500", "executions");
        let ids = executions.iter().map(|execution| execution["executionId"].to_string());
        export.text.lines().map(str::to_owned).chain(ids).collect()
    }

    /// What is there now and was not, and the other way round.
    fn changed_since(&self, before: &BTreeSet<String>) -> Vec<String> {
        self.state().symmetric_difference(before).cloned().collect()
    }

    /// How many requests were refused for where they came from.
    fn strangers(&self) -> u64 {
        self.api().get("/api/metrics")["refused"]["strangers"].as_u64().expect("it is a number")
    }

    /// Opens the hostile page as one of this host.
    fn open(&self, host: &str) {
        self.browser.open(&format!("http://{host}:{}/", self.site.port));
        assert_eq!(self.browser.title(), "hostile");
    }

    /// The names of what the page can do.
    fn attacks(&self, table: &str) -> Vec<String> {
        let names = self.browser.run(&format!("return Object.keys({table})"), &[]);
        serde_json::from_value(names).expect("they are texts")
    }

    /// The page tries to read this; what it learns.
    fn read(&self, attack: &str, url: &str) -> String {
        let learnt = self.browser.run_async("return read(...arguments)", &[json!(attack), json!(url)]);
        learnt.as_str().unwrap_or_else(|| panic!("{attack}: {learnt}")).to_owned()
    }
}
