//! Steps as a gateway has them, and what a relay of them is told.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use attestation::commit::Commit;
use attestation::ids::{EvmKey, EvmSignature};
use attestation::leaf::Leaf;
use attestation::merkle;
use conformance::sample;
use evm::anvil::CHAIN;
use evm::committee::{Committee, frost_form};
use evm::leaf::padded;
use evm::step::included;
use evm_client::contract::Trust;
use evm_client::relay::{Item, ItemKind, Page, Proof, Source, Target};
use evm_client::transaction::Address;

/// Wei per gas that relays may pay.
pub const FEE_MAX: u128 = 100_000_000_000;

/// Gas that relays may use for a message.
pub const MESSAGE_GAS_MAX: u64 = 2_000_000;

/// Blocks until relays forget.
pub const CONFIRMATIONS: u64 = 3;

/// Steps as a gateway would have them, by seq.
pub struct Steps {
    /// Signs them.
    pub committee: Committee,
    /// Commit and leaves of each.
    pub steps: BTreeMap<u64, (Commit, Vec<Vec<u8>>)>,
    /// Signs those from a seq on.
    pub successor: Option<(u64, Committee)>,
    /// Those that are not signed yet.
    pub unsigned: BTreeSet<u64>,
    /// Signs in the committee's place.
    pub forger: Option<Committee>,
}

impl Steps {
    /// No steps yet.
    pub fn of(committee: Committee) -> Self {
        Self {
            committee,
            steps: BTreeMap::new(),
            successor: None,
            unsigned: BTreeSet::new(),
            forger: None,
        }
    }

    /// The newest step.
    pub fn head(&self) -> u64 {
        self.steps.keys().next_back().copied().unwrap_or(0)
    }

    /// One more step, with these leaves besides the settlement.
    pub fn push(&mut self, leaves: Vec<Vec<u8>>) {
        let seq = self.head() + 1;
        let previous = match self.steps.get(&(seq - 1)) {
            Some((commit, leaves)) => commit.statement(&merkle::root(leaves)),
            None => Commit::genesis_statement(&sample::committee()),
        };
        let settlement = Leaf::Settlement(sample::settlement(seq, 1)).to_bytes();
        let leaves = [vec![settlement], leaves].concat();
        let commit = sample::commit(seq, &leaves, previous);
        self.steps.insert(seq, (commit, leaves));
    }

    /// What a relay to contracts of the sample committee is told.
    pub fn target(&self, messages: Option<Address>, ledger: Option<Address>) -> Target {
        Target {
            chain: CHAIN,
            messages,
            ledger,
            fee_max: FEE_MAX,
            gas_max: MESSAGE_GAS_MAX,
            budget: None,
            zapps: BTreeSet::new(),
            confirmations: CONFIRMATIONS,
            trust: Trust {
                network: sample::NETWORK.0,
                committee: sample::committee(),
                key: EvmKey::from_bytes(self.committee.key().compressed()),
            },
        }
    }
}

impl Source for Steps {
    type Error = Infallible;

    fn leaves(&mut self, from: u64, chain: u64, contract: &Address) -> Result<Page, Infallible> {
        let mut page = Page {
            head: self.head(),
            next: from,
            items: Vec::new(),
        };
        // Two steps a page.
        for (&seq, (_, leaves)) in self.steps.range(from..).take(2) {
            page.next = seq + 1;
            for (index, leaf) in (0..).zip(leaves) {
                let kind = match Leaf::from_bytes(leaf) {
                    Ok(Leaf::Message(message))
                        if message.chain == chain && message.contract == padded(*contract) =>
                    {
                        let (zapp, channel, number) =
                            (message.zapp, message.channel, message.number);
                        ItemKind::Message {
                            zapp,
                            channel,
                            number,
                        }
                    }
                    Ok(Leaf::KeyChange(_)) => ItemKind::KeyChange,
                    _ => continue,
                };
                page.items.push(Item { seq, index, kind });
            }
        }
        Ok(page)
    }

    fn proof(&mut self, seq: u64, index: u64) -> Result<Option<Proof>, Infallible> {
        if self.unsigned.contains(&seq) {
            return Ok(None);
        }
        let (commit, leaves) = &self.steps[&seq];
        let root = merkle::root(leaves);
        let signer = match (&mut self.forger, &mut self.successor) {
            (Some(forger), _) => forger,
            (None, Some((from, successor))) if seq >= *from => successor,
            (None, _) => &mut self.committee,
        };
        let signature = frost_form(&signer.sign(&commit.statement(&root)));
        Ok(Some(Proof {
            commit: *commit,
            root,
            signature: EvmSignature::from_bytes(signature),
            inclusion: included(leaves, index as usize),
        }))
    }
}
