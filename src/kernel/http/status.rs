//! Owns the status codes that the server sends, each with its reason phrase.
//! It must not decide when one is sent.

/// A status code with its reason phrase (RFC 9110, section 15).
///
/// The only values are the constants below, so each has a phrase and lies between 200 and 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    code: u16,
    reason: &'static str,
}

impl Status {
    /// 200: the request succeeded.
    pub const OK: Status = Status::new(200, "OK");
    /// 201: the request made a new resource.
    pub const CREATED: Status = Status::new(201, "Created");
    /// 202: the request was taken and will be acted on later.
    pub const ACCEPTED: Status = Status::new(202, "Accepted");
    /// 204: the request succeeded and there is nothing to say about it.
    pub const NO_CONTENT: Status = Status::new(204, "No Content");
    /// 304: what the client has is still current.
    pub const NOT_MODIFIED: Status = Status::new(304, "Not Modified");
    /// 400: the request is malformed.
    pub const BAD_REQUEST: Status = Status::new(400, "Bad Request");
    /// 401: the client has to say who it is.
    pub const UNAUTHORIZED: Status = Status::new(401, "Unauthorized");
    /// 403: the client may not do this.
    pub const FORBIDDEN: Status = Status::new(403, "Forbidden");
    /// 404: there is no such resource.
    pub const NOT_FOUND: Status = Status::new(404, "Not Found");
    /// 405: the resource has no such method. RFC 9110 wants an `Allow` field with it.
    pub const METHOD_NOT_ALLOWED: Status = Status::new(405, "Method Not Allowed");
    /// 406: the resource has no representation that the client accepts.
    pub const NOT_ACCEPTABLE: Status = Status::new(406, "Not Acceptable");
    /// 408: the request did not arrive in time.
    pub const REQUEST_TIMEOUT: Status = Status::new(408, "Request Timeout");
    /// 409: the request contradicts the resource's present state.
    pub const CONFLICT: Status = Status::new(409, "Conflict");
    /// 410: the resource is gone for good.
    pub const GONE: Status = Status::new(410, "Gone");
    /// 411: the request has to state the length of its body.
    pub const LENGTH_REQUIRED: Status = Status::new(411, "Length Required");
    /// 412: a condition that the request states does not hold.
    pub const PRECONDITION_FAILED: Status = Status::new(412, "Precondition Failed");
    /// 413: the body is larger than the server takes.
    pub const CONTENT_TOO_LARGE: Status = Status::new(413, "Content Too Large");
    /// 414: the request target is longer than the server takes.
    pub const URI_TOO_LONG: Status = Status::new(414, "URI Too Long");
    /// 415: the body's media type is not one the resource takes.
    pub const UNSUPPORTED_MEDIA_TYPE: Status = Status::new(415, "Unsupported Media Type");
    /// 417: the server cannot meet what `Expect` asks for.
    pub const EXPECTATION_FAILED: Status = Status::new(417, "Expectation Failed");
    /// 421: the host that the request names is not this one.
    pub const MISDIRECTED_REQUEST: Status = Status::new(421, "Misdirected Request");
    /// 422: the body is well-formed but what it says is not valid.
    pub const UNPROCESSABLE_CONTENT: Status = Status::new(422, "Unprocessable Content");
    /// 428: the request has to state a condition (RFC 6585, section 3).
    pub const PRECONDITION_REQUIRED: Status = Status::new(428, "Precondition Required");
    /// 429: the client asks too often (RFC 6585, section 4).
    pub const TOO_MANY_REQUESTS: Status = Status::new(429, "Too Many Requests");
    /// 431: the head is larger than the server takes (RFC 6585, section 5).
    pub const HEADER_FIELDS_TOO_LARGE: Status = Status::new(431, "Request Header Fields Too Large");
    /// 500: the server failed.
    pub const INTERNAL_SERVER_ERROR: Status = Status::new(500, "Internal Server Error");
    /// 501: the server does not have what the request needs.
    pub const NOT_IMPLEMENTED: Status = Status::new(501, "Not Implemented");
    /// 503: the server cannot take the request now.
    pub const SERVICE_UNAVAILABLE: Status = Status::new(503, "Service Unavailable");
    /// 504: something that the server asked did not answer in time.
    pub const GATEWAY_TIMEOUT: Status = Status::new(504, "Gateway Timeout");
    /// 505: the request's HTTP version is not one the server speaks.
    pub const HTTP_VERSION_NOT_SUPPORTED: Status = Status::new(505, "HTTP Version Not Supported");

    /// The three-digit code.
    pub const fn code(self) -> u16 {
        self.code
    }

    /// The phrase that follows the code on the status line.
    pub const fn reason(self) -> &'static str {
        self.reason
    }

    /// True when a response of this status ends with its head (RFC 9112, section 6.3, rule 1).
    pub const fn forbids_body(self) -> bool {
        self.code == Status::NO_CONTENT.code || self.code == Status::NOT_MODIFIED.code
    }

    const fn new(code: u16, reason: &'static str) -> Status {
        assert!(code >= 200 && code <= 599, "a final status has three digits");
        Status { code, reason }
    }
}
