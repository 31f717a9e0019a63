//! More than there is room for: what is refused, what is kept, and whom it concerns.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::thread;

use brokers::{Nats, NatsSettings, Proxy};
use tokio::runtime::Runtime;
use vodsim::callback::{Report, Sender};

use crate::program::{Home, PATIENCE};

/// Events that `movies` may have in flight.
const ROOM: u64 = 16;

/// A server whose answers can be held back.
struct Slow {
    _nats: Nats,
    proxy: Proxy,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

impl Slow {
    fn start() -> Self {
        RUNTIME.block_on(async {
            let nats = Nats::start(NatsSettings::default()).await;
            let proxy = Proxy::listen().await;
            proxy.lead_to(nats.url().trim_start_matches("nats://"));
            Self { _nats: nats, proxy }
        })
    }
}

fn send(to: SocketAddr, application: &str, numbers: std::ops::Range<u64>) -> Report {
    let sender = Sender::new(to).path(&format!("/vod/{application}"));
    sender.connections(16).answer_wait(PATIENCE).numbers(numbers).run()
}

fn until(mut is_so: impl FnMut() -> bool) {
    let give_up = std::time::SystemTime::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::SystemTime::now() < give_up, "not in time");
        thread::yield_now();
    }
}

#[test]
fn an_application_without_room_is_answered_at_once_and_kept_and_holds_up_no_other() {
    let slow = Slow::start();
    let home = Home::new(&format!(
        "applications:\n  \
           movies: {{ callback: {{ answer_within: 15s }}, limits: {{ in_flight: {ROOM} }} }}\n  \
           series: {{ callback: {{ answer_within: 15s }} }}\n\
         connectors:\n  \
           slow: {{ type: nats, servers: [\"nats://{}\"] }}\n  \
           local: {{ type: journal }}\n\
         routes:\n\
         - {{ match: {{ applications: [movies] }}, to: [slow] }}\n\
         - {{ to: [local] }}\n",
        slow.proxy.address()
    ));
    let program = home.start();
    let to = program.callbacks;
    assert_eq!(send(to, "movies", 0..1).answered(200), 1, "the stream is there");
    slow.proxy.hold_replies(true);
    thread::scope(|scope| {
        let first = scope.spawn(move || send(to, "movies", 100..100 + ROOM));
        until(|| program.metric("vodbridge_in_flight", "application=\"movies\"") == ROOM as f64);

        let beyond = send(to, "movies", 1000..1200);
        assert_eq!(beyond.answered(503), 200, "{beyond:?}");
        assert!(!first.is_finished(), "they were refused before those in flight were answered");
        let waiting = program.metric("vodbridge_waiting", "application=\"movies\"");
        assert_eq!(waiting, 200.0, "all of them are kept");
        let other = send(to, "series", 5000..5200);
        assert_eq!(other.answered(200), 200, "{other:?}");
        assert!(!first.is_finished());
        assert_eq!(program.get("/readyz").status, 200, "it keeps what comes");

        slow.proxy.hold_replies(false);
        let first = first.join().unwrap();
        assert_eq!(first.answered(200), ROOM, "{first:?}");
    });
    until(|| program.metric("vodbridge_waiting", "") == 0.0);
    until(|| program.metric("vodbridge_settled_total", "outcome=\"delivered\"") == 417.0);
    assert_eq!(program.unaccounted(), 0.0);
    assert_eq!(send(to, "movies", 9000..9100).answered(200), 100, "it is as before");
    assert!(program.terminate().success());
}
