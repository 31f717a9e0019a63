use std::collections::BTreeMap;

use vodbridge_journal::Seq;

/// A set of rows as its ranges: in an outage a million rows that follow one another are one.
#[derive(Debug, Default)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

// === impl Ranges ===

impl Ranges {
    /// All rows up to this one.
    pub(super) fn up_to(last: Seq) -> Self {
        Self(if last.get() == 0 { BTreeMap::new() } else { BTreeMap::from([(1, last.get())]) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn insert(&mut self, seq: Seq) {
        let seq = seq.get();
        if self.range_of(seq).is_some() {
            return;
        }
        let (mut first, mut last) = (seq, seq);
        if let Some((&start, &end)) = self.0.range(..seq).next_back()
            && end + 1 == seq
        {
            first = start;
        }
        if let Some(end) = self.0.remove(&(seq + 1)) {
            last = end;
        }
        self.0.insert(first, last);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, seq: Seq) -> bool {
        let seq = seq.get();
        let Some((start, _)) = self.range_of(seq) else { return false };
        self.remove_within(start, seq, seq);
        true
    }

    /// Removes all from `first` to `last`, where no row is.
    pub(super) fn remove_all(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        loop {
            // Only a range that begins by `last` can hold any of them.
            let Some((&start, &end)) = self.0.range(..=last).next_back() else { return };
            if end < first {
                return;
            }
            self.remove_within(start, first.max(start), last.min(end));
        }
    }

    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.range_of(seq.get()).is_some()
    }

    /// The first behind `after`.
    pub(super) fn next(&self, after: Seq) -> Option<Seq> {
        let from = after.get() + 1;
        if self.range_of(from).is_some() {
            return Some(Seq::new(from));
        }
        self.0.range(from..).next().map(|(&start, _)| Seq::new(start))
    }

    fn range_of(&self, seq: u64) -> Option<(u64, u64)> {
        let (&start, &end) = self.0.range(..=seq).next_back()?;
        (end >= seq).then_some((start, end))
    }

    /// Cuts a piece out of the range that begins at `start`.
    fn remove_within(&mut self, start: u64, first: u64, last: u64) {
        let Some(end) = self.0.remove(&start) else { return };
        if start < first {
            self.0.insert(start, first - 1);
        }
        if last < end {
            self.0.insert(last + 1, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_plain_set_holds(
            last in 0..12_u64,
            steps in prop::collection::vec((0..3_u8, 1..20_u64, 0..6_u64), 0..60),
        ) {
            let mut ranges = Ranges::up_to(Seq::new(last));
            let mut plain: BTreeSet<u64> = (1..=last).collect();
            for (what, seq, more) in steps {
                match what {
                    0 => {
                        ranges.insert(Seq::new(seq));
                        plain.insert(seq);
                    }
                    1 => prop_assert_eq!(ranges.remove(Seq::new(seq)), plain.remove(&seq)),
                    _ => {
                        ranges.remove_all(seq, seq + more);
                        plain.retain(|held| !(seq..=seq + more).contains(held));
                    }
                }
                prop_assert_eq!(ranges.is_empty(), plain.is_empty());
                for seq in 0..26 {
                    let at = Seq::new(seq);
                    prop_assert_eq!(ranges.contains(at), plain.contains(&seq));
                    let next = plain.range(seq + 1..).next().copied();
                    prop_assert_eq!(ranges.next(at).map(Seq::get), next);
                }
            }
        }
    }

    #[test]
    fn a_million_rows_in_a_row_are_one_range() {
        let mut ranges = Ranges::default();
        (1..=1_000_000).for_each(|seq| ranges.insert(Seq::new(seq)));
        assert_eq!(ranges.0.len(), 1);
    }
}
