//! A caller's signed call (rule A1).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Layout, Malformed};
use crate::identity;
use crate::ids::{CommitteeId, IdentityKey, NetworkId, RequestId, Signature, ZappId};
use crate::source::{
    POINTER_BYTES_MAX, Pull, PullError, RPC_METHOD_BYTES_MAX, RPC_PARAMS_BYTES_MAX, SOURCES_MAX,
};
use crate::tags;

/// Longest method name in bytes.
pub const METHOD_BYTES_MAX: usize = 64;
/// Longest input in bytes.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;
/// Longest encoded request in bytes.
pub const REQUEST_BYTES_MAX: usize = INPUT_BYTES_MAX + 1024 + PULL_BYTES_MAX;

/// Longest encoding of the sources: names and numbers of each beside its text.
const PULL_BYTES_MAX: usize =
    64 + SOURCES_MAX * (128 + POINTER_BYTES_MAX + RPC_METHOD_BYTES_MAX + RPC_PARAMS_BYTES_MAX);

/// Who pays for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum FeePayer {
    /// The zApp's escrow (reverse gas).
    Zapp,
    /// The caller.
    Caller,
    /// Nobody: the caller has worked for it. The request's id begins with as many zero bits as the
    /// committee's terms ask for; callers count nonces up until it does.
    Work,
}

impl From<FeePayer> for u8 {
    fn from(payer: FeePayer) -> Self {
        match payer {
            FeePayer::Zapp => 0,
            FeePayer::Caller => 1,
            FeePayer::Work => 2,
        }
    }
}

impl TryFrom<u8> for FeePayer {
    type Error = &'static str;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        match value {
            0 => Ok(Self::Zapp),
            1 => Ok(Self::Caller),
            2 => Ok(Self::Work),
            _ => Err("fee payer is 0, 1 or 2"),
        }
    }
}

/// What a caller asks for; [`Request`] adds the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Network of the committee.
    pub network: NetworkId,
    /// Committee asked.
    pub committee: CommitteeId,
    /// zApp called; [`ZappId::SYSTEM`] for deploying.
    pub zapp: ZappId,
    /// Method name, 1 to [`METHOD_BYTES_MAX`] bytes.
    pub method: String,
    /// Argument bytes, at most [`INPUT_BYTES_MAX`].
    #[serde(with = "serde_bytes")]
    pub input: Vec<u8>,
    /// Most gas this request may use.
    pub gas_limit: u64,
    /// Who pays.
    pub fee_payer: FeePayer,
    /// Greater than every nonce this caller has used before.
    pub nonce: u64,
    /// Last step time, in Unix milliseconds, at which the request may run.
    pub valid_until_ms: u64,
    /// The caller's Ed25519 key.
    pub caller: IdentityKey,
    /// What members are to observe for it (rule A13). A request without is encoded and signed as
    /// if there were no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,
}

/// A call with its caller's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What is asked.
    pub call: Call,
    /// Ed25519 signature by `call.caller` over [`Call::signed_bytes`].
    pub signature: Signature,
}

/// Why a request is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The bytes are not a request.
    #[error("request bytes: {0}")]
    Malformed(#[from] Malformed),
    /// Method name empty or too long.
    #[error("method name has {0} bytes, 1 to 64 allowed")]
    Method(usize),
    /// Input too long.
    #[error("input has {0} bytes, at most 65536 allowed")]
    Input(usize),
    /// The caller's key is not canonical or of small order.
    #[error("caller key is not an Ed25519 key")]
    CallerKey,
    /// The signature does not verify.
    #[error("signature does not verify under the caller's key")]
    Signature,
    /// Its sources are not ones.
    #[error(transparent)]
    Pull(#[from] PullError),
}

impl Call {
    /// The bytes that the caller signs: tag, then every field in order.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        self.layout().into_bytes()
    }

    /// The id: SHA-256 of the signed bytes.
    #[must_use]
    pub fn id(&self) -> RequestId {
        RequestId::from_bytes(*self.layout().digest().as_bytes())
    }

    /// Checks the sources, if there are any.
    ///
    /// # Errors
    /// [`PullError`] names the first thing that is wrong.
    pub fn check_pull(&self) -> Result<(), PullError> {
        match &self.pull {
            None => Ok(()),
            Some(_) if self.zapp == ZappId::SYSTEM => Err(PullError::System),
            Some(pull) => pull.check(self.valid_until_ms),
        }
    }

    fn layout(&self) -> Layout {
        let layout = Layout::new(match self.pull {
            None => tags::REQUEST,
            Some(_) => tags::REQUEST_PULL,
        })
        .number(self.network.0)
        .fixed(self.committee.as_bytes())
        .fixed(self.zapp.as_bytes())
        .bytes(self.method.as_bytes())
        .bytes(&self.input)
        .number(self.gas_limit)
        .number(u8::from(self.fee_payer))
        .number(self.nonce)
        .number(self.valid_until_ms)
        .fixed(self.caller.as_bytes());
        match &self.pull {
            None => layout,
            Some(pull) => pull.append(layout),
        }
    }
}

/// Work that an id shows: the zero bits that it begins with.
#[must_use]
pub fn work_bits(id: &RequestId) -> u32 {
    let bytes = id.as_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let next = bytes.get(zeros).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(zeros).unwrap_or(u32::MAX) * 8 + next
}

impl Request {
    /// Decodes and checks shape and signature. Dates and replays depend on a step and are
    /// checked there.
    ///
    /// # Errors
    /// [`RequestError`] names the first check that failed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RequestError> {
        let request: Self = codec::decode(bytes, REQUEST_BYTES_MAX)?;
        request.check()?;
        Ok(request)
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Checks lengths, sources, the caller's key and the signature.
    ///
    /// # Errors
    /// [`RequestError`] names the first check that failed.
    pub fn check(&self) -> Result<(), RequestError> {
        self.check_by(identity::verify)
    }

    /// [`Self::check`] by whoever verifies a key's signature over a message.
    ///
    /// # Errors
    /// [`RequestError`] names the first check that failed.
    pub fn check_by(
        &self,
        verify: impl FnOnce(&IdentityKey, &[u8], &Signature) -> bool,
    ) -> Result<(), RequestError> {
        let method_bytes = self.call.method.len();
        if !(1..=METHOD_BYTES_MAX).contains(&method_bytes) {
            return Err(RequestError::Method(method_bytes));
        }
        if self.call.input.len() > INPUT_BYTES_MAX {
            return Err(RequestError::Input(self.call.input.len()));
        }
        self.call.check_pull()?;
        let caller = &self.call.caller;
        if verify(caller, &self.call.signed_bytes(), &self.signature) {
            return Ok(());
        }
        // Nothing verifies under what is no key.
        Err(if identity::is_key(caller) {
            RequestError::Signature
        } else {
            RequestError::CallerKey
        })
    }

    /// The call's id.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.call.id()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::source::{Place, Reducer, Source};

    fn request(method: usize, input: usize) -> Request {
        let key = SigningKey::from_bytes(&[7; 32]);
        let call = Call {
            network: NetworkId(u64::MAX),
            committee: CommitteeId::from_bytes([1; 32]),
            zapp: ZappId::SYSTEM,
            method: "m".repeat(method),
            input: vec![0xff; input],
            gas_limit: u64::MAX,
            fee_payer: FeePayer::Caller,
            nonce: u64::MAX,
            valid_until_ms: u64::MAX,
            caller: IdentityKey::from_bytes(key.verifying_key().to_bytes()),
            pull: None,
        };
        let signature = Signature::from_bytes(key.sign(&call.signed_bytes()).to_bytes());
        Request { call, signature }
    }

    fn pull() -> Pull {
        Pull {
            sources: (0..SOURCES_MAX).map(source).collect(),
            deadline_ms: u64::MAX,
        }
    }

    /// The longest there is.
    fn source(at: usize) -> Source {
        let start = alloc::format!("[{at}");
        let params = RPC_PARAMS_BYTES_MAX - start.len() - 1;
        Source {
            at: Place::NomRpc {
                method: alloc::format!("a.get{}", "x".repeat(RPC_METHOD_BYTES_MAX - 5)),
                params: alloc::format!("{start}{}]", " ".repeat(params)),
            },
            pointer: "/".repeat(POINTER_BYTES_MAX),
            scale: Some(18),
            reducer: Reducer::Identical,
        }
    }

    fn signed(mut request: Request, change: impl FnOnce(&mut Call)) -> Request {
        change(&mut request.call);
        let key = SigningKey::from_bytes(&[7; 32]);
        let signature = key.sign(&request.call.signed_bytes());
        request.signature = Signature::from_bytes(signature.to_bytes());
        request
    }

    #[test]
    fn the_largest_request_fits_its_bound() {
        let request = signed(request(METHOD_BYTES_MAX, INPUT_BYTES_MAX), |call| {
            call.zapp = ZappId::from_bytes([0xff; 32]);
            call.pull = Some(pull());
        });
        let bytes = request.to_bytes();
        assert!(bytes.len() <= REQUEST_BYTES_MAX);
        assert_eq!(Request::from_bytes(&bytes), Ok(request));
    }

    #[test]
    fn a_request_above_a_bound_is_refused_by_the_bound() {
        for (method, input, error) in [
            (0, 0, RequestError::Method(0)),
            (METHOD_BYTES_MAX + 1, 0, RequestError::Method(65)),
            (1, INPUT_BYTES_MAX + 1, RequestError::Input(65_537)),
            (
                1,
                REQUEST_BYTES_MAX,
                RequestError::Malformed(Malformed::TooLong {
                    actual: request(1, REQUEST_BYTES_MAX).to_bytes().len(),
                    max: REQUEST_BYTES_MAX,
                }),
            ),
        ] {
            let bytes = request(method, input).to_bytes();
            assert_eq!(Request::from_bytes(&bytes), Err(error));
        }
    }

    #[test]
    fn whatever_is_pulled_is_signed_and_checked() {
        let good = signed(request(3, 3), |call| {
            call.zapp = ZappId::from_bytes([1; 32]);
            call.pull = Some(pull());
        });
        assert_eq!(good.check(), Ok(()));
        let changes: [fn(&mut Pull); 3] = [
            |pull| pull.deadline_ms -= 1,
            |pull| pull.sources.swap(0, 1),
            |pull| {
                pull.sources.pop();
            },
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut bad = good.clone();
            bad.call.pull.as_mut().map(change);
            assert_eq!(bad.check(), Err(RequestError::Signature), "change {at}");
            assert_ne!(bad.id(), good.id(), "change {at}");
        }
        for (change, error) in [
            (
                (|call| call.zapp = ZappId::SYSTEM) as fn(&mut Call),
                PullError::System,
            ),
            (|call| call.valid_until_ms -= 1, PullError::Deadline),
            (
                |call| call.pull.as_mut().expect("some").sources.clear(),
                PullError::Count(0),
            ),
        ] {
            let bad = signed(good.clone(), change);
            assert_eq!(Request::from_bytes(&bad.to_bytes()), Err(error.into()));
        }
    }

    #[test]
    fn every_signed_field_is_signed() {
        let good = request(3, 3);
        let changes: [fn(&mut Call); 11] = [
            |call| {
                call.zapp = ZappId::from_bytes([1; 32]);
                call.pull = Some(pull());
            },
            |call| call.network.0 -= 1,
            |call| call.committee = CommitteeId::from_bytes([2; 32]),
            |call| call.zapp = ZappId::from_bytes([2; 32]),
            |call| call.method.push('x'),
            |call| call.input.push(0),
            |call| call.gas_limit -= 1,
            |call| call.fee_payer = FeePayer::Zapp,
            |call| call.nonce -= 1,
            |call| call.valid_until_ms -= 1,
            |call| {
                let other = SigningKey::from_bytes(&[8; 32]);
                call.caller = IdentityKey::from_bytes(other.verifying_key().to_bytes());
            },
        ];
        assert_eq!(good.check(), Ok(()));
        for (at, change) in changes.iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad.call);
            assert_eq!(bad.check(), Err(RequestError::Signature), "change {at}");
            assert_ne!(bad.id(), good.id(), "change {at}");
        }
    }
}
