//! Listening: connections are bounded here, requests in [`crate::http`].

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::gateway::Gateway;

const GRACE: Duration = Duration::from_secs(2);
/// Longest time that a request's head may take to arrive: who sends a byte now and then does not
/// keep a place. It also ends connections that are kept open for nothing.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// Longer than any wait of a submit and than the pauses of an event stream.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// Pause after a refusal of the system, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most connections at once; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 2048;

impl Gateway {
    /// Serves HTTP on `listener` until `stop` completes; requests in work then have two seconds,
    /// so that a follower's endless stream does not keep the node from ending.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()> + Send) {
        self.serve_within(listener, stop, HEAD_TIME_MAX).await;
    }

    async fn serve_within(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
        head_time_max: Duration,
    ) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let connections = GracefulShutdown::new();
        let router = self.router();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(head_time_max);
        let mut stop = pin!(stop);
        loop {
            let stream = tokio::select! {
                () = &mut stop => break,
                stream = accept(&listener, &places) => stream,
            };
            let service = TowerToHyperService::new(router.clone());
            let connection = http.serve_connection(TokioIo::new(stream), service);
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "connection");
                }
            });
        }
        drop(listener);
        // Who is not done by then is cut off.
        let _ = timeout(GRACE, connections.shutdown()).await;
    }
}

/// Accepts a connection once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Connection {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and whole: waiting for more bytes only adds latency.
                let _ = stream.set_nodelay(true);
                return Connection {
                    stream,
                    idle: Box::pin(sleep(IDLE_MAX)),
                    _place: place,
                };
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection and its place. It ends when nothing has moved on it for [`IDLE_MAX`], so that
/// silent peers cannot take all places.
struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Passes on what the stream says; if nothing moves for too long, the connection is over.
    fn watched<T>(
        &mut self,
        moved: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
        } else if self.idle.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        moved
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watched(read, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watched(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
