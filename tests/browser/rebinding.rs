//! Names that lead to somebody else's server first and then to this one: to a browser it is one origin all along.
//! It must not count on a page's being foreign: nothing but the name can tell.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::site::{SECRET, Site};
use super::support::browser::Browser;
use super::{NOT_A_LINE, Setup};

/// What an origin's port leads to, which changes as a name's address would. Its threads end with the process.
struct Rebound {
    leads_to: Arc<Mutex<String>>,
    port: u16,
}

impl Rebound {
    fn start(first: &str) -> Rebound {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let leads_to = Arc::new(Mutex::new(first.to_owned()));
        let told = leads_to.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let told = told.clone();
                std::thread::spawn(move || {
                    // Browsers connect before they have something to ask, so only a request says which side it is for.
                    if !near.peek(&mut [0]).is_ok_and(|length| length > 0) {
                        return;
                    }
                    let address = told.lock().expect("no thread panics with it").clone();
                    let far = TcpStream::connect(address).expect("somebody listens");
                    let (near_too, far_too) =
                        (near.try_clone().expect("it is a socket"), far.try_clone().expect("it is a socket"));
                    std::thread::spawn(move || pass_on(near, far));
                    pass_on(far_too, near_too);
                });
            }
        });
        Rebound { leads_to, port }
    }

    fn lead_to(&self, address: &str) {
        address.clone_into(&mut self.leads_to.lock().expect("no thread panics with it"));
    }
}

/// To the end of one side, which is then the other's.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}

/// What a page does with a server that is its own to all appearances.
const READ: &str = "const answer = await fetch('/api/jobs');
    return { status: answer.status, text: await answer.text() }";
const CHANGE: &str = "const headers = { 'Content-Type': 'application/json' };
    return (await fetch('/api/jobs', { method: 'POST', headers, body: PLANTED })).status";
const DELETE: &str = "return (await fetch(`/api/jobs/${arguments[0]}`, { method: 'DELETE' })).status";

/// What the page reads, and what it is answered to a new job and to a deletion.
fn rebind(test: &Setup, host: &str, address: &str, id: &str) -> (Value, Value, Value) {
    let rebound = Rebound::start(&test.site.address());
    test.browser.open(&format!("http://{host}:{}/", rebound.port));
    assert_eq!(test.browser.title(), "hostile");
    rebound.lead_to(address);
    let run = |script: &str| test.browser.run_async(script, &[json!(id)]);
    (run(READ), run(CHANGE), run(DELETE))
}

#[test]
fn a_page_whose_name_is_led_here_reads_and_changes_nothing() {
    let Some(browser) = Browser::start() else { return };
    let test = Setup::with(browser, Site::hostile(), &[]);
    let id = test.job();
    let before = test.state();
    for host in ["rebind.example", "localhost.rebind.example", "127.0.0.1.rebind.example"] {
        let strangers = test.strangers();
        let (read, change, delete) = rebind(&test, host, &test.api().address, &id);
        assert_eq!((&read["status"], change, delete), (&json!(421), json!(421), json!(421)), "{host}");
        let text = read["text"].as_str().expect("it is a text");
        assert!(!text.contains(&id) && text.contains("--allowed-host"), "{text}");
        // Browsers ask again over another connection, which is what 421 is for.
        assert!(test.strangers() >= strangers + 3, "each came here");
        assert_eq!(test.changed_since(&before), NOT_A_LINE, "{host}");
    }

    // The same page and a server that asks for no name.
    let unguarded = Site::unguarded();
    let (read, change, _) = rebind(&test, "rebind.example", &unguarded.address(), &id);
    assert!(read["text"].as_str().is_some_and(|text| text.contains(SECRET)), "{read}");
    assert_eq!((change, unguarded.take_changes().len()), (json!(200), 2));

    // And this one, if the name is its own.
    let test = Setup::with(test.browser, test.site, &["--allowed-host", "rebind.example"]);
    let id = test.job();
    let (read, change, delete) = rebind(&test, "rebind.example", &test.api().address, &id);
    assert!(read["text"].as_str().is_some_and(|text| text.contains(&id)), "{read}");
    assert_eq!((change, delete), (json!(201), json!(204)));
}
