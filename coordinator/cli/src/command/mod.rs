//! One module a noun.

pub(crate) mod attestation;
pub(crate) mod change;
pub(crate) mod committee;
pub(crate) mod devnet;
pub(crate) mod evidence;
pub(crate) mod input;
pub(crate) mod invitations;
pub(crate) mod key;
pub(crate) mod light;
pub(crate) mod member;
pub(crate) mod money;
pub(crate) mod nom;
pub(crate) mod relay;
pub(crate) mod repair;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod status;
pub(crate) mod step;
pub(crate) mod trust;
pub(crate) mod zapp;
