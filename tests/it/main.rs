//! The tests; the list of modules is their guide. First the promise, between fakes and with paused
//! time; then the program itself, driven from outside.

#![allow(clippy::unwrap_used, reason = "the fakes are tests, too")]

/// Fake connectors that answer as scripted, events, and a bridge wired from them.
mod support;

/// When the acknowledgement comes, what is tried again, and what is given up.
mod delivery;

/// Several connectors, best effort, dropped routes.
mod fan_out;

/// Where an event ends that no connector takes or no route matches.
mod dead_letters;

/// The same event again: under way, settled, or half done.
mod duplicates;

/// What happens while a topic takes nothing, and how it is found well again.
mod breaker;

/// What an acknowledgement must survive before it counts.
mod demand;

/// How a full bridge holds its sources back, and that the room always comes back.
mod room;

/// What is kept when nobody takes it, and how it goes on.
mod resending;

/// Everything at once, under random weather.
mod conservation;

/// What comes out is a CloudEvent to others.
mod cloud_events;

/// Reliable callbacks between a simulated VOD and fakes: what is confirmed, when, and what is not.
mod pull;

/// The program itself, on free ports.
mod program;

/// One address for several of them.
mod balancer;

/// Every sample that VOD documents, from the POST to the journal.
mod samples;

/// What no honest caller sends.
mod hostile;

/// What a `kill -9` leaves.
mod crash;

/// What is kept until a connector takes it.
mod spool;

/// A journal at its limit, a disk at its end.
mod full;

/// More than there is room for.
mod overload;

/// Stops, and starts that cannot be.
mod stopping;

/// TLS, certificates and tokens that are exchanged, the cap on connections.
mod listener;

/// Secrets and certificates that are exchanged under load.
mod rotation;

/// What is measured, and what alerts and dashboard ask of it.
mod metrics;

/// The commands beside a running bridge, and without one.
mod commands;

/// What was delivered: listed beside what the journal holds, and sent again.
mod history;

/// The page on the operator's port and the API behind it: by hand, and in a real browser.
mod page;

/// What VOD is set to do, looked at and changed from the command line.
mod vod;

/// Documents: translations, links, the tests that they name.
mod documents;

/// What becomes of one event, as a collector of traces is told.
mod traces;

/// Kafka, RabbitMQ and NATS, from the POST to a subscriber of each.
mod brokers;
