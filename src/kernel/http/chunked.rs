//! Owns the decoding of a chunked body (RFC 9112, section 7.1), however it is cut into pieces.
//! It must not keep anything but the body: extensions and trailers are checked, counted and dropped.

use super::Refusal;

/// How many bytes of framing one byte of body may cost. The smallest chunk takes five (`1 CR LF x
/// CR LF`), and some clients pad the size with zeros.
const OVERHEAD_PER_BODY_BYTE_MAX: usize = 8;

/// The decoder of one chunked body.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of framing since the last chunk's data: one size line, or the last one and the
    /// trailers.
    section_len: usize,
    /// Bytes of framing since the body's start.
    overhead_len: usize,
    body_len_max: usize,
}

impl Chunked {
    pub(super) fn new(body_len_max: usize) -> Chunked {
        Chunked { state: State::Line(Line::SizeStart), section_len: 0, overhead_len: 0, body_len_max }
    }

    /// Appends to `body` what `input` holds of it. Returns how many bytes were consumed, and
    /// whether the body is complete; when it is not, everything was consumed. No byte is looked at
    /// twice. `head_len_max` bounds each size line, and the trailers.
    ///
    /// # Errors
    ///
    /// [`Refusal::ChunkMalformed`], [`Refusal::BodyTooLarge`] as soon as a chunk's size shows it,
    /// and [`Refusal::ChunkOverhead`].
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        head_len_max: usize,
    ) -> Result<(usize, bool), Refusal> {
        let mut consumed = 0;
        while let Some(&byte) = input.get(consumed) {
            match self.state {
                State::Line(line) => {
                    self.count_overhead(body.len(), head_len_max)?;
                    let room = self.body_len_max.saturating_sub(body.len());
                    self.state = line.after(byte, room)?;
                    consumed += 1;
                }
                State::Data { left } => {
                    let data = &input[consumed..];
                    let data = &data[..left.min(data.len())];
                    body.extend_from_slice(data);
                    consumed += data.len();
                    self.section_len = 0;
                    self.state = State::data(left - data.len());
                }
                State::Done => break,
            }
        }
        assert!(body.len() <= self.body_len_max, "each chunk's size was held against the limit");
        Ok((consumed, matches!(self.state, State::Done)))
    }

    fn count_overhead(&mut self, body_len: usize, head_len_max: usize) -> Result<(), Refusal> {
        self.section_len += 1;
        self.overhead_len += 1;
        let allowed = body_len.saturating_mul(OVERHEAD_PER_BODY_BYTE_MAX).saturating_add(head_len_max);
        if self.section_len > head_len_max || self.overhead_len > allowed {
            return Err(Refusal::ChunkOverhead);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Within framing, which goes byte by byte.
    Line(Line),
    /// Within a chunk's data, which goes in bulk. `left` is above 0.
    Data { left: usize },
    /// After the blank line that ends the trailer section.
    Done,
}

impl State {
    fn data(left: usize) -> State {
        if left == 0 { State::Line(Line::DataCr) } else { State::Data { left } }
    }
}

/// What the next byte of framing belongs to. `size` is the chunk's size as far as it has been read.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// The first digit of the size.
    SizeStart,
    /// A further digit, or what ends the size.
    Size { size: usize },
    /// White space after the size.
    SizePadding { size: usize },
    /// A chunk extension.
    Extension { size: usize },
    /// The line feed of a size line.
    SizeLf { size: usize },
    /// The carriage return after a chunk's data.
    DataCr,
    /// The line feed after a chunk's data.
    DataLf,
    /// The first byte of a trailer line, or of the blank line.
    TrailerStart,
    /// A further byte of a trailer line.
    Trailer,
    /// The line feed of a trailer line.
    TrailerLf,
    /// The line feed of the blank line.
    EndLf,
}

impl Line {
    /// Takes one byte. A line end is CR LF and nothing else: to take a bare one here but not in
    /// front of here is how requests get smuggled. `room` is how much more body is allowed.
    fn after(self, byte: u8, room: usize) -> Result<State, Refusal> {
        let next = match (self, byte) {
            (Line::SizeStart, _) => Line::Size { size: append_digit(0, byte, room)? },
            (Line::Size { size }, b'\r') => Line::SizeLf { size },
            (Line::Size { size }, b';') => Line::Extension { size },
            (Line::Size { size }, b' ' | b'\t') => Line::SizePadding { size },
            (Line::Size { size }, _) => Line::Size { size: append_digit(size, byte, room)? },
            (Line::SizePadding { size }, b'\r') => Line::SizeLf { size },
            (Line::SizePadding { size }, b';') => Line::Extension { size },
            (Line::SizePadding { size }, b' ' | b'\t') => Line::SizePadding { size },
            (Line::Extension { size }, b'\r') => Line::SizeLf { size },
            (Line::Extension { size }, _) if is_text(byte) => Line::Extension { size },
            (Line::SizeLf { size: 0 }, b'\n') => Line::TrailerStart,
            (Line::SizeLf { size }, b'\n') => return Ok(State::data(size)),
            (Line::DataCr, b'\r') => Line::DataLf,
            (Line::DataLf, b'\n') => Line::SizeStart,
            (Line::TrailerStart, b'\r') => Line::EndLf,
            // White space at the start would be obsolete folding (RFC 9112, section 5.2).
            (Line::TrailerStart, _) if byte.is_ascii_graphic() => Line::Trailer,
            (Line::Trailer, b'\r') => Line::TrailerLf,
            (Line::Trailer, _) if is_text(byte) => Line::Trailer,
            (Line::TrailerLf, b'\n') => Line::TrailerStart,
            (Line::EndLf, b'\n') => return Ok(State::Done),
            (
                Line::SizePadding { .. }
                | Line::Extension { .. }
                | Line::SizeLf { .. }
                | Line::DataCr
                | Line::DataLf
                | Line::TrailerStart
                | Line::Trailer
                | Line::TrailerLf
                | Line::EndLf,
                _,
            ) => return Err(Refusal::ChunkMalformed),
        };
        Ok(State::Line(next))
    }
}

/// Appends a hexadecimal digit to a chunk size, which may not go above `room`, so it cannot
/// overflow either.
fn append_digit(size: usize, byte: u8, room: usize) -> Result<usize, Refusal> {
    let digit = char::from(byte).to_digit(16).ok_or(Refusal::ChunkMalformed)?;
    size.checked_mul(16)
        .and_then(|size| size.checked_add(digit as usize))
        .filter(|size| *size <= room)
        .ok_or(Refusal::BodyTooLarge)
}

/// True for a byte that may stand in an extension or a trailer (RFC 9110, section 5.5): no control
/// but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_LEN_MAX: usize = 64;
    const BODY_LEN_MAX: usize = 300;

    /// The body, and what was left over behind it; `None` when it is not complete.
    fn decode(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let mut body = Vec::new();
        let (consumed, done) = Chunked::new(BODY_LEN_MAX).decode(input, &mut body, HEAD_LEN_MAX)?;
        Ok(done.then(|| (body, input.len() - consumed)))
    }

    #[test]
    fn chunks_are_joined() {
        let cases: [(&str, &str, usize); 7] = [
            ("0\r\n\r\n", "", 0),
            ("3\r\nabc\r\n0\r\n\r\nGET", "abc", 3),
            ("3\r\nabc\r\n02\r\nde\r\n000\r\n\r\n", "abcde", 0),
            ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0),
            ("1;a=\"b c\";d\r\nx\r\n0 ;e\r\n\r\n", "x", 0),
            ("1 \t\r\nx\r\n0\r\nA: b\r\nC:\td\r\n\r\n", "x", 0),
            ("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0),
        ];
        for (input, body, left) in cases {
            assert_eq!(decode(input.as_bytes()), Ok(Some((body.into(), left))), "{input:?}");
        }
        assert_eq!(decode(b"3\r\nab"), Ok(None));
    }

    #[test]
    fn malformed_framing_is_refused() {
        let inputs: [&[u8]; 20] = [
            b"1\r\nx\ra",
            b"0\r\n\ra",
            b"0\r\na\rb\r\n",
            b"\r\n\r\n",
            b";a\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 1\r\n",
            b"1\nx",
            b"1\r\r\n",
            b"1;a\nx",
            b"1;\0\r\n",
            b"1\r\nxy\r\n",
            b"1\r\nx\n",
            b"1\r\nx0\r\n",
            b"0\r\n\n",
            b"0\r\n a\r\n",
            b"0\r\na\nb\r\n",
        ];
        for input in inputs {
            assert_eq!(decode(input), Err(Refusal::ChunkMalformed), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn a_size_above_the_limit_is_refused_before_its_data() {
        for input in ["12d", "ffffffffffffffff", "10000000000000000", "00000000000000000000fff"] {
            assert_eq!(decode(input.as_bytes()), Err(Refusal::BodyTooLarge), "{input}");
        }
        let mut two = b"12c\r\n".to_vec();
        two.extend_from_slice(&[b'x'; 300]);
        two.extend_from_slice(b"\r\n1");
        assert_eq!(decode(&two), Err(Refusal::BodyTooLarge));
    }

    #[test]
    fn framing_is_bounded() {
        let one_byte_chunks = "1\r\nx\r\n".repeat(300) + "0\r\n\r\n";
        assert_eq!(decode(one_byte_chunks.as_bytes()), Ok(Some((vec![b'x'; 300], 0))));

        let long_extension = format!("1;{}", "a".repeat(HEAD_LEN_MAX));
        let long_trailers = format!("0\r\n{}", "a: b\r\n".repeat(HEAD_LEN_MAX));
        let padded_sizes = format!("{}1\r\nx\r\n", "0".repeat(20)).repeat(300);
        for input in [long_extension, long_trailers, padded_sizes] {
            assert_eq!(decode(input.as_bytes()), Err(Refusal::ChunkOverhead), "{input}");
        }
    }
}
