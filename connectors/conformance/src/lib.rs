//! What every connector must prove against its real broker.
//!
//! A connector's test file implements [`Broker`] and is otherwise one line, `clauses!`, that
//! makes a test of each clause:
//!
//! 1. [`many_at_once_are_answered_each_for_itself`](clauses::many_at_once_are_answered_each_for_itself)
//! 2. [`an_oversized_event_is_refused_and_harms_no_neighbour`](clauses::an_oversized_event_is_refused_and_harms_no_neighbour)
//! 3. [`what_was_acknowledged_is_there_after_a_kill`](clauses::what_was_acknowledged_is_there_after_a_kill)
//! 4. [`a_kill_under_load_loses_nothing_acknowledged`](clauses::a_kill_under_load_loses_nothing_acknowledged)
//! 5. [`a_closed_connector_is_unavailable`](clauses::a_closed_connector_is_unavailable)
//! 6. [`check_answers_for_each_topic_in_order`](clauses::check_answers_for_each_topic_in_order)
//! 7. [`closing_answers_for_what_is_under_way`](clauses::closing_answers_for_what_is_under_way)
//!
//! and, named by those whose broker is a process of its own that can be frozen, lacks topology or
//! asks for a password:
//!
//! 8. [`a_frozen_broker_acknowledges_nothing`](clauses::a_frozen_broker_acknowledges_nothing)
//! 9. [`missing_topology_is_waited_for`](clauses::missing_topology_is_waited_for)
//! 10. [`a_wrong_password_is_waited_out`](clauses::a_wrong_password_is_waited_out)
//! 11. [`a_broker_that_comes_late_is_found`](clauses::a_broker_that_comes_late_is_found)
//! 12. [`check_makes_nothing_and_provide_makes_it`](clauses::check_makes_nothing_and_provide_makes_it)
//!
//! ```text
//! vodbridge_conformance::clauses!(MyBroker::start().await);
//! vodbridge_conformance::clauses!(MyBroker::start().await; a_frozen_broker_acknowledges_nothing,);
//! ```
//!
//! Each clause prints one line of counts: acknowledged, lost, duplicated, answered but absent.
//!
//! A broker that is missing fails the test; nothing is skipped in silence.

mod broker;
pub mod clauses;
mod event;
mod load;
mod tally;

pub use broker::{Broker, Freeze, Guard, Provide, Stored};
pub use event::{event, topic};
pub use load::{Answers, publish_all};
pub use tally::Tally;
