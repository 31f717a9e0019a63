//! The metrics as a document, made from what is registered: `docs/metrics.md`.

use std::fmt::Write as _;

use super::Metrics;

/// What is above the table.
const HEAD: &str = "\
# Metrics

Every metric of `/metrics` on the admin port. Made by `vodbridge metrics`: do not edit.

A counter begins at 0 with the process; a histogram has the series `_bucket`, `_sum` and `_count`. No
value of a label comes from outside: event types beyond the catalogue are counted under `other`. So an
installation has a bounded number of series: by far the most are `vodbridge_received_total`, one for
each application, mode and known type.

What came in has ended, is in flight or waits, at any moment:

```promql
sum(vodbridge_received_total) + sum(vodbridge_recovered_total)
  == sum(vodbridge_settled_total) + sum(vodbridge_in_flight) + sum(vodbridge_waiting)
```
";

/// Every label, what it says, and which values it takes.
const LABELS: &[(&str, &str)] = &[
    (
        "action",
        "A call of VOD's API: `PullEvents`, `ConfirmEvents`, `DescribeEventsState` and others.",
    ),
    ("application", "The name under `applications`."),
    (
        "code",
        "`ok`, the code of VOD's error, or what went wrong before there was one: `network`, `timeout`, \
         `credentials` and others.",
    ),
    (
        "connector",
        "The name under `connectors`; `dead-letters` is the journal where it takes dead letters.",
    ),
    ("event_type", "The type as in VOD's catalogue, or `other`."),
    ("mode", "How an event came in: `callback` or `pull`."),
    (
        "operation",
        "What was to be written: `append` (an event), `change` (what became of events in the spool), \
         `remove`, `remember` (the history).",
    ),
    (
        "outcome",
        "`delivered`, `rejected` (a dead letter has it), `duplicate`, `dropped` (by a route), `deferred` \
         (given back to its source and kept nowhere).",
    ),
    ("reason", "Why an event became a dead letter; the attribute `vodreason` of the letter."),
    (
        "result",
        "`acknowledged`, `refused` (for good), `unavailable` (not now), `skipped` (best effort, without \
         room).",
    ),
    ("share", "`events`, `dead_letters`, `spool`, `history`, or `wal`, the write-ahead log."),
    ("status", "The HTTP status of the answer."),
    (
        "survives",
        "A fault: `process` (killed), `machine` (loses power), `node` (lost for good), `all` (all lose \
         power at once).",
    ),
    (
        "used_by",
        "The key of the configuration that names the file: `http.tls.cert_file`, \
         `connectors.NAME.tls.cert_file`, `connectors.NAME.tls.ca_file`.",
    ),
];

/// One metric.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    name: String,
    kind: String,
    unit: String,
    labels: Vec<String>,
    help: String,
}

/// The document.
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    out += "\n| name | type | unit | labels | says |\n| --- | --- | --- | --- | --- |\n";
    for Row { name, kind, unit, labels, help } in rows(&Metrics::register(true).encode()) {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let cells = [format!("`{name}`"), kind, unit, labels.join(", "), help];
        writeln!(out, "| {} |", cells.join(" | ")).expect("writing to a String cannot fail");
    }
    out += "\n| label | says |\n| --- | --- |\n";
    for (label, help) in LABELS {
        writeln!(out, "| `{label}` | {help} |").expect("writing to a String cannot fail");
    }
    out
}

/// The metrics of an OpenMetrics text in which each has a series.
fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match *words {
            ["#", "HELP", name, help] => {
                let help = help.trim_end_matches('.').to_owned();
                rows.push(Row { name: name.to_owned(), help, ..Row::default() });
            }
            ["#", what, _, value] => {
                let row = rows.last_mut().expect("its help comes first");
                match what {
                    "TYPE" => value.clone_into(&mut row.kind),
                    "UNIT" => value.clone_into(&mut row.unit),
                    other => unreachable!("OpenMetrics knows no {other}"),
                }
            }
            _ => {
                let Some(row) = rows.last_mut() else { continue };
                let (series, _) = line.split_once(' ').unwrap_or((line, ""));
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                if row.kind == "counter" {
                    name.clone_into(&mut row.name);
                }
                for pair in labels.trim_end_matches('}').split(',') {
                    let label = pair.split_once('=').map_or("", |(label, _)| label);
                    let is_known = row.labels.iter().any(|known| known == label);
                    if !label.is_empty() && label != "le" && !is_known {
                        row.labels.push(label.to_owned());
                    }
                }
            }
        }
    }
    for row in &mut rows {
        if row.unit.is_empty() {
            let unit = ["seconds", "bytes"]
                .into_iter()
                .find(|unit| row.name.trim_end_matches("_total").ends_with(&format!("_{unit}")));
            unit.unwrap_or_default().clone_into(&mut row.unit);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_label_is_explained_and_none_that_is_not_there() {
        let rows = rows(&Metrics::register(true).encode());
        let used: BTreeSet<_> =
            rows.iter().flat_map(|row| &row.labels).map(String::as_str).collect();
        let explained: Vec<_> = LABELS.iter().map(|(label, _)| *label).collect();
        assert_eq!(explained, used.into_iter().collect::<Vec<_>>(), "in the order of the alphabet");
    }

    #[test]
    fn every_row_of_a_table_has_the_cells_of_its_head() {
        let document = markdown();
        let mut tables = document.split("\n\n").filter(|part| part.starts_with('|'));
        for columns in [5, 2] {
            let table = tables.next().expect("there are two tables");
            for row in table.lines() {
                assert_eq!(row.matches('|').count(), columns + 1, "{row}");
            }
        }
    }

    #[test]
    fn a_row_says_what_a_scrape_says() {
        let rows = rows(&Metrics::register(true).encode());
        let find = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        let received = find("vodbridge_received_total");
        assert_eq!(received.kind, "counter");
        assert_eq!(received.labels, ["application", "mode", "event_type"]);
        let publish = find("vodbridge_publish_seconds");
        assert_eq!((publish.kind.as_str(), publish.unit.as_str()), ("histogram", "seconds"));
        assert_eq!(publish.labels, ["connector"]);
        assert_eq!(find("process_resident_memory_bytes").unit, "bytes");
        assert_eq!(find("vodbridge_in_flight").labels, ["application"]);
    }
}
