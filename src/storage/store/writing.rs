//! Owns the door of a writer: batches go in, events come out, and a thread of the backend stands behind it.
//! It must not know how a batch is written.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::messages::{Batch, Keep, WriterEvent};
use crate::background;
use crate::limits::BATCHES_PENDING_MAX;

/// The running writer.
#[derive(Debug)]
pub struct Writer {
    batches: Option<Sender<(Instant, Batch)>>,
    /// How much is kept from now on, until the thread has seen it: the newest word counts.
    keeps: (Sender<Keep>, Receiver<Keep>),
    events: Receiver<WriterEvent>,
    thread: Option<JoinHandle<()>>,
}

/// The other side of the door.
pub(super) struct Work {
    /// Batches, each with when it was given. It is over when there can be no more.
    pub(super) batches: Receiver<(Instant, Batch)>,
    /// How much is kept from now on.
    pub(super) keeps: Receiver<Keep>,
    pub(super) teller: Teller,
}

impl Work {
    pub(super) fn tell(&self, event: WriterEvent) {
        self.teller.tell(event);
    }
}

/// Through which the loop hears of events.
#[derive(Clone)]
pub(super) struct Teller {
    say: Sender<WriterEvent>,
    notify: Arc<dyn Fn() + Send + Sync>,
}

impl Teller {
    pub(super) fn tell(&self, event: WriterEvent) {
        // The loop is gone only when the process ends.
        drop(self.say.send(event));
        (self.notify)();
    }
}

impl Writer {
    /// Starts a thread that does this; `notify` is called after each event.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn spawn(
        notify: Arc<dyn Fn() + Send + Sync>,
        run: impl FnOnce(Work) + Send + 'static,
    ) -> io::Result<Writer> {
        let (batches, work) = bounded(BATCHES_PENDING_MAX);
        let keeps = bounded(1);
        let (say, events) = bounded(4 * BATCHES_PENDING_MAX + 4);
        let work = Work { batches: work, keeps: keeps.1.clone(), teller: Teller { say, notify } };
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
            background::give_way();
            run(work);
        })?;
        Ok(Writer { batches: Some(batches), keeps, events, thread: Some(thread) })
    }

    /// Hands a batch over. Never blocks: no more than `BATCHES_PENDING_MAX` may be unanswered.
    pub fn send(&self, batch: Batch) {
        let batches = self.batches.as_ref().expect("the writer runs until `stop`");
        batches.try_send((Instant::now(), batch)).expect("the channel holds every batch that may be unanswered");
    }

    /// From now on so much is kept. Never blocks; what was said before and not seen yet counts no more.
    pub fn keep(&self, keep: Keep) {
        let (say, said) = &self.keeps;
        while say.try_send(keep).is_err() {
            // Whoever takes it, there is room then.
            said.try_recv().ok();
        }
    }

    /// The next event, if there is one.
    pub fn try_event(&self) -> Option<WriterEvent> {
        self.events.try_recv().ok()
    }

    /// Whether the thread has ended, which it only does after `stop` or a panic.
    pub fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Lets the thread end after what it was given, and does not wait for it: `is_dead` tells.
    pub fn finish(&mut self) {
        self.batches = None;
    }

    /// Ends the thread after what it was given, and waits for it.
    pub fn stop(&mut self) {
        self.finish();
        if let Some(thread) = self.thread.take() {
            // It panicked: that was printed, and everything acknowledged is on disk.
            drop(thread.join());
        }
    }
}
