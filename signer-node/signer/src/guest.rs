//! The driver loop: arrivals into machines, outputs out of machines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use attestation::codec;
use attestation::committee::CreationRecord;
use attestation::ids::{Boot, ChannelKey, Slot, StatementId};
use attestation::step_attestation::StepAttestation;
use frost_ed25519::Ed25519Sha512;
use link::birth::BirthError;
use link::connection::Link;
use link::driver::{Driver, Incoming};
use link::local::{AppendRefusal, PendingChange, Progress, Ran, Standing, ToGuest, ToNode};
use serde_bytes::ByteBuf;
use signer_protocol::channel::Channels;
use signer_protocol::committee::Committee;
use signer_protocol::dkg::{Dkg, KeyRecord, KeyShare};
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify};
use signer_protocol::lineage::Lineage;
use signer_protocol::membership::Membership;
use signer_protocol::message::{Endpoint, Message, ToMember};
use signer_protocol::register::Chain;
use signer_protocol::sealed::{SealingKey, Secrets, ShareBytes};
use signer_protocol::signer::{AppendFailure, Config, Input, Output, Signer};
use signer_protocol::statement::StepParams;
use signer_protocol::suite::Evm;
use state::job::Domain;

use crate::boot::Member;
use crate::change::Changing;
use crate::repair::Repairs;
use crate::{Conduct, SignerError};

pub(crate) type Suite = Ed25519Sha512;
pub(crate) type GenerationOf<C> = Dkg<C, Ed25519Identity, Ed25519Verify>;
pub(crate) type Generation = GenerationOf<Suite>;
type Signing = Signer<Suite, Ed25519Identity, Ed25519Verify>;

/// A member's signer at work.
pub(crate) struct Guest {
    pub(crate) driver: Driver,
    pub(crate) slot: Slot,
    pub(crate) record: CreationRecord,
    domain: Domain,
    pub(crate) secrets: Secrets,
    pub(crate) sealing: SealingKey,
    pub(crate) boot: Boot,
    /// Until the signer machine takes it.
    chain: Option<Chain>,
    head: Option<StepAttestation>,
    restored: bool,
    /// The epoch in force, once there is a key.
    pub(crate) lineage: Option<Lineage>,
    /// Also when the key is there: members that missed the end ask for it.
    pub(crate) generation: Option<Generation>,
    /// The same for the second key, of a committee that has one.
    pub(crate) evm_generation: Option<GenerationOf<Evm>>,
    /// The record of the second key, once it is there.
    pub(crate) evm_key: Option<KeyRecord>,
    pub(crate) change: Option<Changing>,
    /// The repair that the operator approved last.
    pub(crate) repair: Option<Repairs>,
    /// For whom the node makes secrets durable, in order.
    pub(crate) sealed_for: VecDeque<SealedFor>,
    pub(crate) signing: Option<Signing>,
    standing: Option<Standing>,
    /// The statement whose job the node was last told to keep.
    kept: Option<StatementId>,
    /// Members that were connected before there was a key.
    met: BTreeSet<Endpoint>,
    conduct: Conduct,
    /// What the node was last told of the key generation.
    told: Option<Progress>,
}

/// Whose secrets the node makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealedFor {
    Generation,
    EvmGeneration,
    Change,
    Repair,
    /// Old shares are gone; nothing waits for it.
    Nobody,
}

impl Guest {
    pub(crate) fn start(link: Link, member: Member, conduct: Conduct) -> Result<Self, SignerError> {
        let me = Endpoint::Signer(member.slot);
        let secret = member.secrets.channel();
        let message = member.message;
        let lineage = match &message.key {
            Some(key) => Some(Lineage::new(&member.record, key)?.through(&message.epochs)?),
            None => None,
        };
        let peers = peers(
            &member.record,
            lineage.as_ref(),
            message.change.as_ref(),
            member.slot,
        );
        let channels = Channels::new(member.domain, me, secret, peers);
        let channels = channels.map_err(link::driver::DriverError::from)?;
        let mut guest = Self {
            driver: Driver::new(link, me, member.entropy, channels),
            slot: member.slot,
            record: member.record,
            domain: member.domain,
            secrets: member.secrets,
            sealing: member.sealing,
            boot: member.boot,
            chain: Some(member.chain),
            head: message.head,
            restored: message.restored,
            lineage,
            generation: None,
            evm_generation: None,
            evm_key: message.evm_key,
            change: None,
            repair: None,
            sealed_for: VecDeque::new(),
            signing: None,
            standing: None,
            kept: None,
            met: BTreeSet::new(),
            conduct,
            told: None,
        };
        if let Some(key) = message.executor {
            guest.executor(key)?;
        }
        guest.generate(message.key.as_ref())?;
        guest.forget_old_shares()?;
        if let Some(pending) = message.change {
            guest.take_up(pending)?;
        }
        guest.sign(None)?;
        for told in member.early {
            guest.local(told)?;
        }
        Ok(guest)
    }

    /// Runs until the connection ends or something fails.
    pub(crate) fn run(mut self) -> Result<(), SignerError> {
        let ended = self.work();
        if let Err(error) = &ended {
            self.driver.halt(error);
        }
        ended
    }

    fn work(&mut self) -> Result<(), SignerError> {
        loop {
            self.timeouts()?;
            self.drain()?;
            let due = [
                self.generation.as_ref().and_then(Dkg::poll_timeout),
                self.evm_generation.as_ref().and_then(Dkg::poll_timeout),
                self.change.as_ref().and_then(Changing::poll_timeout),
                self.repair.as_ref().and_then(Repairs::poll_timeout),
                self.signing.as_ref().and_then(Signer::poll_timeout),
            ];
            match self.driver.next(due.into_iter().flatten().min())? {
                Incoming::Due | Incoming::Woken => {}
                Incoming::Connected(peer) => {
                    if matches!(peer, Endpoint::Signer(_)) {
                        self.met.insert(peer);
                    }
                    self.input(Input::Connected(peer))?;
                }
                Incoming::Local(message) => self.local(*message)?,
                Incoming::Message { from, message } => match (from, *message) {
                    (Endpoint::Signer(from), Message::ToMember(ToMember::Dkg(message))) => {
                        self.generation_message(from, message)?;
                    }
                    (Endpoint::Signer(from), Message::ToMember(ToMember::EvmDkg(message))) => {
                        self.evm_generation_message(from, message)?;
                    }
                    (Endpoint::Signer(from), Message::ToMember(ToMember::Reshare(message))) => {
                        self.change_message(from, message)?;
                    }
                    (Endpoint::Signer(from), Message::ToMember(ToMember::Repair(message))) => {
                        self.repair_message(from, message);
                    }
                    (from, message) => self.input(Input::Message { from, message })?,
                },
            }
        }
    }

    /// Tells the node how far key generation is when that changes, as long as a key is missing.
    fn progress(&mut self) -> Result<(), SignerError> {
        let evm = self.evm_generation.as_ref().and_then(Dkg::progress);
        if self.signing.is_some() && evm.is_none() {
            return Ok(());
        }
        let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        let progress = Progress {
            connected: count(self.met.len()),
            others: count(self.record.members.len().saturating_sub(1)),
            generation: self.generation.as_ref().and_then(Dkg::progress),
            evm,
        };
        if self.told.as_ref() == Some(&progress) {
            return Ok(());
        }
        self.told = Some(progress.clone());
        Ok(self.driver.tell(&ToNode::Progress(progress))?)
    }

    fn timeouts(&mut self) -> Result<(), SignerError> {
        let (now_ms, mut rng) = self.driver.moment()?;
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now_ms);
        if let Some(generation) = &mut self.generation
            && due(generation.poll_timeout())
        {
            generation.handle_timeout(now_ms, &mut rng);
        }
        if let Some(generation) = &mut self.evm_generation
            && due(generation.poll_timeout())
        {
            generation.handle_timeout(now_ms, &mut rng);
        }
        if let Some(change) = &mut self.change
            && due(change.poll_timeout())
            && let Some(ceremony) = &mut change.ceremony
        {
            ceremony.handle_timeout(now_ms, &mut rng);
        }
        if let Some(repair) = &mut self.repair
            && due(repair.poll_timeout())
        {
            repair.machine.handle_timeout(now_ms, &mut rng);
        }
        if let Some(signing) = &mut self.signing
            && due(signing.poll_timeout())
        {
            signing.handle_timeout(now_ms, &mut rng);
        }
        Ok(())
    }

    fn input(&mut self, input: Input) -> Result<(), SignerError> {
        if let Some(signing) = &mut self.signing {
            let (now_ms, mut rng) = self.driver.moment()?;
            signing.handle(now_ms, &mut rng, input);
        }
        Ok(())
    }

    fn local(&mut self, message: ToGuest) -> Result<(), SignerError> {
        match message {
            ToGuest::Appended { index } => self.input(Input::Persisted { index }),
            ToGuest::AppendRefused(refusal) => self.input(Input::AppendFailed(match refusal {
                AppendRefusal::Rules(refused) => AppendFailure::Refused(refused),
                AppendRefusal::Disk => AppendFailure::Disk,
            })),
            ToGuest::JobStored { digest } => self.input(Input::JobStored { job: digest }),
            ToGuest::JobLoaded { statement, job } => {
                self.input(Input::JobLoaded { statement, job })
            }
            ToGuest::Executable(waits) => self.input(Input::Executable(waits)),
            ToGuest::PassedOver(request) => self.input(Input::PassedOver(request)),
            ToGuest::Head(attestation) => self.input(Input::Head(attestation)),
            ToGuest::Observe(seen) => self.input(Input::Observe(seen)),
            ToGuest::Sight(sight) => self.input(Input::Sight(sight)),
            ToGuest::ExecutorKey { channel } => self.executor(channel),
            ToGuest::Replaced => self.replaced(),
            ToGuest::Repair(plan) => self.repair(&plan),
            ToGuest::ReplaceRefused => Err(BirthError::Replace.into()),
            ToGuest::Register { .. }
            | ToGuest::Boot(_)
            | ToGuest::JobBuilt { .. }
            | ToGuest::Artifact { .. }
            | ToGuest::Module { .. }
            | ToGuest::Key(_)
            | ToGuest::EvmKey(_)
            | ToGuest::SignLeaf(_)
            // Answered by the link.
            | ToGuest::Ping => Err(BirthError::OutOfTurn.into()),
        }
    }

    /// Opens the channel to an executor that has started with this key.
    fn executor(&mut self, key: ChannelKey) -> Result<(), SignerError> {
        let secret = self.secrets.channel();
        let executor = Endpoint::Executor(self.slot);
        Ok(self.driver.beside(self.domain, secret, executor, key)?)
    }

    /// Begins to sign, if this member has a share of the epoch in force: the one that was `done`
    /// just now, or the sealed one.
    pub(crate) fn sign(&mut self, done: Option<KeyShare<Suite>>) -> Result<(), SignerError> {
        let Some(lineage) = &self.lineage else {
            return Ok(());
        };
        // One that has left, or that joins with the next epoch, only watches.
        if lineage.members().member(self.slot).is_none() {
            return Ok(());
        }
        let share = match (done, self.secrets.share(lineage.epoch())) {
            (Some(share), _) => share,
            (None, Some(bytes)) => KeyShare::of_key(bytes, lineage.key())?,
            // Its secrets are of an older disk: it watches, and a change that it joins mends it.
            (None, None) => {
                let (epoch, remembered) = (lineage.epoch(), None);
                return Ok(self.driver.tell(&ToNode::Behind { epoch, remembered })?);
            }
        };
        let Some(chain) = self.chain.take() else {
            return Ok(());
        };
        let key = lineage.group_key();
        let committee = Committee::in_epoch(&self.record, lineage.members(), key);
        let signing = Signer::new(Config {
            committee: committee.map_err(attestation::committee::RecordError::from)?,
            step: StepParams::new(&self.record).with_profile(lineage.profile()),
            slot: self.slot,
            key: share.key_package().clone(),
            identity: self.secrets.identity(),
            verify: Ed25519Verify,
            chain,
            head: self.head.take(),
            restored: self.restored,
            cutover: self
                .change
                .as_ref()
                .and_then(|change| change.cutover.clone()),
            last_share: self
                .secrets
                .shares()
                .last()
                .map_or(lineage.epoch(), ShareBytes::epoch),
        })?;
        self.signing = Some(signing);
        self.sign_for_evm();
        Ok(())
    }

    /// Signs under the second key, too, if it is there and this member has its share.
    fn sign_for_evm(&mut self) {
        let Some(key) = &self.evm_key else {
            return;
        };
        if let (Some(signing), Some(bytes)) = (&mut self.signing, self.secrets.evm_share(key.epoch))
        {
            // One of an older disk is none, and no reason not to sign steps.
            if let Ok(share) = KeyShare::<Evm>::of_key(bytes, key) {
                signing.sign_for_evm(share.key_package().clone());
            }
        }
    }

    fn drain(&mut self) -> Result<(), SignerError> {
        while let Some(output) = self.generation.as_mut().and_then(Dkg::poll) {
            self.generation_output(output)?;
        }
        while let Some(output) = self.evm_generation.as_mut().and_then(Dkg::poll) {
            self.evm_generation_output(output)?;
        }
        while let Some(output) = self.change.as_mut().and_then(Changing::poll) {
            self.change_output(output)?;
        }
        while let Some(output) = self.repair.as_mut().and_then(Repairs::poll) {
            self.repair_output(output)?;
        }
        self.tell_change()?;
        self.progress()?;
        while let Some(output) = self.signing.as_mut().and_then(Signer::poll) {
            if let Some(output) = self.conducted(output) {
                self.output(output)?;
            }
        }
        let standing = self.signing.as_ref().map(|signing| Standing {
            view: signing.view(),
            head: signing
                .head()
                .map_or_else(Default::default, |head| head.commit.seq),
        });
        if standing != self.standing {
            self.standing = standing;
            if let Some(standing) = standing {
                self.driver.tell(&ToNode::Standing(standing))?;
            }
        }
        Ok(())
    }

    fn conducted(&self, output: Output) -> Option<Output> {
        (self.conduct)(&self.secrets, &self.domain, output)
    }

    /// What a ceremony has to say to another member.
    pub(crate) fn say(&mut self, to: Slot, message: ToMember) {
        let (to, message) = (Endpoint::Signer(to), Message::ToMember(message));
        if let Some(Output::Send { to, message }) = self.conducted(Output::Send { to, message }) {
            self.driver.send(to, &message);
        }
    }

    fn output(&mut self, output: Output) -> Result<(), SignerError> {
        let message = match output {
            Output::Send { to, message } => {
                self.driver.send(to, &message);
                return Ok(());
            }
            Output::Persist(entry) => ToNode::Append {
                entry: entry.to_bytes(),
            },
            Output::StoreJob {
                statement,
                digest,
                job,
            } => {
                self.kept = Some(statement);
                ToNode::StoreJob {
                    statement,
                    seq: job.seq,
                    digest,
                    job: ByteBuf::from(codec::encode(&*job)),
                }
            }
            Output::LoadJob { statement } => ToNode::LoadJob { statement },
            Output::Attested {
                attestation,
                job,
                outcome,
            } => ToNode::Attested {
                // The node takes both in order: it has this job by then, or cannot have it.
                job: job.filter(|_| self.kept != Some(attestation.statement())),
                attestation,
                ran: outcome.and_then(|outcome| Ran::of(*outcome)).map(Box::new),
            },
            Output::Blame { culprit, act } => ToNode::Blame {
                culprit,
                act: Box::new(act),
            },
            Output::Dissent {
                seq,
                view,
                certified,
                own,
            } => ToNode::Dissent {
                seq,
                view,
                certified,
                own,
            },
            Output::Refused(refused) => ToNode::Refused(refused),
            Output::Behind { epoch, remembered } => ToNode::Behind { epoch, remembered },
            Output::Observed(observation) => ToNode::Observed(Box::new(observation)),
            Output::Halt(halt) => return Err(SignerError::Halted(halt)),
            Output::PackageRefused { .. } => return Ok(()),
        };
        Ok(self.driver.tell(&message)?)
    }
}

/// Everybody that this signer speaks to: the members of the epoch in force, those of a planned one,
/// and the coordinators.
fn peers(
    record: &CreationRecord,
    lineage: Option<&Lineage>,
    change: Option<&PendingChange>,
    me: Slot,
) -> BTreeMap<Endpoint, ChannelKey> {
    let first = Membership::of(record);
    let members = lineage.map_or(&first, Lineage::members);
    let current = members
        .slots()
        .filter_map(|slot| Some((slot, members.member(slot)?.channel)));
    let planned = change.into_iter().flat_map(|change| &change.plan.members);
    let planned = planned.map(|member| (member.slot, member.card.channel));
    let signers = planned
        .chain(current)
        .filter(|(slot, _)| *slot != me)
        .map(|(slot, channel)| (Endpoint::Signer(slot), channel));
    let ranks = (0u16..).zip(&record.coordinators);
    let coordinators = ranks.map(|(rank, card)| (Endpoint::Coordinator(rank), card.channel));
    signers.chain(coordinators).collect()
}
