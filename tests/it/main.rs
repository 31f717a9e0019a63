//! The promise, between fakes and with paused time. The list of modules is the guide to the tests.

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

/// How a full bridge holds its sources back, and that the room always comes back.
mod room;

/// Everything at once, under random weather.
mod conservation;
