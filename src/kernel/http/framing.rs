//! Owns the rules for how long a request body is and how its end is known (RFC 9112, section 6).
//! It must not read the body, and must not guess: where two readers could disagree, the request is refused.

use super::{Method, Refusal};

/// How the end of a request body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length in bytes, which is within the limit; 0 is no body.
    Length(usize),
    /// By the last chunk and the trailer section.
    Chunked {
        /// The limit that the chunks together have to keep.
        body_len_max: usize,
    },
}

/// What a head says about the length of the body, gathered one field line at a time.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    content_length: Option<u64>,
    /// Set by any `Transfer-Encoding` line, even an empty one.
    has_transfer_encoding: bool,
    chunked_count: usize,
    other_coding_count: usize,
}

impl Lengths {
    /// Takes the value of a `Content-Length` line. Repeating one value is harmless and allowed, in
    /// one line or several (RFC 9110, section 8.6).
    ///
    /// # Errors
    ///
    /// [`Refusal::ContentLengthInvalid`], [`Refusal::ContentLengthConflict`].
    pub(super) fn add_content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for item in value.split(|byte| *byte == b',') {
            let length = parse_decimal(item.trim_ascii()).ok_or(Refusal::ContentLengthInvalid)?;
            if self.content_length.is_some_and(|known| known != length) {
                return Err(Refusal::ContentLengthConflict);
            }
            self.content_length = Some(length);
        }
        Ok(())
    }

    /// Takes the value of a `Transfer-Encoding` line; several lines are one list.
    pub(super) fn add_transfer_encoding(&mut self, value: &[u8]) {
        self.has_transfer_encoding = true;
        for coding in list_items(value) {
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.chunked_count += 1;
            } else {
                self.other_coding_count += 1;
            }
        }
    }

    /// Decides how the body is framed, before any of it is read. `body_len_max` is asked if there is one.
    ///
    /// # Errors
    ///
    /// See the variants: [`Refusal::LengthConflict`], [`Refusal::TransferEncodingInvalid`],
    /// [`Refusal::TransferEncodingUnknown`], [`Refusal::LengthRequired`],
    /// [`Refusal::BodyTooLarge`].
    pub(super) fn decide(
        self,
        method: Method,
        http_10: bool,
        body_len_max: impl FnOnce() -> usize,
    ) -> Result<Framing, Refusal> {
        if self.has_transfer_encoding {
            self.check_coding(http_10)?;
            return Ok(Framing::Chunked { body_len_max: body_len_max() });
        }
        match self.content_length {
            Some(0) => Ok(Framing::Length(0)),
            Some(length) => usize::try_from(length)
                .ok()
                .filter(|length| *length <= body_len_max())
                .map(Framing::Length)
                .ok_or(Refusal::BodyTooLarge),
            // Without either there is no body (RFC 9112, section 6.3). What an old client sends without saying how long it is would
            // be taken for its next request.
            None if method.needs_length() && http_10 => Err(Refusal::LengthRequired),
            None => Ok(Framing::Length(0)),
        }
    }

    fn check_coding(self, http_10: bool) -> Result<(), Refusal> {
        if self.content_length.is_some() {
            return Err(Refusal::LengthConflict);
        }
        // An HTTP/1.0 peer on the way may have passed the field on without understanding it (RFC
        // 9112, section 6.1).
        if http_10 {
            return Err(Refusal::TransferEncodingInvalid);
        }
        if self.other_coding_count > 0 {
            return Err(Refusal::TransferEncodingUnknown);
        }
        if self.chunked_count != 1 {
            return Err(Refusal::TransferEncodingInvalid);
        }
        Ok(())
    }
}

/// The items of a comma-separated field value, without the white space around them; empty items are
/// passed over (RFC 9110, section 5.6.1).
pub(super) fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// Reads one or more decimal digits, and nothing else: no sign, no space. A number beyond 64 bits
/// becomes the largest, which is above every limit.
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY_LEN_MAX: usize = 100;
    const CHUNKED: Result<Framing, Refusal> = Ok(Framing::Chunked { body_len_max: BODY_LEN_MAX });

    fn decide(content_lengths: &[&str], codings: &[&str]) -> Result<Framing, Refusal> {
        let mut lengths = Lengths::default();
        for value in content_lengths {
            lengths.add_content_length(value.as_bytes())?;
        }
        for value in codings {
            lengths.add_transfer_encoding(value.as_bytes());
        }
        lengths.decide(Method::Post, false, || BODY_LEN_MAX)
    }

    #[test]
    fn content_length_is_one_number_within_the_limit() {
        let cases: [(&[&str], Result<Framing, Refusal>); 14] = [
            (&["0"], Ok(Framing::Length(0))),
            (&["007"], Ok(Framing::Length(7))),
            (&["100"], Ok(Framing::Length(100))),
            (&["5", "5"], Ok(Framing::Length(5))),
            (&["5, 5"], Ok(Framing::Length(5))),
            (&["101"], Err(Refusal::BodyTooLarge)),
            (&["18446744073709551617"], Err(Refusal::BodyTooLarge)),
            (&["5", "6"], Err(Refusal::ContentLengthConflict)),
            (&["5,6"], Err(Refusal::ContentLengthConflict)),
            (&[""], Err(Refusal::ContentLengthInvalid)),
            (&["5,"], Err(Refusal::ContentLengthInvalid)),
            (&["+5"], Err(Refusal::ContentLengthInvalid)),
            (&["-0"], Err(Refusal::ContentLengthInvalid)),
            (&["0x5"], Err(Refusal::ContentLengthInvalid)),
        ];
        for (values, expected) in cases {
            assert_eq!(decide(values, &[]), expected, "{values:?}");
        }
    }

    #[test]
    fn the_only_transfer_coding_is_chunked() {
        let cases: [(&[&str], Result<Framing, Refusal>); 8] = [
            (&["chunked"], CHUNKED),
            (&["Chunked"], CHUNKED),
            (&["", ", chunked,"], CHUNKED),
            (&[""], Err(Refusal::TransferEncodingInvalid)),
            (&["chunked", "chunked"], Err(Refusal::TransferEncodingInvalid)),
            (&["gzip, chunked"], Err(Refusal::TransferEncodingUnknown)),
            (&["identity"], Err(Refusal::TransferEncodingUnknown)),
            (&["chunked;a=b"], Err(Refusal::TransferEncodingUnknown)),
        ];
        for (values, expected) in cases {
            assert_eq!(decide(&[], values), expected, "{values:?}");
        }
        assert_eq!(decide(&["5"], &["chunked"]), Err(Refusal::LengthConflict));
        assert_eq!(decide(&["5"], &[""]), Err(Refusal::LengthConflict));
    }
}
