//! The trace of a run, and showing it to whoever watches.

use attestation::ids::Digest;
use sha2::Digest as _;

use super::{Guest, Host};
use crate::abi::Import;
use crate::limits;
use crate::trace::HostCall;

impl Host<'_> {
    /// The trace of the run: host calls with arguments, data, results and gas, then the end.
    pub fn trace(&self, status: u8, code: u32, gas: u64, output: &[u8]) -> Digest {
        let mut trace = self.trace.clone();
        trace.update([END_OF_TRACE, status]);
        trace.update(code.to_be_bytes());
        trace.update(gas.to_be_bytes());
        trace.update((output.len() as u64).to_be_bytes());
        trace.update(output);
        Digest::from_bytes(trace.finalize().into())
    }

    /// Adds a host call to the trace, and shows it as it is there.
    pub(super) fn record(
        &mut self,
        guest: &Guest<'_>,
        import: Import,
        args: &[i32],
        data: &[&[u8]],
        result: i64,
    ) {
        self.hash_line(guest, import, args, data, result);
        self.show(guest, import, args, data, result);
    }

    pub(super) fn hash_line(
        &mut self,
        guest: &Guest<'_>,
        import: Import,
        args: &[i32],
        data: &[&[u8]],
        result: i64,
    ) {
        let mut line = [0; 64];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(place) = line.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
                at += bytes.len();
            }
        };
        put(&[import as u8]);
        args.iter().for_each(|arg| put(&arg.to_be_bytes()));
        put(&result.to_be_bytes());
        put(&guest.gas.to_be_bytes());
        self.trace.update(line.get(..at).unwrap_or_default());
        for bytes in data {
            self.trace.update((bytes.len() as u64).to_be_bytes());
            self.trace.update(bytes);
        }
    }

    /// Shows a host call to whoever watches: bytes that the trace leaves out because other lines
    /// determine them may be among `data`.
    pub(super) fn show(
        &mut self,
        guest: &Guest<'_>,
        import: Import,
        args: &[i32],
        data: &[&[u8]],
        result: i64,
    ) {
        if !self.watched {
            return;
        }
        let limit = self.call.gas_limit.min(limits::CALL_GAS_MAX);
        let left = u64::try_from(*guest.gas).unwrap_or_default();
        self.calls.seen(HostCall {
            depth: 0,
            zapp: self.call.zapp,
            import,
            args,
            data,
            result,
            gas: limit.saturating_sub(left),
        });
    }
}

/// Begins the last line of a trace: no host call has this number.
const END_OF_TRACE: u8 = 0xff;
