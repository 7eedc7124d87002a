//! Owns what is sent behind a head: text or JSON with placeholders, as clients write it and as it is kept.
//! It must not fill anything in.

use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{FieldError, Json, Template};
use crate::limits::{JSON_DEPTH_MAX, TARGET_BODY_LEN_MAX};

/// A body, and as what it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Text(Template),
    Json(Template),
}

impl Body {
    /// Reads the two members of which at most one may be there.
    pub(super) fn compile(body: Option<&str>, json: Option<&Json>) -> Result<Option<Body>, FieldError> {
        match (body, json) {
            (None, None) => Ok(None),
            (Some(text), None) => compile("body", text).map(Body::Text).map(Some),
            (None, Some(json)) => compile("json", &json.compact()).map(Body::Json).map(Some),
            (Some(_), Some(_)) => Err(FieldError::new("json", "expected body or json, got both")),
        }
    }

    /// The two members that mean this.
    pub(super) fn define(&self) -> (Option<String>, Option<Json>) {
        match self {
            Body::Text(template) => (Some(template.text()), None),
            Body::Json(template) => {
                (None, Some(Json::of(template.text()).expect("it was read from the text of a JSON value")))
            }
        }
    }

    /// Which member it stands in.
    pub(super) fn member(&self) -> &'static str {
        match self {
            Body::Text(_) => "body",
            Body::Json(_) => "json",
        }
    }
}

fn compile(member: &'static str, text: &str) -> Result<Template, FieldError> {
    if text.len() > TARGET_BODY_LEN_MAX {
        let why = format_args!("expected at most {TARGET_BODY_LEN_MAX} bytes, got {}", text.len());
        return Err(FieldError::new(member, why));
    }
    Template::compile(member, text)
}

/// A body that takes the place of a job's own, for one execution. Kept with its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnBody(Arc<Body>);

impl OwnBody {
    /// Reads the two members of which at most one may be there.
    ///
    /// # Errors
    /// When both are there, one is too long or nests too deep, or a placeholder is unknown.
    pub fn compile(body: Option<&str>, json: Option<&Json>) -> Result<Option<OwnBody>, FieldError> {
        json.map_or(Ok(()), |json| json.check_depth(JSON_DEPTH_MAX))?;
        OwnBody::kept(body, json)
    }

    fn kept(body: Option<&str>, json: Option<&Json>) -> Result<Option<OwnBody>, FieldError> {
        Ok(Body::compile(body, json)?.map(|body| OwnBody(Arc::new(body))))
    }

    pub(super) fn body(&self) -> &Body {
        &self.0
    }
}

/// How it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, deserialize_with = "Json::some", skip_serializing_if = "Option::is_none")]
    json: Option<Json>,
}

impl Serialize for OwnBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (body, json) = self.0.define();
        Kept { body, json }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OwnBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OwnBody, D::Error> {
        let Kept { body, json } = Kept::deserialize(deserializer)?;
        let own = OwnBody::kept(body.as_deref(), json.as_ref()).map_err(D::Error::custom)?;
        own.ok_or_else(|| D::Error::custom("a body of its own is body or json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_its_own_is_kept_as_it_was_written() {
        for text in [r#"{"body":"a {{attempt}}"}"#, r#"{"json":{"b":[1,2.50],"a":null}}"#, r#"{"json":null}"#] {
            let own: OwnBody = serde_json::from_str(text).expect(text);
            assert_eq!(serde_json::to_string(&own).expect("JSON"), text);
        }
        for text in ["{}", r#"{"body":"a","json":1}"#, r#"{"body":"{{secret}}"}"#, r#"{"body":7}"#] {
            serde_json::from_str::<OwnBody>(text).expect_err(text);
        }
    }

    #[test]
    fn a_body_of_its_own_is_as_long_and_as_deep_as_it_may_be() {
        let text = "x".repeat(TARGET_BODY_LEN_MAX);
        let nested = |depth: usize| Json::of(format!("{}{}", "[".repeat(depth), "]".repeat(depth))).expect("JSON");
        let kept = |body: Option<&str>, json: Option<&Json>| {
            OwnBody::compile(body, json).map(|own| own.map(|own| own.body().define()))
        };
        assert_eq!(kept(None, None), Ok(None));
        assert_eq!(kept(Some(&text), None), Ok(Some((Some(text.clone()), None))));
        let deepest = nested(JSON_DEPTH_MAX);
        assert_eq!(kept(None, Some(&deepest)), Ok(Some((None, Some(deepest.clone())))));
        for (body, json, why) in [
            (Some(format!("{text}x")), None, "body: expected at most 65536 bytes, got 65537"),
            (None, Some(nested(JSON_DEPTH_MAX + 1)), "json: expected at most 100 levels"),
            (Some(text), Some(deepest), "json: expected body or json, got both"),
        ] {
            let error = kept(body.as_deref(), json.as_ref()).expect_err(why).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
