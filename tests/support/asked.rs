//! Owns reading a request off a connection, as the small servers of the tests get one.
//! It must not answer, nor judge what it reads.

use std::collections::HashMap;
use std::io::BufRead;

use super::wall_us;

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub target: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    /// When its head had been read, in microseconds since 1970.
    pub at_us: i64,
    pub body: String,
}

impl Asked {
    /// The next one; None: the connection ends.
    pub fn read(reader: &mut impl BufRead) -> Option<Asked> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&length| length > 0)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|&length| length > 0)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let at_us = wall_us();
        let length = headers.get("content-length").map_or(0, |text| text.parse().expect("a length is a number"));
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Asked { method, target, headers, at_us, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// A header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether it would change something.
    pub fn is_change(&self) -> bool {
        !matches!(&*self.method, "GET" | "HEAD" | "OPTIONS")
    }
}
