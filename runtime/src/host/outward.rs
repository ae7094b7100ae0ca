//! What reaches beyond the zApp that runs: calls of other zApps, and outbound messages.

use attestation::ids::{Digest, IdentityKey, ModuleDigest, ZappId};
use attestation::leaf::Status;
use attestation::request::METHOD_BYTES_MAX;
use state::execute::{Executable, ExecuteError, Op, Post};

use super::{End, Entries, Guest, Host, byte_count, crossing, length, range_within};
use crate::abi::{self, HostFault, Import};
use crate::execute::Ran;
use crate::limits;
use crate::schedule as gas;
use crate::trace::HostCall;

/// What runs when a zApp is called by another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Callee {
    pub module: ModuleDigest,
    pub metered: Digest,
}

/// Runs zApps that others call.
pub(crate) trait Calls {
    /// Runs a call with at most so much logical stack.
    fn run(
        &mut self,
        call: &Executable<'_>,
        entries: &mut dyn Entries,
        stack: i32,
    ) -> Result<Ran, ExecuteError>;

    /// Whether somebody wants to see each host call.
    fn is_watched(&self) -> bool;

    /// Passes a host call on to whoever watches.
    fn seen(&mut self, call: HostCall<'_>);
}

impl Host<'_> {
    /// Calls another zApp. What becomes of it is an answer; only what is no outcome ends the run.
    pub fn call(
        &mut self,
        guest: &mut Guest<'_>,
        (zapp, gas_asked, input, len): (i32, i64, i32, i32),
    ) -> Result<i64, End> {
        guest.charge(gas::HOST_CALL + gas::HOST_ZAPP + crossing(len))?;
        let id = guest.range(zapp, 32)?;
        let id = guest.memory.get(id).and_then(|id| id.try_into().ok());
        let id = ZappId::from_bytes(id.ok_or(End::Fault(HostFault::Bounds))?);
        let sent = guest.read_at_most(input, len, limits::CALL_INPUT_BYTES_MAX)?;
        let (method, arguments) = named(&sent).ok_or(End::Fault(HostFault::Method))?;
        let args = [zapp, input, len];
        let asked = gas_asked.to_be_bytes();
        let entered = self.entries.enter(&id).map_err(End::NeedState)?;
        let Some(callee) = entered else {
            self.result.clear();
            let result = abi::NOT_CALLABLE << 32;
            let data = [id.as_bytes().as_slice(), &asked, &sent];
            self.record(guest, Import::Call, &args, &data, result);
            return Ok(result);
        };
        let call = Executable {
            op: match self.call.op {
                Op::View => Op::View,
                _ => Op::Call,
            },
            zapp: id,
            module: callee.module,
            metered: callee.metered,
            caller: IdentityKey::from_bytes(*self.call.zapp.as_bytes()),
            method,
            input: arguments,
            gas_limit: budget(*guest.gas, gas_asked),
            ..*self.call
        };
        let ran = self.calls.run(&call, &mut *self.entries, guest.stack);
        let keep = matches!(&ran, Ok(ran) if ran.execution.status == Status::Ok);
        self.entries.leave(keep);
        let ran = ran.map_err(|error| match error {
            ExecuteError::NeedState(hole) => End::NeedState(hole),
            ExecuteError::Module(module) => End::Module(module),
            ExecuteError::Hung(_) | ExecuteError::Misreported(..) => End::Failed,
        })?;
        guest.charge(ran.execution.gas)?;
        self.take_over(guest, &args, &[id.as_bytes(), &asked, &sent], ran)
    }

    /// What the called zApp announced, sent and put out.
    fn take_over(
        &mut self,
        guest: &Guest<'_>,
        args: &[i32],
        asked: &[&[u8]],
        ran: Ran,
    ) -> Result<i64, End> {
        let run = ran.execution;
        for line in ran.log {
            self.keep_line(line);
        }
        self.add_events(run.events)?;
        self.add_posts(run.messages)?;
        self.result = match run.status {
            Status::Ok => run.output,
            Status::Reverted => [&run.code.to_le_bytes(), run.output.as_slice()].concat(),
            _ => Vec::new(),
        };
        let status = i64::from(u8::from(run.status));
        let result = status << 32 | i64::from(length(self.result.len()));
        let trace = run.trace;
        let data = [asked, &[trace.as_bytes()]].concat();
        self.record(guest, Import::Call, args, &data, result);
        Ok(result)
    }

    pub fn result(&mut self, guest: &mut Guest<'_>, args: [i32; 3]) -> Result<(), End> {
        let [dst, offset, len] = args;
        guest.charge(gas::HOST_CALL + crossing(len))?;
        let dst = guest.range(dst, len)?;
        let from = range_within(self.result.len(), offset, len)?;
        guest.write(dst, self.result.get(from.clone()).unwrap_or_default());
        self.hash_line(guest, Import::Result, &args, &[], 0);
        if self.watched {
            let bytes = self.result.get(from).unwrap_or_default().to_vec();
            self.show(guest, Import::Result, &args, &[&bytes], 0);
        }
        Ok(())
    }

    pub fn post(&mut self, guest: &mut Guest<'_>, args: [i32; 4]) -> Result<(), End> {
        let [to, to_len, payload, payload_len] = args;
        let bytes = byte_count(to_len) + byte_count(payload_len);
        guest.charge(gas::HOST_CALL + gas::HOST_POST + gas::HOST_POST_BYTE * bytes)?;
        if self.call.op == Op::View {
            return Err(End::Fault(HostFault::ReadOnly));
        }
        let long = abi::DESTINATION_BYTES + limits::LABEL_BYTES_MAX;
        let to = guest.read_at_most(to, to_len, long)?;
        let payload = guest.read_at_most(payload, payload_len, limits::PAYLOAD_BYTES_MAX)?;
        self.record(guest, Import::Post, &args, &[&to, &payload], 0);
        let post = destination(self.call.zapp, &to, payload);
        self.add_posts([post.ok_or(End::Fault(HostFault::Length))?])
    }
}

/// The name and the arguments of an input.
fn named(input: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = input.split_first()?;
    let (name, arguments) = rest.split_at_checked(usize::from(*len))?;
    let name = std::str::from_utf8(name).ok()?;
    (1..=METHOD_BYTES_MAX)
        .contains(&name.len())
        .then_some((name, arguments))
}

/// Gas for a called zApp: what is asked for, and all but a 64th at most, so that whoever calls can
/// still deal with what comes of it.
fn budget(left: i64, asked: i64) -> u64 {
    let left = u64::try_from(left).unwrap_or_default();
    asked.cast_unsigned().min(left - left / 64)
}

/// An outbound message to what [`abi::DESTINATION_BYTES`] describes.
fn destination(zapp: ZappId, to: &[u8], payload: Vec<u8>) -> Option<Post> {
    let (chain, to) = to.split_first_chunk::<8>()?;
    let (contract, to) = to.split_first_chunk::<32>()?;
    let (receiver, to) = to.split_first_chunk::<32>()?;
    let (gas, label) = to.split_first_chunk::<8>()?;
    Some(Post {
        zapp,
        chain: u64::from_le_bytes(*chain),
        contract: *contract,
        receiver: *receiver,
        gas: u64::from_le_bytes(*gas),
        label: label.to_vec(),
        payload,
    })
}
