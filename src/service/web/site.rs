//! Owns what is answered to a browser that asks for the page or a file of it.
//! It must not read a request beyond its method, its path and what the client likes.

use super::assets::{Asset, asset, document};
use crate::http::{Accepts, Body, Method, Request, Response, Status};

/// The addresses of the page; a colon stands for any text. What is at none of them, the page says so itself.
const PAGES: [&str; 11] = [
    "/",
    "/jobs",
    "/jobs/new",
    "/jobs/:id",
    "/jobs/:id/edit",
    "/executions",
    "/executions/:id",
    "/timeline",
    "/alerts",
    "/alerts/:id",
    "/system",
];

/// What the page may load and talk to: its own server, and nothing else. No script or style stands in the document.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The answer to a request for a file, or of a browser for a page; None: it asks for neither. `is_api` says whether the
/// API has something at this path: of that a browser is shown the page only at the root.
pub fn answer(request: &Request, is_api: impl Fn(&str) -> bool) -> Option<Response> {
    if !matches!(request.method, Method::Get | Method::Head) {
        return None;
    }
    let (path, accepts) = (request.path.as_str(), request.accepts);
    if let Some(asset) = asset(path) {
        // Another text has another path.
        let for_good = "public, max-age=31536000, immutable";
        return Some(response(Status::OK, asset, accepts).with_header("Cache-Control", for_good));
    }
    if !accepts.html || (path != "/" && (is_api(path) || path.starts_with("/api/"))) {
        return None;
    }
    let is_page = PAGES.iter().any(|page| fits(page, path));
    let status = if is_page { Status::OK } else { Status::NOT_FOUND };
    Some(
        response(status, document(), accepts)
            .with_header("Content-Security-Policy", POLICY)
            .with_header("Cache-Control", "no-cache")
            .with_header("Referrer-Policy", "same-origin"),
    )
}

fn response(status: Status, asset: &Asset, accepts: Accepts) -> Response {
    let body = if accepts.gzip { asset.gzip.to_vec() } else { asset.plain() };
    let response =
        Response { body: Body::Whole(body), content_type: asset.media_type, ..Response::new(status, vec![]) };
    let response = response.with_header("Vary", "Accept, Accept-Encoding");
    if accepts.gzip { response.with_header("Content-Encoding", "gzip") } else { response }
}

/// Whether a path is of this form.
fn fits(page: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (page.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with(':') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn get(path: &str, accepts: Accepts) -> Option<Response> {
        let request = Request {
            method: Method::Get,
            path: path.to_owned(),
            query: String::new(),
            keep_alive: true,
            http_10: false,
            accepts,
            headers: crate::http::Headers::default(),
            body: Vec::new(),
        };
        answer(&request, |path| matches!(path, "/" | "/livez"))
    }

    const BROWSER: Accepts = Accepts { html: true, gzip: true, open_metrics: 0, plain_text: 0 };
    const CURL: Accepts = Accepts { html: false, gzip: false, ..BROWSER };

    #[test]
    fn browsers_get_the_page_and_others_what_the_api_says() {
        let status = |path| get(path, BROWSER).map(|response| response.status.code());
        for path in ["/", "/jobs", "/jobs/new", "/jobs/7", "/jobs/7/edit", "/executions/7-1", "/system"] {
            assert_eq!(status(path), Some(200), "{path}");
            assert_eq!(get(path, CURL), None, "{path}");
        }
        for path in ["/job", "/jobs/", "/jobs/7/more", "/assets/", "/assets/00000000/app.js"] {
            assert_eq!(status(path), Some(404), "{path}");
        }
        for path in ["/api/jobs", "/api/nothing", "/livez"] {
            assert_eq!(status(path), None, "{path}");
        }
    }

    #[test]
    fn every_file_that_the_document_names_is_there_and_comes_compressed_to_who_takes_it() {
        let document = get("/", Accepts { gzip: false, ..BROWSER }).expect("it is the page");
        let Body::Whole(document) = document.body else { panic!("it is whole") };
        let document = String::from_utf8(document).expect("it is text");
        let named: Vec<&str> = document.split('"').filter(|text| text.starts_with("/assets/")).collect();
        assert!(named.len() > 20, "{document}");
        for path in named {
            let whole = |accepts| match get(path, accepts).unwrap_or_else(|| panic!("{path}")).body {
                Body::Whole(body) => body,
                body => panic!("{body:?}"),
            };
            let mut unpacked = Vec::new();
            GzDecoder::new(&whole(BROWSER)[..]).read_to_end(&mut unpacked).expect("it is compressed");
            assert_eq!(unpacked, whole(CURL), "{path}");
        }
    }
}
