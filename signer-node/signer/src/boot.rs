//! From the first byte to a member that can begin: secrets opened or made, register replayed.

use attestation::committee::CreationRecord;
use attestation::ids::{Boot, Slot};
use link::birth::{self, BirthError};
use link::connection::Link;
use link::local::{AppendRefusal, Boot as BootMessage, ToGuest, ToNode};
use link::platform::{Platform, sealed};
use signer_protocol::entropy::Entropy;
use signer_protocol::register::{Chain, Record};
use signer_protocol::sealed::{SealingKey, Secrets};
use signer_protocol::signer::Halt;
use state::job::Domain;

use crate::SignerError;

/// All that a member begins with.
pub(crate) struct Member {
    pub(crate) slot: Slot,
    pub(crate) record: CreationRecord,
    pub(crate) domain: Domain,
    pub(crate) secrets: Secrets,
    pub(crate) sealing: SealingKey,
    pub(crate) entropy: Entropy<Platform>,
    pub(crate) chain: Chain,
    pub(crate) boot: Boot,
    pub(crate) message: BootMessage,
    /// What the node told before the member was at work.
    pub(crate) early: Vec<ToGuest>,
}

/// Starts a member; `None` if the node only wanted its card, before there is a committee.
pub(crate) fn boot(link: &mut Link) -> Result<Option<Box<Member>>, SignerError> {
    let (entries, mut message) = birth::boot(link)?;
    let (secrets, sealing) = birth::secrets(link, &message)?;
    let (Some(slot), Some(record)) = (message.slot, message.record.take()) else {
        return Ok(None);
    };
    record.check()?;
    let domain = Domain {
        network: record.network,
        committee: record.id(),
    };
    let mut chain = Chain::replay(&domain, slot, entries.iter().map(Vec::as_slice))?;
    // This start's number, on disk before any randomness depends on it (rule B1).
    let boot = chain.next_boot()?;
    let mut early = Vec::new();
    if let Some(entry) = chain.append(Record::Boot(boot))?.entry {
        let entry = entry.to_bytes();
        link.send(&ToNode::Append { entry })
            .map_err(BirthError::from)?;
        match birth::durable(link, &mut early)? {
            ToGuest::Appended { .. } => {}
            ToGuest::AppendRefused(AppendRefusal::Rules(refused)) => {
                return Err(Halt::Register(refused).into());
            }
            ToGuest::AppendRefused(AppendRefusal::Disk) => return Err(Halt::Disk.into()),
            _ => return Err(BirthError::OutOfTurn.into()),
        }
    }
    let entropy = sealed(secrets.entropy.clone(), &message.seed, boot)?;
    Ok(Some(Box::new(Member {
        slot,
        record,
        domain,
        secrets,
        sealing,
        entropy,
        chain,
        boot,
        message,
        early,
    })))
}
