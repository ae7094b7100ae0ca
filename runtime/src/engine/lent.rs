//! The host of a run, lent to a store.

use std::ptr::NonNull;

use crate::host::Host;

/// A host without its lifetime: an engine's stores hold only `'static` data.
pub(super) struct Lent(NonNull<Host<'static>>);

impl Lent {
    /// Lends a host. Whoever calls this keeps the reference until the store is dropped, and reads
    /// the host in no other way meanwhile.
    pub(super) fn new(host: &mut Host<'_>) -> Self {
        Self(NonNull::from(host).cast())
    }

    /// Uses the host.
    pub(super) fn with<R>(&mut self, with: impl FnOnce(&mut Host<'_>) -> R) -> R {
        #[allow(
            unsafe_code,
            reason = "an engine's `run` makes the pointer from a `&mut Host` that it holds until \
                      the store is dropped, and nothing else reads it; `with` is generic over \
                      the lifetime, so it can keep nothing of the host; host calls on one store \
                      do not nest, and `&mut self` rules out a second reference"
        )]
        // SAFETY: see the reason above.
        let host = unsafe { self.0.as_mut() };
        with(host)
    }
}
