//! Owns schedules that were compiled a moment ago: a million jobs share a few, and compiling one takes longer than all else
//! about a job.
//! It must not keep one that counts from its job's anchor, nor more than some.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::limits::SCHEDULES_REMEMBERED_MAX;
use crate::schedule::{Rule, Schedule, ScheduleError, Terms};
use crate::time::Instant;

/// Schedules by the texts that they were made from.
#[derive(Debug, Default)]
pub struct Compiled {
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_text: HashMap<Box<str>, Vec<(Terms, Arc<Schedule>)>>,
    len: usize,
}

impl Compiled {
    /// The same as [`Schedule::compile`].
    ///
    /// # Errors
    /// The same.
    pub(super) fn compile(&self, terms: &Terms, anchor: Instant) -> Result<Arc<Schedule>, ScheduleError> {
        let Rule::Text(text) = &terms.rule else { return Schedule::compile(terms, anchor).map(Arc::new) };
        let mut known = self.known.borrow_mut();
        let of_text = known.by_text.get(text).into_iter().flatten();
        if let Some((_, schedule)) = of_text.into_iter().find(|(other, _)| other == terms) {
            return Ok(Arc::clone(schedule));
        }
        let schedule = Arc::new(Schedule::compile(terms, anchor)?);
        // What counts from an anchor before all times does not say so.
        if schedule.anchor().is_none() && anchor > Instant::FIRST {
            if known.len >= SCHEDULES_REMEMBERED_MAX {
                *known = Known::default();
            }
            known.by_text.entry(text.clone()).or_default().push((terms.clone(), Arc::clone(&schedule)));
            known.len += 1;
        }
        Ok(schedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_would_be_compiled() {
        let compiled = Compiled::default();
        let terms = |text: &str| Terms::plain(Rule::Text(text.into()));
        let mut kept = 0;
        for text in ["0 5 * * * *", "@daily", "@every 90s", "0 5 * * * *", "@daily", "@every 90s", "61 * * * * *"] {
            for anchor in [0, 7, 8].map(Instant::from_secs) {
                for spread_s in [0, 60] {
                    let terms = Terms { seed: Some(3), spread_s, ..terms(text) };
                    let (one, other) = (compiled.compile(&terms, anchor), Schedule::compile(&terms, anchor));
                    assert_eq!(one.as_deref(), other.as_ref(), "{text} {anchor} {spread_s}");
                    kept += usize::from(one.is_ok_and(|one| Arc::strong_count(&one) > 1));
                }
            }
        }
        assert_eq!((kept, compiled.known.borrow().len), (20, 4), "all but what counts from an anchor");
    }

    #[test]
    fn no_more_than_some_are_kept() {
        let compiled = Compiled::default();
        for second in 0..u32::try_from(SCHEDULES_REMEMBERED_MAX).expect("it is small") * 3 {
            let text = format!("{} {} {} * * *", second % 60, second / 60 % 60, second / 3_600);
            compiled.compile(&Terms::plain(Rule::Text(text.into())), Instant::from_secs(7)).expect("it is valid");
            let known = compiled.known.borrow();
            assert!((1..=SCHEDULES_REMEMBERED_MAX).contains(&known.len));
            assert_eq!(known.by_text.len(), known.len);
        }
    }
}
