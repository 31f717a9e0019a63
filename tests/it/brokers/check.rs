//! `vodbridge check` against installations that are well, and that are not.

use std::process::Output;

use serde_json::Value;

use super::{BROKERS, Broker, Three};
use crate::program::Home;

fn check(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = home.vodbridge(&[&["check"], arguments].concat());
    (status.code(), String::from_utf8(stdout).unwrap())
}

#[test]
fn a_good_installation_is_good_and_says_what_an_acknowledgement_survives() {
    let three = Three::shared();
    for broker in BROKERS {
        let home = Home::new(&format!("connectors: {{ x: {{ {} }} }}", three.keys(broker)));
        let (code, said) = check(&home, &["--create"]);
        assert_eq!(code, Some(0), "{broker:?}\n{said}");
        assert!(said.contains("connector x: answers; 37 topics"), "{broker:?}\n{said}");
        assert!(said.contains("an acknowledgement survives: process yes"), "{broker:?}\n{said}");
        let (code, said) = check(&home, &["--format", "json"]);
        let all: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, &all["status"]), (Some(0), &Value::from("good")), "{broker:?}\n{said}");
        let (code, said) = check(&home, &["--format", "nagios"]);
        assert_eq!(code, Some(0), "{broker:?}\n{said}");
        assert!(said.starts_with("VODBRIDGE OK - ") && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn missing_topology_is_critical_and_says_what_repairs_it() {
    let three = Three::shared();
    let elsewhere = |broker| match broker {
        Broker::Kafka => "}, y: { type: journal",
        Broker::RabbitMq => ", exchange: nowhere",
        Broker::Nats => ", stream: NOWHERE, subjects: [\"nowhere.>\"]",
    };
    for broker in BROKERS {
        let (keys, elsewhere) = (three.keys(broker), elsewhere(broker));
        let home = Home::new(&format!(
            "connectors: {{ x: {{ {keys}, topology: verify{elsewhere} }} }}\n\
             routes: [{{ to: [x], topic: \"missing.{{event_type}}\" }}]"
        ));
        let (code, said) = check(&home, &[]);
        assert_eq!(code, Some(2), "{broker:?}\n{said}");
        assert!(said.contains("critical  connector x, missing."), "{broker:?}\n{said}");
        assert!(said.contains("\n          -> "), "what repairs it?\n{said}");
        let (code, said) = check(&home, &["--format", "nagios"]);
        assert_eq!(code, Some(2), "{broker:?}\n{said}");
        assert!(said.starts_with("VODBRIDGE CRITICAL - "), "{said}");
    }
}

#[test]
fn a_broker_that_is_away_is_critical_and_a_demand_that_is_not_met_too() {
    let three = Three::shared();
    for broker in BROKERS {
        let nobody = match broker {
            Broker::Kafka => "type: kafka, brokers: [\"127.0.0.1:9\"]",
            Broker::RabbitMq => "type: rabbitmq, urls: [\"amqp://127.0.0.1:9/%2f\"]",
            Broker::Nats => "type: nats, servers: [\"nats://127.0.0.1:9\"]",
        };
        let home = Home::new(&format!("connectors: {{ x: {{ {nobody} }} }}"));
        let (code, said) = check(&home, &[]);
        assert_eq!(code, Some(2), "{broker:?}\n{said}");
        assert!(said.contains("critical  connector x: "), "{broker:?}\n{said}");

        let keys = three.keys(broker);
        let home = Home::new(&format!("connectors: {{ x: {{ {keys}, require: [node] }} }}"));
        let (code, said) = check(&home, &["--create"]);
        assert_eq!(code, Some(2), "one node survives no loss of a node: {broker:?}\n{said}");
        assert!(said.contains("fault that is required: node"), "{broker:?}\n{said}");
    }
}
