//! What members saw outside (rule A13), as a zApp reads it.

use state::pull::{Pulled, PulledValue};

use super::{End, Guest, Host};
use crate::abi::{HostFault, Import};
use crate::schedule as gas;

impl Host<'_> {
    /// Copies what members saw at a source of the request.
    pub fn pull(&mut self, guest: &mut Guest<'_>, args: [i32; 4]) -> Result<i32, End> {
        let [index, index_len, dst, cap] = args;
        guest.charge(gas::HOST_CALL + gas::HOST_PULL)?;
        let index = guest.read_at_most(index, index_len, INDEX_BYTES)?;
        let place = <[u8; INDEX_BYTES]>::try_from(index.as_slice());
        let place = place.map_err(|_| End::Fault(HostFault::Length))?;
        let dst = guest.range(dst, cap)?;
        let place = usize::try_from(u32::from_le_bytes(place)).unwrap_or(usize::MAX);
        let answer = self.call.pulled.get(place).map(bytes);
        self.answer(guest, Import::Pull, &args, (&index, dst), answer, 0)
    }
}

/// What [`PULLED_BYTES`](crate::abi::PULLED_BYTES) describes.
fn bytes(pulled: &Pulled) -> Vec<u8> {
    let source = pulled.source.as_bytes();
    match &pulled.value {
        None => [source.as_slice(), &[0]].concat(),
        Some(PulledValue::Integer(value)) => {
            [source.as_slice(), &[1], &value.to_le_bytes()].concat()
        }
        Some(PulledValue::Bytes(bytes)) => [source.as_slice(), &[2], bytes].concat(),
    }
}

/// A place among the sources, little-endian.
const INDEX_BYTES: usize = 4;
