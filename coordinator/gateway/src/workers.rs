//! Threads that run zApps: the engine needs a larger stack than the executor of async tasks has,
//! and a long run must not hold up the node's other work.

use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::thread;

use runtime::engine::THREAD_STACK_BYTES;
use tokio::sync::oneshot;

use crate::gateway::lock;

/// A fixed number of threads with a bounded queue.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    tasks: SyncSender<Task>,
}

type Task = Box<dyn FnOnce() + Send>;

/// Why a task was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkersError {
    /// The queue is full.
    #[error("too much is being run at once")]
    Busy,
    /// The task panicked: our bug, confined to it.
    #[error("a run ended unexpectedly")]
    Lost,
}

impl Workers {
    /// Starts `count` threads; more than `queue_max` waiting tasks are refused.
    pub(crate) fn start(name: &str, count: usize, queue_max: usize) -> std::io::Result<Self> {
        let (tasks, queue) = mpsc::sync_channel(queue_max);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..count {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(name.to_owned())
                .stack_size(THREAD_STACK_BYTES)
                .spawn(move || work(&queue))?;
        }
        Ok(Self { tasks })
    }

    /// Runs `task` on one of the threads.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkersError> {
        let (done, answer) = oneshot::channel();
        let task = Box::new(move || {
            // The one who asked may have gone; the result then serves nobody.
            let _ = done.send(task());
        });
        self.tasks.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => WorkersError::Busy,
            TrySendError::Disconnected(_) => WorkersError::Lost,
        })?;
        answer.await.map_err(|_| WorkersError::Lost)
    }
}

fn work(queue: &Mutex<Receiver<Task>>) {
    loop {
        let task = lock(queue).recv();
        let Ok(task) = task else { return };
        // A panic drops the task's sender, which tells the one who waits; the thread goes on.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(task));
    }
}
