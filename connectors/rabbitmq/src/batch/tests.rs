use std::collections::VecDeque;

use lapin::ErrorKind;
use lapin::message::{BasicReturnMessage, Delivery};
use proptest::prelude::*;

use super::*;

/// One message, and what the broker does with it.
#[derive(Clone, Debug)]
struct Sent {
    id: u8,
    routed: bool,
    rejected: bool,
}

fn properties(id: u8) -> BasicProperties {
    BasicProperties::default().with_message_id(id.to_string().into())
}

fn returned(id: u8) -> BasicReturnMessage {
    let mut delivery = Delivery::mock(0, "vod".into(), "vod.x".into(), false, Vec::new());
    delivery.properties = properties(id);
    BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() }
}

/// lapin before a broker: returns stand in one line, each in front of the confirm of its own
/// message, and the confirm that comes next takes the first of them. `order` is the order in which
/// the broker confirms; after `until` steps the connection ends.
fn confirm(sent: &[Sent], order: &[usize], until: usize) -> Vec<lapin::Result<Confirmation>> {
    let lost = || Err(ErrorKind::MissingHeartbeatError.into());
    let mut confirmations: Vec<_> = sent.iter().map(|_| lost()).collect();
    let mut line = VecDeque::new();
    // The broker routes in the order of publishing, so that all returns come in it: the last ones
    // first from where its confirms are still waited for.
    let mut steps = Vec::new();
    let mut routed = 0;
    for index in order {
        while routed <= *index {
            if !sent[routed].routed {
                steps.push(Err(sent[routed].id));
            }
            routed += 1;
        }
        steps.push(Ok(*index));
    }
    for step in steps.into_iter().take(until) {
        match step {
            Err(id) => line.push_back(returned(id)),
            Ok(index) if sent[index].rejected => {
                confirmations[index] = Ok(Confirmation::Nack(line.pop_front()));
            }
            Ok(index) => confirmations[index] = Ok(Confirmation::Ack(line.pop_front())),
        }
    }
    confirmations
}

fn marks(sent: &[Sent]) -> Vec<Mark> {
    sent.iter().map(|s| Mark::new(&properties(s.id), &"vod.x".into())).collect()
}

prop_compose! {
    fn batches()(
        sent in proptest::collection::vec(
            (any::<u8>(), any::<bool>(), proptest::bool::weighted(0.1)).prop_map(
                |(id, routed, rejected)| Sent { id, routed, rejected: rejected && routed },
            ),
            1..40,
        ),
    )(
        order in Just((0..sent.len()).collect::<Vec<_>>()).prop_shuffle(),
        sent in Just(sent),
        until in 0_usize..100,
    ) -> (Vec<Sent>, Vec<usize>, usize) {
        (sent, order, until)
    }
}

proptest! {
    #[test]
    fn nothing_is_called_stored_that_was_not((sent, order, until) in batches()) {
        let verdicts = judge(&marks(&sent), confirm(&sent, &order, until));
        for (sent, verdict) in sent.iter().zip(verdicts) {
            if verdict == Verdict::Stored {
                prop_assert!(sent.routed && !sent.rejected, "{sent:?}");
            }
        }
    }

    #[test]
    fn a_whole_batch_of_different_events_is_judged_exactly((mut sent, order, _) in batches()) {
        for (index, sent) in sent.iter_mut().enumerate() {
            sent.id = u8::try_from(index).unwrap();
        }
        let verdicts = judge(&marks(&sent), confirm(&sent, &order, usize::MAX));
        for (sent, verdict) in sent.iter().zip(verdicts) {
            let right = match (sent.routed, sent.rejected) {
                (false, _) => Verdict::Unroutable,
                (true, true) => Verdict::Rejected,
                (true, false) => Verdict::Stored,
            };
            prop_assert_eq!(verdict, right, "{:?}", sent);
        }
    }
}

#[test]
fn twins_in_one_batch_share_the_worse_verdict() {
    let twin = |routed| Sent { id: 7, routed, rejected: false };
    let sent = [twin(true), twin(false), Sent { id: 8, routed: true, rejected: false }];
    let verdicts = judge(&marks(&sent), confirm(&sent, &[0, 1, 2], usize::MAX));
    assert_eq!(verdicts, [Verdict::Unroutable, Verdict::Unroutable, Verdict::Stored]);
}

#[test]
fn a_return_that_is_nobodys_leaves_those_untold_who_were_handed_one() {
    let sent = [Sent { id: 1, routed: true, rejected: false }];
    let stray = vec![Ok(Confirmation::Ack(Some(returned(99))))];
    assert_eq!(judge(&marks(&sent), stray), [Verdict::Untold]);
}

#[test]
fn confirms_that_were_never_asked_for_tell_nothing() {
    let sent = [Sent { id: 1, routed: true, rejected: false }];
    let none = vec![Ok(Confirmation::NotRequested)];
    assert_eq!(judge(&marks(&sent), none), [Verdict::Untold]);
}
