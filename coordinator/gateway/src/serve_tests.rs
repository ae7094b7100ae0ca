use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::*;
use crate::fixture::Fixture;

/// A gateway that listens, and where.
async fn served(head_time_max: Duration) -> (Fixture, std::net::SocketAddr, oneshot::Sender<()>) {
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let gateway = fixture.gateway.clone();
    tokio::spawn(async move {
        let stopped = async move {
            let _ = stopped.await;
        };
        gateway.serve_within(listener, stopped, head_time_max).await;
    });
    (fixture, address, stop)
}

async fn answer(address: std::net::SocketAddr, path: &str, end: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(end) {
        answer.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_head_that_never_ends_loses_its_connection() {
    let (_fixture, address, _stop) = served(Duration::from_millis(50)).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /v1/health HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert!(!rest.contains("200 OK"), "{rest}");
}

#[tokio::test]
async fn event_streams_leave_places_for_other_requests() {
    let (fixture, address, _stop) = served(HEAD_TIME_MAX).await;
    let streams = &fixture.gateway.inner.streams;
    let all = u32::try_from(streams.available_permits()).unwrap();
    assert!(usize::try_from(all).unwrap() < CONNECTIONS_MAX);
    let taken = streams.acquire_many(all - 1).await.unwrap();
    let first = answer(address, "/v1/events", b"\r\n\r\n").await;
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    // Reading the head only closes the stream: its place comes back when the node notices.
    drop(taken);
    let _taken = streams.acquire_many(all).await.unwrap();
    let one_too_many = answer(address, "/v1/events", b"}").await;
    assert!(one_too_many.starts_with("HTTP/1.1 503"), "{one_too_many}");
    let other = answer(address, "/v1/health", b"}").await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
}

#[tokio::test]
async fn stopping_does_not_wait_for_endless_streams() {
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let gateway = fixture.gateway.clone();
    let serving = tokio::spawn(async move {
        let stopped = async move {
            let _ = stopped.await;
        };
        gateway.serve(listener, stopped).await;
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /v1/events HTTP/1.1\r\nhost: node\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H');
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
