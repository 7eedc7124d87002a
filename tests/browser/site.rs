//! Owns small web servers of the tests: the site that hostile pages come from, and a server without any guard.
//! It must not protect anybody: what a page fails to do to the unguarded server, the page got wrong.

use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::support::asked::Asked;

/// The page with all that hostile pages do; what it does when is said by the test.
const HOSTILE_PAGE: &str = include_str!("hostile.html");

/// A picture, as one must be one to be shown.
const PICTURE: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>"#;

/// What nobody but the unguarded server says.
pub const SECRET: &str = "unguarded";

/// A running server. Its threads end with the process.
pub struct Site {
    asked: Arc<Mutex<Vec<Asked>>>,
    pub port: u16,
}

impl Site {
    /// The site of the hostile pages, under whatever name.
    pub fn hostile() -> Site {
        Site::start(|asked| match asked.target.split_once("?to=") {
            // A form that comes from elsewhere than it seems.
            Some((_, to)) => answer("307 Elsewhere", &format!("Location: {to}\r\n"), "text/plain", ""),
            None => answer("200 OK", "", "text/html", HOSTILE_PAGE),
        })
    }

    /// A server that answers whoever asks with what was asked for, and lets every page read and change everything.
    pub fn unguarded() -> Site {
        Site::start(|asked| {
            let origin = if asked.header("origin").is_empty() { "*" } else { asked.header("origin") };
            let open = format!(
                "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\n\
                 Access-Control-Allow-Methods: PUT, PATCH, DELETE\r\nAccess-Control-Allow-Headers: content-type\r\n"
            );
            let (media_type, body) = match asked.header("sec-fetch-dest") {
                _ if asked.header("accept") == "text/event-stream" => ("text/event-stream", "data: SECRET\n\n"),
                "script" => ("text/javascript", "self.told = 'SECRET';"),
                "style" => ("text/css", "body { --told: SECRET }"),
                "image" => ("image/svg+xml", PICTURE),
                "iframe" | "object" | "embed" => ("text/html", HOSTILE_PAGE),
                _ => ("application/json", "{\"jobs\":\"SECRET\"}"),
            };
            answer("200 OK", &open, media_type, &body.replace("SECRET", SECRET))
        })
    }

    fn start(answer: fn(&Asked) -> String) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let noted = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noted = noted.clone();
                std::thread::spawn(move || {
                    let Some(asked) = Asked::read(&mut BufReader::new(&stream)) else { return };
                    let text = answer(&asked);
                    // What is answered is noted before: the test may look as soon as the page has its answer.
                    noted.lock().expect("no thread panics with it").push(asked);
                    // A browser may have lost interest.
                    drop((&stream).write_all(text.as_bytes()));
                });
            }
        });
        Site { asked, port }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What came since the last call that would change something.
    pub fn take_changes(&self) -> Vec<Asked> {
        let mut asked = self.asked.lock().expect("no thread panics with it");
        std::mem::take(&mut *asked).into_iter().filter(Asked::is_change).collect()
    }
}

fn answer(status: &str, lines: &str, media_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{lines}Content-Type: {media_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n\
         {body}"
    )
}
