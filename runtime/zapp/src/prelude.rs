//! Everything that a zApp usually needs: `use zapp::prelude::*;`.

pub use crate::nom::{self, Deposit, pay};
pub use crate::{
    Bytes, Call, CallFailed, Destination, Event, Item, Key, List, Map, Result, Revert, Set, Text,
    Value, caller, ed25519_verify, ensure, height, join, keccak256, log, origin, request_id,
    sha3_256, sha256, time_ms, zapp_id,
};
