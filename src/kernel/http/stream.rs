//! Owns how the pieces of a streamed body become bytes, and how the client is told where it ends.
//! It must not hold a piece: what is not sent yet belongs to the caller.

use std::io::Write;

/// How a client knows where a streamed body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFraming {
    /// By the last chunk (RFC 9112, section 7.1).
    Chunked,
    /// By the end of the connection (RFC 9112, section 6.3, rule 8), for clients of HTTP/1.0, which has no chunks.
    UntilClose,
}

impl StreamFraming {
    /// What a client of this version understands.
    pub const fn of(http_10: bool) -> StreamFraming {
        if http_10 { StreamFraming::UntilClose } else { StreamFraming::Chunked }
    }

    /// Whether the connection can carry another answer after the body.
    pub const fn allows_keep_alive(self) -> bool {
        match self {
            StreamFraming::Chunked => true,
            StreamFraming::UntilClose => false,
        }
    }

    /// Appends a piece to `out`. An empty one is nothing: an empty chunk would be the end.
    pub fn write_piece(self, piece: &[u8], out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        match self {
            StreamFraming::Chunked => {
                write!(out, "{:x}\r\n", piece.len()).expect("a vector takes everything");
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            }
            StreamFraming::UntilClose => out.extend_from_slice(piece),
        }
    }

    /// Appends the end to `out`. Without it a client can tell that the body was cut off, if it is chunked.
    pub fn write_end(self, out: &mut Vec<u8>) {
        match self {
            StreamFraming::Chunked => out.extend_from_slice(b"0\r\n\r\n"),
            StreamFraming::UntilClose => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_bytes() {
        for (framing, expected) in [
            (StreamFraming::Chunked, format!("3\r\nabc\r\n10\r\n{0}\r\n0\r\n\r\n", "x".repeat(16))),
            (StreamFraming::UntilClose, format!("abc{}", "x".repeat(16))),
        ] {
            let mut out = Vec::new();
            for piece in ["abc", "", &"x".repeat(16)] {
                framing.write_piece(piece.as_bytes(), &mut out);
            }
            framing.write_end(&mut out);
            assert_eq!(String::from_utf8(out), Ok(expected));
        }
    }
}
