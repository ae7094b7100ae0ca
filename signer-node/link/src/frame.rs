//! Temporary stand-in.
use signer_protocol::message::Endpoint;
use attestation::ids::Slot;
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame too long")]
    TooLong,
    #[error("not a frame")]
    Structure,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Relay { from: Endpoint, to: Endpoint, payload: Vec<u8> },
    Local(Vec<u8>),
    Peer(Vec<u8>),
}
fn put(e: &Endpoint) -> [u8; 3] {
    let (r, i) = match e { Endpoint::Signer(s) => (1, s.0), Endpoint::Executor(s) => (2, s.0), Endpoint::Coordinator(r) => (3, *r), Endpoint::Node(s) => (4, s.0) };
    let [a, b] = i.to_be_bytes();
    [r, a, b]
}
fn take(b: &[u8]) -> Result<Endpoint, FrameError> {
    match *b {
        [r, a, b] => { let i = u16::from_be_bytes([a, b]); Ok(match r { 1 => Endpoint::Signer(Slot(i)), 2 => Endpoint::Executor(Slot(i)), 3 => Endpoint::Coordinator(i), 4 => Endpoint::Node(Slot(i)), _ => return Err(FrameError::Structure) }) }
        _ => Err(FrameError::Structure),
    }
}
impl Frame {
    pub fn length(header: [u8; 4]) -> Result<usize, FrameError> {
        let n = u32::from_be_bytes(header) as usize;
        if n > FRAME_BYTES_MAX { Err(FrameError::TooLong) } else { Ok(n) }
    }
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0; 4];
        match self {
            Self::Relay { from, to, payload } => { out.push(0); out.extend(put(from)); out.extend(put(to)); out.extend_from_slice(payload); }
            Self::Local(b) => { out.push(1); out.extend_from_slice(b); }
            Self::Peer(b) => { out.push(2); out.extend_from_slice(b); }
        }
        let n = (out.len() - 4) as u32;
        out[..4].copy_from_slice(&n.to_be_bytes());
        out
    }
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, FrameError> {
        let (&kind, body) = bytes.split_first().ok_or(FrameError::Structure)?;
        Ok(match kind {
            0 if body.len() >= 6 => Self::Relay { from: take(&body[..3])?, to: take(&body[3..6])?, payload: body[6..].to_vec() },
            1 => Self::Local(body.to_vec()),
            2 => Self::Peer(body.to_vec()),
            _ => return Err(FrameError::Structure),
        })
    }
}
