//! Owns a browser as a test uses one: Chromium without a screen, on loopback alone, with a profile of its own.
//! It must not ask anything of the server under test itself: what is not done by a page is not done.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::until;
pub use super::webdriver::Element;
use super::webdriver::{Refused, Session};

/// What Debian and others call it.
const CHROMIUM_NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Names below these lead to this machine, all others nowhere; so no page and no browser reaches a network.
const NAMES: &str =
    "MAP *.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost";

/// What Chromium starts with beside its profile. Without the pipe it would outlive a chromedriver that is killed. What
/// it does by itself against pages that reach for this machine is left out, as not every browser does it.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=LocalNetworkAccessChecks,OptimizationHints,MediaRouter,Translate",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-proxy-server",
    "--password-store=basic",
    "--window-size=1280,800",
];

/// A browser with one window.
pub struct Browser {
    session: Session,
    /// Goes when the browser has ended.
    _profile: TempDir,
}

impl Browser {
    /// Starts one. None, said loudly, if there is none on this machine and `PUNCTUAL_REQUIRE_BROWSER=1` does not say
    /// that this is a failure.
    pub fn start() -> Option<Browser> {
        let (Some(chromium), Some(chromedriver)) = (in_path(&CHROMIUM_NAMES), in_path(&["chromedriver"])) else {
            let is_required = std::env::var("PUNCTUAL_REQUIRE_BROWSER").is_ok_and(|required| required == "1");
            assert!(!is_required, "Chromium or chromedriver is not in PATH");
            // Not by `eprintln!`, which nobody sees of a test that passes.
            let said = "LEFT OUT: Chromium or chromedriver is not installed (Debian: chromium, chromium-driver)\n";
            std::io::stderr().write_all(said.as_bytes()).expect("somebody reads");
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder");
        let mut flags: Vec<String> = FLAGS.iter().map(|&flag| flag.to_owned()).collect();
        flags.push(format!("--host-resolver-rules={NAMES}"));
        flags.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let session = Session::start(&chromedriver, profile.path(), &capabilities);
        Some(Browser { session, _profile: profile })
    }

    /// Goes to a page and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.session.post("/url", &json!({ "url": url }));
    }

    pub fn url(&self) -> String {
        text(&self.session.get("/url"))
    }

    pub fn title(&self) -> String {
        text(&self.session.get("/title"))
    }

    /// Runs the body of a function in the page; what it returns.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.session.post("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// The same; an error says that an argument is gone, or that the script failed.
    pub fn try_run(&self, script: &str, arguments: &[Value]) -> Result<Value, Refused> {
        self.session.try_post("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Runs the body of an async function in the page, which may `await`; what it returns.
    #[track_caller]
    pub fn run_async(&self, script: &str, arguments: &[Value]) -> Value {
        // The last argument is who is called with the result.
        let script = format!(
            "const done = arguments[arguments.length - 1];
            (async function () {{ {script} }}).apply(this, arguments)
                .then(value => done({{ value }}), why => done({{ failed: String(why && why.stack || why) }}));"
        );
        let mut told = self.session.post("/execute/async", &json!({ "script": script, "args": arguments }));
        assert!(told["failed"].is_null(), "the script failed: {}", text(&told["failed"]));
        told["value"].take()
    }

    /// The first element that a CSS selector finds.
    #[track_caller]
    pub fn find(&self, selector: &str) -> Element {
        Element::from_json(&self.session.post("/element", &by_css(selector)))
    }

    pub fn find_all(&self, selector: &str) -> Vec<Element> {
        let found = self.session.post("/elements", &by_css(selector));
        found.as_array().expect("it is a list").iter().map(Element::from_json).collect()
    }

    /// Waits for an element.
    pub fn wait_for(&self, selector: &str) -> Element {
        until(&format!("{selector} is in the page"), || {
            self.session.try_post("/element", &by_css(selector)).ok().map(|found| Element::from_json(&found))
        })
    }

    #[track_caller]
    pub fn click(&self, element: &Element) {
        self.session.post(&element.path("click"), &json!({}));
    }

    /// The same; an error says that something else is there by now, or above it.
    pub fn try_click(&self, element: &Element) -> Result<(), Refused> {
        self.session.try_post(&element.path("click"), &json!({})).map(drop)
    }

    /// Presses a key, or several at once, such as `Tab` or `Shift+Tab`; wherever the focus is.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let parts: Vec<String> = if keys == "+" { vec![keys.to_owned()] } else { keys.split('+').map(key).collect() };
        let step = |kind: &str, key: &String| json!({ "type": kind, "value": key });
        let down = parts.iter().map(|key| step("keyDown", key));
        let steps: Vec<Value> = down.chain(parts.iter().rev().map(|key| step("keyUp", key))).collect();
        self.session.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": steps }] }));
    }

    /// Presses these keys one after the other.
    #[track_caller]
    pub fn type_text(&self, text: &str) {
        let strokes = text.chars().flat_map(|letter| ["keyDown", "keyUp"].map(|kind| (kind, letter)));
        let steps: Vec<Value> = strokes.map(|(kind, letter)| json!({ "type": kind, "value": letter })).collect();
        self.session.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": steps }] }));
    }

    /// Types into an element.
    #[track_caller]
    pub fn send_keys(&self, element: &Element, keys: &str) {
        self.session.post(&element.path("value"), &json!({ "text": keys }));
    }

    /// What a person reads of an element.
    #[track_caller]
    pub fn text(&self, element: &Element) -> String {
        text(&self.session.get(&element.path("text")))
    }

    /// None if it has no such attribute.
    #[track_caller]
    pub fn attribute(&self, element: &Element, name: &str) -> Option<String> {
        self.session.get(&element.path(&format!("attribute/{name}"))).as_str().map(str::to_owned)
    }

    /// What is meant from now on is in this frame.
    #[track_caller]
    pub fn enter_frame(&self, frame: &Element) {
        self.session.post("/frame", &json!({ "id": frame.to_json() }));
    }

    /// What is meant from now on is in the page itself.
    pub fn leave_frames(&self) {
        self.session.post("/frame", &json!({ "id": null }));
    }

    pub fn back(&self) {
        self.session.post("/back", &json!({}));
    }

    pub fn forward(&self) {
        self.session.post("/forward", &json!({}));
    }

    /// A command of the browser's own protocol (Chrome DevTools), for what WebDriver has none for.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.session.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// As if the system's colours were these: `light` or `dark`.
    pub fn set_colours(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// As if whoever sits here lived there.
    pub fn set_zone(&self, zone: &str) {
        self.devtools("Emulation.setTimezoneOverride", &json!({ "timezoneId": zone }));
    }

    /// As if the window had this much room within, also less than a window can have.
    pub fn set_room(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// The window's outer size, in pixels.
    pub fn resize(&self, width: u32, height: u32) {
        self.session.post("/window/rect", &json!({ "width": width, "height": height }));
    }

    /// The cookies that go to the page's address, each with `name`, `value`, `httpOnly`, `sameSite` and others.
    pub fn cookies(&self) -> Vec<Value> {
        self.session.get("/cookie").as_array().expect("it is a list").clone()
    }

    pub fn delete_cookies(&self) {
        self.session.delete("/cookie");
    }

    /// What the window shows, as a PNG, in base64.
    pub fn screenshot(&self) -> String {
        text(&self.session.get("/screenshot"))
    }

    /// The whole page, also what would have to be scrolled to, as a PNG, in base64.
    pub fn picture(&self) -> String {
        let high = &self.devtools("Page.getLayoutMetrics", &json!({}))["cssContentSize"]["height"];
        let wide = self.run("return innerWidth", &[]);
        let clip = json!({ "x": 0, "y": 0, "width": wide, "height": high, "scale": 1 });
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        text(&self.devtools("Page.captureScreenshot", &asked)["data"])
    }

    /// What pages and the browser itself wrote to the console since the last call, one message each.
    pub fn console(&self) -> Vec<String> {
        self.log().iter().map(|entry| text(&entry["message"])).collect()
    }

    /// The same, but only warnings and errors.
    pub fn complaints(&self) -> Vec<String> {
        let is_bad = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        self.log().iter().filter(is_bad).map(|entry| text(&entry["message"])).collect()
    }

    fn log(&self) -> Vec<Value> {
        let told = self.session.post("/se/log", &json!({ "type": "browser" }));
        told.as_array().expect("it is a list").clone()
    }
}

/// A key as the protocol writes it (W3C WebDriver, section 17.4.2).
fn key(name: &str) -> String {
    let code = match name {
        "Enter" => '\u{E007}',
        "Tab" => '\u{E004}',
        "Shift" => '\u{E008}',
        "Control" => '\u{E009}',
        "Escape" => '\u{E00C}',
        "Space" => ' ',
        "Backspace" => '\u{E003}',
        "Left" => '\u{E012}',
        "Up" => '\u{E013}',
        "Right" => '\u{E014}',
        "Down" => '\u{E015}',
        _ => return name.to_owned(),
    };
    code.to_string()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("expected a text, got {value}")).to_owned()
}

fn by_css(selector: &str) -> Value {
    json!({ "using": "css selector", "value": selector })
}

/// The first of these programs that is there.
fn in_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let places = names.iter().flat_map(|name| folders.iter().map(move |folder: &PathBuf| folder.join(name)));
    places.into_iter().find(|place: &PathBuf| Path::is_file(place))
}
