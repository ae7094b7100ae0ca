//! One step: requests in order over one state, system zApp included, to commit, leaves and root.

use serde::{Deserialize, Serialize};

/// What an executor reports of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {}
