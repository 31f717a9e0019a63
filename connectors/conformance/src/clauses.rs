//! The clauses; each panics when the broker's connector does not keep it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use vodbridge_core::{Cause, Connector, Event, PublishError};

use crate::load::{note, publish_counted};
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
            closing_answers_for_what_is_under_way,
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

/// How many acknowledgements a kill under load waits for, and how long.
const KILLED_AFTER: usize = 400;
const LOADED_WITHIN: Duration = Duration::from_secs(30);

/// How long a connector may take to notice that what was wrong is right.
const REPAIRED_WITHIN: Duration = Duration::from_secs(60);

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
    tally.report("many at once are answered each for itself");
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
    tally.report("an oversized event is refused and harms no neighbour");
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
    tally.report("what was acknowledged is there after a kill");
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
        let (acknowledged, mut seen) = watch::channel(0);
        let publishes = publish_counted(&*connector, &rest, &topic, &acknowledged);
        // In the middle: earlier it would find no load, and later nothing would be left to fail.
        let kill = async {
            let middle = seen.wait_for(|count| *count >= KILLED_AFTER);
            timeout(LOADED_WITHIN, middle).await.expect("a load is acknowledged").expect("counted");
            broker.kill().await;
        };
        let (answers, ()) = tokio::join!(publishes, kill);
        note(&mut sent, &rest, &answers);
        for answer in &answers {
            let refused = matches!(answer, Err(PublishError::Refused(_)));
            assert!(!refused, "an outage does not lie in the event: {answer:?}");
        }
        connector.close().await;
        broker.restart().await;
    }
    sent.found(&broker.stored().await);
    assert!(
        sent.acknowledged() >= 5 * (100 + KILLED_AFTER),
        "only {} were acknowledged",
        sent.acknowledged()
    );
    assert_eq!(sent.acknowledged_but_absent(), [""; 0]);
    assert_eq!(sent.strangers, [""; 0]);
    sent.report("a kill under load loses nothing acknowledged");
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
    tally.report("a frozen broker acknowledges nothing");
    connector.close().await;
}

/// Closed in the middle of a load: every publish is answered, and what was acknowledged is there.
pub async fn closing_answers_for_what_is_under_way(broker: &mut dyn Broker) {
    let connector = broker.connector().await;
    all_taken(&publish_all(&*connector, &numbered("before", 1), &topic()).await);
    let events = numbered("closing", 2000);
    let topic = topic();
    let publishes = publish_all(&*connector, &events, &topic);
    let (answers, ()) = tokio::join!(publishes, connector.close());
    let mut tally = tally(&events, &answers, &[]);
    tally.published("before-0", true);
    tally.found(&broker.stored().await);
    assert_eq!(tally.acknowledged_but_absent(), [""; 0]);
    assert_eq!(tally.duplicated(), [""; 0]);
    for answer in &answers {
        let refused = matches!(answer, Err(PublishError::Refused(_)));
        assert!(!refused, "closing does not lie in the event: {answer:?}");
    }
    tally.report("closing answers for what is under way");
}

/// Where the topology is missing nothing is acknowledged, and `check` and `publish` say that it is
/// the topology, with what to do; once an operator has made it, the same connector goes on.
pub async fn missing_topology_is_waited_for(broker: &mut dyn Broker) {
    let provider = broker.provider().expect("this clause is for brokers with topology");
    let connector = provider.verifying().await;
    let events = numbered("owed", 20);
    let first = publish_all(&*connector, &events, &topic()).await;
    for answer in &first {
        let Err(PublishError::Unavailable(why)) = answer else {
            panic!("no topology, and then {answer:?}")
        };
        assert_eq!(why.cause, Cause::Topology, "{why:?}");
        assert!(why.advice.is_some(), "what can an operator do? {why:?}");
    }
    let checked = connector.check(&[topic()]).await.expect("the broker answers");
    let [Err(why)] = checked.as_slice() else { panic!("no topology, and then {checked:?}") };
    assert_eq!(why.cause, Cause::Topology, "{why:?}");
    assert!(why.advice.is_some(), "what can an operator do? {why:?}");

    broker.provider().expect("as before").provide().await;
    let mut tally = Tally::default();
    until_taken(&*connector, &events[0]).await;
    let answers = publish_all(&*connector, &events, &topic()).await;
    all_taken(&answers);
    note(&mut tally, &events, &answers);
    tally.found(&broker.stored().await);
    assert_eq!(tally.acknowledged_but_absent(), [""; 0]);
    tally.report("missing topology is waited for");
    connector.close().await;
}

/// A connector whose password is wrong is unavailable and says so; once it is corrected, the same
/// connector goes on.
pub async fn a_wrong_password_is_waited_out(broker: &mut dyn Broker) {
    let guard = broker.guard().expect("this clause is for brokers that ask for a password");
    let connector = guard.stranger().await;
    let events = numbered("locked-out", 20);
    for answer in publish_all(&*connector, &events, &topic()).await {
        let unavailable = matches!(answer, Err(PublishError::Unavailable(_)));
        assert!(unavailable, "a wrong password, and then {answer:?}");
    }
    let why = connector.check(&[topic()]).await.expect_err("nobody is let in");
    assert!(why.advice.is_some(), "what can an operator do? {why:?}");

    broker.guard().expect("as before").correct().await;
    until_taken(&*connector, &events[0]).await;
    let answers = publish_all(&*connector, &events, &topic()).await;
    all_taken(&answers);
    let tally = tally(&events, &answers, &broker.stored().await);
    assert_eq!(tally.acknowledged_but_absent(), [""; 0]);
    tally.report("a wrong password is waited out");
    connector.close().await;
}

/// A connector can be built while its broker is away; it answers for what comes, and finds the
/// broker when it is there.
pub async fn a_broker_that_comes_late_is_found(broker: &mut dyn Broker) {
    broker.kill().await;
    let connector = broker.connector().await;
    let events = numbered("early", 20);
    let mut tally = Tally::default();
    let answers = publish_all(&*connector, &events, &topic()).await;
    for answer in &answers {
        let unavailable = matches!(answer, Err(PublishError::Unavailable(_)));
        assert!(unavailable, "no broker, and then {answer:?}");
    }
    connector.check(&[topic()]).await.expect_err("nobody is there to answer");
    broker.restart().await;
    until_taken(&*connector, &events[0]).await;
    let answers = publish_all(&*connector, &events, &topic()).await;
    all_taken(&answers);
    note(&mut tally, &events, &answers);
    tally.found(&broker.stored().await);
    assert_eq!(tally.acknowledged_but_absent(), [""; 0]);
    tally.report("a broker that comes late is found");
    connector.close().await;
}

/// On a broker where nothing is made yet, `check` says that the first event makes it and makes
/// nothing; `provide` makes it.
pub async fn check_makes_nothing_and_provide_makes_it(broker: &mut dyn Broker) {
    let connector = broker.connector().await;
    for _ in 0..2 {
        let checked = connector.check(&[topic()]).await.expect("the broker answers");
        let [Err(why)] = checked.as_slice() else { panic!("nothing is there: {checked:?}") };
        assert_eq!(why.cause, Cause::Pending, "{why:?}");
        assert!(why.advice.is_some(), "how is it made now? {why:?}");
    }
    let provided = connector.provide(&[topic()]).await.expect("the broker answers");
    assert!(matches!(provided.as_slice(), [Ok(())]), "{provided:?}");
    let checked = connector.check(&[topic()]).await.expect("the broker answers");
    assert!(matches!(checked.as_slice(), [Ok(_)]), "{checked:?}");
    connector.close().await;
}

/// Publishes one event again and again until it is taken, as a route does.
async fn until_taken(connector: &dyn Connector, event: &Event) {
    let taken = async {
        while let Err(why) = connector.publish(event, &topic()).await {
            assert!(matches!(why, PublishError::Unavailable(_)), "a good event, and then {why:?}");
            // The distance between a route's attempts; nothing depends on it.
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(REPAIRED_WITHIN, taken).await.expect("a connector goes on once all is repaired");
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
