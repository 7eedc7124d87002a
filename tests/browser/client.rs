//! The client itself: what tests of pages build on does what it says.
//! It must not need the server under test.

use serde_json::json;

use super::site::Site;
use super::support::browser::Browser;

#[test]
fn a_browser_does_what_a_person_does() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::hostile();
    let url = format!("http://person.example:{}/", site.port);
    browser.open(&url);
    assert_eq!((browser.url(), browser.title()), (url, "hostile".to_owned()));

    let bait = browser.find("#bait");
    assert_eq!((browser.text(&bait), browser.attribute(&bait, "id").as_deref()), ("bait".to_owned(), Some("bait")));
    assert_eq!(browser.attribute(&bait, "class"), None);
    let form = "document.body.innerHTML = '<input><button>Say</button>';
        document.querySelector('button').onclick = () => {
            const said = document.createElement('p');
            said.textContent = document.querySelector('input').value;
            document.body.append(said);
            console.warn('said');
        }";
    browser.run(form, &[]);
    assert!(browser.find_all("p").is_empty());
    browser.send_keys(&browser.find("input"), "a word");
    browser.click(&browser.find("button"));
    assert_eq!(browser.text(&browser.wait_for("p")), "a word");
    let console = browser.console();
    assert!(console.iter().any(|line| line.contains("said")), "{console:?}");
    assert_eq!(browser.run("return arguments[0].textContent", &[browser.find("p").to_json()]), json!("a word"));

    browser.resize(800, 600);
    assert_eq!(browser.run("return [outerWidth, outerHeight]", &[]), json!([800, 600]));
    assert!(browser.screenshot().starts_with("iVBORw0KGgo"), "it is a PNG");

    browser.run("document.cookie = 'kept=yes; SameSite=Strict'", &[]);
    let cookies = browser.cookies();
    assert_eq!((cookies.len(), &cookies[0]["name"], &cookies[0]["sameSite"]), (1, &json!("kept"), &json!("Strict")));
    browser.delete_cookies();
    assert!(browser.cookies().is_empty());

    // No name leads out of this machine.
    let reached = "try { await fetch(arguments[0], { mode: 'no-cors' }); return true } catch { return false }";
    assert_eq!(browser.run_async(reached, &[json!("http://example.com/")]), json!(false));
    assert_eq!(browser.run_async(reached, &[json!(format!("http://other.example:{}/", site.port))]), json!(true));
}
