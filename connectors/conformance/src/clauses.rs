//! The clauses; each panics when the broker's connector does not keep it.

use std::time::Duration;

use tokio::time::timeout;
use vodbridge_core::{Event, PublishError};

use crate::load::note;
use crate::{Broker, Stored, Tally, event, publish_all, topic};

/// Makes a test of every clause that all brokers can be put to, or of those that are named; the
/// argument is an expression that starts a fresh broker.
#[macro_export]
macro_rules! clauses {
    ($start:expr) => {
        $crate::clauses!($start;
            many_at_once_are_answered_each_for_itself,
            an_oversized_event_is_refused_and_harms_no_neighbour,
            what_was_acknowledged_is_there_after_a_kill,
            a_kill_under_load_loses_nothing_acknowledged,
            a_closed_connector_is_unavailable,
            check_answers_for_each_topic_in_order,
        );
    };
    ($start:expr; $($clause:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                let mut broker = $start;
                $crate::clauses::$clause(&mut broker).await;
            }
        )+
    };
}

/// How long nothing must be heard of a frozen broker.
const FROZEN_FOR: Duration = Duration::from_millis(500);

/// A thousand publishes under way together are each acknowledged, and each event is there once,
/// under its topic.
pub async fn many_at_once_are_answered_each_for_itself(broker: &mut dyn Broker) {
    let connector = broker.connector().await;
    let events = numbered("many", 1000);
    let answers = publish_all(&*connector, &events, &topic()).await;
    all_taken(&answers);
    let stored = broker.stored().await;
    assert!(stored.iter().all(|s| s.topic == topic().as_str()), "another topic than was asked for");
    let tally = tally(&events, &answers, &stored);
    assert_eq!(tally.acknowledged_but_absent(), [""; 0]);
    assert_eq!(tally.duplicated(), [""; 0]);
    assert_eq!(tally.strangers, [""; 0]);
    connector.close().await;
}

/// Among a hundred good events one that is too large is refused, and the others are taken.
pub async fn an_oversized_event_is_refused_and_harms_no_neighbour(broker: &mut dyn Broker) {
    let connector = broker.connector().await;
    let mut events = numbered("neighbour", 100);
    events.insert(50, event("oversized", broker.oversize_bytes()));
    let mut answers = publish_all(&*connector, &events, &topic()).await;
    let refused = answers.remove(50);
    assert!(matches!(refused, Err(PublishError::Refused(_))), "too large, and then {refused:?}");
    events.remove(50);
    all_taken(&answers);
    let tally = tally(&events, &answers, &broker.stored().await);
    assert_eq!(tally.acknowledged_but_absent(), [""; 0]);
    assert_eq!(tally.strangers, [""; 0], "refused and there all the same");
    connector.close().await;
}

/// What was acknowledged is there when the broker, killed right after the last acknowledgement,
/// has been started again.
pub async fn what_was_acknowledged_is_there_after_a_kill(broker: &mut dyn Broker) {
    let connector = broker.connector().await;
    let events = numbered("killed", 500);
    let answers = publish_all(&*connector, &events, &topic()).await;
    broker.kill().await;
    all_taken(&answers);
    broker.restart().await;
    let tally = tally(&events, &answers, &broker.stored().await);
    assert_eq!(tally.acknowledged_but_absent(), [""; 0]);
    connector.close().await;
}

/// Killed while events come in, again and again: every publish is answered, what was acknowledged
/// is there, and what was not may be sent again.
pub async fn a_kill_under_load_loses_nothing_acknowledged(broker: &mut dyn Broker) {
    let mut sent = Tally::default();
    for round in 0..5 {
        let connector = broker.connector().await;
        let first = numbered(&format!("round-{round}-first"), 100);
        note(&mut sent, &first, &publish_all(&*connector, &first, &topic()).await);
        let rest = numbered(&format!("round-{round}-rest"), 5000);
        let topic = topic();
        let publishes = publish_all(&*connector, &rest, &topic);
        let (answers, ()) = tokio::join!(publishes, broker.kill());
        note(&mut sent, &rest, &answers);
        for answer in &answers {
            let refused = matches!(answer, Err(PublishError::Refused(_)));
            assert!(!refused, "an outage does not lie in the event: {answer:?}");
        }
        connector.close().await;
        broker.restart().await;
    }
    sent.found(&broker.stored().await);
    assert!(sent.acknowledged() >= 500, "only {} were acknowledged", sent.acknowledged());
    assert_eq!(sent.acknowledged_but_absent(), [""; 0]);
    assert_eq!(sent.strangers, [""; 0]);
}

/// A closed connector takes nothing and says that it is unavailable; closing twice is closing once.
pub async fn a_closed_connector_is_unavailable(broker: &mut dyn Broker) {
    let connector = broker.connector().await;
    connector.close().await;
    connector.close().await;
    let answer = publish_all(&*connector, &numbered("closed", 1), &topic()).await.remove(0);
    assert!(matches!(answer, Err(PublishError::Unavailable(_))), "closed, and then {answer:?}");
    assert_eq!(broker.stored().await, []);
}

/// `check` answers once for each topic, and for none when none is asked about.
pub async fn check_answers_for_each_topic_in_order(broker: &mut dyn Broker) {
    let connector = broker.connector().await;
    // Makes what topology there is to make.
    all_taken(&publish_all(&*connector, &numbered("checked", 1), &topic()).await);
    assert_eq!(connector.check(&[]).await.expect("the broker answers").len(), 0);
    let topics = vec![topic(); 3];
    let answers = connector.check(&topics).await.expect("the broker answers");
    assert_eq!(answers.len(), topics.len());
    for answer in answers {
        answer.expect("what has just taken an event is there");
    }
    connector.close().await;
}

/// A broker that stands still acknowledges nothing; once it goes on, what is acknowledged is there.
pub async fn a_frozen_broker_acknowledges_nothing(broker: &mut dyn Broker) {
    let connector = broker.connector().await;
    all_taken(&publish_all(&*connector, &numbered("warm", 1), &topic()).await);
    let freezer = broker.freezer().expect("this clause is for brokers that can be frozen");
    freezer.freeze().await;
    let events = numbered("frozen", 50);
    let topic = topic();
    let mut publishes = Box::pin(publish_all(&*connector, &events, &topic));
    // Early answers can only be failures, and all fifty are failures then.
    let early = timeout(FROZEN_FOR, &mut publishes).await;
    freezer.thaw().await;
    let answers = match early {
        Ok(answers) => {
            assert!(answers.iter().all(Result::is_err), "acknowledged by a frozen broker");
            answers
        }
        Err(_) => publishes.await,
    };
    let mut tally = tally(&events, &answers, &[]);
    tally.published("warm-0", true);
    tally.found(&broker.stored().await);
    assert_eq!(tally.acknowledged_but_absent(), [""; 0]);
    connector.close().await;
}

fn numbered(name: &str, count: usize) -> Vec<Event> {
    (0..count).map(|number| event(&format!("{name}-{number}"), 1000)).collect()
}

fn all_taken(answers: &[Result<(), PublishError>]) {
    for answer in answers {
        assert!(answer.is_ok(), "a healthy broker and a good event, and then {answer:?}");
    }
}

fn tally(events: &[Event], answers: &crate::Answers, stored: &[Stored]) -> Tally {
    let mut tally = Tally::default();
    note(&mut tally, events, answers);
    tally.found(stored);
    tally
}
