use std::time::Duration;

/// How `publish_timeout` is divided.
///
/// A publish first waits for a producer, a topic and room; then its record is librdkafka's, whose
/// report is the answer. librdkafka gives a record up after `message.timeout.ms`, some seconds late
/// (7.8 s for 3 s was seen), so that it is told half of the time. Only if its report is late even
/// for that, the whole producer is purged: the record is then settled by the purge, and nothing of
/// it is sent afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How long a publish waits before its record is handed over.
    pub(crate) wait: Duration,
    /// `message.timeout.ms`: from handing over to librdkafka's report, ideally.
    pub(crate) message: Duration,
    /// `topic.metadata.propagation.max.ms`: librdkafka wants it to be below the above.
    pub(crate) propagation: Duration,
    /// From the call to the purge.
    pub(crate) purge: Duration,
    /// From the call to the answer that is given even if a purge settles nothing.
    pub(crate) answer: Duration,
}

// === impl Limits ===

impl Limits {
    pub(crate) fn of(publish_timeout: Duration) -> Self {
        let part = |percent: u32| publish_timeout * percent / 100;
        Self {
            wait: part(30),
            message: part(50),
            propagation: part(25).min(Duration::from_secs(5)),
            purge: part(93),
            answer: part(98),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_ends_before_the_next() {
        for seconds in [1, 3, 20, 3600] {
            let whole = Duration::from_secs(seconds);
            let Limits { wait, message, propagation, purge, answer } = Limits::of(whole);
            assert!(propagation < message);
            assert!(wait + message < purge);
            assert!(purge < answer);
            assert!(answer < whole);
        }
    }
}
