//! A server of HTTP on loopback that answers as a test says: late, in part, or without end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Longest body that is read.
const BODY_BYTES_MAX: u64 = 1 << 20;
/// What is sent at most where nothing ends: a client that takes it all has no bound.
const ENDLESS_BYTES: usize = 1 << 26;

/// What a question is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `200 OK` and this body.
    Ok(String),
    /// Status line without its version, with what other fields are to be there, and a body.
    Status(String, String),
    /// The head of `200 OK`, half of this body, and the end.
    Cut(String),
    /// Nothing, for as long as the server runs.
    Never,
    /// `200 OK` and blanks without end.
    Endless,
}

/// A running server; it ends when this is dropped, and its address is free again.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one on a free port. It gives each question's body to `answer`, one after the other.
    ///
    /// # Panics
    /// If there is no port.
    pub fn start(answer: impl FnMut(&[u8]) -> Reply + Send + 'static) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), answer)
    }

    /// Starts one where another was.
    ///
    /// # Panics
    /// If the address is not free.
    pub fn start_at(
        address: SocketAddr,
        answer: impl FnMut(&[u8]) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let stopped = Arc::new(AtomicBool::new(false));
        let (counter, stop) = (Arc::clone(&asked), Arc::clone(&stopped));
        let answer = Arc::new(Mutex::new(answer));
        let thread = thread::spawn(move || {
            // What is never answered stays open.
            let mut open = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                counter.fetch_add(1, Ordering::SeqCst);
                open.extend(stream.try_clone());
                let answer = Arc::clone(&answer);
                thread::spawn(move || {
                    if let Some(body) = question(&stream) {
                        let reply = answer.lock().unwrap_or_else(PoisonError::into_inner)(&body);
                        // Whoever has gone away is told nothing.
                        let _ = send(&stream, &reply);
                        if reply != Reply::Never {
                            let _ = stream.shutdown(std::net::Shutdown::Both);
                        }
                    }
                });
            }
        });
        Self {
            address,
            asked,
            stopped,
            thread: Some(thread),
        }
    }

    /// One that gives every question this.
    pub fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone())
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an address of http.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often somebody connected.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // The connection wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The body of a question; `None` from whoever asks none.
fn question(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    let length = BODY_BYTES_MAX.min(length);
    reader.take(length).read_to_end(&mut body).ok()?;
    Some(body)
}

fn send(mut stream: &TcpStream, reply: &Reply) -> std::io::Result<()> {
    let head = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
    };
    match reply {
        Reply::Ok(body) => stream.write_all((head("200 OK", body.len()) + body).as_bytes()),
        Reply::Status(status, body) => {
            stream.write_all((head(status, body.len()) + body).as_bytes())
        }
        Reply::Cut(body) => {
            let sent = head("200 OK", body.len());
            stream.write_all(sent.as_bytes())?;
            stream.write_all(&body.as_bytes()[..body.len() / 2])
        }
        Reply::Never => Ok(()),
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            let blanks = [b' '; 1 << 16];
            for _ in 0..ENDLESS_BYTES / blanks.len() {
                stream.write_all(&blanks)?;
            }
            Ok(())
        }
    }
}
