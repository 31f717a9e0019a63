use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashTable;
use tokio::time::Instant;

/// A keyed hash of an event's id and content, 128 bits: as two halves, because that makes a slot
/// of 24 bytes and not of 32.
pub(super) type Key = [u64; 2];

/// Empty slots that are not worth closing.
const GAPS_MIN: usize = 16;

/// What is remembered by key for a while: the oldest go first.
///
/// A ring of slots in the order of their writing and a table of their places, 5 bytes an entry
/// beside the slot: this is the one thing in the bridge that holds hundreds of thousands.
#[derive(Debug)]
pub(super) struct Memory<T> {
    slots: VecDeque<Slot<T>>,
    places: HashTable<u32>,
    /// The place of the first slot; places wrap around, which is harmless while the table is
    /// smaller than half their range.
    first: u32,
    epoch: Instant,
}

#[derive(Debug)]
struct Slot<T> {
    key: Key,
    written_secs: u32,
    /// `None` once the entry was taken or written anew.
    value: Option<T>,
}

impl<T> Memory<T> {
    pub(super) fn new() -> Self {
        Self { slots: VecDeque::new(), places: HashTable::new(), first: 0, epoch: Instant::now() }
    }

    /// Entries held; there are at most twice as many slots, and a few.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Writes an entry as the newest.
    pub(super) fn put(&mut self, key: Key, value: T, window: Duration) {
        self.sweep(window);
        self.take(key);
        self.close_gaps();
        let place = self.first.wrapping_add(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        self.slots.push_back(Slot { key, written_secs: self.now_secs(), value: Some(value) });
        let (slots, first) = (&self.slots, self.first);
        self.places.insert_unique(hash(key), place, |&p| hash(slots[index(first, p)].key));
    }

    /// The entry of `key`, if it was written within the `window`.
    pub(super) fn get_mut(&mut self, key: Key, window: Duration) -> Option<&mut T> {
        let (slots, first) = (&self.slots, self.first);
        let place = *self.places.find(hash(key), |&p| slots[index(first, p)].key == key)?;
        let now_secs = self.now_secs();
        let slot = &mut self.slots[index(self.first, place)];
        let age_secs = u64::from(now_secs.saturating_sub(slot.written_secs));
        if age_secs > window.as_secs() { None } else { slot.value.as_mut() }
    }

    /// Forgets the entry of `key`, and returns it if it was written within the `window`.
    pub(super) fn take_within(&mut self, key: Key, window: Duration) -> Option<T> {
        let fresh = self.get_mut(key, window).is_some();
        self.take(key).filter(|_| fresh)
    }

    /// Forgets the entry of `key`.
    pub(super) fn take(&mut self, key: Key) -> Option<T> {
        let (slots, first) = (&self.slots, self.first);
        let entry =
            self.places.find_entry(hash(key), |&p| slots[index(first, p)].key == key).ok()?;
        let (place, _) = entry.remove();
        self.slots[index(first, place)].value.take()
    }

    /// Forgets the oldest entry; false when there is none.
    pub(super) fn evict(&mut self) -> bool {
        while let Some(held) = self.pop() {
            if held {
                return true;
            }
        }
        false
    }

    /// Drops what stands at the old end and is of no more use.
    fn sweep(&mut self, window: Duration) {
        let now_secs = self.now_secs();
        while let Some(slot) = self.slots.front() {
            let age_secs = u64::from(now_secs.saturating_sub(slot.written_secs));
            if slot.value.is_some() && age_secs <= window.as_secs() {
                return;
            }
            self.pop();
        }
    }

    /// Drops the first slot; whether it held an entry.
    fn pop(&mut self) -> Option<bool> {
        let slot = self.slots.front()?;
        let held = slot.value.is_some();
        if held {
            self.take(slot.key);
        }
        self.slots.pop_front();
        self.first = self.first.wrapping_add(1);
        Some(held)
    }

    /// Drops empty slots behind an entry that stays, once they are the most: entries that are
    /// taken and written again and again must not crowd out the others.
    fn close_gaps(&mut self) {
        if self.slots.len() <= 2 * self.places.len() + GAPS_MIN {
            return;
        }
        self.slots.retain(|slot| slot.value.is_some());
        self.first = 0;
        self.places.clear();
        let slots = &self.slots;
        for (place, slot) in (0..).zip(slots) {
            self.places.insert_unique(hash(slot.key), place, |&p| hash(slots[index(0, p)].key));
        }
    }

    fn now_secs(&self) -> u32 {
        u32::try_from(self.epoch.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

fn index(first: u32, place: u32) -> usize {
    place.wrapping_sub(first) as usize
}

/// Keys are hashes already, and a half of one is one.
fn hash(key: Key) -> u64 {
    key[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, u16),
        Get(u8),
        Take(u8),
        Evict,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..24_u8, any::<u16>()).prop_map(|(k, v)| Step::Put(k, v)),
            3 => (0..24_u8).prop_map(Step::Get),
            2 => (0..24_u8).prop_map(Step::Take),
            1 => Just(Step::Evict),
        ]
    }

    /// Few keys, so that they are written anew and leave gaps. Keys that collide in their first
    /// half are the interesting ones.
    fn key(k: u8) -> Key {
        [u64::from(k % 4), u64::from(k)]
    }

    proptest! {
        #[test]
        fn behaves_as_an_ordered_list_of_entries(steps in prop::collection::vec(step(), 0..300)) {
            let mut memory = Memory::new();
            let mut model: Vec<(u8, u16)> = Vec::new();
            for step in steps {
                match step {
                    Step::Put(k, v) => {
                        model.retain(|(other, _)| *other != k);
                        model.push((k, v));
                        memory.put(key(k), v, WINDOW);
                        prop_assert!(memory.slots.len() <= 2 * model.len() + GAPS_MIN + 1);
                    }
                    Step::Get(k) => {
                        let held = model.iter().find_map(|(m, v)| (*m == k).then_some(*v));
                        prop_assert_eq!(memory.get_mut(key(k), WINDOW).copied(), held);
                    }
                    Step::Take(k) => {
                        let held = model.iter().position(|(m, _)| *m == k);
                        prop_assert_eq!(memory.take(key(k)), held.map(|at| model.remove(at).1));
                    }
                    Step::Evict => {
                        prop_assert_eq!(memory.evict(), !model.is_empty());
                        if !model.is_empty() { model.remove(0); }
                    }
                }
                prop_assert_eq!(memory.len(), model.len());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_what_is_older_than_the_window() {
        let mut memory = Memory::new();
        memory.put(key(1), 1, WINDOW);
        tokio::time::advance(WINDOW).await;
        assert_eq!(memory.get_mut(key(1), WINDOW), Some(&mut 1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(memory.get_mut(key(1), WINDOW), None);
        memory.put(key(2), 2, WINDOW);
        assert_eq!(memory.len(), 1);
    }
}
