//! Owns the table of URLs: which method and path is which call.
//! It must not carry a call out.

use super::body;
use super::errors::ApiError;
use super::query::Parameters;
use crate::core::Action;
use crate::http::{Method, Request, Response, Status};
use crate::job::{JobId, JobKey, JobSpec};
use crate::store::Query;
use crate::time::WallUs;

/// How many executions of one job a page holds unless asked otherwise.
const JOB_EXECUTIONS_DEFAULT: u32 = 5;
/// How many items any other page holds unless asked otherwise.
const PAGE_DEFAULT: u32 = 100;

/// What a request asks for.
#[derive(Debug)]
pub enum Call {
    /// A new job, for the core; its id takes randomness, which is not drawn here.
    Create(JobSpec),
    /// A change of a job, for the core.
    Change(Action),
    /// Something the loop has in memory.
    Read(Read),
    /// Something a reader thread has to look up.
    Query(Query),
    /// Known without asking anybody.
    Ready(Response),
}

/// What the loop has in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// One job.
    Job(JobId),
    /// A page of jobs in order of creation.
    Jobs {
        /// The last job of the page before.
        after: Option<JobKey>,
        /// Items on the page.
        limit: usize,
    },
    /// Metrics, with the next jobs to fire.
    Metrics {
        /// How many jobs.
        limit: usize,
    },
    /// Whether all is well.
    Health,
    /// Who is there.
    Info,
}

/// The result of routing: a call, or the error to answer.
pub type Route = Result<Call, ApiError>;

/// The endpoints, as `/api/info` lists them.
pub(in crate::api) const ENDPOINTS: &[&str] = &[
    "POST /api/jobs",
    "GET /api/jobs",
    "GET /api/jobs/:id",
    "PUT /api/jobs/:id",
    "DELETE /api/jobs/:id",
    "GET /api/jobs/:id/executions",
    "GET /api/executions",
    "GET /api/metrics",
    "GET /api/alerts",
    "GET /api/health",
    "GET /api/info",
];

/// Finds the call of a request.
///
/// # Errors
/// The answer to a request that asks for nothing this API has.
pub fn route(request: &Request, now: WallUs) -> Route {
    // A query on a write is a mistake that must not go unnoticed.
    let none = || Parameters::read(&request.query, &[]);
    let segments: Vec<&str> = request.path.split('/').skip(1).collect();
    let method = match request.method {
        Method::Head => Method::Get,
        other => other,
    };
    match (segments.as_slice(), method) {
        (["api", "jobs"], Method::Get) => {
            let parameters = Parameters::read(&request.query, &["limit", "cursor"])?;
            let after = parameters.number_cursor()?.map(JobKey);
            Ok(Call::Read(Read::Jobs { after, limit: parameters.limit(PAGE_DEFAULT)? }))
        }
        (["api", "jobs"], Method::Post) => {
            none()?;
            body::job(request, now).map(|(spec, _)| Call::Create(spec))
        }
        (["api", "jobs"], other) => wrong_method(other, "GET, HEAD, POST, OPTIONS"),
        (["api", "jobs", id], Method::Get) => {
            none()?;
            Ok(Call::Read(Read::Job(job_id(id)?)))
        }
        (["api", "jobs", id], Method::Put) => {
            none()?;
            let (id, (spec, says_active)) = (job_id(id)?, body::job(request, now)?);
            Ok(Call::Change(Action::Update { id, spec, keep_active: !says_active }))
        }
        (["api", "jobs", id], Method::Delete) => {
            none()?;
            Ok(Call::Change(Action::Delete { id: job_id(id)? }))
        }
        (["api", "jobs", _], other) => wrong_method(other, "GET, HEAD, PUT, DELETE, OPTIONS"),
        (["api", "jobs", id, "executions"], Method::Get) => {
            let job = job_id(id)?;
            let parameters = Parameters::read(&request.query, &["limit", "cursor"])?;
            let limit = parameters.limit(JOB_EXECUTIONS_DEFAULT)?;
            Ok(Call::Query(Query::OfJob { job, limit, before: parameters.execution_cursor()?, now }))
        }
        (["api", "executions"], Method::Get) => {
            let parameters = Parameters::read(&request.query, &["limit", "cursor", "status"])?;
            let limit = parameters.limit(PAGE_DEFAULT)?;
            let (before, status) = (parameters.execution_cursor()?, parameters.status()?);
            Ok(Call::Query(Query::OfAll { limit, before, status, now }))
        }
        (["api", "alerts"], Method::Get) => {
            let parameters = Parameters::read(&request.query, &["limit", "cursor"])?;
            let limit = parameters.limit(PAGE_DEFAULT)?;
            Ok(Call::Query(Query::Alerts { limit, before: parameters.number_cursor()? }))
        }
        (["api", "metrics"], Method::Get) => {
            let parameters = Parameters::read(&request.query, &["limit"])?;
            Ok(Call::Read(Read::Metrics { limit: parameters.limit(PAGE_DEFAULT)? }))
        }
        (["api", "health"], Method::Get) => none().map(|_| Call::Read(Read::Health)),
        (["api", "info"] | [""], Method::Get) => none().map(|_| Call::Read(Read::Info)),
        (
            ["api", "jobs", _, "executions"] | ["api", "executions" | "alerts" | "metrics" | "health" | "info"] | [""],
            other,
        ) => wrong_method(other, "GET, HEAD, OPTIONS"),
        // `OPTIONS *` asks about the server as a whole.
        ([], Method::Options) => wrong_method(Method::Options, "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        _ => Err(ApiError::new(Status::NOT_FOUND, "Not found; GET /api/info lists the endpoints")),
    }
}

/// A method that a path does not have: OPTIONS is answered, any other is refused.
fn wrong_method(method: Method, allow: &'static str) -> Route {
    if method == Method::Options {
        let response = Response::new(Status::NO_CONTENT, Vec::new()).with_header("Allow", allow);
        return Ok(Call::Ready(response));
    }
    Err(ApiError::method_not_allowed(allow))
}

/// A malformed id names no job.
fn job_id(text: &str) -> Result<JobId, ApiError> {
    text.parse().map_err(|_| ApiError::no_such_job())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;

    fn ask(method: Method, path: &str) -> Route {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request = Request {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            keep_alive: true,
            http_10: false,
            headers: Headers::default(),
            body: Vec::new(),
        };
        route(&request, WallUs(0))
    }

    fn status(route: Route) -> u16 {
        match route {
            Err(error) => error.status.code(),
            Ok(Call::Ready(response)) => response.status.code(),
            Ok(Call::Create(_) | Call::Change(_) | Call::Read(_) | Call::Query(_)) => 200,
        }
    }

    #[test]
    fn every_endpoint_that_is_listed_exists_and_knows_its_methods() {
        let id = JobId::new(JobKey(1), [0; 10]).to_string();
        for endpoint in ENDPOINTS {
            let (method, path) = endpoint.split_once(' ').unwrap();
            let path = path.replace(":id", &id);
            let expected = if method == "GET" || method == "DELETE" { 200 } else { 400 };
            let method = match method {
                "GET" => Method::Get,
                "POST" => Method::Post,
                "PUT" => Method::Put,
                "DELETE" => Method::Delete,
                other => panic!("{other} is not tested"),
            };
            assert_eq!(status(ask(method, &path)), expected, "{endpoint}");
            assert_eq!(status(ask(Method::Options, &path)), 204, "{endpoint}");
            assert_eq!(status(ask(Method::Patch, &path)), 405, "{endpoint}");
            assert_eq!(status(ask(method, &format!("{path}?x=1"))), 400, "{endpoint}");
        }
    }

    #[test]
    fn other_paths_and_malformed_ids_are_404() {
        for path in ["/x", "/api", "/api/", "/api/jobs/", "/api/jobs/abc", "/api/jobs/1/executions", "/api/info/", "//"]
        {
            assert_eq!(status(ask(Method::Get, path)), 404, "{path}");
        }
        assert_eq!(ask(Method::Get, "/api/jobs/abc").expect_err("malformed").message, "Job not found");
    }
}
