//! A guest's connection: frames to the routes, control messages to those who answer them.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use gateway::AcceptError;
use link::local::{Role, ToGuest, ToNode};
use signer_protocol::frame::Frame;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::board::name;
use crate::control::{self, ControlError};
use crate::guests::{Greeted, Guests};
use crate::node::Node;
use crate::relay::{Gone, QUEUE_MAX, Relayed, Session};
use crate::supervisor::Ended;
use crate::wire::{FrameStream, WireError};

/// Most control messages of one guest that wait for an answer.
const CONTROL_MAX: usize = 1024;
/// How long a guest may take nothing of what waits for it. Their loops wait for nothing else.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a guest is asked whether it still runs, and how long it may say nothing: a machine
/// that hangs keeps its connection. Key generation in the largest committees takes that long.
const PING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Accepts guests for as long as the node runs.
pub async fn listen(
    listener: TcpListener,
    guests: Arc<Guests>,
    node: Arc<Node>,
    ended: impl Fn(Role) -> Arc<Ended> + Send + Sync + Clone + 'static,
) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, most likely: others will be closed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (guests, node, ended) = (Arc::clone(&guests), Arc::clone(&node), ended.clone());
        tokio::spawn(async move {
            match guests.greet(socket).await {
                Ok(greeted) => {
                    let (role, generation) = (greeted.role, greeted.generation);
                    run(greeted, node).await;
                    ended(role).note(generation);
                }
                Err(error) => tracing::warn!(%error, "refused a connection to the guests' port"),
            }
        });
    }
}

async fn run(greeted: Greeted, node: Arc<Node>) {
    let (role, generation) = (greeted.role, greeted.generation);
    let (queue, waiting) = mpsc::channel::<Vec<u8>>(QUEUE_MAX);
    let session = Session::new(generation, queue);
    let mut writing = tokio::spawn(write(greeted.writer, waiting, PATIENCE));
    let (control, orders) = mpsc::channel(CONTROL_MAX);
    let working = tokio::spawn(work(Arc::clone(&node), role, session.clone(), orders));
    let booted = {
        // A guest starts from its boot message: what is told meanwhile waits for its turn.
        let _turn = node.turn(role).await;
        // Routes come first: the guest drops packets until it has booted.
        node.routes.connect(role, session.clone());
        boot(&node, role, &session).await
    };
    let ended = match booted {
        Ok(()) => {
            node.board.guest_connected(role);
            let heard = Heard::default();
            let reading = read(
                &node,
                &session,
                role,
                greeted.frames,
                greeted.assembly,
                control,
                &heard,
            );
            tokio::select! {
                ended = reading => ended,
                _ = &mut writing => Err(WireError::OutOfTurn("the guest takes nothing")),
                () = session.stopped() => Ok(()),
                () = silence(&session, &heard, PING) => {
                    Err(WireError::OutOfTurn("the guest says nothing: it hangs"))
                }
            }
        }
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::warn!(guest = name(role), generation, %error, "closed a guest's connection");
    }
    if node.routes.is_current(role, generation) {
        node.routes.disconnect(role, generation);
        node.board.guest_down(role, "connection ended");
    }
    working.abort();
    // The last sender ends the writer, and with it the guest.
    drop(session);
    writing.abort();
}

/// Writes what waits for a guest, until its connection ends or it has taken nothing for `patience`.
/// Whoever tells a guest something waits for room: one that is stopped must not stop its node.
async fn write(
    mut guest: impl AsyncWrite + Unpin,
    mut waiting: mpsc::Receiver<Vec<u8>>,
    patience: Duration,
) {
    while let Some(bytes) = waiting.recv().await {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match timeout(patience, guest.write(rest)).await {
                Ok(Ok(taken)) if taken > 0 => rest = rest.get(taken..).unwrap_or_default(),
                _ => return,
            }
        }
    }
}

async fn boot(node: &Node, role: Role, session: &Session) -> Result<(), WireError> {
    let gone = |_| WireError::OutOfTurn("the guest left while it was started");
    if role == Role::Signer {
        let entries = node.register.entries().await;
        let entries = entries.map_err(|_| WireError::OutOfTurn("the register has stopped"))?;
        for message in entries {
            session.send(&message).await.map_err(gone)?;
        }
    }
    let message = node.boot(role).await?;
    let message = ToGuest::Boot(Box::new(message));
    session.send(&message).await.map_err(gone)?;
    if role != Role::Executor {
        node.tell_executable_to(session).await.map_err(gone)?;
    }
    Ok(())
}

/// When a guest was heard last.
struct Heard(std::sync::Mutex<Instant>);

impl Default for Heard {
    fn default() -> Self {
        Self(std::sync::Mutex::new(Instant::now()))
    }
}

impl Heard {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn ago(&self) -> Duration {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }
}

/// Asks a guest again and again; returns once it has said nothing for too long.
async fn silence(session: &Session, heard: &Heard, (every, most): (Duration, Duration)) {
    while heard.ago() < most {
        tokio::time::sleep(every).await;
        // One whose connection has ended is noticed elsewhere.
        let _: Result<(), Gone> = session.send(&ToGuest::Ping).await;
    }
}

async fn read(
    node: &Arc<Node>,
    session: &Session,
    role: Role,
    mut frames: FrameStream<tokio::net::tcp::OwnedReadHalf>,
    mut assembly: link::chunk::Assembly,
    control: mpsc::Sender<ToNode>,
    heard: &Heard,
) -> Result<(), WireError> {
    while let Some(frame) = frames.next().await? {
        heard.now();
        if node.routes.is_current(role, session.generation) {
            node.board.guest_heard(role);
        }
        match frame {
            Frame::Relay { .. } => {
                if node.routes.from_guest(role, frame) == Relayed::Refused {
                    return Err(WireError::OutOfTurn(
                        "a frame that is not this guest's to send",
                    ));
                }
            }
            Frame::Local(body) => {
                let Some(message) = assembly.push(&body)? else {
                    continue;
                };
                match ToNode::from_bytes(&message)? {
                    // The register has a queue of its own: a vote must not wait behind a job.
                    ToNode::Append { entry } if role == Role::Signer => node
                        .register
                        .append(session.clone(), entry)
                        .map_err(|_| WireError::OutOfTurn("more register entries than fit"))?,
                    ToNode::Pong => {}
                    ToNode::Halt { reason } => {
                        tracing::warn!(guest = name(role), reason, "guest stops");
                        if node.routes.is_current(role, session.generation) {
                            node.board.guest_halted(role, &reason);
                        }
                        return Ok(());
                    }
                    // One that was taken for dead and woke: the register judges its entries, the
                    // rest is its successor's to say.
                    _ if !node.routes.is_current(role, session.generation) => {}
                    // Waiting here for room would stop the relay behind a slow disk.
                    message => control
                        .try_send(message)
                        .map_err(|_| WireError::OutOfTurn("more control messages than fit"))?,
                }
            }
            Frame::Peer(_) => return Err(WireError::OutOfTurn("a frame that is for nodes")),
        }
    }
    Ok(())
}

async fn work(node: Arc<Node>, role: Role, session: Session, mut orders: mpsc::Receiver<ToNode>) {
    while let Some(message) = orders.recv().await {
        let answered = match role {
            Role::Signer => control::signer(&node, &session, message).await,
            Role::Executor => control::executor(&node, &session, message).await,
            Role::Coordinator => control::coordinator(&node, &session, message).await,
        };
        if let Err(error) = answered {
            tracing::warn!(guest = name(role), %error, "control message");
            if let ControlError::Store(error) | ControlError::Accept(AcceptError::Store(error)) =
                error
            {
                node.board.store(Some(error.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_guest_that_answers_is_kept_and_one_that_hangs_is_not() {
        let (queue, mut pings) = mpsc::channel(8);
        let session = Session::new(1, queue);
        let heard = Heard::default();
        let ping = crate::wire::local_bytes(&ToGuest::Ping.to_bytes());
        // Far longer than a busy machine keeps this thread waiting.
        let limits = (Duration::from_millis(1), Duration::from_secs(2));
        let answering = async {
            for _ in 0..200 {
                assert_eq!(pings.recv().await.as_ref(), Some(&ping));
                heard.now();
            }
        };
        tokio::select! {
            biased;
            () = answering => {}
            () = silence(&session, &heard, limits) => panic!("it answered"),
        }
        let hangs = async { while pings.recv().await.is_some() {} };
        tokio::select! {
            () = silence(&session, &heard, limits) => {}
            () = hangs => panic!("nobody is asked any more"),
        }
    }

    #[tokio::test]
    async fn a_guest_that_takes_nothing_is_given_up_and_one_that_takes_is_not() {
        let (queue, waiting) = mpsc::channel(1);
        let (node_end, mut guest_end) = tokio::io::duplex(4);
        let writing = tokio::spawn(write(node_end, waiting, Duration::from_millis(1)));
        queue.send(vec![1; 4]).await.expect("room");
        let mut taken = [0; 4];
        guest_end.read_exact(&mut taken).await.expect("written");
        assert!(!writing.is_finished(), "nothing waits");
        queue.send(vec![2; 5]).await.expect("room");
        writing.await.expect("no panic");
        assert!(queue.is_closed());
    }
}
