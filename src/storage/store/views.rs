//! Owns what is asked about jobs as the database has them, and what is found: where several nodes share one, each has only
//! its own in memory.
//! It must not know how they are read: `tables` does.

use super::messages::{JobSearch, SearchPlace};
use crate::core::{JobFilter, JobOrder, JobView, Listing, Place};
use crate::job::{JobId, JobKey};

/// Which jobs are asked for.
#[derive(Clone, Debug)]
pub enum JobsAsked {
    /// These. Of one that is not there nothing is said.
    These(Box<[JobId]>),
    /// Some in the order of creation, from the first behind this one: as many as are shown at once.
    Behind(Option<JobKey>),
    /// A page of those that are looked for.
    Listed(Listing),
    /// A page of those that are searched for and stand like this.
    Searched(JobSearch, JobFilter),
}

/// What is found of them.
#[derive(Clone, Debug)]
pub enum JobsFound {
    /// Jobs, in the order in which they were asked for.
    Some(Vec<JobView>),
    /// A page. It may be short.
    Page {
        /// The jobs on it.
        views: Vec<JobView>,
        /// Where the next page begins, if there may be more.
        next: Option<NextJobs>,
    },
    /// Only a look at all of them tells what is on the page, and there are too many for the time there is.
    TooMany,
}

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextJobs {
    /// Behind this place in such an order.
    Listed(JobOrder, Place),
    /// Behind this place among those that are searched.
    Searched(SearchPlace),
}
