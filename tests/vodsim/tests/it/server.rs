//! A server that plays its part word for word: for each connection it reads requests and writes
//! what the script says, bytes as they are.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

pub(crate) const OK: Reply = Reply::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");

/// What one request gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Bytes(&'static str),
    /// These bytes, and then the connection is closed.
    Cut(&'static str),
    /// Nothing, until the client goes away.
    Silence,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Every request that came: the number of its connection, its first line and its body.
    pub(crate) requests: Receiver<(usize, String, Vec<u8>)>,
}

/// Serves one connection after the other, each by its own script; a script's last reply is
/// repeated. When the scripts are used up the socket is closed.
pub(crate) fn serve(scripts: Vec<Vec<Reply>>) -> Server {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("a bound socket has an address");
    let (seen, requests) = mpsc::channel();
    thread::spawn(move || {
        for (connection, script) in scripts.into_iter().enumerate() {
            let Ok((stream, _)) = socket.accept() else { return };
            let mut stream = BufReader::new(stream);
            for at in 0.. {
                let Some((line, body)) = read_request(&mut stream) else { break };
                seen.send((connection, line, body)).ok(); // the test may have seen enough
                match script[at.min(script.len() - 1)] {
                    Reply::Bytes(bytes) => {
                        stream.get_mut().write_all(bytes.as_bytes()).expect("the sender waits")
                    }
                    Reply::Cut(bytes) => {
                        stream.get_mut().write_all(bytes.as_bytes()).expect("the sender waits");
                        break;
                    }
                    Reply::Silence => {}
                }
            }
        }
    });
    Server { address, requests }
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().expect("the sender writes a number");
        }
        if first.is_empty() {
            line.trim_end().clone_into(&mut first);
        } else if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}
