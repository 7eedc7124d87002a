//! Owns what is answered to a browser that asks for the page or a file of it.
//! It must not read a request beyond its method, its path and what the client likes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::assets::{ASSETS, DOCUMENT};
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

/// Below this and the digest of all files is each of them.
const ASSETS_AT: &str = "/assets/";

/// What the page may load and talk to: its own server, and nothing else. No script or style stands in the document.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// A file as it is sent.
#[derive(Clone, Debug)]
struct File {
    plain: Cow<'static, str>,
    gzip: Box<[u8]>,
    media_type: &'static str,
}

/// The page, ready to be sent.
#[derive(Clone, Debug)]
pub struct Site {
    document: File,
    /// By their whole paths.
    files: BTreeMap<String, File>,
}

impl Site {
    /// Compresses everything, once.
    pub fn make() -> Site {
        let folder = format!("{ASSETS_AT}{:08x}", digest());
        let preload: String = ASSETS
            .iter()
            .filter(|asset| asset.is_module())
            .map(|asset| format!("<link rel=\"modulepreload\" href=\"{folder}/{}\">\n", asset.name))
            .collect();
        let document = DOCUMENT.replace("{preload}\n", &preload).replace("{assets}", &folder);
        let mut files = BTreeMap::new();
        for asset in ASSETS {
            files.insert(format!("{folder}/{}", asset.name), File::new(asset.text.into(), asset.media_type()));
        }
        Site { document: File::new(document.into(), "text/html; charset=utf-8"), files }
    }

    /// The answer to a request for a file, or of a browser for a page; None: it asks for neither. `is_api` says whether
    /// the API has something at this path: of that a browser is shown the page only at the root.
    pub fn answer(&self, request: &Request, is_api: impl Fn(&str) -> bool) -> Option<Response> {
        if !matches!(request.method, Method::Get | Method::Head) {
            return None;
        }
        let (path, accepts) = (request.path.as_str(), request.accepts);
        if let Some(file) = path.starts_with(ASSETS_AT).then(|| self.files.get(path)).flatten() {
            // Another text has another path.
            let for_good = "public, max-age=31536000, immutable";
            return Some(file.response(Status::OK, accepts).with_header("Cache-Control", for_good));
        }
        if !accepts.html || (path != "/" && (is_api(path) || path.starts_with("/api/"))) {
            return None;
        }
        let is_page = PAGES.iter().any(|page| fits(page, path));
        let status = if is_page { Status::OK } else { Status::NOT_FOUND };
        Some(
            self.document
                .response(status, accepts)
                .with_header("Content-Security-Policy", POLICY)
                .with_header("Cache-Control", "no-cache")
                .with_header("Referrer-Policy", "same-origin"),
        )
    }
}

impl File {
    fn new(plain: Cow<'static, str>, media_type: &'static str) -> File {
        File { gzip: gzip(plain.as_bytes()), plain, media_type }
    }

    fn response(&self, status: Status, accepts: Accepts) -> Response {
        let body = if accepts.gzip { self.gzip.to_vec() } else { self.plain.as_bytes().to_vec() };
        let response =
            Response { body: Body::Whole(body), content_type: self.media_type, ..Response::new(status, vec![]) };
        let response = response.with_header("Vary", "Accept, Accept-Encoding");
        if accepts.gzip { response.with_header("Content-Encoding", "gzip") } else { response }
    }
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

/// Another one for other files. A check sum is enough, as nobody else chooses them.
fn digest() -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for asset in ASSETS {
        sum.update(asset.name.as_bytes());
        sum.update(asset.text.as_bytes());
    }
    sum.update(DOCUMENT.as_bytes());
    sum.finalize()
}

fn gzip(plain: &[u8]) -> Box<[u8]> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let packed = encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory takes whatever is written");
    // Without room to spare, as it stays.
    packed.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn get(site: &Site, path: &str, accepts: Accepts) -> Option<Response> {
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
        site.answer(&request, |path| matches!(path, "/" | "/livez"))
    }

    const BROWSER: Accepts = Accepts { html: true, gzip: true, open_metrics: 0, plain_text: 0 };
    const CURL: Accepts = Accepts { html: false, gzip: false, ..BROWSER };

    #[test]
    fn browsers_get_the_page_and_others_what_the_api_says() {
        let site = Site::make();
        let status = |path| get(&site, path, BROWSER).map(|response| response.status.code());
        for path in ["/", "/jobs", "/jobs/new", "/jobs/7", "/jobs/7/edit", "/executions/7-1", "/system"] {
            assert_eq!(status(path), Some(200), "{path}");
            assert_eq!(get(&site, path, CURL), None, "{path}");
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
        let site = Site::make();
        let document = get(&site, "/", Accepts { gzip: false, ..BROWSER }).expect("it is the page");
        let Body::Whole(document) = document.body else { panic!("it is whole") };
        let document = String::from_utf8(document).expect("it is text");
        let named: Vec<&str> = document.split('"').filter(|text| text.starts_with(ASSETS_AT)).collect();
        assert!(named.len() > 20, "{document}");
        for path in named {
            let whole = |accepts| match get(&site, path, accepts).unwrap_or_else(|| panic!("{path}")).body {
                Body::Whole(body) => body,
                body => panic!("{body:?}"),
            };
            let mut unpacked = Vec::new();
            GzDecoder::new(&whole(BROWSER)[..]).read_to_end(&mut unpacked).expect("it is compressed");
            assert_eq!(unpacked, whole(CURL), "{path}");
        }
    }
}
