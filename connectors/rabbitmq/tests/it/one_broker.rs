//! Cases that share one broker, because a start takes seconds; each has an exchange and a queue of
//! its own there. What disturbs the others stands last.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use brokers::{RabbitMq, RabbitMqOptions, RabbitMqVersion};
use futures_util::future::join_all;

use crate::certificates::Certificates;
use crate::{bodies, durability, faults, logins, routing, topology};

/// The largest body that this broker takes, in bytes: less than what connectors are told.
pub(crate) const BODY_BYTES_MAX: usize = 100_000;

/// The longest that one case may take.
const CASE_WITHIN: Duration = Duration::from_secs(180);

pub(crate) struct Broker {
    pub(crate) rabbitmq: RabbitMq,
    pub(crate) certificates: Certificates,
    pub(crate) version: RabbitMqVersion,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_holds_on_rabbitmq_3() {
    every_case(RabbitMqVersion::V3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_holds_on_rabbitmq_4() {
    every_case(RabbitMqVersion::V4).await;
}

async fn every_case(version: RabbitMqVersion) {
    let certificates = Certificates::new();
    let options = RabbitMqOptions {
        management: true,
        tls: Some(certificates.for_rabbitmq()),
        configuration: format!("max_message_size = {BODY_BYTES_MAX}\n"),
        ..RabbitMqOptions::new(version)
    };
    let broker = Broker { rabbitmq: RabbitMq::start(options).await, certificates, version };
    let broker = &broker;
    macro_rules! cases {
        ($($group:ident::$case:ident,)+) => {
            [$(within(stringify!($case), Box::pin($group::$case(broker)))),+]
        };
    }
    // Most of the time they wait: while a new queue rests, for the broker.
    join_all(cases!(
        routing::a_tenth_unroutable_and_nothing_is_misjudged,
        routing::twins_in_one_batch_are_never_acknowledged_for_each_other,
        routing::a_lone_event_goes_out_at_once,
        bodies::hostile_attributes_come_back_as_they_were,
        bodies::structured_events_are_one_json_object,
        bodies::what_the_broker_finds_too_large_is_refused_and_its_neighbours_go_again,
        bodies::attributes_that_fill_a_frame_are_refused,
        topology::what_is_missing_is_made_as_configured,
        topology::a_queue_that_differs_is_used_as_it_is,
        topology::a_topic_without_a_queue_is_told_and_found_once_bound,
        topology::a_deleted_queue_is_made_again,
        topology::a_check_brings_no_binding_back,
        topology::missing_rights_are_told,
        topology::a_user_who_may_only_publish_can_publish,
        topology::an_alternate_exchange_is_refused_by_argument_and_by_policy,
        topology::a_full_queue_rejects_and_takes_again,
        durability::a_quorum_queue_is_seen_by_the_management_api,
        durability::a_classic_queue_answers_by_the_version,
        durability::a_classic_queue_of_version_1_is_flushed_before_3_13,
        durability::a_stream_is_seen,
        durability::the_weakest_of_two_queues_decides,
        durability::without_management_only_our_own_queue_is_known,
        durability::a_queue_that_may_not_be_bound_is_not_known,
        durability::a_denied_management_api_is_not_visible,
        logins::the_virtual_host_and_the_user_are_named_when_refused,
        logins::tls_with_our_own_authority_publishes,
        logins::the_client_certificate_logs_in,
        logins::the_second_address_is_used_when_the_first_is_away,
    ))
    .await;
    for case in cases!(
        routing::a_refused_topic_is_told_and_its_neighbours_are_not,
        faults::a_blocked_connection_is_unavailable_and_goes_on,
        faults::a_frozen_broker_is_answered_for_in_time_and_found_again,
    ) {
        case.await;
    }
}

async fn within(name: &str, case: Pin<Box<dyn Future<Output = ()> + '_>>) {
    let began = tokio::time::Instant::now();
    let done = tokio::time::timeout(CASE_WITHIN, case).await;
    println!("case {name}: {:?}", began.elapsed());
    done.unwrap_or_else(|_| panic!("{name} does not end within {CASE_WITHIN:?}"));
}

impl Broker {
    /// Asks the management API, for the virtual host `/`: `queues/%2F/q`.
    pub(crate) async fn api(&self, method: &str, path: &str, body: &str) -> String {
        self.rabbitmq.api(method, &format!("/api/{path}"), body).await
    }

    /// Makes a user with rights in the virtual host `/`.
    pub(crate) async fn user(&self, name: &str, tags: &str, rights: [&str; 3]) {
        let user = format!(r#"{{"password":"secret","tags":"{tags}"}}"#);
        self.api("PUT", &format!("users/{name}"), &user).await;
        let [configure, write, read] = rights;
        let rights = format!(r#"{{"configure":"{configure}","write":"{write}","read":"{read}"}}"#);
        self.api("PUT", &format!("permissions/%2F/{name}"), &rights).await;
    }
}
