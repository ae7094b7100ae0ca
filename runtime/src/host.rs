//! The behaviour of `zapp0`: what each host call charges, reads, writes and leaves behind.
//!
//! Every function charges before it touches memory or state, computes pointers in 64 bits, and
//! adds arguments, data and result to the request's trace. It knows no engine: an engine lends it
//! the guest's memory and gas for one call.

mod outward;
mod pulled;
mod record;

use std::ops::Range;

use attestation::ids::{ModuleDigest, ZappId};
use attestation::tags;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};
use sha3::{Keccak256, Sha3_256};
use state::execute::{Event, Executable, Post};
use state::journal::Next;
use state::tree::NeedState;

use crate::abi::{self, Field, HostFault, Import};
use crate::limits;
use crate::schedule as gas;

/// Names each function of `zapp0` with the method that answers it and its arguments, for an engine
/// to link: all but `call`, the only one with an argument of 64 bits.
macro_rules! each_function {
    ($link:ident) => {
        $link!(Input, input(a b c));
        $link!(Output, output(a b));
        $link!(Context, context(a b));
        $link!(GasLeft, gas_left());
        $link!(Get, get(a b c d));
        $link!(Set, set(a b c d));
        $link!(Delete, delete(a b));
        $link!(Next, next(a b c d));
        $link!(Emit, emit(a b c d));
        $link!(Hash, hash(a b c d));
        $link!(Verify, verify(a b c d e f g));
        $link!(Abort, abort(a b));
        $link!(Log, log(a b));
        $link!(Result, result(a b c));
        $link!(Post, post(a b c d));
        $link!(Pull, pull(a b c d));
    };
}
pub(crate) use each_function;
pub(crate) use outward::{Callee, Calls};

/// The entries of the zApp that runs.
pub(crate) trait Entries {
    /// The value of a key.
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, NeedState>;

    /// The smallest key above `key`, and how many deleted ones were passed over on the way.
    fn next(&mut self, key: &[u8]) -> Result<Next, NeedState>;

    /// Sets a value, or deletes the entry; refused if the call may not write this, or not so much.
    fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), HostFault>;

    /// Goes on as another zApp that the running one calls; `None` if it cannot be called now.
    fn enter(&mut self, zapp: &ZappId) -> Result<Option<Callee>, NeedState>;

    /// Goes back to the zApp that called; what the other one wrote is undone unless it is kept.
    fn leave(&mut self, keep: bool);
}

/// Why a host call ends the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The gas does not cover the call.
    OutOfGas,
    /// The guest broke a rule of the interface.
    Fault(HostFault),
    /// The guest aborted.
    Abort,
    /// No outcome: the state at hand is not enough.
    NeedState(NeedState),
    /// No outcome: the module of a called zApp is not at hand.
    Module(ModuleDigest),
    /// No outcome: this machine failed within a called zApp.
    Failed,
}

/// What an engine lends for one host call.
pub(crate) struct Guest<'a> {
    /// The guest's memory.
    pub memory: &'a mut [u8],
    /// Gas left, below zero when it is gone.
    pub gas: &'a mut i64,
    /// Logical stack left.
    pub stack: i32,
}

/// The host side of one run.
pub(crate) struct Host<'a> {
    call: &'a Executable<'a>,
    entries: &'a mut dyn Entries,
    calls: &'a mut dyn Calls,
    /// Length of the method's name, the name, and the input of the request.
    input: Vec<u8>,
    events_bytes: usize,
    posts_bytes: usize,
    log_bytes: usize,
    /// What the last `call` put out.
    result: Vec<u8>,
    trace: Sha256,
    /// Whether somebody wants to see each host call.
    watched: bool,
    /// Last output.
    pub output: Vec<u8>,
    /// Events so far.
    pub events: Vec<Event>,
    /// Outbound messages so far.
    pub messages: Vec<Post>,
    /// Log lines so far.
    pub log: Vec<Vec<u8>>,
    /// Set when a host call ended the run.
    pub end: Option<End>,
}

impl<'a> Host<'a> {
    /// Begins a run.
    pub fn new(
        call: &'a Executable<'a>,
        entries: &'a mut dyn Entries,
        calls: &'a mut dyn Calls,
    ) -> Self {
        let method = call.method.as_bytes();
        let mut input = Vec::with_capacity(1 + method.len() + call.input.len());
        // Requests have at most 64 bytes of method: checked where a request is decoded.
        input.push(u8::try_from(method.len()).unwrap_or(u8::MAX));
        input.extend_from_slice(method);
        input.extend_from_slice(call.input);
        let mut trace = Sha256::new();
        trace.update(tags::TRACE.0);
        trace.update(call.request.as_bytes());
        trace.update(call.metered.as_bytes());
        trace.update([call.op as u8]);
        let watched = calls.is_watched();
        Self {
            call,
            entries,
            calls,
            input,
            events_bytes: 0,
            posts_bytes: 0,
            log_bytes: 0,
            result: Vec::new(),
            trace,
            watched,
            output: Vec::new(),
            events: Vec::new(),
            messages: Vec::new(),
            log: Vec::new(),
            end: None,
        }
    }

    /// Length of the input as the guest is told.
    pub fn input_len(&self) -> i32 {
        length(self.input.len())
    }

    pub fn input(&mut self, guest: &mut Guest<'_>, args: [i32; 3]) -> Result<(), End> {
        let [dst, offset, len] = args;
        guest.charge(gas::HOST_CALL + crossing(len))?;
        let dst = guest.range(dst, len)?;
        let from = range_within(self.input.len(), offset, len)?;
        let bytes = self.input.get(from.clone()).unwrap_or_default();
        guest.write(dst, bytes);
        self.hash_line(guest, Import::Input, &args, &[], 0);
        if self.watched {
            let bytes = self.input.get(from).unwrap_or_default().to_vec();
            self.show(guest, Import::Input, &args, &[&bytes], 0);
        }
        Ok(())
    }

    pub fn output(&mut self, guest: &mut Guest<'_>, args: [i32; 2]) -> Result<(), End> {
        let [src, len] = args;
        guest.charge(gas::HOST_CALL + crossing(len))?;
        let output = guest.read_at_most(src, len, limits::OUTPUT_BYTES_MAX)?;
        // The bytes themselves: at the end of the trace, once.
        self.hash_line(guest, Import::Output, &args, &[], 0);
        self.show(guest, Import::Output, &args, &[&output], 0);
        self.output = output;
        Ok(())
    }

    pub fn context(&mut self, guest: &mut Guest<'_>, args: [i32; 2]) -> Result<i32, End> {
        let [field, dst] = args;
        guest.charge(gas::HOST_CALL + FIELD_BYTES_MAX / gas::HOST_BYTES_PER_GAS)?;
        let call = self.call;
        let environment = call.environment;
        let height = environment.context.anchor_height.to_le_bytes();
        let time = environment.context.time_ms.to_le_bytes();
        let bytes: &[u8] = match Field::from_number(field) {
            Some(Field::Zapp) => call.zapp.as_bytes(),
            Some(Field::Caller) => call.caller.as_bytes(),
            Some(Field::Origin) => call.origin.as_bytes(),
            Some(Field::Request) => call.request.as_bytes(),
            Some(Field::Height) => &height,
            Some(Field::Time) => &time,
            Some(Field::PreRoot) => environment.previous_state.as_bytes(),
            Some(Field::Committee) => environment.committee.as_bytes(),
            None => {
                self.record(guest, Import::Context, &args, &[], abi::NONE.into());
                return Ok(abi::NONE);
            }
        };
        let len = length(bytes.len());
        let dst = guest.range(dst, len)?;
        guest.write(dst, bytes);
        self.record(guest, Import::Context, &args, &[bytes], len.into());
        Ok(len)
    }

    pub fn gas_left(&mut self, guest: &mut Guest<'_>, _: [i32; 0]) -> Result<i64, End> {
        guest.charge(gas::HOST_CALL)?;
        let gas = *guest.gas;
        self.record(guest, Import::GasLeft, &[], &[], gas);
        Ok(gas)
    }

    pub fn get(&mut self, guest: &mut Guest<'_>, args: [i32; 4]) -> Result<i32, End> {
        let [key, key_len, dst, cap] = args;
        guest.charge(gas::HOST_CALL + gas::HOST_GET + crossing(key_len))?;
        let key = guest.key(key, key_len)?;
        let dst = guest.range(dst, cap)?;
        let value = self.entries.get(&key).map_err(End::NeedState)?;
        self.answer(
            guest,
            Import::Get,
            &args,
            (&key, dst),
            value,
            gas::HOST_GET_BYTE,
        )
    }

    pub fn set(&mut self, guest: &mut Guest<'_>, args: [i32; 4]) -> Result<(), End> {
        let [key, key_len, value, value_len] = args;
        let bytes = byte_count(key_len) + byte_count(value_len);
        guest.charge(gas::HOST_CALL + gas::HOST_SET + gas::HOST_SET_BYTE * bytes)?;
        let key = guest.key(key, key_len)?;
        let value = guest.read_at_most(value, value_len, limits::VALUE_BYTES_MAX)?;
        self.entries.set(&key, Some(&value)).map_err(End::Fault)?;
        self.record(guest, Import::Set, &args, &[&key, &value], 0);
        Ok(())
    }

    pub fn delete(&mut self, guest: &mut Guest<'_>, args: [i32; 2]) -> Result<(), End> {
        let [key, key_len] = args;
        guest.charge(gas::HOST_CALL + gas::HOST_SET + gas::HOST_SET_BYTE * byte_count(key_len))?;
        let key = guest.key(key, key_len)?;
        self.entries.set(&key, None).map_err(End::Fault)?;
        self.record(guest, Import::Delete, &args, &[&key], 0);
        Ok(())
    }

    pub fn next(&mut self, guest: &mut Guest<'_>, args: [i32; 4]) -> Result<i32, End> {
        let [key, key_len, dst, cap] = args;
        guest.charge(gas::HOST_CALL + gas::HOST_NEXT + crossing(key_len))?;
        // The empty key stands before the first.
        let key = match key_len {
            0 => Vec::new(),
            _ => guest.key(key, key_len)?,
        };
        let dst = guest.range(dst, cap)?;
        let found = self.entries.next(&key).map_err(End::NeedState)?;
        guest.charge(gas::HOST_NEXT_PASSED * found.passed)?;
        self.answer(
            guest,
            Import::Next,
            &args,
            (&key, dst),
            found.key,
            gas::HOST_NEXT_BYTE,
        )
    }

    pub fn emit(&mut self, guest: &mut Guest<'_>, args: [i32; 4]) -> Result<(), End> {
        let [topic, topic_len, data, data_len] = args;
        let bytes = byte_count(topic_len) + byte_count(data_len);
        guest.charge(gas::HOST_CALL + gas::HOST_EMIT + gas::HOST_EMIT_BYTE * bytes)?;
        let topic = guest.read_at_most(topic, topic_len, limits::TOPIC_BYTES_MAX)?;
        let data = guest.read_at_most(data, data_len, limits::EVENTS_BYTES_MAX)?;
        self.record(guest, Import::Emit, &args, &[&topic, &data], 0);
        let zapp = self.call.zapp;
        self.add_events([Event { zapp, topic, data }])
    }

    pub fn hash(&mut self, guest: &mut Guest<'_>, args: [i32; 4]) -> Result<(), End> {
        let [algorithm, src, len, dst] = args;
        guest.charge(gas::HOST_CALL + gas::HOST_HASH + gas::HOST_HASH_BYTE * byte_count(len))?;
        let src = guest.range(src, len)?;
        let dst = guest.range(dst, 32)?;
        let bytes = guest.memory.get(src).unwrap_or_default();
        let digest: [u8; 32] = match algorithm {
            abi::HASH_SHA256 => Sha256::digest(bytes).into(),
            abi::HASH_SHA3_256 => Sha3_256::digest(bytes).into(),
            abi::HASH_KECCAK256 => Keccak256::digest(bytes).into(),
            _ => return Err(End::Fault(HostFault::Algorithm)),
        };
        self.hash_line(guest, Import::Hash, &args, &[&digest], 0);
        self.show(guest, Import::Hash, &args, &[bytes, &digest], 0);
        guest.write(dst, &digest);
        Ok(())
    }

    pub fn verify(&mut self, guest: &mut Guest<'_>, args: [i32; 7]) -> Result<i32, End> {
        let [
            algorithm,
            message,
            message_len,
            signature,
            signature_len,
            key,
            key_len,
        ] = args;
        // Signature and key enter the trace at whatever length the guest says they have.
        let bytes = byte_count(message_len) + byte_count(signature_len) + byte_count(key_len);
        guest.charge(gas::HOST_CALL + gas::HOST_VERIFY_ED25519 + gas::HOST_VERIFY_BYTE * bytes)?;
        if algorithm != abi::VERIFY_ED25519 {
            return Err(End::Fault(HostFault::Algorithm));
        }
        let message = guest.range(message, message_len)?;
        let signature = guest.range(signature, signature_len)?;
        let key = guest.range(key, key_len)?;
        let bytes = |range| guest.memory.get(range).unwrap_or_default();
        let (message, signature, key) = (bytes(message), bytes(signature), bytes(key));
        let result = i32::from(is_signed(message, signature, key));
        let data = [message, signature, key];
        let (_, hashed) = data.split_first().unwrap_or((&message, &[]));
        self.hash_line(guest, Import::Verify, &args, hashed, result.into());
        self.show(guest, Import::Verify, &args, &data, result.into());
        Ok(result)
    }

    pub fn abort(&mut self, guest: &mut Guest<'_>, args: [i32; 2]) -> Result<(), End> {
        let [message, len] = args;
        guest.charge(gas::HOST_CALL + crossing(len))?;
        let message = guest.read_at_most(message, len, limits::OUTPUT_BYTES_MAX)?;
        self.hash_line(guest, Import::Abort, &args, &[], 0);
        self.show(guest, Import::Abort, &args, &[&message], 0);
        self.output = message;
        Err(End::Abort)
    }

    pub fn log(&mut self, guest: &mut Guest<'_>, args: [i32; 2]) -> Result<(), End> {
        let [text, len] = args;
        guest.charge(gas::HOST_CALL + byte_count(len))?;
        let text = guest.read_at_most(text, len, limits::LOG_BYTES_MAX)?;
        self.record(guest, Import::Log, &args, &[&text], 0);
        self.keep_line(text);
        Ok(())
    }

    fn add_events(&mut self, events: impl IntoIterator<Item = Event>) -> Result<(), End> {
        for event in events {
            self.events_bytes += event.bytes();
            if self.events.len() >= limits::EVENTS_MAX
                || self.events_bytes > limits::EVENTS_BYTES_MAX
            {
                return Err(End::Fault(HostFault::Events));
            }
            self.events.push(event);
        }
        Ok(())
    }

    fn add_posts(&mut self, posts: impl IntoIterator<Item = Post>) -> Result<(), End> {
        for post in posts {
            self.posts_bytes += post.bytes();
            if self.messages.len() >= limits::POSTS_MAX
                || self.posts_bytes > limits::POSTS_BYTES_MAX
            {
                return Err(End::Fault(HostFault::Messages));
            }
            self.messages.push(post);
        }
        Ok(())
    }

    fn keep_line(&mut self, line: Vec<u8>) {
        self.log_bytes += line.len();
        if self.log_bytes <= limits::LOG_TOTAL_BYTES_MAX {
            self.log.push(line);
        }
    }

    /// Pays for an answer of the state and copies what fits.
    fn answer(
        &mut self,
        guest: &mut Guest<'_>,
        import: Import,
        args: &[i32],
        (key, dst): (&[u8], Range<usize>),
        answer: Option<Vec<u8>>,
        per_byte: u64,
    ) -> Result<i32, End> {
        let Some(answer) = answer else {
            self.record(guest, import, args, &[key], abi::NONE.into());
            return Ok(abi::NONE);
        };
        let bytes = answer.len() as u64;
        let copied = answer.len().min(dst.len());
        guest.charge(per_byte * bytes + copied as u64 / gas::HOST_BYTES_PER_GAS)?;
        let len = length(answer.len());
        let part = answer.get(..copied).unwrap_or_default();
        guest.write(dst.start..dst.start + copied, part);
        self.record(guest, import, args, &[key, &answer], len.into());
        Ok(len)
    }
}

impl Guest<'_> {
    fn charge(&mut self, amount: u64) -> Result<(), End> {
        match i64::try_from(amount) {
            Ok(amount) if amount <= *self.gas => {
                *self.gas -= amount;
                Ok(())
            }
            _ => {
                *self.gas = -1;
                Err(End::OutOfGas)
            }
        }
    }

    fn range(&self, pointer: i32, len: i32) -> Result<Range<usize>, End> {
        range_within(self.memory.len(), pointer, len)
    }

    fn read_at_most(&self, pointer: i32, len: i32, max: usize) -> Result<Vec<u8>, End> {
        let range = self.range(pointer, len)?;
        if range.len() > max {
            return Err(End::Fault(HostFault::Length));
        }
        Ok(self.memory.get(range).unwrap_or_default().to_vec())
    }

    fn key(&self, pointer: i32, len: i32) -> Result<Vec<u8>, End> {
        let range = self.range(pointer, len)?;
        if !(1..=limits::KEY_BYTES_MAX).contains(&range.len()) {
            return Err(End::Fault(HostFault::Key));
        }
        Ok(self.memory.get(range).unwrap_or_default().to_vec())
    }

    fn write(&mut self, range: Range<usize>, bytes: &[u8]) {
        if let Some(place) = self.memory.get_mut(range) {
            place.copy_from_slice(bytes);
        }
    }
}

/// A guest's pointer and length as a range, if it lies within `size` bytes. Both are unsigned
/// 32-bit numbers to the guest, and their sum is taken in 64 bits: it cannot wrap.
fn range_within(size: usize, pointer: i32, len: i32) -> Result<Range<usize>, End> {
    let start = byte_count(pointer);
    let end = start + byte_count(len);
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if end <= size => Ok(start..end),
        _ => Err(End::Fault(HostFault::Bounds)),
    }
}

/// A guest's `i32` as the unsigned number that it is.
const fn byte_count(value: i32) -> u64 {
    value.cast_unsigned() as u64
}

/// Charge for bytes that cross between guest and host.
const fn crossing(len: i32) -> u64 {
    byte_count(len) / gas::HOST_BYTES_PER_GAS
}

/// A length that a limit keeps far below 2^31.
fn length(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

fn is_signed(message: &[u8], signature: &[u8], key: &[u8]) -> bool {
    let (Ok(signature), Ok(key)) = (Signature::from_slice(signature), key.try_into()) else {
        return false;
    };
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// Longest field of the context.
const FIELD_BYTES_MAX: u64 = 32;
