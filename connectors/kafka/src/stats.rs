use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use vodbridge_core::ClientStats;

/// STATISTICS.md of librdkafka.
#[derive(Deserialize)]
struct Raw {
    msg_cnt: u64,
    msg_size: u64,
    #[serde(default)]
    brokers: HashMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    #[serde(default)]
    rtt: Window,
}

/// In microseconds.
#[derive(Default, Deserialize)]
struct Window {
    #[serde(default)]
    p99: u64,
    #[serde(default)]
    cnt: u64,
}

/// Reads the JSON that librdkafka gives every five seconds; `None` if it is none of the kind.
pub(crate) fn read(json: &[u8]) -> Option<ClientStats> {
    let raw: Raw = serde_json::from_slice(json).ok()?;
    let used = raw.brokers.values().filter(|broker| broker.rtt.cnt > 0);
    Some(ClientStats {
        queued: raw.msg_cnt,
        queued_bytes: raw.msg_size,
        round_trip_p99: used.map(|broker| Duration::from_micros(broker.rtt.p99)).max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_broker_is_told() {
        let json = br#"{"name":"x","msg_cnt":3,"msg_size":42,"brokers":{
            "a:9092/1":{"rtt":{"min":1,"p99":700,"cnt":5}},
            "b:9092/2":{"rtt":{"min":1,"p99":900,"cnt":1}},
            "c:9092/3":{"rtt":{"min":0,"p99":5000,"cnt":0}}}}"#;
        let stats = read(json).unwrap();
        assert_eq!((stats.queued, stats.queued_bytes), (3, 42));
        assert_eq!(stats.round_trip_p99, Some(Duration::from_micros(900)));
        assert_eq!(read(b"{}"), None);
    }
}
