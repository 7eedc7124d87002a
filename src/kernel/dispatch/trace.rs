//! Owns what ties a target's traces to an execution: the header `traceparent` (W3C Trace Context, version 00).
//! It must not draw anything at random: the same attempt has the same ids, over restarts too.

use crate::core::{ExecutionId, Kind};
use crate::mix::mix;

/// The value of the header: the trace is the execution's, the span is the attempt's own.
pub(super) struct Parent<'a> {
    pub(super) id: &'a ExecutionId,
    pub(super) attempt: u32,
}

impl Parent<'_> {
    /// Appends the header's value. Every POST has one, so that it is worth doing without a formatter.
    pub(super) fn append(&self, to: &mut String) {
        let Parent { id, attempt } = *self;
        let job = u128::from_be_bytes(*id.job.as_bytes());
        let kind = match id.kind {
            Kind::Scheduled => 0,
            Kind::Manual => 1,
            Kind::Replay => 2,
            Kind::Backfill => 3,
        };
        let which = u128::from(id.instant.as_secs().cast_unsigned()) << 64 | u128::from(id.number) << 32 | kind;
        let high = mix(half(job >> 64) ^ mix(half(which >> 64)));
        let low = mix(half(job) ^ mix(half(which)));
        // Each half stirs the other, so that nothing of either id can be read from one of them.
        let (high, low) = (mix(high ^ low), mix(low.wrapping_add(high)));
        let span = mix(high ^ mix(low ^ u64::from(attempt)));
        // An id of zeros is none. Nearly no id comes to that, and then any other one serves.
        to.push_str("00-");
        append_hex(to, high);
        append_hex(to, low.max(1));
        to.push('-');
        append_hex(to, span.max(1));
        to.push_str("-01");
    }
}

/// Sixteen digits.
fn append_hex(to: &mut String, number: u64) {
    for byte in number.to_be_bytes() {
        for digit in [byte >> 4, byte & 15] {
            to.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
        }
    }
}

fn half(number: u128) -> u64 {
    u64::try_from(number & u128::from(u64::MAX)).expect("it was cut to 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{JobId, JobKey};
    use crate::time::Instant;
    use std::collections::HashSet;

    fn text(job: u64, instant: i64, kind: Kind, number: u32, attempt: u32) -> String {
        let job = JobId::new(JobKey(job), [0; 10]);
        let id = ExecutionId { job, instant: Instant::from_secs(instant), kind, number };
        let mut text = String::new();
        Parent { id: &id, attempt }.append(&mut text);
        text
    }

    #[test]
    fn an_execution_is_a_trace_and_its_attempts_are_spans() {
        let (mut traces, mut spans) = (HashSet::new(), HashSet::new());
        for (job, instant, kind, number) in [
            (0, 0, Kind::Scheduled, 0),
            (1, 0, Kind::Scheduled, 0),
            (0, 1, Kind::Scheduled, 0),
            (0, -1, Kind::Scheduled, 0),
            (0, 0, Kind::Manual, 0),
            (0, 0, Kind::Replay, 0),
            (0, 0, Kind::Backfill, 0),
            (0, 0, Kind::Manual, 1),
        ] {
            let mut trace = None;
            for attempt in 1..4 {
                let header = text(job, instant, kind, number, attempt);
                let parts: Vec<&str> = header.split('-').collect();
                let [version, trace_id, span_id, flags] = parts[..] else { panic!("{header}") };
                assert_eq!((version, trace_id.len(), span_id.len(), flags), ("00", 32, 16, "01"));
                assert!(header.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | '-')), "{header}");
                assert_eq!(*trace.get_or_insert_with(|| trace_id.to_owned()), trace_id);
                assert!(spans.insert(span_id.to_owned()), "{header}");
                assert_eq!(header, text(job, instant, kind, number, attempt), "the same again");
            }
            assert!(traces.insert(trace));
        }
    }

    #[test]
    fn what_is_sent_stays_the_same_from_version_to_version() {
        let header = text(42, 1_767_229_831, Kind::Scheduled, 0, 1);
        assert_eq!(header, "00-ad018a6cd481fc7cb54dfd980f1f1c7e-faecc2d6f563e7ac-01");
    }
}
