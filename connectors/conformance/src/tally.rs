use std::collections::BTreeMap;
use std::fmt;

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

    /// Prints the counts as one line of the table that a run of all clauses makes.
    pub fn report(&self, clause: &str) {
        // What a test prints is what the table is made of.
        #[expect(clippy::print_stdout, reason = "the counts are the test's output")]
        {
            println!("conformance: {clause}: {self}");
        }
    }

    fn ids(&self, wanted: impl Fn(&Fate) -> bool) -> Vec<&str> {
        self.events.iter().filter(|(_, fate)| wanted(fate)).map(|(id, _)| id.as_str()).collect()
    }
}

/// The counts, as one line.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "published {}, acknowledged {}, acknowledged but absent {}, duplicated {}, failed \
             and there {}, failed and absent {}, strangers {}",
            self.events.len(),
            self.acknowledged(),
            self.acknowledged_but_absent().len(),
            self.duplicated().len(),
            self.present_though_failed().len(),
            self.absent().len(),
            self.strangers.len(),
        )
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
