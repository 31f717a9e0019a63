use std::collections::BTreeMap;

use crate::Stored;

/// What became of every published event, by id: what the connector said against what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    events: BTreeMap<String, Fate>,
    /// In the broker, and nobody published it.
    pub strangers: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    acknowledged: bool,
    copies: usize,
}

// === impl Tally ===

impl Tally {
    /// Notes that the event was published, and whether that was acknowledged.
    pub fn published(&mut self, id: &str, acknowledged: bool) {
        self.events.entry(id.to_owned()).or_default().acknowledged |= acknowledged;
    }

    /// Notes what the broker holds.
    pub fn found(&mut self, stored: &[Stored]) {
        for Stored { id, .. } in stored {
            match self.events.get_mut(id) {
                Some(fate) => fate.copies += 1,
                None => self.strangers.push(id.clone()),
            }
        }
    }

    /// How many were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.ids(|fate| fate.acknowledged).len()
    }

    /// Acknowledged and not there: the promise is broken.
    pub fn acknowledged_but_absent(&self) -> Vec<&str> {
        self.ids(|fate| fate.acknowledged && fate.copies == 0)
    }

    /// Neither acknowledged nor there: its source sends it again.
    pub fn absent(&self) -> Vec<&str> {
        self.ids(|fate| !fate.acknowledged && fate.copies == 0)
    }

    /// There although the connector failed: becomes a duplicate when it is sent again.
    pub fn present_though_failed(&self) -> Vec<&str> {
        self.ids(|fate| !fate.acknowledged && fate.copies > 0)
    }

    /// There more than once.
    pub fn duplicated(&self) -> Vec<&str> {
        self.ids(|fate| fate.copies > 1)
    }

    fn ids(&self, wanted: impl Fn(&Fate) -> bool) -> Vec<&str> {
        self.events.iter().filter(|(_, fate)| wanted(fate)).map(|(id, _)| id.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fate_is_counted_by_itself() {
        let mut tally = Tally::default();
        for (id, acknowledged) in
            [("good", true), ("lost", true), ("failed", false), ("twice", true), ("there", false)]
        {
            tally.published(id, acknowledged);
        }
        let stored = ["good", "twice", "twice", "there", "stranger"]
            .map(|id| Stored { id: id.to_owned(), topic: "t".to_owned() });
        tally.found(&stored);
        assert_eq!(tally.acknowledged(), 3);
        assert_eq!(tally.acknowledged_but_absent(), ["lost"]);
        assert_eq!(tally.absent(), ["failed"]);
        assert_eq!(tally.present_though_failed(), ["there"]);
        assert_eq!(tally.duplicated(), ["twice"]);
        assert_eq!(tally.strangers, ["stranger"]);
    }
}
