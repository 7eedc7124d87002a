//! Owns what a worker is to send: all of a request that does not differ from one attempt to the next.
//! It must not know whose it is.

use super::{Delivery, TargetUrl};

/// What is to be sent. Shared by a job and its attempts in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Where to.
    pub url: TargetUrl,
    /// Whether it may be sent again where it may have arrived.
    pub delivery: Delivery,
}

impl Post {
    /// What is sent to this URL unless a job says otherwise.
    pub fn to(url: TargetUrl) -> Post {
        Post { url, delivery: Delivery::AtLeastOnce }
    }
}
