//! The callback sender and its report.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::net::TcpSocket;
use vodsim::callback::{Report, Sender, body};

use crate::server::{OK, Reply, Server, serve};

const UNAVAILABLE: Reply =
    Reply::Bytes("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 13\r\n\r\n{\"kept\":true}");

#[test]
fn every_number_is_sent_once_over_one_connection() {
    let server = serve(vec![vec![OK]]);
    let report = Sender::new(server.address).path("/vod/movies?token=t").numbers(5..25).run();

    assert_eq!(confirmed(&report), (5..25).collect::<Vec<_>>());
    assert_eq!((report.answered(200), report.unanswered()), (20, 0));
    let requests: Vec<_> = server.requests.iter().collect();
    let expected: Vec<_> =
        (5..25).map(|n| (0, "POST /vod/movies?token=t HTTP/1.1".to_owned(), body(n))).collect();
    assert!(requests == expected, "the requests differ");
}

#[test]
fn only_200_confirms() {
    let no_content = Reply::Bytes("HTTP/1.1 204 No Content\r\n\r\n");
    let server = serve(vec![vec![OK, UNAVAILABLE, no_content, OK]]);
    let report = Sender::new(server.address).numbers(0..4).run();

    assert_eq!(confirmed(&report), [0, 3]);
    assert_eq!([200, 503, 204, 404].map(|s| report.answered(s)), [2, 1, 1, 0]);
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    for cut in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{",
    ] {
        let server = serve(vec![vec![OK, Reply::Cut(cut)], vec![OK]]);
        let report = Sender::new(server.address).numbers(0..5).run();

        assert_eq!(confirmed(&report), [0, 2, 3, 4], "{cut:?}");
        assert_eq!(report.unanswered(), 1, "{cut:?}");
        assert_eq!(connections(&server), [0, 0, 1, 1, 1], "{cut:?}");
    }
}

#[test]
fn an_answer_may_come_in_pieces_and_be_larger_than_one_read() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n{:60000}", "");
    let server = serve(vec![vec![Reply::Bytes(large.leak()), OK]]);
    let report = Sender::new(server.address).numbers(0..3).run();

    assert_eq!(confirmed(&report), [0, 1, 2]);
    assert_eq!(connections(&server), [0, 0, 0]);
}

#[test]
fn a_connection_that_the_server_ends_is_made_anew_and_loses_nothing() {
    let last = Reply::Cut("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let server = serve(vec![vec![OK, last], vec![OK]]);
    let report = Sender::new(server.address).numbers(0..4).run();

    assert_eq!((confirmed(&report), report.unanswered()), (vec![0, 1, 2, 3], 0));
    assert_eq!(connections(&server), [0, 0, 1, 1]);
}

#[test]
fn fresh_connections_carry_one_callback_each() {
    let server = serve(vec![vec![OK]; 3]);
    let report = Sender::new(server.address).fresh().numbers(0..3).run();

    assert_eq!((confirmed(&report), report.unanswered()), (vec![0, 1, 2], 0));
    assert_eq!(connections(&server), [0, 1, 2]);
    // Nobody listens there any more.
    let report = Sender::new(server.address).fresh().numbers(0..3).run();
    assert_eq!((confirmed(&report), report.unanswered()), (vec![], 3));
}

#[test]
fn a_rate_is_kept_and_not_exceeded() {
    let server = serve(vec![vec![OK]]);
    let rate = NonZeroU32::new(100).unwrap();
    let report = Sender::new(server.address).per_second(rate).numbers(7..27).run();

    assert_eq!(confirmed(&report), (7..27).collect::<Vec<_>>());
    assert!(report.elapsed() >= Duration::from_millis(190), "{report:?}");
}

#[test]
fn silence_ends_at_the_bound() {
    let server = serve(vec![vec![OK, Reply::Silence], vec![OK]]);
    let report =
        Sender::new(server.address).numbers(0..3).answer_wait(Duration::from_millis(50)).run();

    assert_eq!((confirmed(&report), report.unanswered()), (vec![0, 2], 1));
}

#[test]
fn the_first_disconnect_can_end_the_run() {
    let server = serve(vec![vec![OK, OK, Reply::Cut("")], vec![OK]]);
    let report = Sender::new(server.address).numbers(0..100).stop_at_disconnect().run();

    assert_eq!((confirmed(&report), report.unanswered()), (vec![0, 1], 1));
}

#[test]
fn where_nobody_listens_the_run_ends_with_nothing() {
    // Bound and not listening: the address is refused, and nobody else can take it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let report = Sender::new(address).connections(4).stop_at_disconnect().run();

    assert_eq!((confirmed(&report), report.unanswered()), (vec![], 0));
}

#[test]
fn the_run_ends_after_its_time_and_knows_its_latencies() {
    let server = serve(vec![vec![OK]]);
    let many = 0..500_000;
    let report =
        Sender::new(server.address).numbers(many).stop_after(Duration::from_millis(100)).run();

    assert!(report.elapsed() >= Duration::from_millis(100));
    assert!(report.elapsed() < Duration::from_secs(10), "{report:?}");
    assert_eq!(report.answered(200), u64::try_from(report.confirmed().count()).unwrap());
    assert!(report.quantile(0.5) <= report.quantile(0.99));
    assert!(report.quantile(0.99) < report.elapsed());
    assert!(report.rate() > 0.0);
}

#[test]
fn a_report_shows_its_summary_and_not_its_numbers() {
    let server = serve(vec![vec![UNAVAILABLE, OK]]);
    let shown = format!("{:?}", Sender::new(server.address).numbers(0..1000).run());

    assert!(shown.starts_with("Report { answered: {200: 999, 503: 1}, unanswered: 0,"), "{shown}");
    assert!(shown.len() < 200, "{shown}");
}

fn confirmed(report: &Report) -> Vec<u64> {
    report.confirmed().collect()
}

/// Which connection each request came over.
fn connections(server: &Server) -> Vec<usize> {
    server.requests.try_iter().map(|(connection, ..)| connection).collect()
}
