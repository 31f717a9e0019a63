use std::sync::Arc;

use lapin::types::ShortString;
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use vodbridge_core::{PublishError, Unavailable};

use crate::binding::Message;

/// One event on its way, with the handle that answers for it. Dropped without an answer, it reads
/// as unavailable on the other side.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) routing_key: ShortString,
    pub(crate) message: Message,
    /// Not sent any more after that: what is begun then could not be answered for in time.
    pub(crate) begin_by: Instant,
    /// Answered for by then.
    pub(crate) answer_by: Instant,
    pub(crate) answer: oneshot::Sender<Result<(), PublishError>>,
    /// Its place among what is under way, by count and by bytes.
    pub(crate) _room: [OwnedSemaphorePermit; 2],
}

/// What waits for a channel; taken by whichever is idle.
#[derive(Clone, Debug)]
pub(crate) struct Queue(Arc<Mutex<mpsc::Receiver<Publish>>>);

// === impl Publish ===

impl Publish {
    pub(crate) fn answer(self, answer: Result<(), PublishError>) {
        // Who asked may have given up.
        self.answer.send(answer).ok();
    }

    pub(crate) fn unavailable(self, why: Unavailable) {
        self.answer(Err(why.into()));
    }
}

// === impl Queue ===

impl Queue {
    /// A queue with room for `capacity`.
    pub(crate) fn new(capacity: usize) -> (mpsc::Sender<Publish>, Self) {
        let (sender, receiver) = mpsc::channel(capacity);
        (sender, Self(Arc::new(Mutex::new(receiver))))
    }

    /// Waits for at least one, and takes what is there, up to `max`. An empty batch is the end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken when the future is dropped.
    pub(crate) async fn take(&self, max: usize) -> Vec<Publish> {
        let mut receiver = self.0.lock().await;
        // One that comes alone must not wait for others: no lingering.
        let mut batch = Vec::new();
        receiver.recv_many(&mut batch, max).await;
        batch
    }

    /// Answers everything that waits.
    pub(crate) async fn refuse_all(&self, why: impl Fn() -> Unavailable) {
        let mut receiver = self.0.lock().await;
        while let Ok(publish) = receiver.try_recv() {
            publish.unavailable(why());
        }
    }
}
