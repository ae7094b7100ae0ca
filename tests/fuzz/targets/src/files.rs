//! Files that strangers hand over: evidence, and checkpoints of light clients.

use attestation::committee::CreationRecord;
use light_client::LightClient;
use signer_protocol::evidence::Evidence;
use sim::founding;
use sim::suite::Real;

/// The committee that files are about.
pub fn record() -> CreationRecord {
    founding::record::<Real>(4, 3, 2)
}

/// What `zq evidence verify` reads. Judging it is total, and a conviction is of the one named.
pub fn evidence(bytes: &[u8]) -> bool {
    Evidence::from_bytes(bytes).is_ok_and(|file| {
        if let Ok(conviction) = file.verify(&record()) {
            assert_eq!(conviction.culprit, file.culprit, "somebody else");
            assert_eq!(Some(conviction.kind), file.kind(), "of something else");
        }
        assert_eq!(file.to_bytes(), bytes, "another encoding is read");
        true
    })
}

/// What a light client goes on from.
pub fn checkpoint(bytes: &[u8]) -> bool {
    LightClient::from_bytes(&record().id(), bytes).is_ok_and(|client| {
        assert_eq!(client.to_bytes(), bytes, "another encoding is read");
        true
    })
}
