//! The server goes and comes back, while somebody looks: the page says so, and goes on by itself.
//! It must not load the page again.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{FLAGS, Setup};
use crate::support::server::{Server, command};
use crate::support::{second_of, until, wall_us};

#[test]
fn a_server_that_goes_and_comes_back_is_noticed_and_nothing_is_missed() {
    let Some(test) = Setup::new() else { return };
    let id = test.job("* * * * * *", "/second", &json!({ "name": "second" }));
    let Setup { person, server, receiver, folder } = test;
    let view = format!("/jobs/{id}");
    person.opens(&view);
    person.reads_in("#live", "live");
    person.reads_rows("Executions", "it fires", |rows| rows.iter().any(|row| row.contains("succeeded")));
    person.marks();
    person.complains_of_nothing(&[]);

    let address = server.api.address.clone();
    server.stop();
    person.reads_in("#live", "cut off, trying again");
    person.reads_in("#notice", "The server does not answer");
    // Whoever goes elsewhere meanwhile is told as well, and finds back.
    person.browser.back();
    person.browser.forward();
    person.presses("System");
    person.reads("This could not be shown");
    person.reads("the server does not answer");
    person.presses("Jobs");
    person.reads("This could not be shown");

    let server = again(&address, &folder);
    person.presses("Try again");
    person.reads("second");
    person.presses("second");
    person.is_at(&view);
    person.reads_in("#live", "● live");
    person.waits("nothing is wrong any more", "return document.getElementById('notice').innerText === ''", &[]);
    assert!(person.is_marked(), "nobody loaded it again");
    // Said of the server that was not there.
    person.browser.complaints();

    // It goes once more, and now nobody touches anything.
    server.stop();
    person.reads_in("#live", "cut off, trying again");
    let server = again(&address, &folder);
    let back = wall_us() / 1_000_000;
    person.reads_in("#live", "● live");
    // What happened after it was back is all there, and it goes on.
    let script = "return [...document.querySelectorAll('main tr[data-key]')].map(row => row.dataset.key)";
    until("whatever happened since is shown", || {
        let since = server.api.executions(&id).into_iter().filter(|run| {
            run["status"] == "SUCCESS" && second_of(run["scheduledTime"].as_str().expect("it is a text")) > back
        });
        let ids: Vec<Value> = since.map(|run| run["executionId"].clone()).collect();
        // Asked later, so that it may know more.
        let shown = person.run(script, &[]);
        let shown = shown.as_array().expect("it is a list");
        (ids.len() > 5 && ids.iter().take(20).all(|id| shown.contains(id))).then_some(())
    });
    assert!(person.is_marked(), "nobody loaded it again");
    drop(receiver);
}

/// The next server at the address of one that has ended, with what that one left.
fn again(address: &str, folder: &TempDir) -> Server {
    let mut next = command(&FLAGS);
    next.arg("--db").arg(folder.path().join("p.db")).arg("--secrets-key").arg(folder.path().join("key"));
    next.args(["--log", "error", "--listen", &format!("http://{address}")]);
    Server::spawn(next)
}
