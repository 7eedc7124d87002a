//! Every address in light and dark, wide and narrow, far from Greenwich, with jobs of every kind.
//! It must not judge beauty: pictures of all go to a folder for that, if one is named.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};

use super::Person;
use super::kinds::{Kinds, TRAPS};
use crate::support::until;

/// Quarters of an hour show who only knows whole ones.
const ZONE: &str = "Asia/Kathmandu";
const ZONE_OFFSET_S: i32 = (5 * 60 + 45) * 60;

/// What is too wide: nothing, or the widest things.
const TOO_WIDE: &str = "const root = document.documentElement;
    if (root.scrollWidth <= innerWidth) return [];
    const wide = [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1
        && !one.closest('.scroll, pre, svg'));
    return [`${root.scrollWidth} of ${innerWidth}`, ...wide.slice(0, 8).map(one => `${one.localName}.${one.className} ${one.textContent.slice(0, 40)}`)]";

impl Person {
    /// Whether a name was taken for something else than text.
    fn is_trapped(&self) -> Value {
        let script =
            "return [window.trapped ?? null, document.querySelectorAll('main img, main script, #toasts img').length]";
        self.run(script, &[])
    }

    pub fn writes_picture(&self, folder: &Path, name: &str) {
        let picture = BASE64_STANDARD.decode(self.browser.picture()).expect("it is base64");
        std::fs::create_dir_all(folder).expect("a folder can be made there");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("it can be written there");
    }
}

#[test]
fn every_address_fits_every_colour_and_width_and_takes_names_for_names() {
    let Some(Kinds { test, addresses }) = Kinds::new() else { return };
    let person = &test.person;
    let folder = std::env::var_os("PUNCTUAL_SCREENSHOTS");
    person.counts_requests();
    person.browser.set_zone(ZONE);
    let mut faults = Vec::new();
    for width in [1280, 360] {
        person.browser.set_room(width, 800);
        for (name, address) in &addresses {
            person.opens(address);
            person.waits_for_answers();
            let what = format!("{name}, {width}");
            for (colours, ground) in [("light", "rgb(244, 246, 248)"), ("dark", "rgb(14, 19, 24)")] {
                person.browser.set_colours(colours);
                let found = person.run("return getComputedStyle(document.body).backgroundColor", &[]);
                assert_eq!(found, ground, "{what}, {colours}");
                if let Some(folder) = folder.as_deref().filter(|_| (colours == "light") == (width == 1280)) {
                    person.writes_picture(Path::new(folder), &format!("{name}-{colours}-{width}"));
                }
            }
            let wide = person.run(TOO_WIDE, &[]);
            if wide != json!([]) {
                faults.push(format!("{what}: {wide}"));
            }
            assert_eq!(person.is_trapped(), json!([null, 0]), "{what}");
            // The browser itself says that there is nothing at an address.
            person.complains_of_nothing(&["/nowhere"]);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // As text, letter by letter.
    person.opens("/jobs");
    for trap in TRAPS {
        let script = "return [...document.querySelectorAll('td.name a, th.name a')].some(one => one.textContent === arguments[0])";
        person.waits(trap, script, &[json!(trap)]);
    }
    let tagged = "return [...document.querySelectorAll('.tag')].some(one => one.textContent === arguments[0])";
    assert_eq!(person.run(tagged, &[json!(TRAPS[0])]), json!(true));
    assert!(person.run("return document.title", &[]) == json!("Jobs · Punctual"));
}

#[test]
fn times_are_where_the_reader_is_with_utc_at_hand() {
    let Some(Kinds { test, addresses }) = Kinds::new() else { return };
    let person = &test.person;
    person.browser.set_zone(ZONE);
    let execution = &addresses.iter().find(|(name, _)| *name == "execution-failed").expect("it is one").1;
    person.opens(execution);
    // The first time on the page: what it is, what is read, and what a pointer or a screen reader is told.
    let first = || -> [String; 3] {
        let script = "const one = document.querySelector('main time[data-form]'); return [one.dateTime, one.textContent, one.title]";
        serde_json::from_value(person.run(script, &[])).expect("they are texts")
    };
    let clock = |iso: &str, offset_s: i32| {
        let at = DateTime::parse_from_rfc3339(iso).expect("it is a time");
        at.with_timezone(&FixedOffset::east_opt(offset_s).expect("it is one")).format("%H:%M:%S").to_string()
    };
    let [iso, read, title] = first();
    let (here, utc) = (clock(&iso, ZONE_OFFSET_S), clock(&iso, 0));
    assert!(read.contains(&here), "{iso} is {here} there, not {read}");
    assert!(title.contains(&utc) && title.contains("UTC"), "{title} has no {utc}");
    person.reads_in("#top", "Asia/Kat");
    person.presses("Asia/Kat");
    until("it is UTC", || first()[1].contains(&utc).then_some(()));
    assert!(first()[2].contains(&here), "{:?}", first());
    // It stays so, on other addresses and after a load.
    person.presses("Executions");
    person.is_at("/executions");
    let [iso, read, _] = first();
    assert!(read.contains(&clock(&iso, 0)), "{iso}: {read}");
    person.opens("/alerts/log");
    let [iso, read, _] = first();
    assert!(read.contains(&clock(&iso, 0)), "{iso}: {read}");
    person.presses("UTC");
    until("it is local again", || first()[1].contains(&clock(&iso, ZONE_OFFSET_S)).then_some(()));

    // A colour that was chosen by hand stays, whatever the system has.
    person.browser.set_colours("light");
    person.presses("Colours: as the system");
    person.presses("Colours: light");
    person.opens("/");
    let ground = person.run("return getComputedStyle(document.body).backgroundColor", &[]);
    assert_eq!(ground, "rgb(14, 19, 24)");
    person.complains_of_nothing(&[]);
}
