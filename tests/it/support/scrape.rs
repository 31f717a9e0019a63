use vodbridge::telemetry::metrics::Metrics;

/// The numbers of one scrape.
pub(crate) struct Scrape(String);

impl Scrape {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self(metrics.encode())
    }

    /// The sum of all series of a metric whose labels hold all of these texts.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> i64 {
        let series = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix("vodbridge_")?.strip_prefix(name)?;
            let at = rest.starts_with(['{', ' ']).then(|| rest.rfind(' '))??;
            let (with, value) = rest.split_at(at);
            labels.iter().all(|l| with.contains(l)).then(|| value.trim().parse::<i64>().unwrap())
        });
        series.sum()
    }

    /// Events that ended in this way.
    pub(crate) fn settled(&self, outcome: &str) -> i64 {
        self.sum("settled_total", &[&format!("outcome=\"{outcome}\"")])
    }

    /// Publishes of a connector with this result.
    pub(crate) fn published(&self, connector: &str, result: &str) -> i64 {
        let labels = [format!("connector=\"{connector}\""), format!("result=\"{result}\"")];
        self.sum("published_total", &labels.each_ref().map(String::as_str))
    }

    /// Received and recovered, less settled, in flight and waiting.
    pub(crate) fn unaccounted(&self) -> i64 {
        self.sum("received_total", &[]) + self.sum("recovered_total", &[])
            - self.sum("settled_total", &[])
            - self.sum("in_flight", &[])
            - self.sum("waiting", &[])
    }
}
