use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashTable;
use tokio::time::Instant;

/// A keyed hash of an event's id and content.
pub(super) type Key = u128;

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

    /// Entries held, those included that were taken and not yet swept.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Writes an entry as the newest.
    pub(super) fn put(&mut self, key: Key, value: T, window: Duration) {
        self.sweep(window);
        self.take(key);
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
        let Some(slot) = self.slots.front() else { return false };
        if slot.value.is_some() {
            self.take(slot.key);
        }
        self.slots.pop_front();
        self.first = self.first.wrapping_add(1);
        true
    }

    /// Drops what stands at the old end and is of no more use.
    fn sweep(&mut self, window: Duration) {
        let now_secs = self.now_secs();
        while let Some(slot) = self.slots.front() {
            let age_secs = u64::from(now_secs.saturating_sub(slot.written_secs));
            if slot.value.is_some() && age_secs <= window.as_secs() {
                return;
            }
            self.evict();
        }
    }

    fn now_secs(&self) -> u32 {
        u32::try_from(self.epoch.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

fn index(first: u32, place: u32) -> usize {
    place.wrapping_sub(first) as usize
}

/// Keys are hashes already.
#[allow(clippy::cast_possible_truncation, reason = "any 64 bits of a hash are a hash")]
fn hash(key: Key) -> u64 {
    key as u64
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
            (any::<u8>(), any::<u16>()).prop_map(|(k, v)| Step::Put(k, v)),
            any::<u8>().prop_map(Step::Get),
            any::<u8>().prop_map(Step::Take),
            Just(Step::Evict),
        ]
    }

    /// Keys that collide in their lower bits are the interesting ones.
    fn key(k: u8) -> Key {
        (u128::from(k) << 64) | u128::from(k % 4)
    }

    proptest! {
        #[test]
        fn behaves_as_an_ordered_list_of_entries(steps in prop::collection::vec(step(), 0..300)) {
            let mut memory = Memory::new();
            let mut model: Vec<(u8, Option<u16>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Put(k, v) => {
                        while model.first().is_some_and(|(_, v)| v.is_none()) {
                            model.remove(0);
                        }
                        for (other, value) in &mut model {
                            if *other == k { *value = None; }
                        }
                        model.push((k, Some(v)));
                        memory.put(key(k), v, WINDOW);
                    }
                    Step::Get(k) => {
                        let held = model.iter().find_map(|(m, v)| (*m == k).then_some(*v).flatten());
                        prop_assert_eq!(memory.get_mut(key(k), WINDOW).copied(), held);
                    }
                    Step::Take(k) => {
                        let held = model.iter_mut().find(|(m, v)| *m == k && v.is_some());
                        prop_assert_eq!(memory.take(key(k)), held.and_then(|(_, v)| v.take()));
                    }
                    Step::Evict => {
                        prop_assert_eq!(memory.evict(), !model.is_empty());
                        if !model.is_empty() { model.remove(0); }
                    }
                }
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
