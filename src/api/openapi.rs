//! Owns the description of the API: an OpenAPI 3.1 document, made from the table of routes and the types of bodies.
//! It must not say anything of a route or a type that these do not.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::call::{Call, Read};
use super::errors::{ApiError, PROBLEM_TYPE, Problem};
use super::json::ok;
use super::parameters::{Form, Parameter};
use super::route::{AnswerOf, Route};
use super::routes::{Matched, ROUTES};
use crate::http::{Response, Status};

/// The description.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::OpenApi))
}

/// The description, as a response. It is made when it is first asked for, which takes some milliseconds, and kept.
pub fn openapi() -> Response {
    static MADE: LazyLock<Response> = LazyLock::new(|| ok(&document()));
    MADE.clone()
}

/// Statuses that every route may answer with, whatever it does.
const ANYWHERE: [Status; 6] = [
    Status::BAD_REQUEST,
    Status::FORBIDDEN,
    Status::REQUEST_TIMEOUT,
    Status::CONTENT_TOO_LARGE,
    Status::MISDIRECTED_REQUEST,
    Status::SERVICE_UNAVAILABLE,
];

/// The same where there is a body.
const WITH_BODY: [Status; 2] = [Status::LENGTH_REQUIRED, Status::UNSUPPORTED_MEDIA_TYPE];

fn document() -> Value {
    let mut described = Described::new();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/")) {
        let operation = described.operation(route);
        let path = paths.entry(path_of(route)).or_insert_with(|| json!({}));
        path[route.method.name().to_ascii_lowercase()] = operation;
    }
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
        "components": { "schemas": described.components() },
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
}

impl Described {
    fn new() -> Described {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.meta_schema = None;
            settings.definitions_path = "/components/schemas".into();
        });
        Described { answered: settings.for_serialize().into_generator(), taken: Map::new() }
    }

    fn operation(&mut self, route: &Route) -> Value {
        let mut operation = json!({ "operationId": route.operation, "summary": route.about });
        let text = route
            .text_name()
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text_schema(name) }));
        let query = route.parameters.iter().map(|parameter| parameter_of(parameter));
        let parameters: Vec<Value> = text.into_iter().chain(query).collect();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = route.body {
            // What is taken and what is answered differ in what may be left out: each has its own schemas.
            let mut generator = taken_settings().into_generator();
            let schema = (body.schema)(&mut generator);
            self.taken.insert(body.name.to_owned(), schema.into());
            let schema = json!({ "$ref": format!("#/components/schemas/{}", body.name) });
            operation["requestBody"] =
                json!({ "required": !body.is_optional, "content": { body.media_type: { "schema": schema } } });
        }
        operation["responses"] = self.responses(route).into();
        operation
    }

    fn responses(&mut self, route: &Route) -> Map<String, Value> {
        let mut responses = Map::new();
        for answer in route.answers {
            responses.insert(answer.status.code().to_string(), self.answer(answer));
        }
        let with_body = WITH_BODY.iter().filter(|_| route.body.is_some());
        let not_found = [Status::NOT_FOUND];
        let not_found = not_found.iter().filter(|_| route.text_name().is_some());
        for status in ANYWHERE.iter().chain(with_body).chain(not_found).chain(route.errors) {
            let problem = || {
                let schema: Schema = self.answered.subschema_for::<Problem>();
                json!({ "description": status.reason(), "content": { PROBLEM_TYPE: { "schema": schema } } })
            };
            responses.entry(status.code().to_string()).or_insert_with(problem);
        }
        responses
    }

    fn answer(&mut self, answer: &AnswerOf) -> Value {
        let mut described = json!({ "description": answer.about });
        if let Some(schema) = answer.schema {
            let schema = schema(&mut self.answered);
            described["content"] = json!({ answer.media_type: { "schema": schema } });
        }
        described
    }

    fn components(mut self) -> Map<String, Value> {
        let mut components = self.answered.take_definitions(true);
        for (name, schema) in self.taken {
            let other = components.insert(name, schema);
            debug_assert!(other.is_none(), "a body that is taken has the name of one that is answered");
        }
        components
    }
}

fn taken_settings() -> SchemaSettings {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    settings.for_deserialize()
}

fn parameter_of(parameter: &Parameter) -> Value {
    let schema = match parameter.form {
        Form::Number { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Form::Name(names) => json!({ "type": "string", "enum": names }),
        Form::Names(names) => json!({ "type": "array", "items": { "type": "string", "enum": names } }),
        Form::Cursor => json!({ "type": "string" }),
        Form::Time => json!({ "type": "string", "format": "date-time" }),
        Form::Text { len_max } => json!({ "type": "string", "minLength": 1, "maxLength": len_max }),
        Form::JobId => json!({ "type": "string", "format": "uuid" }),
    };
    let mut described = json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.is_required,
        "description": parameter.about,
        "schema": schema,
    });
    if let Form::Names(_) = parameter.form {
        // One parameter with commas, not one for each.
        described["explode"] = false.into();
    }
    described
}

/// What may stand in a path.
fn text_schema(name: &str) -> Value {
    if name == "id" { json!({ "type": "string", "format": "uuid" }) } else { json!({ "type": "string" }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/")) {
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

    #[test]
    fn operations_have_names_of_their_own() {
        let mut names: Vec<&str> = ROUTES.iter().map(|route| route.operation).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}
