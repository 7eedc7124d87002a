//! How the page is served: who gets it, what its files say to caches, and what browsers may do with it.
//! It must not need a browser.

use std::collections::HashSet;

use super::{FLAGS, Server};
use crate::support::api::Answer;

/// To the letter what the page may load and talk to.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const PAGES: [&str; 12] = [
    "/",
    "/jobs",
    "/jobs/7",
    "/jobs/new",
    "/jobs/7/edit",
    "/executions",
    "/executions/7-1",
    "/timeline",
    "/alerts",
    "/alerts/log",
    "/alerts/1764421200123456",
    "/system",
];

fn server() -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Server::start(&folder.path().join("p.db"), &FLAGS), folder)
}

/// What a browser heeds: that of every answer, and that of the page.
fn policies(page: &Answer) -> Vec<&str> {
    let all = page.headers.get_all("content-security-policy").iter();
    all.map(|policy| policy.to_str().expect("it is text")).collect()
}

/// The addresses of the files that a document names.
fn files(document: &str) -> Vec<String> {
    let named = document.split('"').filter(|text| text.starts_with("/assets/"));
    let mut files: Vec<String> = named.map(str::to_owned).collect();
    files.sort_unstable();
    files.dedup();
    files
}

#[test]
fn browsers_get_the_page_and_programs_what_they_got_before() {
    let (server, _folder) = server();
    let ask = |method: &str, path: &str, accept: &str| -> Answer {
        server.api.send_with(method, path, &[("accept", accept)], None)
    };
    // curl asks for anything; so do most programs, and some for JSON.
    for accept in ["*/*", "application/json", "text/plain, */*", ""] {
        let root = ask("GET", "/", accept);
        assert_eq!((root.status, root.json()["name"].as_str()), (200, Some("punctual")), "{accept}: {}", root.text);
        assert!(root.header("content-type").starts_with("application/json"), "{accept}");
        assert_eq!(ask("GET", "/jobs", accept).status, 404, "{accept}");
    }
    for path in PAGES {
        let page = ask("GET", path, HTML.1);
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert_eq!(policies(&page), ["frame-ancestors 'none'", POLICY], "{path}");
        assert_eq!(
            (page.header("cache-control"), page.header("vary")),
            ("no-cache", "Accept, Accept-Encoding"),
            "{path}"
        );
        // Neither script nor style stands in it.
        assert!(
            !page.text.contains("<style") && !page.text.contains("<script>") && !page.text.contains(" on"),
            "{path}"
        );
        let head = ask("HEAD", path, HTML.1);
        assert_eq!((head.status, &*head.text), (200, ""), "{path}");
        assert_eq!(head.header("content-length"), page.text.len().to_string(), "{path}");
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let other = server.api.send_with(method, path, &[HTML], Some("{}"));
            assert!(matches!(other.status, 404 | 405), "{method} {path}: {}", other.status);
            assert!(!other.text.contains("<html"), "{method} {path}");
        }
    }
    for (path, status) in [("/nowhere", 404), ("/jobs/", 404), ("/jobs/7/more", 404)] {
        let page = ask("GET", path, HTML.1);
        assert_eq!((page.status, policies(&page)), (status, vec!["frame-ancestors 'none'", POLICY]), "{path}");
    }
    // What is below /api is the API's for browsers as well.
    for path in ["/api/jobs", "/api/nothing", "/api/openapi.json", "/livez"] {
        assert!(!ask("GET", path, HTML.1).text.contains("<html"), "{path}");
    }
}

#[test]
fn files_are_named_after_what_is_in_them_kept_for_good_and_packed_for_who_takes_it() {
    let (server, _folder) = server();
    let document = server.api.send_with("GET", "/", &[HTML], None);
    let files = files(&document.text);
    assert!(files.len() > 20, "{files:?}");
    let folders: HashSet<&str> = files.iter().filter_map(|file| file.split('/').nth(2)).collect();
    let [folder] = folders.into_iter().collect::<Vec<_>>()[..] else { panic!("{files:?}") };
    assert!(folder.len() == 8 && folder.chars().all(|digit| digit.is_ascii_hexdigit()), "{folder}");
    let (mut plain_len, mut packed_len) = (0, 0);
    for file in &files {
        let plain = server.api.send("GET", file, None);
        assert_eq!((plain.status, plain.header("content-encoding")), (200, ""), "{file}");
        assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable", "{file}");
        assert_eq!(plain.header("x-content-type-options"), "nosniff", "{file}");
        let expected =
            if file.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        assert_eq!(plain.header("content-type"), expected, "{file}");
        let head = server.api.send_with("HEAD", file, &[("accept-encoding", "gzip, br")], None);
        assert_eq!((head.status, head.header("content-encoding")), (200, "gzip"), "{file}");
        let length: usize = head.header("content-length").parse().expect("it is a number");
        assert!(length < plain.text.len(), "{file}: {length} packed, {} plain", plain.text.len());
        (plain_len, packed_len) = (plain_len + plain.text.len(), packed_len + length);
        for refused in ["gzip;q=0", "identity", "br"] {
            let answer = server.api.send_with("GET", file, &[("accept-encoding", refused)], None);
            assert_eq!((answer.header("content-encoding"), &answer.text), ("", &plain.text), "{file}, {refused}");
        }
        assert_eq!(server.api.send("POST", file, Some("{}")).status, 404, "{file}");
    }
    assert!(plain_len < 216 * 1024 && packed_len < 80 * 1024, "{plain_len} plain, {packed_len} packed");
    // A file of another text has another name: what is not there is not answered with what is.
    let other = files[0].replace(folder, "00000000");
    assert_eq!(server.api.send("GET", &other, None).status, 404);
    // What a page refers to itself is there.
    for file in files.iter().filter(|file| file.ends_with(".js")) {
        let text = server.api.send("GET", file, None).text;
        let base = file.rsplit_once('/').expect("it is in a folder").0;
        for named in text.split("} from '").skip(1).filter_map(|rest| rest.split('\'').next()) {
            let mut path: Vec<&str> = base.split('/').collect();
            for part in named.split('/') {
                match part {
                    "." => {}
                    ".." => drop(path.pop()),
                    part => path.push(part),
                }
            }
            assert!(files.contains(&path.join("/")), "{file} names {named}");
        }
    }
}
