//! Keeps a guest running: starts it, and when it ends, starts it again after a pause.

use std::sync::Arc;
use std::time::Duration;

use link::local::Role;
use tokio::process::Child;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::board::{Board, name};
use crate::guests::Guests;
use crate::relay::Routes;

/// First and longest pause before a guest is started again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A guest that ran so long did not fail at its start: the pause is short again.
const HEALTHY: Duration = Duration::from_secs(10);
/// How long a guest whose connection has ended may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// Runs one guest for as long as the node runs.
pub async fn supervise(
    role: Role,
    guests: Arc<Guests>,
    routes: Arc<Routes>,
    board: Arc<Board>,
    ended: Arc<Notify>,
) {
    let mut pause = PAUSE.0;
    let mut generation = 0;
    loop {
        generation += 1;
        let started = Instant::now();
        let why = match guests.start(role, generation).await {
            Ok(child) => {
                let pid = child.id();
                tracing::info!(guest = name(role), pid, generation, "guest started");
                board.guest_started(role, pid);
                wait(child, &ended).await
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

/// Waits for the process to end; ends it if it outlives its connection.
async fn wait(mut child: Child, ended: &Notify) -> String {
    let status = tokio::select! {
        status = child.wait() => status,
        () = ended.notified() => match timeout(GRACE, child.wait()).await {
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
