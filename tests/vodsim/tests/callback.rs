//! The sender against receivers that behave, and receivers that do not.

#![allow(clippy::unwrap_used, reason = "this whole file is tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use vodsim::callback::{Sender, body, file_id};

/// Serves each connection by `serve`, which gets the stream and each whole request.
fn receiver(serve: fn(&mut TcpStream, &str) -> bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(
                move || while request(&mut stream).is_some_and(|r| serve(&mut stream, &r)) {},
            );
        }
    });
    address
}

/// One request with its body; none at the end of the connection.
fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head.split_once("Content-Length: ").unwrap().1;
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if rest.len() >= length {
                return Some(text.into_owned());
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            Ok(_) | Err(_) => return None,
        }
    }
}

fn answer(stream: &mut TcpStream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).is_ok()
}

#[test]
fn each_callback_is_a_new_upload_of_about_a_kilobyte() {
    let (first, second) = (body(1), body(2));
    assert_eq!(first.len(), second.len());
    assert!((850..1000).contains(&first.len()), "{}", first.len());
    let text = String::from_utf8(first).unwrap();
    assert!(text.contains(&format!("\"FileId\": \"{}\"", file_id(1))));
    assert!(!text.contains(&file_id(2)));
}

#[test]
fn every_number_is_sent_once_and_its_answer_is_counted() {
    let to = receiver(|stream, request| {
        let refused = request.contains(&file_id(7));
        let status = if refused { "503 Service Unavailable" } else { "200 OK" };
        answer(stream, &format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}"))
    });
    let report = Sender::new(to).path("/x?token=y").connections(4).numbers(0..100).run();
    assert_eq!((report.answered(200), report.answered(503), report.unanswered()), (99, 1, 0));
    let expected: Vec<u64> = (0..100).filter(|n| *n != 7).collect();
    assert_eq!(report.confirmed().collect::<Vec<_>>(), expected);
}

#[test]
fn an_answer_that_breaks_off_confirms_nothing_and_the_next_goes_on() {
    let to = receiver(|stream, request| {
        if request.contains(&file_id(3)) {
            // The status says 200, the body is missing.
            answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{");
            return false;
        }
        answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let report = Sender::new(to).numbers(0..6).run();
    assert_eq!(report.confirmed().collect::<Vec<_>>(), [0, 1, 2, 4, 5]);
    assert_eq!(report.unanswered(), 1);
}

#[test]
fn a_run_can_end_at_the_first_connection_that_breaks() {
    let to = receiver(|stream, request| {
        !request.contains(&file_id(3))
            && answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let report = Sender::new(to).numbers(0..1000).stop_at_disconnect().run();
    assert_eq!(report.confirmed().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(report.unanswered(), 1);
}

#[test]
fn a_receiver_that_closes_after_each_answer_is_connected_to_again() {
    let to = receiver(|stream, _| {
        answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        false
    });
    assert_eq!(Sender::new(to).connections(2).numbers(0..20).run().answered(200), 20);
}
