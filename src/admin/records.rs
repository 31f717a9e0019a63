//! `/api/events` and `/api/dead-letters`: rows of the journal, read beside its writer.
//!
//! A look runs on a thread that may block, as the commands beside a bridge do it: short
//! transactions, and none is open while an answer is sent.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use vodbridge_journal::{Filter, ReadError, Reader, Record};

use super::access::Access;
use super::answer::{Refusal, json};
use super::desk::Desk;
use crate::http::Response;
use crate::records::{Merged, Of, Order, Place};
use crate::telemetry::chain::Chain;

/// The most rows of one answer, and how many there are unless somebody says.
const ROWS_MAX: usize = 100;
const ROWS: usize = 50;

/// How often a look goes on when rows are so large that there are fewer than were asked for.
const LOOKS_MAX: usize = 4;

/// The most of a payload that is shown, in bytes; the commands show all of it.
const SHOWN_BYTES_MAX: usize = 64 << 10;

/// How long a look waits for those before it.
const WAIT: Duration = Duration::from_secs(2);

/// Which rows are asked for.
#[derive(Debug, Default)]
struct Asked {
    filter: Filter,
    limit: Option<usize>,
}

// === impl Desk ===

impl Desk {
    /// The newest rows that the query asks for, without payloads.
    pub(super) async fn list(
        &self,
        of: Of,
        query: &str,
        access: Access,
    ) -> Result<Response, Refusal> {
        let asked = Asked::read(query);
        let asked = asked.map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, why))?;
        let limit = asked.limit.unwrap_or(ROWS);
        let rows = self.look(move |reader| {
            let mut merged = Merged::as_of_now(reader, of, Order::NewestFirst)?;
            let mut rows = Vec::new();
            for _ in 0..LOOKS_MAX {
                let records = merged.next(reader, &asked.filter, limit - rows.len())?;
                let is_end = records.is_empty();
                rows.extend(records.iter().map(|record| row(record, access)));
                if is_end || rows.len() >= limit {
                    break;
                }
            }
            Ok(rows)
        });
        let rows = rows.await?;
        Ok(json(StatusCode::OK, &json!({ "rows": rows, "limit": limit })))
    }

    /// One row, and with the token all of it.
    pub(super) async fn one(
        &self,
        of: Of,
        place: Place,
        access: Access,
    ) -> Result<Response, Refusal> {
        let record = self.record(of, place).await?;
        let mut shown = row(&record, access);
        match access.withheld() {
            Some(why) => shown["withheld"] = json!(why),
            None => {
                let attributes = record.event.attributes();
                let attributes: Map<_, _> =
                    attributes.map(|(n, v)| (n.to_owned(), json!(v))).collect();
                shown["attributes"] = Value::Object(attributes);
                shown["payload"] = payload(of, place, &record);
                shown["replay"] = self.replay_of(&record);
            }
        }
        Ok(json(StatusCode::OK, &shown))
    }

    /// One row, or the answer that it is not there.
    pub(super) async fn record(&self, of: Of, place: Place) -> Result<Record, Refusal> {
        let absent = || Refusal::new(StatusCode::NOT_FOUND, format!("there is no row {place}"));
        let Some((table, seq)) = place.row(of) else { return Err(absent()) };
        let found = self.look(move |reader| {
            let found = reader.get(table, seq);
            found.map_err(std::io::Error::other)
        });
        found.await?.ok_or_else(absent)
    }

    /// Looks into the journal once there are fewer than so many who do.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Reader) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = timeout(WAIT, Arc::clone(&self.looks).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let why = "others are looking into the journal; try again";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
        };
        let path = self.store.path().to_owned();
        let looking = tokio::task::spawn_blocking(move || {
            // Whoever asked may have gone: the look ends all the same before the next begins.
            let _turn = turn;
            let mut reader = Reader::open(&path).map_err(|e| Chain(&e).to_string())?;
            look(&mut reader).map_err(|e| explain(&e))
        });
        let failed = |why: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why);
        match looking.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(why)) => Err(failed(why)),
            Err(_) => Err(failed("the look into the journal panicked".to_owned())),
        }
    }
}

/// What is known of a row beside its payload. The words why an event became a dead letter may
/// quote it, and so are a part of it.
fn row(record: &Record, access: Access) -> Value {
    let event = &record.event;
    let mut row = json!({
        "seq": Place::of(record).to_string(),
        "id": event.id.as_str(),
        "type": event.ty.as_str(),
        "event_type": event.extension("vodeventtype"),
        "application": event.extension("vodapplication"),
        "file": event.extension("vodfileid"),
        "task": event.extension("vodtaskid"),
        "status": event.extension("vodstatus"),
        "mode": event.extension("vodmode"),
        "received": event.time.to_string(),
        "stored": record.stored.to_string(),
        "topic": record.topic.as_str(),
        "has_payload": record.has_payload(),
        "bytes": event.message.len(),
    });
    if let Some(delivery) = &record.delivery {
        row["route"] = json!(delivery.route.as_str());
        let acknowledged: Vec<_> = delivery.acknowledged.iter().map(|c| c.as_str()).collect();
        row["acknowledged"] = json!(acknowledged);
    }
    if let Some(reason) = record.reason() {
        row["reason"] = json!(reason);
        row["connector"] = json!(record.connector());
        row["intended_topic"] = json!(record.intended_topic());
        if access == Access::Granted {
            row["detail"] = json!(record.detail());
        }
    }
    row
}

/// What came in for a dead letter, what went out for an event; the beginning of it.
fn payload(of: Of, place: Place, record: &Record) -> Value {
    if !record.has_payload() {
        return Value::Null;
    }
    let data = &record.event.data;
    let shown = &data[..data.len().min(SHOWN_BYTES_MAX)];
    let command = match of {
        Of::Events => "events",
        Of::DeadLetters => "dead-letters",
    };
    let (text, is_text) = text_of(shown, shown.len() < data.len());
    json!({
        "text": text,
        "is_text": is_text,
        "bytes": data.len(),
        "shown_bytes": shown.len(),
        "all": format!("vodbridge {command} show {place} --data"),
    })
}

/// A text, and whether the bytes are one; the last character may be cut in two.
fn text_of(bytes: &[u8], is_cut: bool) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), true),
        Err(error) if is_cut && error.error_len().is_none() => {
            let whole = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            (whole.into_owned(), true)
        }
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), false),
    }
}

fn explain(error: &std::io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ReadError>()) {
        Some(error) => Chain(error).to_string(),
        None => error.to_string(),
    }
}

// === impl Asked ===

impl Asked {
    fn read(query: &str) -> Result<Self, String> {
        let mut asked = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8();
            let value = value.map_err(|_| "a value is not UTF-8")?.into_owned();
            let filter = &mut asked.filter;
            match key {
                "type" => filter.event_types.push(value),
                "application" => filter.application = Some(value),
                "file" => filter.file = Some(value),
                "task" => filter.task = Some(value),
                "id" => filter.id = Some(value),
                "limit" => match value.parse() {
                    Ok(limit @ 1..=ROWS_MAX) => asked.limit = Some(limit),
                    Ok(_) | Err(_) => {
                        return Err(format!("limit is a number from 1 to {ROWS_MAX}"));
                    }
                },
                _ => {
                    return Err("a parameter is none of type, application, file, task, id and \
                                limit"
                        .to_owned());
                }
            }
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_whole_or_refused() {
        let asked = Asked::read("type=A&type=B&file=a%20b&task=c+d&limit=100").unwrap();
        assert_eq!(asked.filter.event_types, ["A", "B"]);
        assert_eq!(asked.filter.file.as_deref(), Some("a b"));
        assert_eq!(asked.filter.task.as_deref(), Some("c d"));
        assert_eq!(asked.limit, Some(100));
        for query in ["limit=101", "limit=0", "limit=-1", "limit=", "limit", "x=1", "id=%FF"] {
            assert!(Asked::read(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_text_that_is_cut_in_a_character_is_still_one() {
        let text = "a€";
        assert_eq!(text_of(&text.as_bytes()[..2], true), ("a".to_owned(), true));
        assert_eq!(text_of(&text.as_bytes()[..2], false), ("a\u{fffd}".to_owned(), false));
        assert!(!text_of(b"\xff{", true).1);
    }
}
