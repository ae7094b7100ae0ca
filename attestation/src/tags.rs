//! The one list of domain tags. Every digest and every signed message begins with one of them
//! (the statement itself begins with the COSE context string), so that no two can be equal.
//!
//! A tag is 8 ASCII bytes and a version byte is part of it: fixed length, hence prefix-free.

/// A domain tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(pub [u8; 8]);

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Tag = Tag(*$text);)*

        /// Every tag, for the test that no two are equal.
        pub const ALL: &[Tag] = &[$($name),*];

        /// The names of [`ALL`], in the same order.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

tags! {
    /// First field of a commit.
    COMMIT = b"ZQSTEP1\0";
    /// Committee creation record.
    COMMITTEE = b"ZQCOMM1\0";
    /// A zApp's id.
    ZAPP = b"ZQZAPP1\0";
    /// A caller's request.
    REQUEST = b"ZQRQST1\0";
    /// A caller's request that names sources to observe.
    REQUEST_PULL = b"ZQRQST2\0";
    /// A source outside: its id.
    SOURCE = b"ZQSRCE1\0";
    /// A channel of outbound messages.
    MESSAGE_CHANNEL = b"ZQMSGC1\0";
    /// The number of a Cosmos chain.
    COSMOS_CHAIN = b"ZQCSMC1\0";
    /// Data of a block that anchors a step on the Network of Momentum.
    ANCHOR = b"ZQANCH1\0";
    /// Inputs root of a step.
    INPUTS = b"ZQINPT1\0";
    /// Events of a request.
    EVENTS = b"ZQEVNT1\0";
    /// Trace of a request and of a step.
    TRACE = b"ZQTRCE1\0";
    /// A member's masked trace root.
    MASK = b"ZQMASK1\0";
    /// A member's vote.
    VOTE = b"ZQVOTE1\0";
    /// FROST nonce commitments of a member.
    NONCES = b"ZQNONC1\0";
    /// A signature share.
    SHARE = b"ZQSHAR1\0";
    /// A coordinator's package.
    PACKAGE = b"ZQPACK1\0";
    /// A package of a lane other than the steps'.
    LANE_PACKAGE = b"ZQLPKG1\0";
    /// A share of such a lane.
    LANE_SHARE = b"ZQLSHR1\0";
    /// What stays when a lane issues a position again.
    LANE = b"ZQLANE1\0";
    /// A member's status.
    STATUS = b"ZQSTAT1\0";
    /// A fault of one request.
    FAULT = b"ZQFALT1\0";
    /// A job: its digest.
    JOB = b"ZQJOBS1\0";
    /// A coordinator's word that a job is its proposal.
    PROPOSAL = b"ZQPROP1\0";
    /// A member's public card: identity key signs channel key and image digest.
    CARD = b"ZQCARD1\0";
    /// A Sentinel owner's word for a member: a line of text, since wallets sign text.
    SENTINEL = b"ZQSNTL1:";
    /// Key generation: session id.
    DKG_SESSION = b"ZQDKGS1\0";
    /// Key generation: round 1.
    DKG_ROUND1 = b"ZQDKG11\0";
    /// Key generation: echo of the whole of round 1.
    DKG_ECHO = b"ZQDKGE1\0";
    /// Key generation: round 2, to one member.
    DKG_ROUND2 = b"ZQDKG21\0";
    /// Key generation: a member's share is durable.
    DKG_CERTIFY = b"ZQDKGC1\0";
    /// The canary that all members sign before a key is usable.
    CANARY = b"ZQCNRY1\0";
    /// Canary round: nonce commitments and shares.
    DKG_CANARY = b"ZQDKGN1\0";
    /// Reshare: what is to change.
    CHANGE_PLAN = b"ZQPLAN1\0";
    /// Reshare: session id.
    RESHARE_SESSION = b"ZQRSHS1\0";
    /// Public key package of an epoch: its digest.
    PUBLIC_PACKAGE = b"ZQPUBK1\0";
    /// Repair of a share: session id.
    REPAIR_SESSION = b"ZQRPRS1\0";
    /// Repair of a share: messages.
    REPAIR = b"ZQREPR1\0";
    /// Prologue of a Noise channel.
    CHANNEL = b"ZQNOIS1\0";
    /// A record of the signer's register.
    RECORD = b"ZQRECD1\0";
    /// Sealed secrets at rest.
    SEALED = b"ZQSEAL1\0";
    /// Entropy pool.
    ENTROPY = b"ZQRAND1\0";
    /// Runtime profile.
    PROFILE = b"ZQPROF1\0";
    /// Key of a state entry.
    STATE_KEY = b"ZQSKEY1\0";
    /// Value of a state entry with the next key.
    STATE_VALUE = b"ZQSVAL1\0";
    /// Observation of an outside source.
    OBSERVATION = b"ZQOBSV1\0";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn tags_are_distinct() {
        for (at, tag) in ALL.iter().enumerate() {
            assert!(!ALL[at + 1..].contains(tag), "{tag:?} twice");
        }
    }
}
