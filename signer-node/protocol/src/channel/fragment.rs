//! Messages longer than a Noise packet: cut into fragments, put together again in order.
//!
//! Counters only rise, so fragments arrive in order or not at all; a gap loses the message.

use alloc::vec::Vec;

use super::ChannelError;
use crate::message::{Endpoint, MESSAGE_BYTES_MAX};

/// Most bytes of a message in one packet.
pub(super) const CHUNK_BYTES: usize = 60 * 1024;
/// Longest fragment: header and chunk.
pub(super) const FRAGMENT_BYTES_MAX: usize = HEADER_BYTES + CHUNK_BYTES;
/// Longest message between two signers: statuses and key generation. One Byzantine member costs
/// every other no more than this.
pub(crate) const MEMBER_MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Message id u32, index u16, count u16.
const HEADER_BYTES: usize = 8;
const FRAGMENTS_MAX: usize = MESSAGE_BYTES_MAX.div_ceil(CHUNK_BYTES);

const _: () = assert!(FRAGMENTS_MAX <= u16::MAX as usize);

/// Longest message between two endpoints.
pub(super) fn message_bytes_max(a: Endpoint, b: Endpoint) -> usize {
    match (a, b) {
        (Endpoint::Signer(_), Endpoint::Signer(_)) => MEMBER_MESSAGE_BYTES_MAX,
        _ => MESSAGE_BYTES_MAX,
    }
}

/// Cuts a message of at most [`MESSAGE_BYTES_MAX`] bytes; an empty one is one empty fragment.
pub(super) fn cut(id: u32, message: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let count = message.len().div_ceil(CHUNK_BYTES).max(1);
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    (0..count).map(move |index| {
        let start = usize::from(index) * CHUNK_BYTES;
        let end = start.saturating_add(CHUNK_BYTES).min(message.len());
        let chunk = message.get(start..end).unwrap_or_default();
        [
            &id.to_be_bytes()[..],
            &index.to_be_bytes(),
            &count.to_be_bytes(),
            chunk,
        ]
        .concat()
    })
}

/// A message of which some fragments have arrived. Holds only bytes that arrived.
pub(super) struct Partial {
    id: u32,
    count: u16,
    next: u16,
    bytes: Vec<u8>,
    /// When the last fragment arrived.
    pub(super) at_ms: u64,
}

impl Partial {
    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Adds a fragment; returns the message with its last one.
pub(super) fn join(
    partial: &mut Option<Partial>,
    now_ms: u64,
    fragment: &[u8],
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, ChannelError> {
    // Whatever is wrong below, the message under way has lost its place.
    let before = partial.take();
    let (id, rest) = fragment
        .split_first_chunk()
        .ok_or(ChannelError::Malformed)?;
    let (index, rest) = rest.split_first_chunk().ok_or(ChannelError::Malformed)?;
    let (count, chunk) = rest.split_first_chunk().ok_or(ChannelError::Malformed)?;
    let id = u32::from_be_bytes(*id);
    let (index, count) = (u16::from_be_bytes(*index), u16::from_be_bytes(*count));
    let is_last = index.checked_add(1) == Some(count);
    let is_whole = chunk.len() == CHUNK_BYTES || (is_last && (count == 1 || !chunk.is_empty()));
    if index >= count || usize::from(count) > FRAGMENTS_MAX || !is_whole {
        return Err(ChannelError::Malformed);
    }
    let mut joined = match before {
        _ if index == 0 => Partial {
            id,
            count,
            next: 0,
            bytes: Vec::new(),
            at_ms: now_ms,
        },
        Some(before) if (before.id, before.count, before.next) == (id, count, index) => before,
        _ => return Err(ChannelError::Fragment),
    };
    let actual = joined.bytes.len().saturating_add(chunk.len());
    // A sender announces its length with the count, so that a long message fails at once.
    let announced = (usize::from(count) - 1) * CHUNK_BYTES;
    if actual.max(announced) > bytes_max {
        return Err(ChannelError::TooLong {
            actual: actual.max(announced),
            max: bytes_max,
        });
    }
    joined.bytes.extend_from_slice(chunk);
    joined.next = index + 1;
    joined.at_ms = now_ms;
    if is_last {
        return Ok(Some(joined.bytes));
    }
    *partial = Some(joined);
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "patterns of bytes")]
mod tests {
    use alloc::vec;

    use super::*;

    fn pattern(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn cut_and_join_are_inverse_at_every_boundary() {
        for bytes in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            3 * CHUNK_BYTES,
        ] {
            let message = pattern(bytes);
            let fragments: Vec<_> = cut(7, &message).collect();
            assert_eq!(fragments.len(), bytes.div_ceil(CHUNK_BYTES).max(1));
            let mut partial = None;
            let mut joined = None;
            for fragment in &fragments {
                assert!(joined.is_none());
                joined = join(&mut partial, 0, fragment, MESSAGE_BYTES_MAX).unwrap();
            }
            assert_eq!(joined, Some(message));
            assert!(partial.is_none());
        }
    }

    #[test]
    fn bad_fragments_are_refused_and_lose_the_message() {
        let long = pattern(CHUNK_BYTES + 5);
        let [first, second] = <[_; 2]>::try_from(cut(1, &long).collect::<Vec<_>>()).unwrap();
        let header = |id: u32, index: u16, count: u16, chunk: usize| {
            let [a, b, c, d] = id.to_be_bytes();
            let ([e, f], [g, h]) = (index.to_be_bytes(), count.to_be_bytes());
            [vec![a, b, c, d, e, f, g, h], vec![0; chunk]].concat()
        };
        let too_long = ChannelError::TooLong {
            actual: 2 * CHUNK_BYTES,
            max: CHUNK_BYTES + 10,
        };
        let cases = [
            ("header cut", vec![0; 7], ChannelError::Malformed),
            ("no fragments", header(1, 0, 0, 0), ChannelError::Malformed),
            (
                "index past the end",
                header(1, 2, 2, 5),
                ChannelError::Malformed,
            ),
            (
                "count",
                header(1, 0, u16::MAX, CHUNK_BYTES),
                ChannelError::Malformed,
            ),
            (
                "short in the middle",
                header(1, 0, 2, 5),
                ChannelError::Malformed,
            ),
            ("empty last", header(1, 1, 2, 0), ChannelError::Malformed),
            ("other message", header(2, 1, 2, 5), ChannelError::Fragment),
            (
                "other count",
                header(1, 1, 3, CHUNK_BYTES),
                ChannelError::Fragment,
            ),
            ("announces too much", header(1, 0, 3, CHUNK_BYTES), too_long),
        ];
        for (name, bad, expected) in cases {
            let mut partial = None;
            let max = CHUNK_BYTES + 10;
            assert_eq!(join(&mut partial, 0, &first, max), Ok(None), "{name}");
            assert_eq!(join(&mut partial, 0, &bad, max), Err(expected), "{name}");
            assert_eq!(
                join(&mut partial, 0, &second, max),
                Err(ChannelError::Fragment),
                "{name}"
            );
        }
    }
}
