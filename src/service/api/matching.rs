//! Owns how a request finds its line in the table of routes, and what is answered where there is none.
//! It must not name a route: whatever it says of one comes from the table.

use std::borrow::Cow;

use super::call::Call;
use super::errors::ApiError;
use super::headers::{self, IDEMPOTENCY_KEY, IF_MATCH, LAST_EVENT_ID};
use super::parameters::Parameters;
use super::route::Route;
use super::routes::ROUTES;
use crate::access::Who;
use crate::core::ExecutionId;
use crate::http::{Method, Request, Response, Status, query};
use crate::job::{Context, JobId};
use crate::limits::BODY_LEN_MAX;

/// The methods that a route can have, in the order in which `Allow` names them.
const METHODS: [Method; 6] = [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete];

/// A request whose route is found.
#[derive(Debug)]
pub(super) struct Matched<'a> {
    pub(super) request: &'a Request,
    pub(super) context: &'a Context<'a>,
    route: &'static Route,
    text: &'a str,
    who: Who,
}

impl Matched<'_> {
    /// The query parameters. Read on every route, as one on a write is a mistake that must not go unnoticed.
    pub(super) fn parameters(&self) -> Result<Parameters, ApiError> {
        Parameters::read(&self.request.query, self.route.parameters)
    }

    /// Who asks.
    pub(super) fn who(&self) -> Who {
        self.who
    }

    /// The text in the path.
    pub(super) fn text(&self) -> &str {
        self.text
    }

    /// The last event that the client has, as it says.
    pub(super) fn last_event_id(&self) -> Option<&str> {
        debug_assert!(
            self.route.heeds_header(&LAST_EVENT_ID),
            "a route reads Last-Event-ID, which it does not declare"
        );
        headers::last_event_id(self.request)
    }

    /// The revisions of which a job must be one, as `If-Match` says; None: any.
    pub(super) fn expected(&self) -> Result<Option<Box<[u32]>>, ApiError> {
        debug_assert!(self.route.heeds_header(&IF_MATCH), "a route reads If-Match, which it does not declare");
        headers::if_match(self.request)
    }

    /// The execution that the path names. A malformed id names none.
    pub(super) fn execution_id(&self) -> Result<ExecutionId, ApiError> {
        self.text.parse().map_err(|_| ApiError::no_such_execution())
    }

    /// The job that the path names. A malformed id names no job.
    pub(super) fn job_id(&self) -> Result<JobId, ApiError> {
        self.text.parse().map_err(|_| ApiError::no_such_job())
    }
}

/// What a request asks for.
#[derive(Debug)]
pub struct Routed<'a> {
    /// The call.
    pub call: Call,
    /// The key under which its answer is to be kept, if it changes something and has one.
    pub key: Option<&'a str>,
    /// What it is called.
    pub operation: &'static str,
    /// The text in its path, decoded.
    pub subject: Cow<'a, str>,
}

/// Finds the call of a request, if whoever asks may do that. A job or a schedule in it is read with `context`.
///
/// # Errors
/// The answer to a request that asks for nothing this API has.
pub fn route<'a>(request: &'a Request, context: &Context<'_>, who: Who) -> Result<Routed<'a>, ApiError> {
    if let Some((route, text)) = find(request.method, &request.path) {
        if let Some(needed) = route.scope.filter(|scope| !who.may(Some(*scope))) {
            return Err(ApiError::not_allowed(who, needed));
        }
        let key = if route.heeds_header(&IDEMPOTENCY_KEY) { headers::idempotency_key(request)? } else { None };
        let (call, key) = match (route.call)(&Matched { request, context, route, text, who }) {
            Ok(call) if call.changes() => (call, key),
            Ok(call) => (call, None),
            // It may have been right when it came first, as times pass and calendars go: what was answered then counts. Of lines,
            // which may be many, no time is read here.
            Err(error) if key.is_some() && request.body.len() <= BODY_LEN_MAX => (Call::Ready(error.response()), key),
            Err(error) => return Err(error),
        };
        return Ok(Routed {
            call,
            key,
            operation: route.operation,
            subject: query::segment(text).unwrap_or(Cow::Borrowed(text)),
        });
    }
    let asks_for_methods = request.method == Method::Options;
    let allow = match find_path(&request.path) {
        Some((path, _)) => allow(|route| route.path == path),
        // `OPTIONS *` asks about the server as a whole.
        None if asks_for_methods && request.path == "*" => allow_all(),
        None => return Err(ApiError::new(Status::NOT_FOUND, "Not found; GET /api/info lists the endpoints")),
    };
    if asks_for_methods {
        let response = Response::new(Status::NO_CONTENT, Vec::new()).with_header("Allow", allow);
        return Ok(Routed { call: Call::Ready(response), key: None, operation: "options", subject: Cow::Borrowed("") });
    }
    Err(ApiError::method_not_allowed(allow))
}

/// Whether there is something at this path, whatever the method.
pub fn knows(path: &str) -> bool {
    find_path(path).is_some()
}

/// How many bytes the body of such a request may have. One that no route takes is read all the same, and not looked at.
pub fn body_limit(method: Method, path: &str) -> usize {
    find(method, path).and_then(|(route, _)| route.body.map(|body| body.len_max)).unwrap_or(BODY_LEN_MAX)
}

/// The methods of all routes, as `Allow` names them.
pub(super) fn allow_all() -> String {
    allow(|_| true)
}

/// The endpoints as `/api/info` lists them.
pub(super) fn endpoints() -> impl Iterator<Item = String> {
    let listed = ROUTES.iter().filter(|route| route.is_told());
    listed.map(|route| format!("{} {}", route.method.name(), route.path))
}

/// The route of a request, and the text in its path.
fn find(method: Method, path: &str) -> Option<(&'static Route, &str)> {
    let method = as_routed(method);
    let (path, text) = find_path(path)?;
    ROUTES.iter().find(|route| route.method == method && route.path == path).map(|route| (route, text))
}

/// What a request's path is in the table, and the text in it. The first counts, so that a name may stand before `:id`.
fn find_path(path: &str) -> Option<(&'static str, &str)> {
    ROUTES.iter().find_map(|route| Some((route.path, route.matches(path)?)))
}

/// HEAD is GET without the body, on every route.
fn as_routed(method: Method) -> Method {
    if method == Method::Head { Method::Get } else { method }
}

/// The methods of some routes. OPTIONS is answered everywhere.
fn allow(is_meant: impl Fn(&Route) -> bool) -> String {
    let has = |method| ROUTES.iter().any(|route| route.method == as_routed(method) && is_meant(route));
    let methods = METHODS.into_iter().filter(|&method| has(method)).chain([Method::Options]);
    methods.map(Method::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::route::BodyOf;
    use super::*;
    use crate::access::Scope;
    use crate::http::Headers;
    use crate::job::JobKey;
    use crate::time::Instant;

    const ALL: [Method; 8] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
        Method::Other,
    ];

    fn ask(method: Method, path: &str) -> Result<Call, ApiError> {
        let path = path.to_owned();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let request = Request {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            keep_alive: true,
            http_10: false,
            accepts: Default::default(),
            headers: Headers::default(),
            body: Vec::new(),
        };
        let anybody = Who::without_token(Some(Scope::Admin));
        route(&request, &Context::at(Instant::FIRST), anybody).map(|routed| routed.call)
    }

    /// The status, and `Allow`.
    fn answer(method: Method, path: &str) -> (u16, String) {
        let response = match ask(method, path) {
            Err(error) => error.response(),
            Ok(Call::Ready(response)) => response,
            Ok(
                Call::Create(_)
                | Call::Batch { .. }
                | Call::Change(_)
                | Call::PutChannel(..)
                | Call::TestChannel(_)
                | Call::DrainNode(_)
                | Call::Jobs(_)
                | Call::Targets(_)
                | Call::Timeline
                | Call::Search(..)
                | Call::Try(_)
                | Call::Read(_)
                | Call::Replay(..)
                | Call::ReplayAll { .. }
                | Call::Patch(_)
                | Call::Query(_)
                | Call::Preview(_)
                | Call::Stream(_)
                | Call::Token(_),
            ) => {
                return (200, String::new());
            }
        };
        let allow = response.headers.iter().find(|(name, _)| *name == "Allow");
        (response.status.code(), allow.map(|(_, value)| value.to_string()).unwrap_or_default())
    }

    fn with_id(path: &str) -> String {
        let execution = if path.starts_with("/api/executions") { "-0" } else { "" };
        let id = format!("{}{execution}", JobId::new(JobKey(1), [0; 10]));
        let query = match path {
            _ if path.ends_with("/why") => "?at=2026-01-01T00:00:00Z".to_owned(),
            "/api/strips" => format!("?jobId={id}"),
            _ => String::new(),
        };
        format!(
            "{}{query}",
            path.replace("/api/tokens/:id", "/api/tokens/0123456789ab")
                .replace("/api/incidents/:id", "/api/incidents/1764421200123456")
                .replace("/api/silences/:id", "/api/silences/1764421200123456")
                .replace(":tag", "a%20b")
                .replace(":id", &id)
                .replace(":name", "holidays")
        )
    }

    #[test]
    fn every_route_answers_its_methods_and_names_them_to_others() {
        for route in ROUTES {
            let path = with_id(route.path);
            let same_path = || ROUTES.iter().filter(|other| other.path == route.path);
            let (status, allow) = answer(Method::Options, &path);
            assert_eq!(status, 204, "{path}");
            let mut named: Vec<&str> = allow.split(", ").collect();
            assert_eq!(named.pop(), Some("OPTIONS"), "{path}");
            for method in ALL.into_iter().filter(|&method| method != Method::Options) {
                let found = same_path().find(|other| other.method == as_routed(method));
                assert_eq!(named.contains(&method.name()), found.is_some(), "{path}: {allow}");
                // A body that is taken is missing here.
                let expected = match found {
                    Some(Route { body: None | Some(BodyOf { is_optional: true, .. }), .. }) => (200, String::new()),
                    Some(_) => (400, String::new()),
                    None => (405, allow.clone()),
                };
                assert_eq!(answer(method, &path), expected, "{} {path}", method.name());
            }
            assert_eq!(named.len(), same_path().count() + usize::from(named.contains(&"HEAD")), "{path}: {allow}");
        }
        assert_eq!(answer(Method::Options, "*"), (204, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned()));
        assert_eq!(answer(Method::Options, "/api/jobs").1, "GET, HEAD, POST, OPTIONS");
        assert_eq!(answer(Method::Options, &with_id("/api/jobs/:id")).1, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
    }

    #[test]
    fn every_route_refuses_a_parameter_it_does_not_know() {
        for route in ROUTES {
            let path = with_id(route.path);
            let path = path.split('?').next().expect("a path");
            let error = ask(route.method, &format!("{path}?x=1")).expect_err(route.path);
            let names: Vec<&str> = route.parameters.iter().map(|parameter| parameter.name).collect();
            let expected = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let message = format!("x: unknown parameter; expected: {expected}");
            assert_eq!((error.status.code(), error.message), (400, message), "{} {}", route.method.name(), route.path);
        }
    }

    /// The README's table of requests: method and path, and the names of query parameters.
    #[test]
    fn the_readme_has_every_route_with_its_parameters_and_no_other() {
        let readme: &'static str = include_str!("../../../README.md");
        let row = |line: &'static str| {
            let request = line.strip_prefix("| `")?.split('`').next()?;
            let (method, path) = request.split_once(' ')?;
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let mut names: Vec<&str> = query.split('&').filter_map(|pair| pair.strip_suffix('=')).collect();
            names.sort_unstable();
            Some((format!("{method} {path}"), names))
        };
        let table =
            readme.lines().skip_while(|line| !line.starts_with("| request |")).take_while(|line| !line.is_empty());
        let mut told: Vec<_> = table.filter_map(row).collect();
        let routes = ROUTES.iter().filter(|route| route.is_told());
        let mut known: Vec<_> = routes
            .map(|route| {
                let mut names: Vec<&str> = route.parameters.iter().map(|parameter| parameter.name).collect();
                names.sort_unstable();
                (format!("{} {}", route.method.name(), route.path), names)
            })
            .collect();
        told.sort_unstable();
        known.sort_unstable();
        assert_eq!(told, known);
    }

    #[test]
    fn every_change_by_post_may_have_a_key() {
        for route in ROUTES.iter().filter(|route| route.heeds_header(&IDEMPOTENCY_KEY)) {
            assert_eq!(route.method, Method::Post, "{}", route.path);
        }
        let posts = ROUTES.iter().filter(|route| route.method == Method::Post);
        let without: Vec<&str> =
            posts.filter(|route| !route.heeds_header(&IDEMPOTENCY_KEY)).map(|route| route.path).collect();
        // These leave nothing behind, answer with a secret, which is not kept, or do nothing if they are asked again.
        let plain = ["/api/schedules/preview", "/api/try", "/api/channels/:name/test", "/api/tokens", "/api/session"];
        assert_eq!(without, [&plain[..], &["/api/nodes/:name/drain"]].concat());
    }

    #[test]
    fn the_routes_are_listed_once_each_and_without_the_root() {
        let mut listed: Vec<String> = endpoints().collect();
        let api = ROUTES.iter().filter(|route| route.is_told()).count();
        assert_eq!(listed.len(), api);
        assert_eq!(listed.first().map(String::as_str), Some("POST /api/jobs"));
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), api);
    }

    #[test]
    fn other_paths_and_malformed_ids_are_404() {
        for path in
            ["/x", "/api", "/api/", "/api/jobs/", "/api/jobs/abc", "/api/jobs/1/executions", "/api/info/", "//", "*"]
        {
            assert_eq!(answer(Method::Get, path).0, 404, "{path}");
        }
        assert_eq!(ask(Method::Get, "/api/jobs/abc").expect_err("malformed").message, "Job not found");
    }

    #[test]
    fn a_body_may_be_as_long_as_its_route_says() {
        for route in ROUTES {
            let expected = route.body.map_or(BODY_LEN_MAX, |body| body.len_max);
            assert_eq!(
                body_limit(route.method, with_id(route.path).split('?').next().expect("a path")),
                expected,
                "{}",
                route.path
            );
        }
        assert_eq!(body_limit(Method::Post, "/nowhere"), BODY_LEN_MAX);
        assert_eq!(body_limit(Method::Patch, "/api/jobs"), BODY_LEN_MAX);
    }
}
