//! The rules by which a ledger accepts an attestation.
