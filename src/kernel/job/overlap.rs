//! Owns what becomes of an execution that is due while another one of its job runs.
//! It must not know which executions run: the core does.

use super::FieldError;
use super::shapes::Choice;

/// What becomes of an execution that is due while another one of its job runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Both run.
    #[default]
    Allow,
    /// It is skipped.
    Skip,
    /// It waits until the other one has ended; while one waits, further ones are skipped.
    QueueOne,
}

impl Overlap {
    const ALL: [Overlap; 3] = [Overlap::Allow, Overlap::Skip, Overlap::QueueOne];

    /// The name clients know.
    pub fn name(self) -> &'static str {
        match self {
            Overlap::Allow => "allow",
            Overlap::Skip => "skip",
            Overlap::QueueOne => "queue_one",
        }
    }

    /// The policy with that name.
    pub(super) fn compile(name: &str) -> Result<Overlap, FieldError> {
        let found = Overlap::ALL.into_iter().find(|policy| policy.name() == name);
        found.ok_or_else(|| FieldError::unknown_name("overlap", "\"allow\", \"skip\" or \"queue_one\"", name))
    }
}

impl Choice for Overlap {
    fn names() -> Vec<&'static str> {
        Overlap::ALL.map(Overlap::name).into()
    }
}
