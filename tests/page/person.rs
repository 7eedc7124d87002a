//! Owns what a person does before the page and reads there: addresses, fields by their labels, buttons by their words.
//! It must not know what the page should say.

use serde_json::{Value, json};

use crate::support::browser::{Browser, Element};
use crate::support::until;

/// What finds things in the page as a person does: only what is shown, and while a question is asked only what is in it.
const FIND: &str = r"
    const scope = () => document.querySelector('dialog[open]') ?? document;
    const isShown = element => element.checkVisibility({ visibilityProperty: true });
    const wordsOf = element => (element.getAttribute('aria-label') ?? element.textContent).replace(/\s+/g, ' ').trim();
    const all = selector => [...scope().querySelectorAll(selector)].filter(isShown);
    const control = words => {
        const found = all('button, a[href], summary').filter(element => !element.disabled);
        return found.find(element => wordsOf(element) === words) ?? found.find(element => wordsOf(element).startsWith(words));
    };
    const labelled = label => {
        const named = all('label').find(element => wordsOf(element).startsWith(label))?.control;
        return named ?? all('input, select, textarea').find(element => element.getAttribute('aria-label') === label);
    };
    const table = caption => document.querySelector('main').querySelectorAll('table').values().find(element => element.caption?.textContent === caption);
";

/// Whether nothing is on its way to be shown.
const IS_READY: &str = "const main = document.getElementById('main');
    return document.readyState === 'complete' && main.childElementCount > 0 && !main.hasAttribute('aria-busy')
        && document.querySelector('#top nav') !== null";

/// Counts requests that are under way.
const COUNT: &str = "window.underWay = 0;
    const ask = window.fetch;
    window.fetch = async (...given) => {
        if (String(given[0]).startsWith('/api/events')) return ask(...given);
        window.underWay += 1;
        try {
            return await ask(...given);
        } finally {
            // What follows on an answer follows at once.
            setTimeout(() => { window.underWay -= 1; }, 30);
        }
    };";

/// A person before a browser.
pub struct Person {
    pub browser: Browser,
    origin: String,
}

impl Person {
    /// One whose browser is to show the page of the server at this address.
    pub fn before(browser: Browser, address: &str) -> Person {
        Person { browser, origin: format!("http://{address}") }
    }

    /// Runs the body of a function that finds things as a person does.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.browser.run(&format!("{FIND}\n{script}"), arguments)
    }

    /// Waits until this is true.
    #[track_caller]
    pub fn waits(&self, what: &str, script: &str, arguments: &[Value]) {
        let arguments_too = arguments;
        let mut last = Value::Null;
        let mut tries = 0;
        until(what, || {
            tries += 1;
            last = self.run(script, arguments_too);
            if tries % 200 == 0 {
                eprintln!("still waiting: {what}: {}, {}", self.address(), self.shown());
            }
            (last == json!(true)).then_some(())
        });
    }

    /// Writes an address into the browser's bar.
    #[track_caller]
    pub fn opens(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.origin));
        self.waits_until_shown();
    }

    pub fn waits_until_shown(&self) {
        self.waits("the page shows something", IS_READY, &[]);
    }

    /// The address without the server's.
    pub fn address(&self) -> String {
        let url = self.browser.url();
        url.strip_prefix(&self.origin).unwrap_or_else(|| panic!("{url} is elsewhere")).to_owned()
    }

    /// Waits until the address begins so, is none below it, and is shown.
    #[track_caller]
    pub fn is_at(&self, path: &str) {
        let is_there = "const address = location.pathname + location.search;
            return address.startsWith(arguments[0]) && address[arguments[0].length] !== '/'";
        self.waits(&format!("the address becomes {path}"), is_there, &[json!(path)]);
        self.waits_until_shown();
    }

    /// Waits until a job is shown; its id.
    #[track_caller]
    pub fn is_at_a_job(&self) -> String {
        let is_there = "return /^\\/jobs\\/[0-9a-f-]{36}$/.test(location.pathname)";
        self.waits("the address becomes that of a job", is_there, &[]);
        self.waits_until_shown();
        self.address().trim_start_matches("/jobs/").to_owned()
    }

    /// Presses a button or follows a link that is called so, or whose name begins so.
    #[track_caller]
    pub fn presses(&self, words: &str) {
        self.clicks(&format!("{words} can be pressed"), "return control(arguments[0])", &[json!(words)]);
    }

    /// Clicks what a script finds. What is drawn anew in between, or has something above it that goes, is found again.
    #[track_caller]
    pub fn clicks(&self, what: &str, script: &str, arguments: &[Value]) {
        let mut why = String::new();
        let mut tries = 0;
        until(what, || {
            tries += 1;
            if tries % 20 == 0 {
                eprintln!("still waiting: {what}: {}, {why}, {}", self.address(), self.shown());
            }
            let found = self.run(script, arguments);
            if found.is_null() {
                return None;
            }
            let clicked = self.browser.try_click(&Element::from_json(&found));
            clicked.map_err(|refused| why = refused.to_string()).inspect_err(|()| self.scrolls_to(&found)).ok()
        });
    }

    /// What lies below something that sticks to an edge is scrolled to.
    fn scrolls_to(&self, element: &Value) {
        let script = "if (arguments[0].isConnected) arguments[0].scrollIntoView({ block: 'center' })";
        // It may be gone.
        drop(self.browser.try_run(script, std::slice::from_ref(element)));
    }

    /// Writes into the field with this label, in place of what is in it.
    #[track_caller]
    pub fn fills(&self, label: &str, text: &str) {
        let field = self.field(label);
        self.run("arguments[0].focus(); arguments[0].select()", &[field.to_json()]);
        self.browser.press("Backspace");
        self.browser.send_keys(&field, text);
    }

    /// The field with this label.
    #[track_caller]
    pub fn field(&self, label: &str) -> Element {
        until(&format!("there is a field {label}"), || {
            let found = self.run("return labelled(arguments[0])", &[json!(label)]);
            (!found.is_null()).then(|| Element::from_json(&found))
        })
    }

    /// What is written in the field with this label.
    #[track_caller]
    pub fn written(&self, label: &str) -> String {
        let value = self.run("return arguments[0].value", &[self.field(label).to_json()]);
        value.as_str().expect("a field has a text").to_owned()
    }

    /// Chooses an option of the field with this label, by its words.
    #[track_caller]
    pub fn chooses(&self, label: &str, option: &str) {
        let script = "return [...labelled(arguments[0])?.options ?? []].find(one => wordsOf(one) === arguments[1])";
        self.clicks(&format!("{option} can be chosen"), script, &[json!(label), json!(option)]);
    }

    /// Waits until this can be read: in the question, or else anywhere on the page.
    #[track_caller]
    pub fn reads(&self, text: &str) {
        let script =
            "return (document.querySelector('dialog[open]') ?? document.body).innerText.includes(arguments[0])";
        self.waits(&format!("{text:?} can be read"), script, &[json!(text)]);
    }

    /// Waits until the first of these says this.
    #[track_caller]
    pub fn reads_in(&self, selector: &str, text: &str) {
        let script = "return document.querySelector(arguments[0])?.innerText.includes(arguments[1]) ?? false";
        self.waits(&format!("{selector} says {text:?}"), script, &[json!(selector), json!(text)]);
    }

    /// Waits until a section with this title says this.
    #[track_caller]
    pub fn reads_under(&self, title: &str, text: &str) {
        let script = "return all('section, fieldset').some(one => one.firstElementChild.textContent === arguments[0]
            && one.innerText.includes(arguments[1]))";
        self.waits(&format!("under {title:?} is {text:?}"), script, &[json!(title), json!(text)]);
    }

    /// What is said beside a field.
    #[track_caller]
    pub fn complaint(&self, label: &str) -> String {
        let script = "const ids = arguments[0].getAttribute('aria-describedby').split(' ');
            const said = document.getElementById(ids.at(-1)).textContent;
            return (said !== '') === (arguments[0].getAttribute('aria-invalid') === 'true') ? said : 'half said'";
        self.run(script, &[self.field(label).to_json()]).as_str().expect("it is a text").to_owned()
    }

    /// Waits until something like this is said beside a field.
    #[track_caller]
    pub fn is_told(&self, label: &str, text: &str) {
        until(&format!("{text:?} is said beside {label}"), || self.complaint(label).contains(text).then_some(()));
    }

    /// The rows of the table with this caption, as text, cells with bars between them.
    #[track_caller]
    pub fn rows(&self, caption: &str) -> Vec<String> {
        let script =
            "return [...table(arguments[0])?.tBodies[0].rows ?? []].filter(row => !row.querySelector('.empty'))
            .map(row => [...row.cells].map(cell => cell.textContent.trim()).join(' | '))";
        serde_json::from_value(self.run(script, &[json!(caption)])).expect("they are texts")
    }

    /// Waits until the rows of a table are like this.
    #[track_caller]
    pub fn reads_rows(&self, caption: &str, what: &str, are: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut tries = 0;
        until(&format!("{caption}: {what}"), || {
            let rows = self.rows(caption);
            tries += 1;
            if tries % 200 == 0 {
                eprintln!("still waiting: {caption}: {what}: {rows:#?}");
            }
            are(&rows).then_some(rows)
        })
    }

    /// From the next load on counts what the page asks and is not answered yet, but for the stream that has no end.
    pub fn counts_requests(&self) {
        self.browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": COUNT }));
    }

    /// Waits until the page has all that it asked for, and has drawn it. Needs the count.
    #[track_caller]
    pub fn waits_for_answers(&self) {
        self.browser.run_async(
            "let quiet = 0;
            while (quiet < 3) {
                await new Promise(requestAnimationFrame);
                quiet = window.underWay === 0 ? quiet + 1 : 0;
            }",
            &[],
        );
    }

    /// Sets a mark that a load of the page would lose.
    pub fn marks(&self) {
        self.run("window.mark = true", &[]);
    }

    pub fn is_marked(&self) -> bool {
        self.run("return window.mark === true", &[]) == json!(true)
    }

    /// What the page says in all.
    pub fn shown(&self) -> String {
        self.run("return document.body.innerText", &[]).as_str().unwrap_or_default().to_owned()
    }

    /// What the focus is on, by its words, its label, or its tag.
    pub fn focus(&self) -> String {
        let script = "const on = document.activeElement;
            return on.labels?.length ? wordsOf(on.labels[0]) : wordsOf(on) ? wordsOf(on).slice(0, 80) : on.localName";
        self.run(script, &[]).as_str().expect("it is a text").to_owned()
    }

    /// Nothing went wrong meanwhile: the console has no error and no warning, but that the server refused requests
    /// to these paths, which browsers say of themselves.
    #[track_caller]
    pub fn complains_of_nothing(&self, but: &[&str]) {
        let mut complaints = self.browser.complaints();
        complaints.retain(|line| {
            let is_refusal = line.contains("Failed to load resource: the server responded with a status of 4");
            !(is_refusal && but.iter().any(|path| line.contains(path)))
        });
        assert_eq!(complaints, Vec::<String>::new());
    }
}
