//! Owns what a worker is to send: all of a request that does not differ from one attempt to the next.
//! It must not know whose it is.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method};

use super::auth::Auth;
use super::body::{Body, OwnBody};
use super::headers::Header;
use super::request;
use super::secrets::{Secrets, masked};
use super::{Delivery, FieldError, Revision, Secret, Signing, Statuses, TargetUrl, Template};

/// The body unless another is set, with those methods that have one.
const BODY: &[u8] = b"{}";
/// The statuses that say that all is well, unless others are named: from, to.
const SUCCESS: (u16, u16) = (200, 299);
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Where to.
    pub url: TargetUrl,
    /// Whether it may be sent again where it may have arrived.
    pub delivery: Delivery,
    /// What few have, apart, so that the others do not carry it.
    pub(super) rare: Option<Box<Rare>>,
}

/// What few POSTs have of their own. What is left out is as with all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rare {
    pub(super) method: Option<Method>,
    pub(super) headers: Box<[Header]>,
    pub(super) body: Option<Body>,
    pub(super) timeout: Option<Duration>,
    pub(super) success: Option<Statuses>,
    pub(super) secrets: Option<Box<Secrets>>,
}

/// What is sent behind the head.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Nothing.
    None,
    /// Always the same, of this type.
    Fixed(&'a [u8], &'static str),
    /// Filled in for each attempt, of this type.
    Filled(&'a Template, &'static str),
}

/// What an attempt sends, shared: that of a job as it was when it was fired, or something of its own.
#[derive(Clone, Debug)]
pub enum SharedPost {
    /// What this revision says.
    Of(Arc<Revision>),
    /// Something else.
    Own(Arc<Post>),
}

impl Deref for SharedPost {
    type Target = Post;

    fn deref(&self) -> &Post {
        match self {
            SharedPost::Of(revision) => &revision.spec.post,
            SharedPost::Own(post) => post,
        }
    }
}

impl From<Arc<Post>> for SharedPost {
    fn from(post: Arc<Post>) -> SharedPost {
        SharedPost::Own(post)
    }
}

impl Post {
    /// What is sent to this URL unless a job says otherwise.
    pub fn to(url: TargetUrl) -> Post {
        Post { url, delivery: Delivery::AtLeastOnce, rare: None }
    }

    /// The same with this body of JSON, which is sent as it is, and with a time limit of its own.
    pub fn with(self, body: Box<str>, timeout: Duration) -> Post {
        self.with_fixed(Body::Json(Template::fixed(body)), timeout)
    }

    /// The same with a body of plain text.
    pub fn with_text(self, body: Box<str>, timeout: Duration) -> Post {
        self.with_fixed(Body::Text(Template::fixed(body)), timeout)
    }

    fn with_fixed(self, body: Body, timeout: Duration) -> Post {
        self.changed(|rare| (rare.body, rare.timeout) = (Some(body), Some(timeout)))
    }

    /// The same with a header that everybody may see, beside those it has.
    pub fn with_header(self, name: HeaderName, value: HeaderValue) -> Post {
        self.changed(|rare| {
            let written = name.as_str().into();
            let mut headers = std::mem::take(&mut rare.headers).into_vec();
            headers.push(Header { name, value, written });
            rare.headers = headers.into();
        })
    }

    /// The same, signed.
    pub fn with_signing(self, signing: Signing) -> Post {
        self.changed(|rare| rare.secrets.get_or_insert_default().signing = Some(signing))
    }

    /// The same with a token by which its target knows who asks; None: the token is not printable ASCII.
    pub fn with_bearer(self, token: &Secret) -> Option<Post> {
        let auth = Auth::bearer(token.clone())?;
        Some(self.changed(|rare| rare.secrets.get_or_insert_default().auth = Some(auth)))
    }

    fn changed(self, change: impl FnOnce(&mut Rare)) -> Post {
        let mut rare = self.rare.unwrap_or_default();
        change(&mut rare);
        Post { rare: Some(rare), ..self }
    }

    /// The same with a body that takes the place of its own.
    ///
    /// # Errors
    /// When its method has none.
    pub fn with_own(&self, own: &OwnBody) -> Result<Post, FieldError> {
        request::check_body(own.body(), &self.method())?;
        let rare = self.rare.as_deref().cloned().unwrap_or_default();
        let rare = Rare { body: Some(own.body().clone()), ..rare };
        Ok(Post { rare: Some(Box::new(rare)), ..self.clone() })
    }

    /// The same without what goes without saying.
    pub(super) fn plain(&self) -> Post {
        let Some(rare) = self.rare.as_deref() else { return self.clone() };
        let mut plain = rare.clone();
        plain.method.take_if(|method| *method == Method::POST);
        if rare.method.as_ref().is_none_or(has_body) {
            plain.body.take_if(
                |body| matches!(body, Body::Json(template) if template.as_fixed().map(str::as_bytes) == Some(BODY)),
            );
        }
        plain.success.take_if(|statuses| statuses.is_any_of(SUCCESS));
        plain.headers.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        if let Some(secrets) = &mut plain.secrets {
            secrets.headers.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        }
        Post { rare: (plain != Rare::default()).then(|| Box::new(plain)), ..self.clone() }
    }

    /// How the target is asked.
    pub fn method(&self) -> Method {
        self.rare.as_deref().and_then(|rare| rare.method.clone()).unwrap_or(Method::POST)
    }

    /// What is sent behind the head.
    pub fn content(&self) -> Content<'_> {
        let Some(rare) = self.rare.as_deref() else { return Content::Fixed(BODY, JSON) };
        let (template, content_type) = match &rare.body {
            Some(Body::Text(template)) => (template, TEXT),
            Some(Body::Json(template)) => (template, JSON),
            None if rare.method.as_ref().is_none_or(has_body) => return Content::Fixed(BODY, JSON),
            None => return Content::None,
        };
        match template.as_fixed() {
            Some(text) => Content::Fixed(text.as_bytes(), content_type),
            None => Content::Filled(template, content_type),
        }
    }

    /// Headers beside those of every POST; they take the place of those of the same name.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.rare.iter().flat_map(|rare| {
            let plain = rare.headers.iter().map(|header| (&header.name, &header.value));
            let secrets = rare.secrets.as_deref();
            let secret = secrets.into_iter().flat_map(|secrets| &secrets.headers);
            let auth = secrets.and_then(|secrets| secrets.auth.as_ref()).map(|auth| (&AUTHORIZATION, &auth.value));
            plain.chain(secret.map(|header| (&header.name, &header.value))).chain(auth)
        })
    }

    /// What its requests are signed with.
    pub fn signing(&self) -> Option<&Signing> {
        self.secrets()?.signing.as_ref()
    }

    /// A text of the target's, without the secrets that it repeats.
    pub fn mask(&self, text: Box<str>) -> Box<str> {
        match self.secrets() {
            Some(secrets) => secrets.mask(text.into()).into(),
            None => text,
        }
    }

    /// The same without the path of the URL, which is the secret of some channels.
    pub fn mask_path(&self, text: Box<str>) -> Box<str> {
        masked(text.into(), std::iter::once(self.url.path())).into()
    }

    pub(super) fn secrets(&self) -> Option<&Secrets> {
        self.rare.as_deref()?.secrets.as_deref()
    }

    /// Whether this status says that all is well.
    pub fn is_success(&self, status: u16) -> bool {
        match self.rare.as_deref().and_then(|rare| rare.success.as_ref()) {
            Some(statuses) => statuses.contains(status),
            None => (SUCCESS.0..=SUCCESS.1).contains(&status),
        }
    }

    /// How long an attempt may take as a whole, if not as long as any other.
    pub fn timeout(&self) -> Option<Duration> {
        self.rare.as_deref()?.timeout
    }
}

/// Whether requests of this method say something behind their head, even if a job does not say what.
fn has_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_have_costs_the_others_a_word() {
        assert!(size_of::<Post>() <= size_of::<(TargetUrl, Delivery)>() + size_of::<usize>());
    }

    #[test]
    fn without_a_word_of_it_a_method_that_has_a_body_has_an_empty_object() {
        let post = Post::to(TargetUrl::parse("http://a/").expect("a URL"));
        assert!(matches!(post.content(), Content::Fixed(b"{}", JSON)) && post.timeout().is_none(), "{post:?}");
        assert_eq!(post.method(), Method::POST);
        for (method, has_body) in [
            (None, true),
            (Some(Method::POST), true),
            (Some(Method::PUT), true),
            (Some(Method::PATCH), true),
            (Some(Method::GET), false),
            (Some(Method::DELETE), false),
        ] {
            let post =
                post.clone().changed(|rare| (rare.method, rare.timeout) = (method, Some(Duration::from_secs(1))));
            match post.content() {
                Content::Fixed(b"{}", JSON) => assert!(has_body, "{post:?}"),
                Content::None => assert!(!has_body, "{post:?}"),
                other => panic!("{other:?} of {post:?}"),
            }
        }
    }

    #[test]
    fn what_is_added_takes_nothing_away() {
        let url = TargetUrl::parse("http://a/").expect("a URL");
        let post = Post::to(url.clone()).with_bearer(&Secret::new("planted")).expect("printable");
        let post = post.with_text("a {{attempt}}".into(), Duration::from_secs(1));
        let post = post.with_header(HeaderName::from_static("title"), HeaderValue::from_static("b"));
        let headers: Vec<_> = post.headers().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers, [("title", &b"b"[..]), ("authorization", b"Bearer planted")]);
        assert!(matches!(post.content(), Content::Fixed(b"a {{attempt}}", TEXT)), "{post:?}");
        assert_eq!((post.method(), post.timeout()), (Method::POST, Some(Duration::from_secs(1))));
        assert_eq!(post.clone().changed(|rare| rare.method = Some(Method::PUT)).method(), Method::PUT);
        assert_eq!(post.mask("it was planted".into()), "it was ***".into());
        let channel = Post::to(TargetUrl::parse("https://hooks.example/services/T0/planted?x=1").expect("a URL"));
        for said in ["Cannot POST /services/T0/planted?x=1 here", "it ends with /services/T0/pla"] {
            assert!(!channel.mask_path(said.into()).contains("/T0"), "{said}");
        }
        let bare = Post::to(TargetUrl::parse("https://hooks.example/").expect("a URL"));
        assert_eq!(bare.mask_path("either / or".into()), "either / or".into(), "a path that is none hides nothing");
        assert!(!format!("{post:?}").contains("planted"));
        assert!(Post::to(url).with_bearer(&Secret::new("a\nb")).is_none());
    }
}
