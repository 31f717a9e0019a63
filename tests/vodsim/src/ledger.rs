//! What became of every event.

use serde::Serialize;
use tokio::time::Instant;

/// One event that was issued. Its number is its place.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// When it was issued.
    pub issued: Instant,
    /// How often it was handed out or sent.
    pub delivered: u32,
    /// When it was taken off the queue, or its callback was answered with 2xx.
    pub confirmed: Option<Instant>,
}

/// Every event, by its number.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    delivered: u64,
    deliveries: u64,
    confirmed: u64,
}

/// The ledger in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Events issued.
    pub issued: u64,
    /// Events handed out or sent at least once.
    pub delivered: u64,
    /// Deliveries beyond the first of an event.
    pub redelivered: u64,
    /// Events confirmed.
    pub confirmed: u64,
    /// Events not confirmed.
    pub unconfirmed: u64,
}

// === impl Ledger ===

impl Ledger {
    /// All entries, in the order of their numbers.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether an event was confirmed; also false for one that was never issued.
    pub fn is_confirmed(&self, number: u64) -> bool {
        let entry = usize::try_from(number).ok().and_then(|n| self.entries.get(n));
        entry.is_some_and(|entry| entry.confirmed.is_some())
    }

    /// The numbers of events that are not confirmed.
    pub fn unconfirmed(&self) -> Vec<u64> {
        let numbered = (0..).zip(&self.entries);
        numbered.filter(|(_, entry)| entry.confirmed.is_none()).map(|(n, _)| n).collect()
    }

    /// It in numbers.
    pub fn summary(&self) -> Summary {
        let issued = self.entries.len() as u64;
        Summary {
            issued,
            delivered: self.delivered,
            redelivered: self.deliveries - self.delivered,
            confirmed: self.confirmed,
            unconfirmed: issued - self.confirmed,
        }
    }

    pub(crate) fn issue(&mut self) -> u64 {
        self.entries.push(Entry { issued: Instant::now(), delivered: 0, confirmed: None });
        self.entries.len() as u64 - 1
    }

    pub(crate) fn deliver(&mut self, number: u64) {
        let entry = self.entry(number);
        entry.delivered += 1;
        let is_first = entry.delivered == 1;
        self.deliveries += 1;
        self.delivered += u64::from(is_first);
    }

    pub(crate) fn confirm(&mut self, number: u64) {
        let entry = self.entry(number);
        let is_first = entry.confirmed.is_none();
        entry.confirmed.get_or_insert(Instant::now());
        self.confirmed += u64::from(is_first);
    }

    fn entry(&mut self, number: u64) -> &mut Entry {
        let place = usize::try_from(number).expect("numbers are places");
        &mut self.entries[place]
    }
}
