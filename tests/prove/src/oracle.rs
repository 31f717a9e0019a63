//! Judges a run: what VOD was told against what lies in the broker and in the dead letters.
//!
//! Pure, and without any knowledge of the bridge. An event is known by the bytes of its payload,
//! which are another for each, so that the ids of the copies are something to judge, not to go by.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What VOD knows of one event that it issued. Its number is its place.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The whole body.
    pub body: Vec<u8>,
    /// The FileId in it, another for each event.
    pub file: String,
    /// What the bridge has promised.
    pub told: Told,
}

/// What the bridge has promised of an event, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// Nothing: it may arrive or not.
    Nothing,
    /// Nothing, but with `spool: ahead` its body had been sent in full well before the process
    /// died, and so it is owed.
    Sent,
    /// 503, with the word that it is kept.
    Kept,
    /// 2xx, or confirmed.
    Acknowledged,
}

/// One message that an independent subscriber found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The CloudEvents id.
    pub id: String,
    /// The attribute `vodfileid`.
    pub file: String,
    /// The data of the event, or the whole body where a message is kept whole.
    pub data: Vec<u8>,
    /// Whether it lay in the dead letters.
    pub is_dead_letter: bool,
}

/// A run in numbers of events, copies for `duplicated`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Events that VOD issued.
    pub issued: u64,
    /// Events that were answered 2xx, or confirmed.
    pub acknowledged: u64,
    /// Of those, the ones that lie nowhere.
    pub lost: u64,
    /// Events answered 503 with the word that they are kept, and nothing better.
    pub kept: u64,
    /// Of those, the ones that lie nowhere.
    pub kept_lost: u64,
    /// Events without any answer whose bodies were sent in full before the process died, with
    /// `spool: ahead`.
    pub sent: u64,
    /// Of those, the ones that lie nowhere.
    pub sent_lost: u64,
    /// Copies beyond the first of each event.
    pub duplicated: u64,
    /// Events that were not acknowledged and lie there all the same.
    pub recovered: u64,
    /// Events that lie in the dead letters alone.
    pub dead_letters: u64,
    /// Messages that nobody issued, changed ones among them.
    pub unexpected: u64,
    /// Messages with the FileId of an event and another payload.
    pub changed: u64,
    /// Events whose copies have different ids.
    pub renamed: u64,
    /// Ids that several events share: a subscriber would take one for a copy of the other.
    pub shared_ids: u64,
    /// Numbers of lost events, the first few of them, whatever was promised.
    pub examples: Vec<u64>,
}

/// How many numbers of lost events are told.
const EXAMPLES_MAX: usize = 10;

/// Judges a run.
pub fn judge(issued: &[Issued], found: &[Found]) -> Verdict {
    let by_payload: HashMap<&[u8], usize> = issued
        .iter()
        .enumerate()
        .map(|(number, event)| (payload(&event.body).unwrap_or(&event.body), number))
        .collect();
    let files: BTreeSet<&str> = issued.iter().map(|event| event.file.as_str()).collect();
    let mut verdict = Verdict { issued: issued.len() as u64, ..Verdict::default() };
    let mut copies = vec![Copies::default(); issued.len()];
    let mut owners: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for message in found {
        let bytes = payload(&message.data).unwrap_or(&message.data);
        let Some(&number) = by_payload.get(bytes) else {
            verdict.unexpected += 1;
            verdict.changed += u64::from(files.contains(message.file.as_str()));
            continue;
        };
        let copies = &mut copies[number];
        if message.is_dead_letter {
            copies.letters += 1;
        } else {
            copies.delivered += 1;
            copies.ids.insert(&message.id);
            owners.entry(&message.id).or_default().insert(number);
        }
    }
    for (number, (event, copies)) in (0..).zip(issued.iter().zip(&copies)) {
        verdict.count(number, event.told, copies);
    }
    verdict.shared_ids = owners.values().filter(|owners| owners.len() > 1).count() as u64;
    verdict
}

/// The payload of a body: the one member that is an object, byte for byte. Nothing if it is no
/// such body; what follows the first JSON value is not looked at.
pub fn payload(body: &[u8]) -> Option<&[u8]> {
    let members: BTreeMap<&str, &RawValue> =
        serde_json::Deserializer::from_slice(body).into_iter().next()?.ok()?;
    members.get("EventType")?;
    let mut objects = members.values().filter(|value| value.get().starts_with('{'));
    let payload = objects.next()?;
    objects.next().is_none().then(|| payload.get().as_bytes())
}

#[derive(Clone, Debug, Default)]
struct Copies<'a> {
    delivered: u64,
    letters: u64,
    ids: BTreeSet<&'a str>,
}

// === impl Verdict ===

impl Verdict {
    fn count(&mut self, number: u64, told: Told, copies: &Copies<'_>) {
        let all = copies.delivered + copies.letters;
        let is_lost = all == 0;
        let (promised, lost) = match told {
            Told::Acknowledged => (&mut self.acknowledged, &mut self.lost),
            Told::Kept => (&mut self.kept, &mut self.kept_lost),
            Told::Sent => (&mut self.sent, &mut self.sent_lost),
            // Whatever becomes of it is no loss.
            Told::Nothing => (&mut 0, &mut 0),
        };
        *promised += 1;
        *lost += u64::from(is_lost);
        if is_lost && told > Told::Nothing && self.examples.len() < EXAMPLES_MAX {
            self.examples.push(number);
        }
        self.duplicated += all.saturating_sub(1);
        self.recovered += u64::from(told < Told::Acknowledged && !is_lost);
        self.dead_letters += u64::from(copies.delivered == 0 && copies.letters > 0);
        self.renamed += u64::from(copies.ids.len() > 1);
    }

    /// What is wrong, a clause each; none if all is well.
    pub fn failures(&self) -> Vec<String> {
        let wrong = [
            (self.lost, "acknowledged and lost"),
            (self.kept_lost, "said to be kept and lost"),
            (self.sent_lost, "sent in full before the process died and lost"),
            (self.changed, "with a changed payload"),
            (self.unexpected - self.changed, "that nobody issued"),
            (self.renamed, "with two ids"),
            (self.shared_ids, "ids of two events"),
        ];
        let wrong = wrong.into_iter().filter(|(count, _)| *count > 0);
        wrong.map(|(count, what)| format!("{count} {what}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(n: u64) -> Vec<u8> {
        format!(r#"{{"EventType":"X","XEvent":{{"FileId":"{n}"}}}}"#).into_bytes()
    }

    fn issued(told: &[Told]) -> Vec<Issued> {
        let event =
            |(n, told): (u64, &Told)| Issued { body: body(n), file: n.to_string(), told: *told };
        (0..).zip(told).map(event).collect()
    }

    fn found(n: u64) -> Found {
        let data = payload(&body(n)).unwrap().to_vec();
        Found { id: format!("X:{n}"), file: n.to_string(), data, is_dead_letter: false }
    }

    fn check(told: &[Told], found: &[Found], failures: &[&str]) -> Verdict {
        let verdict = judge(&issued(told), found);
        assert_eq!(verdict.failures(), failures, "{verdict:?}");
        verdict
    }

    #[test]
    fn what_was_acknowledged_and_lies_there_is_well() {
        let verdict = check(&[Told::Acknowledged; 2], &[found(0), found(1)], &[]);
        assert_eq!((verdict.acknowledged, verdict.recovered, verdict.duplicated), (2, 0, 0));
    }

    #[test]
    fn an_acknowledged_event_that_lies_nowhere_is_lost() {
        let verdict =
            check(&[Told::Acknowledged; 3], &[found(0), found(2)], &["1 acknowledged and lost"]);
        assert_eq!((verdict.lost, verdict.examples), (1, vec![1]));
    }

    #[test]
    fn what_was_kept_or_sent_before_a_kill_is_owed_too() {
        let told = [Told::Kept, Told::Sent, Told::Nothing];
        let wrong =
            ["1 said to be kept and lost", "1 sent in full before the process died and lost"];
        check(&told, &[], &wrong);
        let verdict = check(&told, &[found(0), found(1), found(2)], &[]);
        assert_eq!(verdict.recovered, 3);
    }

    #[test]
    fn a_dead_letter_has_it() {
        let letter = Found { data: body(0), is_dead_letter: true, ..found(0) };
        let verdict = check(&[Told::Acknowledged], &[letter], &[]);
        assert_eq!(verdict.dead_letters, 1);
    }

    #[test]
    fn a_changed_payload_is_found_out_and_does_not_count_as_arrived() {
        let changed = Found { data: br#"{"FileId": "0"}"#.to_vec(), ..found(0) };
        let wrong = ["1 acknowledged and lost", "1 with a changed payload"];
        check(&[Told::Acknowledged], &[changed], &wrong);
    }

    #[test]
    fn one_event_with_two_ids_is_found_out() {
        let again = Found { id: "X:other".to_owned(), ..found(0) };
        let verdict = check(&[Told::Acknowledged], &[found(0), again], &["1 with two ids"]);
        assert_eq!(verdict.duplicated, 1);
    }

    #[test]
    fn two_events_with_one_id_are_found_out() {
        let other = Found { id: found(0).id, ..found(1) };
        check(&[Told::Acknowledged; 2], &[found(0), other], &["1 ids of two events"]);
    }

    #[test]
    fn what_nobody_issued_is_unexpected() {
        check(&[Told::Acknowledged], &[found(0), found(9)], &["1 that nobody issued"]);
    }

    #[test]
    fn a_duplicate_with_the_same_id_is_counted_and_allowed() {
        let verdict = check(&[Told::Nothing], &[found(0), found(0), found(0)], &[]);
        assert_eq!((verdict.duplicated, verdict.recovered), (2, 1));
    }

    #[test]
    fn a_payload_is_the_bytes_that_it_has_in_the_body() {
        let body = br#" {"EventType":"X", "XEvent": {"a" : 1.0e5} , "Sign":"b"} and more"#;
        assert_eq!(payload(body).unwrap(), br#"{"a" : 1.0e5}"#);
        for none in [&br#"{"a":{}}"#[..], br#"[1]"#, b"", br#"{"EventType":"X","a":{},"b":{}}"#] {
            assert_eq!(payload(none), None, "{}", String::from_utf8_lossy(none));
        }
    }
}
