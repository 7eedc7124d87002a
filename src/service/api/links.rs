//! Owns the way from one page of a list to the next: `Link: rel="next"` (RFC 8288).
//! It must not know what is on a page.

use crate::http::{Request, Response, query};

/// The list that a request asks for, without where its page begins.
#[derive(Clone, Debug)]
pub struct ListOf(Box<str>);

impl ListOf {
    /// The list of a request.
    pub fn asked(request: &Request) -> ListOf {
        let is_cursor = |piece: &str| query::pairs(piece).flatten().any(|(name, _)| name == "cursor");
        let others = request.query.split('&').filter(|piece| !piece.is_empty() && !is_cursor(piece));
        let mut path = request.path.clone();
        let mut mark = '?';
        for pair in others {
            path.push(mark);
            path.push_str(pair);
            mark = '&';
        }
        path.push(mark);
        ListOf(path.into())
    }

    /// Completes the way to the next page.
    pub fn complete(&self, mut response: Response) -> Response {
        for (name, value) in &mut response.headers {
            if *name == "Link" {
                *value = format!("<{}cursor={value}>; rel=\"next\"", self.0).into();
            }
        }
        response
    }
}

/// A page of a list, which another one follows. What leads there is completed by whoever knows what was asked.
pub(super) fn to_next(response: Response, cursor: Option<&str>) -> Response {
    match cursor {
        Some(cursor) => response.with_header("Link", cursor.to_owned()),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Headers, Method, Status};

    #[test]
    fn the_next_page_is_of_the_same_list() {
        for (query, expected) in [
            ("", "</api/jobs?cursor=7.x>; rel=\"next\""),
            ("limit=5&%63ursor=3", "</api/jobs?limit=5&cursor=7.x>; rel=\"next\""),
            ("limit=5&cursor=3&tag=a%20b", "</api/jobs?limit=5&tag=a%20b&cursor=7.x>; rel=\"next\""),
        ] {
            let request = Request {
                method: Method::Get,
                path: "/api/jobs".to_owned(),
                query: query.to_owned(),
                keep_alive: true,
                http_10: false,
                accepts: Default::default(),
                headers: Headers::default(),
                body: Vec::new(),
            };
            let page = to_next(Response::new(Status::OK, b"{}".to_vec()), Some("7.x"));
            let page = ListOf::asked(&request).complete(page);
            assert_eq!(page.headers[0].1, expected);
        }
    }
}
