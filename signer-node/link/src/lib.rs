//! The guests' driver: one TCP connection to the guest's own node, framed.
