//! Owns the description of the API: an OpenAPI 3.1 document, made from the table of routes and the types of bodies.
//! It must not say anything of a route or a type that these do not.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::call::{Call, Read};
use super::errors::{ApiError, PROBLEM_TYPE, Problem};
use super::headers::{AnswerHeader, HeaderForm, RETRY_AFTER, RequestHeader};
use super::matching::Matched;
use super::parameters::{Form, Parameter};
use super::route::{AnswerOf, BodyOf, Route, SchemaOf};
use super::routes::ROUTES;
use super::sessions::COOKIE;
use crate::core::ExecutionId;
use crate::http::{Response, Status};
use crate::job::{CalendarName, ChannelName, JobId, Label, Second};

/// The description.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::OpenApi))
}

/// The text of the description. It takes milliseconds to make, and is always the same: once is enough, before there is
/// anything that could wait for it.
pub fn openapi() -> Box<[u8]> {
    serde_json::to_vec(&document()).expect("a JSON value is JSON").into()
}

/// The description, as a response.
pub fn described(text: &[u8]) -> Response {
    Response::new(Status::OK, text.to_vec())
}

/// Statuses that every route may answer with, whatever it does.
const ANYWHERE: [Status; 11] = [
    Status::BAD_REQUEST,
    Status::UNAUTHORIZED,
    Status::TOO_MANY_REQUESTS,
    Status::FORBIDDEN,
    Status::REQUEST_TIMEOUT,
    Status::CONTENT_TOO_LARGE,
    Status::URI_TOO_LONG,
    Status::EXPECTATION_FAILED,
    Status::MISDIRECTED_REQUEST,
    Status::HEADER_FIELDS_TOO_LARGE,
    Status::SERVICE_UNAVAILABLE,
];

fn document() -> Value {
    let mut described = Described::new();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().filter(|route| route.is_told()) {
        let operation = described.operation(route);
        let path = paths.entry(path_of(route)).or_insert_with(|| json!({}));
        path[route.method.name().to_ascii_lowercase()] = operation;
    }
    let problems: Map<String, Value> = described.problems();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Punctual",
            "version": env!("CARGO_PKG_VERSION"),
            "description": env!("CARGO_PKG_DESCRIPTION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": { "schemas": described.components(), "responses": problems, "securitySchemes": schemes() },
    })
}

/// How somebody says who he is. A server that listens on this machine only and has no token asks nobody.
fn schemes() -> Value {
    json!({
        "token": { "type": "http", "scheme": "bearer", "description": "A token, made by `punctual token create`." },
        "session": { "type": "apiKey", "in": "cookie", "name": COOKIE, "description": "What signing in gives a browser." },
    })
}

/// The path of a route with its text in braces.
fn path_of(route: &Route) -> String {
    let name = route.text_name();
    name.map_or_else(|| route.path.to_owned(), |name| route.path.replace(&format!(":{name}"), &format!("{{{name}}}")))
}

/// What is described so far: types that are answered, and bodies that are taken.
struct Described {
    answered: SchemaGenerator,
    taken: Map<String, Value>,
    /// Statuses of errors that something may answer with.
    failed: Vec<Status>,
}

impl Described {
    fn new() -> Described {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.meta_schema = None;
            settings.definitions_path = "/components/schemas".into();
        });
        let answered = settings.for_serialize().into_generator();
        Described { answered, taken: Map::new(), failed: Vec::new() }
    }

    fn operation(&mut self, route: &Route) -> Value {
        let mut operation = json!({ "operationId": route.operation, "summary": route.about });
        let text = route.text_name().map(|name| path_parameter(name, route.path));
        let query = route.parameters.iter().map(|parameter| query_parameter(parameter));
        let headers = route.headers.iter().map(|header| header_parameter(header));
        let parameters: Vec<Value> = text.into_iter().chain(query).chain(headers).collect();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = &route.body {
            operation["requestBody"] = self.body(body);
        }
        // In 3.1 a requirement may name roles, whatever its scheme is.
        operation["security"] = match route.scope {
            None => json!([]),
            Some(scope) => json!([{ "token": [scope.name()] }, { "session": [scope.name()] }]),
        };
        operation["responses"] = self.responses(route).into();
        operation
    }

    fn body(&mut self, body: &BodyOf) -> Value {
        // What is taken and what is answered differ in what may be left out: each has its own schemas.
        if !self.taken.contains_key(body.name) {
            let mut generator = taken_settings().into_generator();
            let schema = (body.schema)(&mut generator);
            self.taken.insert(body.name.to_owned(), schema.into());
        }
        let examples = body.examples.iter().map(|(name, text)| {
            let value: Value = serde_json::from_str(text).expect("an example is JSON");
            ((*name).to_owned(), json!({ "value": value }))
        });
        let examples: Map<String, Value> = examples.collect();
        let schema = json!({ "$ref": format!("#/components/schemas/{}", body.name) });
        json!({
            "required": !body.is_optional,
            "content": { body.media_type: { "schema": schema, "examples": examples } },
        })
    }

    fn responses(&mut self, route: &Route) -> Map<String, Value> {
        let mut responses = Map::new();
        for answer in route.answers {
            let mut described = self.answer(route, answer);
            match responses.get_mut(&answer.status.code().to_string()) {
                // The same in another form.
                Some(Value::Object(said)) => {
                    said["content"][answer.media_type] = described["content"][answer.media_type].take()
                }
                _ => drop(responses.insert(answer.status.code().to_string(), described)),
            }
        }
        // Whether a length must be stated depends on the method alone.
        let of_method = [Status::LENGTH_REQUIRED].into_iter().filter(|_| route.method.needs_length());
        let of_body = [Status::UNSUPPORTED_MEDIA_TYPE].into_iter().filter(|_| route.body.is_some());
        let of_headers = route.headers.iter().flat_map(|header| header.errors).copied();
        let own = route.errors.iter().copied();
        for status in ANYWHERE.into_iter().chain(of_method).chain(of_body).chain(of_headers).chain(own) {
            let code = status.code().to_string();
            match responses.get_mut(&code) {
                // Beside what it says itself, it may be refused like any other.
                Some(Value::Object(said)) if !said.contains_key("$ref") => {
                    said["content"][PROBLEM_TYPE] = json!({ "schema": self.answered.subschema_for::<Problem>() });
                }
                Some(_) => {}
                None => {
                    responses.insert(code, json!({ "$ref": format!("#/components/responses/{}", name_of(status)) }));
                    if !self.failed.contains(&status) {
                        self.failed.push(status);
                    }
                }
            }
        }
        responses
    }

    fn answer(&mut self, route: &Route, answer: &AnswerOf) -> Value {
        let mut described = json!({ "description": answer.about });
        if let Some(schema) = answer.schema {
            let schema = schema(&mut self.answered);
            described["content"] = json!({ answer.media_type: { "schema": schema } });
        }
        let of_request = route.headers.iter().flat_map(|header| header.answers);
        let headers: Map<String, Value> = answer.headers.iter().chain(of_request).map(|header| field(header)).collect();
        if !headers.is_empty() {
            described["headers"] = headers.into();
        }
        let links: Map<String, Value> = answer.leads.iter().flat_map(links).collect();
        if !links.is_empty() {
            described["links"] = links.into();
        }
        described
    }

    /// Answers that say what is wrong, by name.
    fn problems(&mut self) -> Map<String, Value> {
        let schema: Schema = self.answered.subschema_for::<Problem>();
        let problem = |status: &Status| {
            let mut described =
                json!({ "description": status.reason(), "content": { PROBLEM_TYPE: { "schema": schema } } });
            if ApiError::may_be_tried_again(*status) {
                described["headers"] = Map::from_iter([field(&RETRY_AFTER)]).into();
            }
            (name_of(*status), described)
        };
        self.failed.iter().map(problem).collect()
    }

    fn components(mut self) -> Map<String, Value> {
        let mut components = self.answered.take_definitions(true);
        for (name, schema) in self.taken {
            let other = components.insert(name, schema);
            debug_assert!(other.is_none(), "a body that is taken has the name of one that is answered");
        }
        components.values_mut().for_each(forget_widths);
        components
    }
}

/// How wide a number is in memory is no matter of clients: its bounds say what counts.
fn forget_widths(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("format").and_then(Value::as_str).is_some_and(|format| NUMBERS.contains(&format)) {
                members.remove("format");
            }
            members.values_mut().for_each(forget_widths);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_widths),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What types of Rust are called as formats.
const NUMBERS: [&str; 5] = ["uint", "uint16", "uint32", "uint64", "double"];

fn name_of(status: Status) -> String {
    status.reason().replace(' ', "")
}

/// A field of an answer, by its name.
fn field(header: &AnswerHeader) -> (String, Value) {
    let schema = match header.form {
        HeaderForm::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        HeaderForm::Reference => json!({ "type": "string", "format": "uri-reference" }),
        HeaderForm::Number => json!({ "type": "integer", "minimum": 0 }),
    };
    let described = json!({ "description": header.about, "required": header.is_always, "schema": schema });
    (header.name.to_owned(), described)
}

/// What can be asked of what an answer names: every operation at a path and below it.
fn links((path, pointer): &(&str, &str)) -> Vec<(String, Value)> {
    let below =
        |route: &&Route| route.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let link = |route: &Route| {
        let name = route.text_name().expect("what is led to has a text");
        let parameters = json!({ name: format!("$response.body#{pointer}") });
        (route.operation.to_owned(), json!({ "operationId": route.operation, "parameters": parameters }))
    };
    ROUTES.iter().filter(below).map(link).collect()
}

fn taken_settings() -> SchemaSettings {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    settings.for_deserialize()
}

fn query_parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.form {
        Form::Number { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Form::Name(names) => json!({ "type": "string", "enum": names }),
        Form::Flag => json!({ "type": "boolean", "default": false }),
        Form::Names(names) => json!({ "type": "array", "items": { "type": "string", "enum": names } }),
        Form::Cursor(format, pattern) => json!({ "type": "string", "format": format, "pattern": pattern }),
        Form::Time => schema_of::<Second>(),
        Form::Text { len_max } => json!({ "type": "string", "minLength": 1, "maxLength": len_max }),
        Form::JobId => schema_of::<JobId>(),
        Form::JobIds { count_max } => {
            json!({ "type": "array", "items": schema_of::<JobId>(), "minItems": 1, "maxItems": count_max })
        }
        Form::TokenId => token_id(),
    };
    let mut described = json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.is_required,
        "description": parameter.about,
        "schema": schema,
    });
    if let Form::Names(_) | Form::JobIds { .. } = parameter.form {
        // One parameter with commas, not one for each.
        described["explode"] = false.into();
    }
    described
}

fn header_parameter(header: &RequestHeader) -> Value {
    let schema = json!({ "type": "string", "format": header.format, "pattern": (header.pattern)() });
    json!({ "name": header.name, "in": "header", "required": false, "description": header.about, "schema": schema })
}

/// What may stand in a path. What is named by whoever makes it has a name there; all other texts are ids.
fn path_parameter(name: &str, path: &str) -> Value {
    let schema = match name {
        "id" if path.starts_with("/api/executions/") => schema_of::<ExecutionId>(),
        "id" if path.starts_with("/api/tokens/") => token_id(),
        "id" if ["/api/incidents/", "/api/silences/"].iter().any(|start| path.starts_with(start)) => {
            json!({ "type": "string", "pattern": "^[1-9][0-9]{0,17}$" })
        }
        "id" => schema_of::<JobId>(),
        "tag" => schema_of::<Label>(),
        _ if path.starts_with("/api/channels/") => schema_of::<ChannelName>(),
        _ => schema_of::<CalendarName>(),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn token_id() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{12}$" })
}

fn schema_of<T: JsonSchema>() -> Value {
    let schema: SchemaOf = T::json_schema;
    schema(&mut taken_settings().into_generator()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Context, Definition, JobSpec};
    use crate::time::Instant;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        for route in ROUTES.iter().filter(|route| route.is_told()) {
            let operation = &document["paths"][path_of(route)][route.method.name().to_ascii_lowercase()];
            assert_eq!(operation["operationId"], route.operation, "{}", route.path);
            assert!(!route.answers.is_empty(), "{} says nothing when all is well", route.path);
        }
        let text = document.to_string();
        for (place, _) in text.match_indices("\"$ref\":\"#") {
            let pointer = &text[place + "\"$ref\":\"#".len()..];
            let pointer = &pointer[..pointer.find('"').expect("a text ends")];
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    /// A job with one member more; of nested ones the path.
    fn is_job(path: &[&str], value: &Value) -> bool {
        let mut job = json!({ "schedule": "@daily", "api": "http://a/", "type": "ATLEAST_ONCE" });
        match path {
            ["runAfterMs"] => job = json!({ "api": "http://a/", "type": "ATLEAST_ONCE", "runAfterMs": value }),
            ["concurrencyKey", member] => job["concurrencyKey"] = json!({ "name": "a", *member: value }),
            [object, member] => job[*object] = json!({ *member: value }),
            _ => job[path[0]] = value.clone(),
        }
        let definition = serde_json::from_value::<Definition>(job);
        let context = Context { seed: Some(1), ..Context::at(Instant::from_secs(0)) };
        definition.is_ok_and(|definition| JobSpec::compile(&definition, &context).is_ok())
    }

    #[test]
    fn the_bounds_of_numbers_are_those_that_are_checked() {
        let document = document();
        let mut found = 0;
        let mut check = |path: &[&str], member: &Value| {
            let Some(most) = member["maximum"].as_f64() else { return };
            let least = member["minimum"].as_f64().expect("what has an end has a beginning");
            assert!(is_job(path, &json!(least)) && is_job(path, &json!(most)), "{path:?}: {least} to {most}");
            assert!(
                !is_job(path, &json!(least - 1.0)) && !is_job(path, &json!(most + 1.0)),
                "{path:?}: {least} to {most}"
            );
            found += 1;
        };
        for (name, member) in
            document["components"]["schemas"]["JobDefinition"]["properties"].as_object().expect("it has some")
        {
            check(&[name], member);
            let object = member["anyOf"].as_array().map_or(member, |any| &any[0]);
            for (inner, member) in object["properties"].as_object().into_iter().flatten() {
                check(&[name, inner], member);
            }
        }
        assert_eq!(found, 16);
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut names: Vec<&str> = ROUTES.iter().map(|route| route.operation).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}
