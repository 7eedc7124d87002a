//! Owns the client that sends bytes as they are, and reads answers one by one.
//! It must not know which bytes are right.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketType};
use serde_json::Value;

/// A connection to the server.
pub struct Raw<S: Read + Write = TcpStream> {
    reader: BufReader<S>,
}

/// One answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next().unwrap_or("")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
}

impl Raw {
    pub fn connect(address: &str) -> Raw {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(25))).expect("it is a socket");
        Raw { reader: BufReader::new(stream) }
    }

    /// A connection of a client whose system takes little before the client reads.
    pub fn connect_with_little_room(address: &str) -> Raw {
        let address: SocketAddr = address.parse().expect("it is an address");
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("there is a socket");
        net::sockopt::set_socket_recv_buffer_size(&socket, 4_096).expect("it is a socket");
        net::connect(&socket, &address).expect("the server listens");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(25))).expect("it is a socket");
        Raw { reader: BufReader::new(stream) }
    }

    /// A second handle, for sending while reading.
    pub fn sender(&self) -> TcpStream {
        self.reader.get_ref().try_clone().expect("it can be cloned")
    }
}

impl<S: Read + Write> Raw<S> {
    /// Over whatever carries bytes.
    pub fn over(stream: S) -> Raw<S> {
        Raw { reader: BufReader::new(stream) }
    }

    pub fn stream(&mut self) -> &mut S {
        self.reader.get_mut()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.reader.get_mut();
        stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()).expect("the server reads");
    }

    /// The next answer, which has a body unless the request was HEAD. None: the connection has ended.
    pub fn try_answer(&mut self, has_body: bool) -> io::Result<Option<Reply>> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if self.reader.read_line(&mut head)? == 0 {
                assert!(head.is_empty(), "an answer that ends in its head: {head:?}");
                return Ok(None);
            }
            if head[before..] == *"\r\n" {
                break;
            }
        }
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut reply = Reply { status, head, body: Vec::new() };
        if !has_body {
            return Ok(Some(reply));
        }
        match (reply.header("content-length"), reply.header("transfer-encoding")) {
            ("", "chunked") => reply.body = self.chunks()?,
            // 100 and 204 have none; anything else without a length goes on to the end of the connection.
            ("", "") if matches!(status, 100 | 204) => {}
            ("", "") => {
                self.reader.read_to_end(&mut reply.body)?;
            }
            (length, _) => {
                reply.body = vec![0; length.parse().expect("a length is a number")];
                self.reader.read_exact(&mut reply.body)?;
            }
        }
        Ok(Some(reply))
    }

    /// A chunked body up to and including its end.
    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk()? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The next chunk of a body; None: that was its end.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim_end(), 16).expect("a chunk begins with its size");
        // With the line end behind the data, which is not part of it.
        let mut chunk = vec![0; length + 2];
        self.reader.read_exact(&mut chunk)?;
        assert_eq!(chunk.split_off(length), b"\r\n");
        Ok((length > 0).then_some(chunk))
    }

    /// Some of a body that goes on to the end of the connection; nothing: that was it.
    pub fn some(&mut self) -> io::Result<Vec<u8>> {
        let bytes = self.reader.fill_buf()?.to_vec();
        self.reader.consume(bytes.len());
        Ok(bytes)
    }

    /// The next answer, which must come.
    pub fn answer(&mut self) -> Reply {
        self.try_answer(true).expect("the connection holds").expect("an answer comes")
    }

    /// Whether some of an answer has come.
    pub fn has_begun(&mut self) -> bool {
        self.reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    }

    /// The connection is over, with nothing more to read.
    pub fn ends(&mut self) {
        let mut rest = Vec::new();
        // A reset ends it as well.
        drop(self.reader.read_to_end(&mut rest));
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}

/// Sends bytes on a connection of their own; the first answer to them.
pub fn ask(address: &str, bytes: impl AsRef<[u8]>) -> Reply {
    let mut raw = Raw::connect(address);
    raw.send(bytes);
    raw.answer()
}

/// A POST of this body to `/api/jobs`, with these further header lines.
pub fn post(body: &str, headers: &str) -> String {
    let length = body.len();
    format!("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}
