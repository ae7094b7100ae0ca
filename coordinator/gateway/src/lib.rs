//! The gateway role: request queue, witness builder, HTTP API. A library of the node.
