//! Owns who carries a request out that changes something, and the numbers of those that nodes pass on to each other.
//! It must not carry one out: the node that has what it is about does, as if a client had asked it.

use crate::api::Call;
use crate::core::{Concerns, RequestId, Scheduler, Shard};
use crate::job::{JobId, JobKey};
use crate::store::Owner;

/// Marks the numbers of requests that other nodes have passed on. Those of clients stay far below.
const PASSED_ON: u64 = 1 << 62;
/// Marks the numbers of parts of what a client asked, that are passed on from here.
const PART: u64 = 1 << 61;

/// The number here of a request that another node has passed on.
pub(in crate::server) fn number_of_passed(id: u64) -> RequestId {
    RequestId(PASSED_ON | id)
}

/// Under which number another node has passed this request on, if one has.
pub(in crate::server) fn is_passed_on(request: RequestId) -> Option<u64> {
    (request.0 & PASSED_ON != 0 && request.0 < 2 * PASSED_ON).then_some(request.0 & !PASSED_ON)
}

/// The number of a part of what a client asked, of which so many others were passed on from here before.
pub(in crate::server) fn number_of_part(before: u64) -> RequestId {
    RequestId(PART | before)
}

/// Whether it is a part of what a client asked that was passed on under this number.
pub(in crate::server) fn is_part(request: RequestId) -> bool {
    request.0 & PART != 0 && request.0 < 2 * PART
}

/// Who has to carry this out; None: this node.
pub(in crate::server) fn owner_of(
    core: &Scheduler,
    request: RequestId,
    call: &Call,
    key: Option<&str>,
) -> Option<Owner> {
    let of_shard = |shard: Shard| (!core.owns(shard)).then_some(Owner::Shard(shard));
    let owner = |job: JobId| if key.is_some() { Owner::PastJob(job.key()) } else { Owner::Job(job.key()) };
    let of_job = |job: JobId| (!core.has_job(job)).then(|| owner(job));
    match call {
        Call::Create(spec) => {
            match (spec.concurrency_key(), key, spec.labels().and_then(|labels| labels.name.as_deref())) {
                // Whoever counts what is under way of them has all that share it.
                (Some(shared), _, _) => of_shard(Shard::of_name(&shared.name)),
                // Two that are the same meet there, whichever nodes they come to.
                (None, Some(name), _) | (None, None, Some(name)) => of_shard(Shard::of_name(name)),
                (None, None, None) if core.shards().is_empty() => of_shard(Shard::of_key(JobKey(request.0 >> 16))),
                (None, None, None) => None,
            }
        }
        Call::Patch(patch) => of_job(patch.id()),
        Call::Replay(id, _) => of_job(id.job),
        Call::PutChannel(..) => of_shard(Shard(0)),
        Call::Change(action) => match action.concerns() {
            Concerns::Job(job) => of_job(job),
            Concerns::Incident(id) => (!core.has_open_incident(id)).then_some(Owner::Incident(id)),
            Concerns::All => of_shard(Shard(0)),
        },
        // Two with one key meet there. What others have of it whoever takes it in passes on.
        Call::ReplayAll { .. } | Call::Batch { .. } => key.and_then(|key| of_shard(Shard::of_name(key))),
        Call::Try(_) | Call::TestChannel(_) | Call::Token(_) | Call::DrainNode(_) => None,
        Call::Read(_) | Call::Query(_) | Call::Preview(_) | Call::Jobs(_) | Call::Targets(_) | Call::Timeline => None,
        Call::Search(..) | Call::Stream(_) | Call::Ready(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_what_was_passed_on_are_no_clients() {
        assert_eq!(is_passed_on(number_of_passed(7)), Some(7));
        assert_eq!(is_passed_on(RequestId(7 << 16)), None);
        assert_eq!(is_passed_on(RequestId(u64::MAX - 1)), None, "the loop's own");
        assert_eq!(is_passed_on(number_of_part(7)), None);
        let parts = [number_of_part(7), number_of_passed(7), RequestId(7 << 16), RequestId(u64::MAX - 1)].map(is_part);
        assert_eq!(parts, [true, false, false, false]);
    }
}
