//! The driver loop: arrivals into the machine, outputs out of it.

use std::collections::BTreeMap;

use attestation::committee::{CreationRecord, RecordError};
use attestation::ids::{Boot, ChannelKey, Seq, View};
use coordinator_protocol::coordinator::{Config, Coordinator, Input, Output};
use coordinator_protocol::lane::Leader;
use coordinator_protocol::lanes::LaneEvent;
use frost_ed25519::Ed25519Sha512;
use frost_ed25519::keys::PublicKeyPackage;
use link::birth::{self, BirthError};
use link::connection::Link;
use link::driver::{Driver, DriverError, Incoming};
use link::local::{Boot as BootMessage, ToGuest, ToNode};
use link::platform::{Platform, sealed};
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::channel::Channels;
use signer_protocol::committee::Committee;
use signer_protocol::dkg::KeyRecord;
use signer_protocol::entropy::Entropy;
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify};
use signer_protocol::lineage::Lineage;
use signer_protocol::membership::Membership;
use signer_protocol::message::{Endpoint, Lane, Message};
use signer_protocol::sealed::Secrets;
use signer_protocol::statement::StepParams;
use state::job::Domain;

use crate::CoordinatorError;
use crate::lanes::Lanes;

type Leading = Coordinator<Ed25519Sha512, Ed25519Identity, Ed25519Verify>;

/// All that a coordinator begins with.
pub(crate) struct Beginning {
    rank: u16,
    record: CreationRecord,
    secrets: Secrets,
    entropy: Entropy<Platform>,
    message: BootMessage,
}

/// Starts a coordinator; `None` if the node only wanted its card, before there is a committee.
pub(crate) fn boot(link: &mut Link) -> Result<Option<Box<Beginning>>, CoordinatorError> {
    let (_, mut message) = birth::boot(link)?;
    let (secrets, _) = birth::secrets(link, &message)?;
    let (Some(rank), Some(record)) = (message.rank, message.record.take()) else {
        return Ok(None);
    };
    record.check()?;
    // A coordinator keeps no register and signs nothing that a repeated start could spoil: starts
    // differ by what the node gives.
    let entropy = sealed(secrets.entropy.clone(), &message.seed, Boot(0))?;
    Ok(Some(Box::new(Beginning {
        rank,
        record,
        secrets,
        entropy,
        message,
    })))
}

/// A coordinator at work.
pub(crate) struct Guest {
    driver: Driver,
    rank: u16,
    record: CreationRecord,
    secrets: Secrets,
    leading: Option<Leading>,
    lanes: Option<Lanes>,
    /// Once there is a key.
    committee: Option<Committee>,
    /// The record of the second key, once there is one.
    evm_key: Option<KeyRecord>,
    /// The order that the node has not answered yet.
    ordered: Option<(Seq, View)>,
}

impl Guest {
    pub(crate) fn start(link: Link, leader: Beginning) -> Result<Self, CoordinatorError> {
        let domain = Domain {
            network: leader.record.network,
            committee: leader.record.id(),
        };
        let me = Endpoint::Coordinator(leader.rank);
        let secret = leader.secrets.channel();
        let message = leader.message;
        let lineage = match &message.key {
            Some(key) => Some(Lineage::new(&leader.record, key)?.through(&message.epochs)?),
            None => None,
        };
        let first = Membership::of(&leader.record);
        let members = lineage.as_ref().map_or(&first, Lineage::members);
        let channels = Channels::new(domain, me, secret, signers(members));
        let channels = channels.map_err(DriverError::from)?;
        let mut guest = Self {
            driver: Driver::new(link, me, leader.entropy, channels),
            rank: leader.rank,
            record: leader.record,
            secrets: leader.secrets,
            leading: None,
            lanes: None,
            committee: None,
            evm_key: message.evm_key,
            ordered: None,
        };
        if let Some(lineage) = &lineage {
            guest.lead(lineage)?;
        }
        if let Some(head) = message.head {
            guest.input(Input::Head(Box::new(head)));
        }
        Ok(guest)
    }

    /// Runs until the connection ends or something fails.
    pub(crate) fn run(mut self) -> Result<(), CoordinatorError> {
        let ended = self.work();
        if let Err(error) = &ended {
            self.driver.halt(error);
        }
        ended
    }

    fn work(&mut self) -> Result<(), CoordinatorError> {
        loop {
            let now_ms = self.driver.now_ms();
            if let Some(leading) = &mut self.leading
                && leading.poll_timeout().is_some_and(|at| at <= now_ms)
            {
                leading.handle_timeout(now_ms);
            }
            if let Some(lanes) = &mut self.lanes {
                lanes.handle_timeout(now_ms);
            }
            self.drain()?;
            self.drain_lanes()?;
            let due = [
                self.leading.as_ref().and_then(Coordinator::poll_timeout),
                self.lanes.as_ref().and_then(Lanes::poll_timeout),
            ];
            match self.driver.next(due.into_iter().flatten().min())? {
                Incoming::Due | Incoming::Woken | Incoming::Connected(_) => {}
                Incoming::Local(message) => self.local(*message)?,
                Incoming::Message { from, message } => match (from, *message) {
                    (Endpoint::Signer(slot), Message::FromLane(answer)) => {
                        let now_ms = self.driver.now_ms();
                        if let Some(lanes) = &mut self.lanes {
                            lanes.handle(now_ms, slot, &answer);
                        }
                    }
                    (from, message) => self.input(Input::Message { from, message }),
                },
            }
        }
    }

    fn input(&mut self, input: Input) {
        let now_ms = self.driver.now_ms();
        if let Some(leading) = &mut self.leading {
            leading.handle(now_ms, input);
        }
    }

    fn local(&mut self, message: ToGuest) -> Result<(), CoordinatorError> {
        match message {
            ToGuest::JobBuilt { seq, view, job } => {
                // An answer to an order that a later one has overtaken is nobody's.
                if self.ordered == Some((seq, view)) {
                    self.ordered = None;
                    self.input(Input::JobBuilt(job));
                }
            }
            ToGuest::Executable(waits) => self.input(Input::Executable(waits)),
            ToGuest::Head(attestation) => self.input(Input::Head(attestation)),
            // Told again it is the same key, and its lane is there.
            ToGuest::EvmKey(_) if self.evm_key.is_some() => {}
            ToGuest::EvmKey(record) => {
                self.evm_key = Some(*record);
                self.sign_for_evm()?;
            }
            ToGuest::SignLeaf(proof) => {
                let now_ms = self.driver.now_ms();
                if let Some(lanes) = &mut self.lanes {
                    lanes.lead(now_ms, &proof);
                }
            }
            ToGuest::Key(record) => self.lead(&Lineage::new(&self.record, &record)?)?,
            _ => return Err(BirthError::OutOfTurn.into()),
        }
        Ok(())
    }

    fn lead(&mut self, lineage: &Lineage) -> Result<(), CoordinatorError> {
        if self.leading.is_some() {
            return Ok(());
        }
        let (key, profile) = (lineage.key(), lineage.profile());
        let committee = Committee::in_epoch(&self.record, lineage.members(), lineage.group_key())
            .map_err(RecordError::from)?;
        let public = PublicKeyPackage::deserialize(&key.public_package)
            .map_err(|_| CoordinatorError::PublicPackage)?;
        self.lanes = Some(Lanes::new(Leader {
            committee: committee.clone(),
            rank: self.rank,
            identity: self.secrets.identity(),
            verify: Ed25519Verify,
            public: public.clone(),
        }));
        self.committee = Some(committee.clone());
        self.sign_for_evm()?;
        self.leading = Some(Coordinator::new(Config {
            committee,
            step: StepParams::new(&self.record).with_profile(profile),
            rank: self.rank,
            public,
            identity: self.secrets.identity(),
            verify: Ed25519Verify,
        }));
        Ok(())
    }

    /// Opens the lane of steps under the second key, once both keys are there.
    fn sign_for_evm(&mut self) -> Result<(), CoordinatorError> {
        let (Some(committee), Some(lanes)) = (&self.committee, &mut self.lanes) else {
            return Ok(());
        };
        let Some(record) = &self.evm_key else {
            return Ok(());
        };
        let key = record.check_evm(&self.record)?;
        let public = frost_core::keys::PublicKeyPackage::deserialize(&record.public_package);
        let leader = Leader {
            committee: committee.clone(),
            rank: self.rank,
            identity: self.secrets.identity(),
            verify: Ed25519Verify,
            public: public.map_err(|_| CoordinatorError::PublicPackage)?,
        };
        lanes.add_evm(key, leader);
        Ok(())
    }

    fn drain(&mut self) -> Result<(), CoordinatorError> {
        while let Some(output) = self.leading.as_mut().and_then(Coordinator::poll) {
            let message = match output {
                Output::Send { to, message } => {
                    self.driver.send(to, &message);
                    continue;
                }
                Output::BuildJob(order) => {
                    self.ordered = Some((order.seq, order.view));
                    ToNode::BuildJob(Box::new(order))
                }
                Output::Publish(attestation) => ToNode::Publish(attestation),
                Output::Blame { culprit, act } => ToNode::Blame {
                    culprit,
                    act: Box::new(act),
                },
                Output::Divergence { report, job } => ToNode::Divergence { report, job },
            };
            self.driver.tell(&message)?;
        }
        Ok(())
    }

    fn drain_lanes(&mut self) -> Result<(), CoordinatorError> {
        while let Some(event) = self.lanes.as_mut().and_then(Lanes::poll) {
            let message = match event {
                LaneEvent::Send(slot, message) => {
                    let message = Message::ToLane(Box::new(message));
                    self.driver.send(Endpoint::Signer(slot), &message);
                    continue;
                }
                LaneEvent::Signed(signed) => ToNode::LeafSigned(signed),
                LaneEvent::GivenUp(signing) => ToNode::LeafGivenUp(signing),
                LaneEvent::BadShare(mut leaf) => {
                    let is_second = leaf.own().is_some_and(|own| own.lane == Lane::Evm);
                    leaf.evm = self.evm_key.clone().filter(|_| is_second);
                    ToNode::Blame {
                        culprit: Culprit::Member(leaf.share.slot),
                        act: Box::new(Act::BadLeafShare(leaf)),
                    }
                }
            };
            self.driver.tell(&message)?;
        }
        Ok(())
    }
}

fn signers(members: &Membership) -> BTreeMap<Endpoint, ChannelKey> {
    let channel = |slot| Some((Endpoint::Signer(slot), members.member(slot)?.channel));
    members.slots().filter_map(channel).collect()
}
