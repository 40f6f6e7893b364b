//! Connections that can be broken on purpose: closed without a reply, or reset.
//!
//! A handler seals a connection's fate; the next write of the reply then fails, the server drops the socket, and not one byte
//! of the reply has left.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

const KEPT: u8 = 0;
const CLOSED: u8 = 1;
const RESET: u8 = 2;

/// A handler's hold on the connection that its request came by.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<AtomicU8>);

impl Connection {
    /// No reply, and an orderly end (FIN).
    pub(super) fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// No reply, and a hard end (RST).
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    fn fate(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }

    fn check(&self) -> io::Result<()> {
        if self.fate() == KEPT { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }
}

/// Accepts connections whose fate can be sealed.
pub(super) struct Connections(pub(super) TcpListener);

impl Listener for Connections {
    type Io = Breakable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Breakable, SocketAddr) {
        // axum's own listener waits and tries again when accepting fails.
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Without it a small reply may wait for an acknowledgement. An error changes nothing but that.
        let _ = stream.set_nodelay(true);
        (Breakable { stream, connection: Connection(Arc::new(AtomicU8::new(KEPT))) }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Connections>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().connection.clone()
    }
}

/// A socket that fails as soon as its fate is sealed.
pub(super) struct Breakable {
    stream: TcpStream,
    connection: Connection,
}

impl AsyncRead for Breakable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A FIN would come before the RST.
        if self.connection.fate() == RESET {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        if self.connection.fate() == RESET {
            // With a zero linger time, closing sends RST. If it cannot be set, the client sees a close: broken all the same.
            let _ = self.stream.set_zero_linger();
        }
    }
}
