//! Views: read-only calls on the head's state.
