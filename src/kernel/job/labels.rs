//! Owns what a job is called and sorted by: its name, its tags, and whose it is.
//! It must not know which names are taken: the core does.

use super::{Definition, FieldError};
use crate::limits::{LABEL_LEN_MAX, TAGS_MAX};

/// What people call a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// What no other job is called.
    pub name: Option<Box<str>>,
    /// What several jobs share.
    pub tags: Box<[Box<str>]>,
    /// Who looks after it.
    pub owner: Option<Box<str>>,
}

impl Labels {
    /// What a definition says of it; None: nothing.
    pub(super) fn compile(definition: &Definition) -> Result<Option<Box<Labels>>, FieldError> {
        let Definition { name, tags, owner, .. } = definition;
        let tags = tags.as_deref().unwrap_or_default();
        if name.is_none() && tags.is_empty() && owner.is_none() {
            return Ok(None);
        }
        if tags.len() > TAGS_MAX {
            return Err(FieldError::new("tags", format_args!("expected at most {TAGS_MAX}, got {}", tags.len())));
        }
        if let Some(twice) = tags.iter().enumerate().find(|(place, tag)| tags[..*place].contains(tag)) {
            return Err(FieldError::new("tags", format_args!("{:?} is given twice", twice.1)));
        }
        Ok(Some(Box::new(Labels {
            name: name.as_deref().map(|name| label("name", name)).transpose()?,
            tags: tags.iter().map(|tag| label("tags", tag)).collect::<Result<_, _>>()?,
            owner: owner.as_deref().map(|owner| label("owner", owner)).transpose()?,
        })))
    }
}

/// A text that is printed in one line, and that nobody takes for another: the value of this member.
///
/// # Errors
/// When it is too long, or no such line.
pub fn label(member: &'static str, text: &str) -> Result<Box<str>, FieldError> {
    let is_plain = !text.chars().any(char::is_control) && text.trim() == text;
    if is_plain && (1..=LABEL_LEN_MAX).contains(&text.chars().count()) {
        return Ok(text.into());
    }
    let expected = "characters, none of them a control character, and no space at either end";
    Err(FieldError::new(member, format_args!("expected 1 to {LABEL_LEN_MAX} {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<Option<Box<Labels>>, FieldError> {
        let definition: Definition =
            serde_json::from_str(&format!(r#"{{"api":"http://a/","type":"ATLEAST_ONCE",{text}}}"#)).expect("JSON");
        Labels::compile(&definition)
    }

    #[test]
    fn labels_are_short_lines() {
        let labels = compile(r#""name":"Nightly report ✓","tags":["a","b c"],"owner":"billing""#).expect("valid");
        let Labels { name, tags, owner } = *labels.expect("there are some");
        assert_eq!((name.as_deref(), tags.len(), owner.as_deref()), (Some("Nightly report ✓"), 2, Some("billing")));
        assert_eq!(compile(r#""tags":[]"#), Ok(None));
        let most: Vec<String> = (0..TAGS_MAX).map(|number| number.to_string()).collect();
        let labels = compile(&format!(r#""tags":{most:?}"#)).expect("as many as there may be");
        assert_eq!(labels.map(|labels| labels.tags.len()), Some(TAGS_MAX));
        let (long, many) = (format!(r#""name":"{}""#, "x".repeat(101)), format!(r#""tags":{:?}"#, vec!["a"; 21]));
        for (text, why) in [
            (r#""name":"""#, "name: expected 1 to 100 characters"),
            (r#""name":" a""#, "name: expected 1 to 100 characters"),
            (r#""owner":"a\u0007""#, "owner: expected"),
            (r#""tags":["a","a"]"#, "tags: \"a\" is given twice"),
            (r#""tags":["a",""]"#, "tags: expected 1 to 100"),
            (&long, "name: expected"),
            (&many, "tags: expected at most 20, got 21"),
        ] {
            let error = compile(text).expect_err(text).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
