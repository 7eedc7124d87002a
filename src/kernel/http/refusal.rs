//! Owns the reasons for which the decoder refuses a connection's bytes, with what the client is told of each.
//! It must not contain request bytes: nothing a client sent comes back to it, or into a log, by way of a refusal.

use std::error::Error;
use std::fmt;

use super::Status;

/// Why a request cannot be read. Where the next request would start is no longer known, so the
/// connection is closed once the client has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The head is not one that RFC 9112 allows: request line, field line, line end or obsolete
    /// folding.
    HeadMalformed,
    /// No line ended within the largest allowed head.
    TargetTooLong,
    /// The head is larger than [`super::Limits::head_len_max`].
    HeadTooLarge,
    /// The head has more field lines than [`super::Limits::headers_max`].
    HeadersTooMany,
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    VersionUnsupported,
    /// The method is `CONNECT`, which only a proxy has.
    MethodConnect,
    /// The request target has none of the forms that the method allows (RFC 9112, section 3.2).
    TargetInvalid,
    /// An HTTP/1.1 request without `Host` (RFC 9112, section 3.2).
    HostMissing,
    /// `Host` is not a host with an optional port (RFC 9112, section 3.2).
    HostInvalid,
    /// A field that may stand once stands more than once, `Host` among them.
    HeaderRepeated,
    /// The value of a field that is read as text is not UTF-8.
    HeaderNotText,
    /// `Content-Length` is not a number (RFC 9112, section 6.3, rule 5).
    ContentLengthInvalid,
    /// Several `Content-Length` that differ (RFC 9112, section 6.3, rule 5).
    ContentLengthConflict,
    /// Both `Content-Length` and `Transfer-Encoding`: the sign of request smuggling (RFC 9112,
    /// section 6.1).
    LengthConflict,
    /// `Transfer-Encoding` in HTTP/1.0, without a coding, or with `chunked` twice (RFC 9112,
    /// section 6.1).
    TransferEncodingInvalid,
    /// A transfer coding other than `chunked` (RFC 9112, section 6.1).
    TransferEncodingUnknown,
    /// A method with a body, but neither `Content-Length` nor `Transfer-Encoding` (RFC 9110,
    /// section 15.5.12).
    LengthRequired,
    /// The body is larger than [`super::Limits::body_len_max`].
    BodyTooLarge,
    /// `Expect` asks for something other than `100-continue` (RFC 9110, section 10.1.1).
    ExpectationUnknown,
    /// A chunked body is not as RFC 9112, section 7.1 has it.
    ChunkMalformed,
    /// Chunk sizes, extensions and trailers take far more bytes than the body they frame.
    ChunkOverhead,
}

impl Refusal {
    /// The status of the response.
    pub const fn status(self) -> Status {
        self.texts().0
    }

    /// A fixed name that can label a metric or a log record.
    pub const fn name(self) -> &'static str {
        self.texts().1
    }

    /// What the client may read: one clause, lower case, no full stop.
    pub const fn message(self) -> &'static str {
        self.texts().2
    }

    #[rustfmt::skip] // One line for each, so that it reads as the table it is.
    const fn texts(self) -> (Status, &'static str, &'static str) {
        match self {
            Refusal::HeadMalformed => (Status::BAD_REQUEST, "head_malformed", "the request head is malformed"),
            Refusal::TargetTooLong => (Status::URI_TOO_LONG, "target_too_long", "the request target is too long"),
            Refusal::HeadTooLarge => (Status::HEADER_FIELDS_TOO_LARGE, "head_too_large", "the request head is too large"),
            Refusal::HeadersTooMany => (Status::HEADER_FIELDS_TOO_LARGE, "headers_too_many", "the request has too many header fields"),
            Refusal::VersionUnsupported => (Status::HTTP_VERSION_NOT_SUPPORTED, "version_unsupported", "only HTTP/1.1 and HTTP/1.0 are supported"),
            Refusal::MethodConnect => (Status::NOT_IMPLEMENTED, "method_connect", "CONNECT is not supported"),
            Refusal::TargetInvalid => (Status::BAD_REQUEST, "target_invalid", "the request target is not valid"),
            Refusal::HostMissing => (Status::BAD_REQUEST, "host_missing", "the Host field is missing"),
            Refusal::HostInvalid => (Status::BAD_REQUEST, "host_invalid", "the Host field is not valid"),
            Refusal::HeaderRepeated => (Status::BAD_REQUEST, "header_repeated", "a header field that may appear once is repeated"),
            Refusal::HeaderNotText => (Status::BAD_REQUEST, "header_not_text", "a header field is not valid UTF-8"),
            Refusal::ContentLengthInvalid => (Status::BAD_REQUEST, "content_length_invalid", "Content-Length is not a number"),
            Refusal::ContentLengthConflict => (Status::BAD_REQUEST, "content_length_conflict", "Content-Length is given twice with different values"),
            Refusal::LengthConflict => (Status::BAD_REQUEST, "length_conflict", "Content-Length and Transfer-Encoding exclude each other"),
            Refusal::TransferEncodingInvalid => (Status::BAD_REQUEST, "transfer_encoding_invalid", "Transfer-Encoding is not valid"),
            Refusal::TransferEncodingUnknown => (Status::NOT_IMPLEMENTED, "transfer_encoding_unknown", "the only supported transfer coding is chunked"),
            Refusal::LengthRequired => (Status::LENGTH_REQUIRED, "length_required", "a request of HTTP/1.0 with this method needs Content-Length"),
            Refusal::BodyTooLarge => (Status::CONTENT_TOO_LARGE, "body_too_large", "the request body is too large"),
            Refusal::ExpectationUnknown => (Status::EXPECTATION_FAILED, "expectation_unknown", "the only supported expectation is 100-continue"),
            Refusal::ChunkMalformed => (Status::BAD_REQUEST, "chunk_malformed", "the chunked request body is malformed"),
            Refusal::ChunkOverhead => (Status::CONTENT_TOO_LARGE, "chunk_overhead", "the framing of the chunked request body is too large"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl Error for Refusal {}
