use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::fs::{FlockOperation, flock};

/// Below the range that the kernel takes for outgoing connections: a client that keeps knocking at
/// the port of a broker that is down would else, one day, be given that very port and talk to
/// itself.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// A TCP port on 127.0.0.1 that no other test uses, of this process or of another, until it is
/// dropped: also while the broker that has it is down.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

// === impl Port ===

impl Port {
    /// Takes a free port.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let folder = std::env::temp_dir().join("vodbridge-test-ports");
        fs::create_dir_all(&folder).expect("a folder for locks can be made");
        // Processes begin at different places, so that they seldom meet.
        let begin = u16::try_from(std::process::id() * 37 % u32::from(COUNT)).unwrap_or_default();
        for _ in 0..COUNT {
            let offset = (begin + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
            let number = FIRST + offset;
            let lock = File::create(folder.join(number.to_string())).expect("a lock can be made");
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
                && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
            {
                return Self { number, _lock: lock };
            }
        }
        panic!("no port is free between {FIRST} and {}", FIRST + COUNT);
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:<number>`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_given_the_same_port() {
        let ports: Vec<_> = (0..50).map(|_| Port::take()).collect();
        let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }
}
