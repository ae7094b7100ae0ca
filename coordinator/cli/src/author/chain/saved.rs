//! A chain in a file, so that the next command goes on where this one ends.

use attestation::codec;
use attestation::ids::{Digest, RuntimeProfile, Seq, StatementId, ZappId};
use runtime::profile;
use serde::{Deserialize, Serialize};
use state::State;
use state::entry::EntryWrite;
use state::system::{ZappRecord, zapp_key};

use super::{Chain, NOT_DEPLOYED};

/// Longest file that is read or written.
pub(crate) const SAVED_BYTES_MAX: usize = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Saved {
    /// What it ran with: another version may come to something else.
    profile: RuntimeProfile,
    zapp: ZappId,
    nonce: u64,
    time_ms: u64,
    /// The last step, as the next one depends on it.
    seq: Seq,
    statement: StatementId,
    step_ms: u64,
    trace: Digest,
    entries: Vec<EntryWrite>,
}

impl Chain {
    /// The chain as bytes.
    pub(crate) fn save(&self) -> Result<Vec<u8>, String> {
        let entries = self.state.entries();
        let entries = entries.map(|(zapp, key, entry)| EntryWrite {
            zapp: *zapp,
            key: key.to_vec(),
            value: Some(entry.value.clone()),
        });
        let bytes = codec::encode(&Saved {
            profile: profile(),
            zapp: self.zapp.ok_or(NOT_DEPLOYED)?,
            nonce: self.nonce,
            time_ms: self.time_ms,
            seq: self.previous.seq,
            statement: self.previous.statement,
            step_ms: self.previous.time_ms,
            trace: self.previous.trace,
            entries: entries.collect(),
        });
        match bytes.len() <= SAVED_BYTES_MAX {
            true => Ok(bytes),
            false => Err(format!("a state of more than {SAVED_BYTES_MAX} bytes")),
        }
    }

    /// Goes on where a saved chain ended, with this chain's module in place of the one that it had.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let saved: Result<Saved, _> = codec::decode(bytes, SAVED_BYTES_MAX);
        let saved = saved.map_err(|_| "no state that `zq zapp trace --save` wrote".to_owned())?;
        if saved.profile != profile() {
            return Err("saved by another version of zq: make it anew".to_owned());
        }
        let entries = saved.entries.into_iter();
        let entries = entries.filter_map(|entry| Some((entry.zapp, entry.key, entry.value?)));
        let mut state = State::from_entries(entries).map_err(|error| error.to_string())?;
        let found = state.zapp(&saved.zapp).ok().flatten();
        let record = ZappRecord {
            module: self.prepared.original,
            metered: self.prepared.metered_digest,
            calls: self.prepared.calls,
            pages: self.prepared.pages,
            ..found.ok_or("the saved state holds no such zApp")?
        };
        let write = EntryWrite {
            zapp: ZappId::SYSTEM,
            key: zapp_key(&saved.zapp),
            value: Some(codec::encode(&record)),
        };
        let root = state.apply(&[write]).map_err(|error| error.to_string())?;
        self.state = state;
        self.zapp = Some(saved.zapp);
        (self.nonce, self.time_ms) = (saved.nonce, saved.time_ms);
        self.previous.seq = saved.seq;
        self.previous.statement = saved.statement;
        self.previous.time_ms = saved.step_ms;
        self.previous.trace = saved.trace;
        self.previous.state = root;
        Ok(())
    }
}
