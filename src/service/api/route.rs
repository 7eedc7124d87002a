//! Owns what a route is: the method and path it answers to, and what it takes and gives, as the description has it.
//! It must not know any one route: the table has them.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::call::Call;
use super::errors::ApiError;
use super::examples::Examples;
use super::export::LINES;
use super::headers::{AnswerHeader, RequestHeader};
use super::matching::Matched;
use super::parameters::Parameter;
use super::stream::EVENT_STREAM;
use crate::access::Scope;
use crate::http::{Method, Status};

/// One line of the table.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// A segment such as `:id` stands for any text.
    pub(super) path: &'static str,
    /// Where it begins and ends, if it is there. Known beforehand, as every request is held against the table.
    text_at: Option<(usize, usize)>,
    /// What a generated client calls it.
    pub(super) operation: &'static str,
    /// What it needs; None: nothing.
    pub(super) scope: Option<Scope>,
    /// What it does.
    pub(super) about: &'static str,
    /// The query parameters it knows; any other is refused by name.
    pub(super) parameters: &'static [&'static Parameter],
    /// The header fields of a request that mean something to it.
    pub(super) headers: &'static [&'static RequestHeader],
    /// What its body is, if it takes one.
    pub(super) body: Option<BodyOf>,
    /// What it answers when all is well; of the same status in several media types. One that says nothing here is told of
    /// nowhere.
    pub(super) answers: &'static [AnswerOf],
    /// Statuses of errors beside those that every route may have.
    pub(super) errors: &'static [Status],
    pub(super) call: fn(&Matched<'_>) -> Result<Call, ApiError>,
}

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a body is.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyOf {
    /// What it must be.
    pub(super) schema: SchemaOf,
    /// The name of that in the description.
    pub(super) name: &'static str,
    /// Its media type.
    pub(super) media_type: &'static str,
    /// How many bytes it may have.
    pub(super) len_max: usize,
    /// Whether it may be left out.
    pub(super) is_optional: bool,
    /// Some that it may be, by name.
    pub(super) examples: Examples,
}

/// An answer when all is well.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerOf {
    pub(super) status: Status,
    pub(super) about: &'static str,
    /// What its body is, if it has one.
    pub(super) schema: Option<SchemaOf>,
    /// The media type of the body.
    pub(super) media_type: &'static str,
    /// Its header fields.
    pub(super) headers: &'static [&'static AnswerHeader],
    /// What can be asked next: paths of the table, each with the pointer to what in the answer stands for its text.
    pub(super) leads: &'static [(&'static str, &'static str)],
}

pub(super) const JSON: &str = "application/json";

impl AnswerOf {
    /// An answer that is a `T`.
    pub(super) const fn json<T: JsonSchema>(status: Status, about: &'static str) -> AnswerOf {
        let schema: SchemaOf = SchemaGenerator::subschema_for::<T>;
        AnswerOf { status, about, schema: Some(schema), media_type: JSON, headers: &[], leads: &[] }
    }

    /// 200 with events, of which each carries a `T`.
    pub(super) const fn events<T: JsonSchema>(about: &'static str) -> AnswerOf {
        AnswerOf { media_type: EVENT_STREAM, ..AnswerOf::ok::<T>(about) }
    }

    /// 200 with a text of this type.
    pub(super) const fn text(media_type: &'static str, about: &'static str) -> AnswerOf {
        AnswerOf { media_type, ..AnswerOf::ok::<String>(about) }
    }

    /// 200 with a `T`.
    pub(super) const fn ok<T: JsonSchema>(about: &'static str) -> AnswerOf {
        AnswerOf::json::<T>(Status::OK, about)
    }

    /// 204.
    pub(super) const fn empty(about: &'static str) -> AnswerOf {
        AnswerOf { status: Status::NO_CONTENT, about, schema: None, media_type: JSON, headers: &[], leads: &[] }
    }

    /// It has these header fields.
    pub(super) const fn with(mut self, headers: &'static [&'static AnswerHeader]) -> AnswerOf {
        self.headers = headers;
        self
    }

    /// It leads to these paths and those below them.
    pub(super) const fn leading(mut self, leads: &'static [(&'static str, &'static str)]) -> AnswerOf {
        self.leads = leads;
        self
    }
}

impl Route {
    pub(super) const fn new(
        method: Method,
        path: &'static str,
        operation: &'static str,
        about: &'static str,
        call: fn(&Matched<'_>) -> Result<Call, ApiError>,
    ) -> Route {
        let text_at = text_at(path.as_bytes());
        let scope = if matches!(method, Method::Get) { Scope::Read } else { Scope::Write };
        Route {
            method,
            scope: Some(scope),
            path,
            text_at,
            operation,
            about,
            parameters: &[],
            headers: &[],
            body: None,
            answers: &[],
            errors: &[],
            call,
        }
    }

    /// It needs another scope than reading for GET and writing for all else. None: nothing.
    pub(super) const fn needs(mut self, scope: Option<Scope>) -> Route {
        self.scope = scope;
        self
    }

    /// It knows these query parameters.
    pub(super) const fn with(mut self, parameters: &'static [&'static Parameter]) -> Route {
        self.parameters = parameters;
        self
    }

    /// It heeds these header fields.
    pub(super) const fn heeds(mut self, headers: &'static [&'static RequestHeader]) -> Route {
        self.headers = headers;
        self
    }

    /// Its body may be one of these.
    pub(super) const fn such_as(mut self, examples: Examples) -> Route {
        let Some(body) = &mut self.body else { panic!("there is a body") };
        body.examples = examples;
        self
    }

    /// Its body is a `T`, of so many bytes at most.
    pub(super) const fn takes<T: JsonSchema>(mut self, name: &'static str, len_max: usize) -> Route {
        let schema: SchemaOf = SchemaGenerator::subschema_for::<T>;
        self.body = Some(BodyOf { schema, name, media_type: JSON, len_max, is_optional: false, examples: &[] });
        self
    }

    /// Its body is a `T` a line, of so many bytes at most.
    pub(super) const fn takes_lines<T: JsonSchema>(mut self, name: &'static str, len_max: usize) -> Route {
        let schema: SchemaOf = SchemaGenerator::subschema_for::<T>;
        let (media_type, is_optional, examples) = (LINES, false, &[] as Examples);
        self.body = Some(BodyOf { schema, name, media_type, len_max, is_optional, examples });
        self
    }

    /// Its body is a `T`, or there is none.
    pub(super) const fn may_take<T: JsonSchema>(mut self, name: &'static str, len_max: usize) -> Route {
        let schema: SchemaOf = SchemaGenerator::subschema_for::<T>;
        self.body = Some(BodyOf { schema, name, media_type: JSON, len_max, is_optional: true, examples: &[] });
        self
    }

    /// It answers so when all is well.
    pub(super) const fn gives(mut self, answers: &'static [AnswerOf]) -> Route {
        self.answers = answers;
        self
    }

    /// It may also answer with these errors.
    pub(super) const fn or(mut self, errors: &'static [Status]) -> Route {
        self.errors = errors;
        self
    }

    /// Whether a header field means something to it.
    pub(super) fn heeds_header(&self, header: &RequestHeader) -> bool {
        self.headers.iter().any(|heeded| heeded.name == header.name)
    }

    /// Whether it is told of to whoever builds on the API. Others are for people who open them, and for probes.
    pub(super) const fn is_told(&self) -> bool {
        !self.answers.is_empty()
    }

    /// If a request's path is this one: the text in it, or an empty one if it has none.
    pub(super) fn matches<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((from, to)) = self.text_at else { return (path == self.path).then_some("") };
        let rest = path.strip_prefix(&self.path[..from])?;
        let (text, behind) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        (*behind == self.path[to..]).then_some(text)
    }

    /// The name of the text in its path, if it has one.
    pub(super) fn text_name(&self) -> Option<&'static str> {
        self.text_at.map(|(from, to)| &self.path[from + 1..to])
    }
}

const fn text_at(path: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut found) = (0, None);
    while at < path.len() {
        if path[at] == b':' {
            assert!(found.is_none(), "a path has one text at most");
            let from = at;
            while at < path.len() && path[at] != b'/' {
                at += 1;
            }
            found = Some((from, at));
        }
        at += 1;
    }
    found
}
