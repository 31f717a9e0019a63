use std::time::Duration;

use futures_util::FutureExt;
use vodbridge::delivery::Outcome;
use vodbridge::outlet::Admitted;

use crate::support::{Answer, Bridge, Setup, arrives_as, event, of_type, soon};

fn small_room() -> Bridge {
    Setup { room_events: 2, room_bytes: 1000, ..Setup::default() }.build()
}

/// Whether an event would begin now.
fn has_room(bridge: &Bridge, id: &str, bytes: usize) -> bool {
    let event = arrives_as(of_type(id, "Dropped"), bytes);
    let Admitted::New(departure, _) = bridge.offer(event) else { panic!("it is new") };
    departure.depart().now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_full_room_holds_its_source_back() {
    for (full_with, bytes) in [(2, 10), (1, 995), (1, 5000)] {
        let bridge = small_room();
        bridge.connector().usually(Answer::TakenAfter(Duration::from_secs(10)));
        let mut receipts = Vec::new();
        for n in 0..full_with {
            receipts.push(bridge.send(arrives_as(event(&n.to_string()), bytes)).await);
        }
        let Admitted::New(departure, receipt) = bridge.offer(arrives_as(event("next"), 10)) else {
            panic!("it is new")
        };
        let departing = tokio::time::timeout(Duration::from_secs(9), departure.depart());
        assert!(departing.await.is_err(), "{full_with} of {bytes} bytes leave room");
        assert_eq!(soon(receipt.outcome()).await, Outcome::Deferred, "who leaves the queue");
        assert_eq!(bridge.connector().attempts("next"), 0);
        assert_eq!(bridge.outcome(arrives_as(event("next"), 10)).await, Outcome::Delivered);
    }
}

#[tokio::test(start_paused = true)]
async fn the_room_is_given_back_in_every_end() {
    let bridge = small_room();
    for (n, answer) in [
        Answer::Taken,
        Answer::Refused,
        Answer::Panics,
        Answer::Hangs,
        Answer::Outage,
        Answer::Topology,
    ]
    .into_iter()
    .enumerate()
    {
        // Four of each, so that a permit that is kept shuts the room.
        for m in 0..4 {
            let id = format!("{n} {m}");
            bridge.connector().first(&id, &[answer; 8]);
            let receipt = bridge.send(arrives_as(of_type(&id, &id), 900)).await;
            tokio::time::timeout(Duration::from_secs(1), receipt.outcome()).await.ok();
            drop(receipt);
            bridge.rest().await;
        }
        assert!(has_room(&bridge, &format!("probe {n}"), 1000), "{answer:?} keeps its room");
        bridge.rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_outside_of_every_leg_gives_its_room_back_when_it_panics() {
    let bridge = Setup { room_events: 1, ..Setup::default() }.build();
    bridge.letter_box.first("a", &[Answer::Panics]);
    let Admitted::New(departure, receipt) = bridge.offer_unrecognized(event("a")) else {
        panic!("it is new")
    };
    departure.depart().await;
    assert_eq!(soon(receipt.outcome()).await, Outcome::Deferred);
    assert_eq!(bridge.outcome(event("b")).await, Outcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn an_event_larger_than_all_the_room_still_goes() {
    let bridge = small_room();
    assert_eq!(bridge.outcome(arrives_as(event("a"), 100_000)).await, Outcome::Delivered);
}
