//! The driver loop: arrivals into machines, outputs out of machines.

use std::collections::{BTreeMap, BTreeSet};

use attestation::codec;
use attestation::committee::CreationRecord;
use attestation::ids::{Boot, ChannelKey, Slot, StatementId};
use attestation::step_attestation::StepAttestation;
use frost_ed25519::Ed25519Sha512;
use link::birth::{self, BirthError};
use link::connection::Link;
use link::driver::{Driver, Incoming};
use link::local::{AppendRefusal, Progress, Ran, Standing, ToGuest, ToNode};
use serde_bytes::ByteBuf;
use signer_protocol::channel::Channels;
use signer_protocol::committee::Committee;
use signer_protocol::dkg::{Dkg, DkgOutput, KeyRecord, KeyShare, Start};
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify};
use signer_protocol::message::{DkgMessage, Endpoint, Message, ToMember};
use signer_protocol::register::Chain;
use signer_protocol::sealed::{SealingKey, Secrets, ShareBytes};
use signer_protocol::signer::{AppendFailure, Config, Input, Output, Signer};
use signer_protocol::statement::StepParams;
use state::job::Domain;

use crate::boot::Member;
use crate::{Conduct, SignerError};

type Suite = Ed25519Sha512;
type Generation = Dkg<Suite, Ed25519Identity, Ed25519Verify>;
type Signing = Signer<Suite, Ed25519Identity, Ed25519Verify>;

/// A member's signer at work.
pub(crate) struct Guest {
    driver: Driver,
    slot: Slot,
    record: CreationRecord,
    domain: Domain,
    secrets: Secrets,
    sealing: SealingKey,
    boot: Boot,
    /// Until the signer machine takes it.
    chain: Option<Chain>,
    head: Option<StepAttestation>,
    restored: bool,
    /// Also when the key is there: members that missed the end ask for it.
    generation: Option<Generation>,
    signing: Option<Signing>,
    standing: Option<Standing>,
    /// The statement whose job the node was last told to keep.
    kept: Option<StatementId>,
    /// Members that were connected before there was a key.
    met: BTreeSet<Endpoint>,
    conduct: Conduct,
    /// What the node was last told of the key generation.
    told: Option<Progress>,
}

impl Guest {
    pub(crate) fn start(link: Link, member: Member, conduct: Conduct) -> Result<Self, SignerError> {
        let me = Endpoint::Signer(member.slot);
        let secret = member.secrets.channel();
        let peers = peers(&member.record, member.slot);
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
            head: member.message.head,
            restored: member.message.restored,
            generation: None,
            signing: None,
            standing: None,
            kept: None,
            met: BTreeSet::new(),
            conduct,
            told: None,
        };
        if let Some(key) = member.message.executor {
            guest.executor(key)?;
        }
        guest.generate(member.message.key.as_ref())?;
        if let Some(key) = &member.message.key {
            guest.sign(key, None)?;
        }
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
                    (from, message) => self.input(Input::Message { from, message })?,
                },
            }
        }
    }

    /// Tells the node how far key generation is when that changes, as long as there is no key.
    fn progress(&mut self) -> Result<(), SignerError> {
        if self.signing.is_some() {
            return Ok(());
        }
        let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        let progress = Progress {
            connected: count(self.met.len()),
            others: count(self.record.members.len().saturating_sub(1)),
            generation: self.generation.as_ref().and_then(Dkg::progress),
        };
        if self.told == Some(progress) {
            return Ok(());
        }
        self.told = Some(progress);
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
            ToGuest::ExecutorKey { channel } => self.executor(channel),
            ToGuest::Replaced => {
                let (now_ms, mut rng) = self.driver.moment()?;
                if let Some(generation) = &mut self.generation {
                    generation.persisted(now_ms, &mut rng);
                }
                Ok(())
            }
            ToGuest::ReplaceRefused => Err(BirthError::Replace.into()),
            ToGuest::Register { .. }
            | ToGuest::Boot(_)
            | ToGuest::JobBuilt { .. }
            | ToGuest::Artifact { .. }
            | ToGuest::Module { .. }
            | ToGuest::Key(_)
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

    /// Takes up the key generation: from nothing, from a durable share, or only to answer others.
    fn generate(&mut self, key: Option<&KeyRecord>) -> Result<(), SignerError> {
        let start = match (key, self.secrets.shares().last()) {
            (Some(key), _) => Start::Finished(key.clone()),
            (None, Some(bytes)) => Start::Pending(KeyShare::from_bytes(bytes)?),
            (None, None) => Start::Fresh,
        };
        self.generation = Some(Dkg::new(
            &self.record,
            self.slot,
            self.boot,
            self.secrets.identity(),
            Ed25519Verify,
            start,
        )?);
        Ok(())
    }

    fn generation_message(&mut self, from: Slot, message: DkgMessage) -> Result<(), SignerError> {
        let (now_ms, mut rng) = self.driver.moment()?;
        if let Some(generation) = &mut self.generation {
            // What is dropped is old, doubled or forged; the machine keeps proof of the latter.
            let _ = generation.handle(now_ms, &mut rng, from, message);
        }
        Ok(())
    }

    /// Begins to sign with the share that `done` or the sealed secrets hold.
    fn sign(
        &mut self,
        record: &KeyRecord,
        done: Option<KeyShare<Suite>>,
    ) -> Result<(), SignerError> {
        record.check(&self.record)?;
        let share = match (done, self.secrets.shares().last()) {
            (Some(share), _) => share,
            (None, Some(bytes)) => KeyShare::of_key(bytes, record)?,
            (None, None) => return Err(SignerError::NoShare),
        };
        let Some(chain) = self.chain.take() else {
            return Ok(());
        };
        let committee = Committee::new(&self.record, record.group_key);
        let signing = Signer::new(Config {
            committee: committee.map_err(attestation::committee::RecordError::from)?,
            step: StepParams::new(&self.record),
            slot: self.slot,
            key: share.key_package().clone(),
            identity: self.secrets.identity(),
            verify: Ed25519Verify,
            chain,
            head: self.head.take(),
            restored: self.restored,
        })?;
        self.signing = Some(signing);
        Ok(())
    }

    fn drain(&mut self) -> Result<(), SignerError> {
        while let Some(output) = self.generation.as_mut().and_then(Dkg::poll) {
            self.generation_output(output)?;
        }
        self.progress()?;
        while let Some(output) = self.signing.as_mut().and_then(Signer::poll) {
            if let Some(output) = (self.conduct)(&self.secrets, &self.domain, output) {
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

    fn generation_output(&mut self, output: DkgOutput<Suite>) -> Result<(), SignerError> {
        match output {
            DkgOutput::Send { to, message } => {
                let message = Message::ToMember(ToMember::Dkg(message));
                self.driver.send(Endpoint::Signer(to), &message);
            }
            DkgOutput::Persist(share) => self.keep(share)?,
            DkgOutput::Done(record, share) => {
                self.sign(&record, Some(share))?;
                self.driver.tell(&ToNode::Key(Box::new(record)))?;
            }
            // A key generation deals to everybody.
            DkgOutput::Dealt(_) => {}
            DkgOutput::Aborted { culprits, act } => {
                let culprits = culprits.into_iter().collect();
                let act = birth::bounded(&act);
                self.driver
                    .tell(&ToNode::GenerationAborted { culprits, act })?;
            }
        }
        Ok(())
    }

    /// Seals the secrets with a new share; the node answers when they are durable.
    fn keep(&mut self, share: ShareBytes) -> Result<(), SignerError> {
        // One generation per committee: a share that an aborted attempt left is replaced.
        self.secrets.put_share(share).map_err(BirthError::from)?;
        let (_, mut rng) = self.driver.moment()?;
        let sealed = self.secrets.seal(&self.sealing, &mut rng);
        Ok(self.driver.tell(&ToNode::Replace { sealed })?)
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
            Output::Halt(halt) => return Err(SignerError::Halted(halt)),
            Output::PackageRefused { .. } => return Ok(()),
        };
        Ok(self.driver.tell(&message)?)
    }
}

fn peers(record: &CreationRecord, me: Slot) -> BTreeMap<Endpoint, ChannelKey> {
    let members = record.slots().zip(&record.members);
    let signers = members
        .filter(|(slot, _)| *slot != me)
        .map(|(slot, card)| (Endpoint::Signer(slot), card.channel));
    let ranks = (0u16..).zip(&record.coordinators);
    let coordinators = ranks.map(|(rank, card)| (Endpoint::Coordinator(rank), card.channel));
    signers.chain(coordinators).collect()
}
