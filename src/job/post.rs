//! Owns what a worker is to send: all of a request that does not differ from one attempt to the next.
//! It must not know whose it is.

use std::time::Duration;

use super::{Delivery, TargetUrl};

/// The body unless another is set.
const BODY: &[u8] = b"{}";

/// What is to be sent. Shared by a job and its attempts in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Where to.
    pub url: TargetUrl,
    /// Whether it may be sent again where it may have arrived.
    pub delivery: Delivery,
    /// What few have, apart, so that the others do not carry it.
    pub(super) rare: Option<Box<Rare>>,
}

/// What few POSTs have of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rare {
    body: Box<[u8]>,
    timeout: Duration,
}

impl Post {
    /// What is sent to this URL unless a job says otherwise.
    pub fn to(url: TargetUrl) -> Post {
        Post { url, delivery: Delivery::AtLeastOnce, rare: None }
    }

    /// The same with this body, JSON that is not empty, and with a time limit of its own.
    pub fn with(self, body: Box<[u8]>, timeout: Duration) -> Post {
        Post { rare: Some(Box::new(Rare { body, timeout })), ..self }
    }

    /// The body: JSON.
    pub fn body(&self) -> &[u8] {
        self.rare.as_deref().map_or(BODY, |rare| &rare.body)
    }

    /// How long an attempt may take as a whole, if not as long as any other.
    pub fn timeout(&self) -> Option<Duration> {
        self.rare.as_deref().map(|rare| rare.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_have_costs_the_others_a_word() {
        assert!(size_of::<Post>() <= size_of::<(TargetUrl, Delivery)>() + size_of::<usize>());
    }
}
