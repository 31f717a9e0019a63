use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The means to end a connection from outside, whatever its client library waits for.
///
/// lapin bounds neither its handshake nor its closing, and its thread and socket outlive a future
/// that is dropped: for ever, before a broker that accepts and never answers.
#[derive(Debug, Default)]
pub(crate) struct Socket {
    stream: Mutex<Option<TcpStream>>,
    cut: CancellationToken,
}

// === impl Socket ===

impl Socket {
    /// Takes hold of the stream.
    pub(crate) fn hold(&self, stream: &impl AsFd) -> io::Result<()> {
        let stream = TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        if self.cut.is_cancelled() {
            stream.shutdown(Shutdown::Both).ok();
        }
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
        Ok(())
    }

    /// Ends the connection: what waits for it fails.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stream) = stream {
            // It may have ended by itself.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Resolves once it was cut.
    pub(crate) async fn is_cut(&self) {
        self.cut.cancelled().await;
    }
}

/// Cuts a connection that is still being made when this is dropped.
#[derive(Debug)]
pub(crate) struct CutOnDrop(Option<Arc<Socket>>);

// === impl CutOnDrop ===

impl CutOnDrop {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self(Some(socket))
    }

    /// The connection is made, and ends with its owner.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            socket.cut();
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.cut();
    }
}
