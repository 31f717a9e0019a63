//! Durations as people write them: `4s`, `250ms`, `10m`, `1h 30m`. For `#[serde(with)]`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de};

use super::report::Report;
use super::tree::Path;

pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Stands for a duration in the schema.
pub(super) struct Text;

pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(de)?;
    humantime::parse_duration(&text).map_err(|_| {
        de::Error::custom(format!("found {text:?}, expected a duration such as 4s, 250ms or 10m"))
    })
}

pub(super) fn serialize<S: Serializer>(duration: &Duration, ser: S) -> Result<S::Ok, S::Error> {
    ser.collect_str(&humantime::format_duration(*duration))
}

pub(super) mod option {
    use super::*;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        de: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::deserialize(de).map(Some)
    }

    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        ser: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, ser),
            None => ser.serialize_none(),
        }
    }
}

/// Reports a duration that is zero or longer than `max`.
pub(super) fn check(duration: Duration, max: Duration, at: &Path, report: &mut Report<'_>) {
    let in_range = !duration.is_zero() && duration <= max;
    let (found, max) = (humantime::format_duration(duration), humantime::format_duration(max));
    report.expect(in_range, at, format!("found {found}, expected more than 0s and at most {max}"));
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration: 4s, 250ms, 10m, 1h 30m.",
            "type": "string",
            "pattern": "^([0-9]+ *[a-zµ]+ *)+$",
        })
    }
}
