use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;
use vodbridge_core::{Connector, Event, PublishError, Topic};

use crate::Tally;

/// The longest that one publish may take, whatever happens to the broker: the 20 s of
/// `publish_timeout` and something for a slow machine.
const PUBLISH_WITHIN: Duration = Duration::from_secs(40);

/// How events were answered, in the order in which they were given.
pub type Answers = Vec<Result<(), PublishError>>;

/// Publishes all events at once and waits for every answer.
///
/// # Panics
///
/// If a publish is not answered within 40 s.
pub async fn publish_all(connector: &dyn Connector, events: &[Event], topic: &Topic) -> Answers {
    publish_counted(connector, events, topic, &watch::Sender::default()).await
}

/// The same, counting the acknowledgements as they come.
pub(crate) async fn publish_counted(
    connector: &dyn Connector,
    events: &[Event],
    topic: &Topic,
    acknowledged: &watch::Sender<usize>,
) -> Answers {
    let publish = |event| async move {
        let answer = timeout(PUBLISH_WITHIN, connector.publish(event, topic)).await;
        let answer = answer.expect("every publish is answered in time");
        if answer.is_ok() {
            acknowledged.send_modify(|count| *count += 1);
        }
        answer
    };
    join_all(events.iter().map(publish)).await
}

/// Notes the answers to `events`.
pub(crate) fn note(tally: &mut Tally, events: &[Event], answers: &Answers) {
    for (event, answer) in events.iter().zip(answers) {
        tally.published(&event.id, answer.is_ok());
    }
}
