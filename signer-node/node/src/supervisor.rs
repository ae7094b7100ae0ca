//! Keeps a guest running: starts it, and when it ends, starts it again after a pause.

use std::sync::Arc;
use std::time::Duration;

use link::local::Role;
use tokio::io::AsyncRead;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::board::name;
use crate::console;
use crate::guests::Guests;
use crate::node::Node;

/// First and longest pause before a guest is started again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A guest that ran so long did not fail at its start: the pause is short again.
const HEALTHY: Duration = Duration::from_secs(10);
/// How long a guest whose connection has ended may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// Which of a role's connections have ended.
#[derive(Debug)]
pub struct Ended(watch::Sender<u64>);

impl Default for Ended {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Ended {
    /// The connection of this generation, and with it all earlier ones, has ended.
    pub fn note(&self, generation: u64) {
        self.0.send_modify(|ended| *ended = generation.max(*ended));
    }

    /// Waits for the end of this generation's connection: that of an earlier one says nothing.
    pub async fn wait(&self, generation: u64) {
        let mut ended = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = ended.wait_for(|ended| *ended >= generation).await;
    }
}

/// Runs one guest for as long as the node runs.
pub async fn supervise(role: Role, guests: Arc<Guests>, node: Arc<Node>, ended: Arc<Ended>) {
    let (routes, board) = (&node.routes, &node.board);
    let mut pause = PAUSE.0;
    let mut generation = 0;
    loop {
        generation += 1;
        let started = Instant::now();
        let claimed = node.claimed_image(role);
        let why = match guests.start(role, generation, claimed.as_ref()).await {
            Ok(mut child) => {
                if let Some(machine) = guests.machine(role) {
                    board.machine(role, machine);
                }
                let pid = child.id();
                tracing::info!(guest = name(role), pid, generation, "guest started");
                board.guest_started(role, pid);
                let last_words = listen(&mut child, role);
                let why = wait(child, &ended, generation).await;
                match timeout(GRACE, last_words).await {
                    Ok(Ok(said)) if !said.is_empty() => format!("{why}; its last words: {said}"),
                    _ => why,
                }
            }
            Err(error) => format!("cannot be started: {error}"),
        };
        routes.disconnect(role, generation);
        board.guest_down(role, &why);
        tracing::warn!(guest = name(role), generation, why, "guest down");
        if started.elapsed() > HEALTHY {
            pause = PAUSE.0;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Follows a virtual machine's console and its emulator's complaints; a process has neither.
pub(crate) fn listen(child: &mut Child, role: Role) -> JoinHandle<String> {
    let (console, errors) = (child.stdout.take(), child.stderr.take());
    tokio::spawn(async move {
        let (console, errors) = tokio::join!(said(console, role), said(errors, role));
        format!("{console} {errors}").trim().to_owned()
    })
}

async fn said(end: Option<impl AsyncRead + Unpin>, role: Role) -> String {
    match end {
        Some(end) => console::follow(end, name(role)).await,
        None => String::new(),
    }
}

/// Waits for the process to end; ends it if it outlives its connection.
async fn wait(mut child: Child, ended: &Ended, generation: u64) -> String {
    let status = tokio::select! {
        status = child.wait() => status,
        () = ended.wait(generation) => match timeout(GRACE, child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                // An error means that it has ended by itself just now.
                let _ = child.start_kill();
                child.wait().await
            }
        },
    };
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_an_earlier_process_does_not_end_its_successor() {
        let ended = Ended::default();
        ended.note(1);
        let early = timeout(Duration::ZERO, ended.wait(2)).await;
        assert!(early.is_err(), "generation 2 still runs");
        ended.note(2);
        ended.wait(2).await;
        ended.note(1);
        ended.wait(2).await;
    }
}
