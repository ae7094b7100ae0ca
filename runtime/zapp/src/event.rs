//! Events with a type.

use crate::{Value, abi, typed};

/// A struct marked `#[event]`: its topic is its name in `snake_case`, its data its fields.
pub trait Event: Value {
    /// The topic.
    const TOPIC: &'static [u8];

    /// Adds the event to the call's; a call that reverts has none.
    fn emit(&self) {
        typed::with_encoded(self, |data| abi::emit(Self::TOPIC, data));
    }
}
