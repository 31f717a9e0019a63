//! What became of each message of one batch.
//!
//! lapin keeps returned messages in one line per channel and hands the first of them to whichever
//! confirm completes next, which may be another message's. A return stands before the confirm of
//! the same message (RabbitMQ, "Publisher Confirms": "basic.return is sent to the client before
//! basic.ack"), so that once *all* messages of a batch are confirmed, every return has been handed
//! to somebody of this batch; there it is matched by what is in it.
//!
//! It is matched by message id and routing key, which is what decides where a message goes. If
//! several messages of a batch are equal in both and one was returned, all count as returned: one
//! of them may be sent twice, none is lost, and nothing of ours has to lie in the headers.

use std::collections::HashSet;

use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};

/// How the broker judged one message.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Every queue that it was routed to has it, and there was at least one.
    Stored,
    /// No queue was bound for its routing key.
    Unroutable,
    /// A queue did not take it: full, or without a majority.
    Rejected,
    /// The channel ended first.
    Lost(lapin::Error),
    /// It was confirmed, but whether it had been returned cannot be told.
    Untold,
}

/// What a returned message is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    message_id: Option<ShortString>,
    routing_key: ShortString,
}

// === impl Mark ===

impl Mark {
    pub(crate) fn new(properties: &BasicProperties, routing_key: &ShortString) -> Self {
        let message_id = properties.message_id().clone();
        Self { message_id, routing_key: routing_key.clone() }
    }
}

/// Judges a whole batch: `marks` and `confirmations` are those of its messages, in one order.
pub(crate) fn judge(
    marks: &[Mark],
    confirmations: Vec<lapin::Result<Confirmation>>,
) -> Vec<Verdict> {
    let mut returned = HashSet::new();
    for confirmation in &confirmations {
        if let Ok(Confirmation::Ack(Some(back)) | Confirmation::Nack(Some(back))) = confirmation {
            returned.insert(Mark::new(&back.delivery.properties, &back.delivery.routing_key));
        }
    }
    // A return that is nobody's stands for one that has not been handed out.
    let is_ours = returned.iter().all(|mark| marks.contains(mark));
    let is_whole = is_ours && confirmations.iter().all(Result::is_ok);
    let verdict = |(mark, confirmation)| {
        let is_returned = returned.contains(mark);
        match confirmation {
            Ok(_) if is_returned => Verdict::Unroutable,
            Ok(Confirmation::Nack(_)) => Verdict::Rejected,
            // Nothing stood in line then: its own return, had there been one, was handed out
            // before and is among `returned`.
            Ok(Confirmation::Ack(None)) => Verdict::Stored,
            // It was handed another's; its own may still have stood behind that one when the
            // channel ended.
            Ok(Confirmation::Ack(Some(_))) if is_whole => Verdict::Stored,
            Ok(Confirmation::Ack(Some(_))) => Verdict::Untold,
            // Confirms were never asked for, so that nothing is known.
            Ok(Confirmation::NotRequested) => Verdict::Untold,
            Err(error) => Verdict::Lost(error),
        }
    };
    marks.iter().zip(confirmations).map(verdict).collect()
}

#[cfg(test)]
mod tests;
