//! What foreign pages try to see: answers as data, as parts of a page, in frames.
//! It must not change anything.

use serde_json::json;

use super::site::{SECRET, Site};
use super::support::until;
use super::{NOT_A_LINE, Setup};

const NOTHING: &str = "nothing";

#[test]
fn a_foreign_page_reads_nothing_and_learns_not_even_what_there_is() {
    let Some(test) = Setup::new(&[]) else { return };
    let unguarded = Site::unguarded();
    let there = format!("/api/jobs/{}", test.job());
    let before = test.state();
    // Another site, and the same one at another port.
    for host in ["evil.example", "127.0.0.1"] {
        test.open(host);
        let attacks = test.attacks("READS");
        assert!(attacks.len() > 8, "{attacks:?}");
        for attack in attacks {
            for path in ["/", "/api/jobs", &there, "/api/jobs/none", "/api/export", "/api/health"] {
                let learnt = test.read(&attack, &format!("http://{}{path}", test.api().address));
                assert_eq!(learnt, NOTHING, "{host}, {attack}: {path}");
            }
            let learnt = test.read(&attack, &format!("http://{}/api/jobs", unguarded.address()));
            assert!(
                learnt.contains(SECRET) || ["loaded", "open", "opaque"].contains(&&*learnt),
                "{host}, {attack} is no attack: {learnt}"
            );
        }
    }
    assert_eq!(test.changed_since(&before), NOT_A_LINE);
    // Nor does a page that gets nothing keep a seat from somebody who listens.
    until("nobody listens", || (test.api().get("/api/metrics")["events"]["listeners"] == 0).then_some(()));
}

#[test]
fn no_page_shows_an_answer_in_a_frame() {
    let Some(test) = Setup::new(&[]) else { return };
    let unguarded = Site::unguarded();
    for host in ["evil.example", "127.0.0.1"] {
        for path in ["/", "/api/jobs", "/api/info", "/nowhere"] {
            for (address, is_shown) in [(&test.api().address, false), (&unguarded.address(), true)] {
                test.open(host);
                test.browser.run_async("await frame(...arguments)", &[json!(format!("http://{address}{path}"))]);
                test.browser.enter_frame(&test.browser.find("#framed"));
                let shown = test.browser.run("return [location.href, document.title]", &[]);
                let expected = if is_shown {
                    json!([format!("http://{address}{path}"), "hostile"])
                } else {
                    json!(["chrome-error://chromewebdata/", shown[1]])
                };
                assert_eq!(shown, expected, "{host}: {path}");
                test.browser.leave_frames();
            }
        }
        let complaints = test.browser.console();
        assert!(complaints.iter().any(|line| line.contains("frame-ancestors")), "{complaints:?}");
    }
}
