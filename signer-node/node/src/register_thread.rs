//! The thread that writes the register: fsync blocks, and what waits meanwhile shares the next one.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use link::local::{AppendRefusal, ToGuest};
use serde_bytes::ByteBuf;
use tokio::sync::oneshot;

use crate::board::Board;
use crate::register::{AppendError, Register};
use crate::relay::Session;

/// Most orders that wait.
const ORDERS_MAX: usize = 4096;
/// Most entries under one fsync.
const BATCH_MAX: usize = 256;
/// Most bytes of entries in one message to a starting signer.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

enum Order {
    Append(Session, Vec<u8>),
    Entries(oneshot::Sender<Vec<ToGuest>>),
}

/// A handle on the thread.
#[derive(Clone, Debug)]
pub struct RegisterThread(SyncSender<Order>);

/// More waits than a signer that behaves can have asked for, or the thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the register's thread takes no more")]
pub struct Overrun;

impl RegisterThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The platform's, if there is no thread to be had.
    pub fn start(register: Register, board: Arc<Board>) -> io::Result<Self> {
        let (orders, queue) = sync_channel(ORDERS_MAX);
        thread::Builder::new()
            .name("register".into())
            .spawn(move || work(register, &queue, &board))?;
        Ok(Self(orders))
    }

    /// Appends an entry; the session gets the answer.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn append(&self, session: Session, entry: Vec<u8>) -> Result<(), Overrun> {
        let order = Order::Append(session, entry);
        self.0.try_send(order).map_err(|_| Overrun)
    }

    /// All entries, as messages to a signer that starts.
    ///
    /// # Errors
    /// [`Overrun`].
    pub async fn entries(&self) -> Result<Vec<ToGuest>, Overrun> {
        let (sender, receiver) = oneshot::channel();
        let order = Order::Entries(sender);
        self.0.try_send(order).map_err(|_| Overrun)?;
        receiver.await.map_err(|_| Overrun)
    }
}

fn work(mut register: Register, queue: &Receiver<Order>, board: &Board) {
    let mut batch: Vec<Vec<u8>> = Vec::new();
    while let Ok(first) = queue.recv() {
        let mut orders = std::iter::once(first).chain(queue.try_iter());
        let mut appender: Option<Session> = None;
        let mut questions = Vec::new();
        for order in orders.by_ref().take(BATCH_MAX) {
            match order {
                Order::Entries(answer) => {
                    questions.push(answer);
                    break;
                }
                Order::Append(session, entry) => {
                    // A batch is of one process: a refusal must reach the one that erred.
                    if let Some(before) = &appender
                        && before.generation != session.generation
                    {
                        answer(&mut register, before, &mut batch, board);
                    }
                    appender = Some(session);
                    batch.push(entry);
                }
            }
        }
        if let Some(session) = &appender {
            answer(&mut register, session, &mut batch, board);
        }
        for question in questions {
            // Whoever asked may have gone.
            let _ = question.send(messages(register.entries()));
        }
    }
}

fn answer(register: &mut Register, session: &Session, batch: &mut Vec<Vec<u8>>, board: &Board) {
    let (began, voted) = (Instant::now(), register.votes());
    let (last, error) = register.append(batch);
    batch.clear();
    // A session that has ended needs no answer.
    if let Some(index) = last {
        board.register(None);
        board.register_written(began.elapsed(), register.votes() - voted);
        let _ = session.send_blocking(&ToGuest::Appended { index });
    }
    let refusal = match error {
        None => return,
        Some(AppendError::Refused(refused)) => {
            tracing::error!(%refused, "register: refused an entry");
            board.register_refused(format!("an entry: {refused}"));
            AppendRefusal::Rules(refused)
        }
        Some(AppendError::Disk(error)) => {
            tracing::error!(%error, "register: cannot be written; the signer stops");
            board.register(Some(format!(
                "cannot be written: {error}; free or replace the disk"
            )));
            AppendRefusal::Disk
        }
    };
    let _ = session.send_blocking(&ToGuest::AppendRefused(refusal));
}

fn messages(entries: &[Vec<u8>]) -> Vec<ToGuest> {
    let mut messages = Vec::new();
    let (mut some, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        if bytes + entry.len() > MESSAGE_BYTES_MAX && !some.is_empty() {
            messages.push(ToGuest::Register {
                entries: std::mem::take(&mut some),
            });
            bytes = 0;
        }
        bytes += entry.len();
        some.push(ByteBuf::from(entry.clone()));
    }
    if !some.is_empty() {
        messages.push(ToGuest::Register { entries: some });
    }
    messages
}
