//! The HTTP API.

use crate::gateway::Gateway;

impl Gateway {
    /// The HTTP API as a router.
    #[must_use]
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
    }
}
