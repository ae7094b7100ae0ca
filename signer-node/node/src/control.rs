//! What the node does for its guests: keep, hand back, build, compile, show.
//!
//! Nothing is acknowledged before it is durable. What fails is not acknowledged; the guest asks
//! again or stops, as its machine decides.

use std::sync::Arc;

use attestation::ids::ModuleDigest;
use gateway::{Applied, BuildError, Output, Report, StepBody};
use link::local::{Artifact, Ran, Role, System, ToGuest, ToNode};
use serde_bytes::ByteBuf;
use signer_protocol::dkg::KeyRecord;
use signer_protocol::message::Lane;
use state::job::{BuildJob, Job};

use crate::ceremonies::Ceremony;
use crate::node::Node;
use crate::peer_message::PeerMessage;
use crate::relay::{Gone, Session};
use crate::wire::peer_bytes;
use crate::{cosign, files, repair};

/// Why a control message has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The guest is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The store.
    #[error(transparent)]
    Store(#[from] gateway::StoreError),
    /// A step is not accepted.
    #[error("attested step: {0}")]
    Accept(#[from] gateway::AcceptError),
    /// The disk.
    #[error("records: {0}")]
    Disk(#[from] std::io::Error),
    /// The key record is not this committee's.
    #[error("key record: {0}")]
    Key(#[from] signer_protocol::dkg::KeyRecordError),
    /// The group key is none.
    #[error("group key: {0}")]
    GroupKey(#[from] attestation::group::GroupKeyError),
    /// Not a message of this guest.
    #[error("a message that is not this guest's to send")]
    OutOfTurn,
}

/// Does what the signer asks for.
///
/// # Errors
/// [`ControlError`], to be logged.
pub async fn signer(
    node: &Arc<Node>,
    session: &Session,
    message: ToNode,
) -> Result<(), ControlError> {
    match message {
        ToNode::Card(_) => {}
        ToNode::Replace { sealed } => replace(node, Role::Signer, session, sealed).await?,
        ToNode::StoreJob {
            statement,
            seq,
            digest,
            job,
        } => {
            let job = job.into_vec();
            node.gateway.store_job(statement, seq, job).await?;
            node.board.store(None);
            session.send(&ToGuest::JobStored { digest }).await?;
        }
        ToNode::LoadJob { statement } => {
            let job = node.gateway.load_job(&statement).await?.map(Box::new);
            session.send(&ToGuest::JobLoaded { statement, job }).await?;
        }
        ToNode::Attested {
            attestation,
            job,
            ran,
        } => {
            let (job, body) = (job.map(|job| *job), ran.map(|ran| body(*ran)));
            let applied = node.gateway.attested(*attestation, job, body).await?;
            behind(node, &applied);
        }
        ToNode::Key(record) => key(node, &record).await?,
        ToNode::EvmKey(record) => evm_key(node, &record).await?,
        ToNode::ChangeProgress(progress) => node.change_stage(progress).await,
        ToNode::Changed(record) => node.changed(*record).await?,
        ToNode::ChangeAborted { culprits, act } => {
            let who = culprits.iter().map(ToString::to_string).collect::<Vec<_>>();
            let line = format!("change of members: {act}; members {}", who.join(", "));
            tracing::error!(%line, "aborted");
            node.change_aborted(&line).await;
            node.board.alert(line);
        }
        ToNode::Repaired { lost } => repair::done(node, lost),
        ToNode::RepairAborted { culprits, act } => {
            let who = culprits.iter().map(ToString::to_string).collect::<Vec<_>>();
            repair::aborted(node, &format!("{act}; members {}", who.join(", ")));
        }
        ToNode::Progress(progress) => node.board.progress(Some(progress)),
        ToNode::GenerationAborted { evm, culprits, act } => {
            let key = if evm { Ceremony::EvmKey } else { Ceremony::Key };
            node.board.generation_aborted(key);
            let who = culprits.iter().map(ToString::to_string).collect::<Vec<_>>();
            let line = format!("key generation: {act}; members {}", who.join(", "));
            tracing::error!(%line, "aborted");
            node.board.alert(line);
        }
        ToNode::Evidence(evidence) => report(node, Report::Ceremony(evidence), None),
        ToNode::Observed(observation) => crate::observe::signed(node, *observation),
        ToNode::Standing(standing) => node.board.standing(standing),
        ToNode::Blame { culprit, act } => report(node, Report::Blame { culprit, act }, None),
        ToNode::Dissent {
            seq,
            view,
            certified,
            own,
        } => report(
            node,
            Report::Dissent {
                seq,
                view,
                certified,
                own,
            },
            None,
        ),
        ToNode::Refused(refused) => node.board.register_refused(format!("a vote: {refused}")),
        ToNode::Behind { epoch, remembered } => {
            node.restored_noted();
            let newer = remembered.map(|remembered| remembered.to_string());
            node.board.behind(epoch, newer.as_deref());
        }
        _ => return Err(ControlError::OutOfTurn),
    }
    Ok(())
}

/// Does what the coordinator asks for.
///
/// # Errors
/// [`ControlError`], to be logged.
pub async fn coordinator(
    node: &Arc<Node>,
    session: &Session,
    message: ToNode,
) -> Result<(), ControlError> {
    match message {
        ToNode::Card(_) => {}
        ToNode::Replace { sealed } => replace(node, Role::Coordinator, session, sealed).await?,
        ToNode::BuildJob(order) => {
            // Building runs the step: whatever else comes must not wait for it.
            let (node, session) = (Arc::clone(node), session.clone());
            tokio::spawn(async move {
                let answer = build(&node, *order).await;
                let _: Result<(), Gone> = session.send(&answer).await;
            });
        }
        ToNode::Publish(attestation) => {
            let applied = node.gateway.attested(*attestation, None, None).await?;
            behind(node, &applied);
        }
        ToNode::LeafSigned(signed) if signed.signing.lane == Lane::Evm => {
            cosign::signed(node, &signed).await?;
        }
        // Asked for again as long as the step has no signature.
        ToNode::LeafGivenUp(signing) if signing.lane == Lane::Evm => {
            tracing::warn!(
                seq = signing.seq.0,
                "no quorum signed the step for EVM chains"
            );
        }
        ToNode::Blame { culprit, act } => report(node, Report::Blame { culprit, act }, None),
        ToNode::Divergence { report: found, job } => {
            report(node, Report::Divergence(*found), Some(job));
        }
        ToNode::LeafSigned(signed) => node.leaf_signed(*signed),
        ToNode::LeafGivenUp(signing) => {
            let (lane, seq) = (signing.lane, signing.seq);
            tracing::warn!(?lane, %seq, "no quorum signs a leaf; it is asked for again");
        }
        _ => return Err(ControlError::OutOfTurn),
    }
    Ok(())
}

/// Does what the executor asks for.
///
/// # Errors
/// [`ControlError`], to be logged.
pub async fn executor(
    node: &Arc<Node>,
    session: &Session,
    message: ToNode,
) -> Result<(), ControlError> {
    match message {
        ToNode::Executor { channel, profile } => {
            let expected = node.profile();
            if profile != expected {
                node.board.alert(format!(
                    "the executor runs profile {profile}, the committee {expected}: install its image"
                ));
            }
            node.set_executor(channel);
            node.tell(Role::Signer, &ToGuest::ExecutorKey { channel })
                .await;
        }
        ToNode::NeedModule { module } => {
            let wasm = node.gateway.module(&module).await?;
            if wasm.is_none() {
                ask_for_module(node, module);
            }
            let wasm = wasm.map(ByteBuf::from);
            session.send(&ToGuest::Module { module, wasm }).await?;
        }
        ToNode::NeedArtifact { module, system } => {
            // Compiling takes its time, and the executor's next question need not wait for it.
            let (node, session) = (Arc::clone(node), session.clone());
            tokio::spawn(async move {
                let artifact = artifact(&node, module, system).await;
                let answer = ToGuest::Artifact { module, artifact };
                let _: Result<(), Gone> = session.send(&answer).await;
            });
        }
        _ => return Err(ControlError::OutOfTurn),
    }
    Ok(())
}

/// Keeps a report and shows it, while the guest's other messages go on.
pub(crate) fn report(node: &Arc<Node>, report: Report, job: Option<Box<Job>>) {
    let node = Arc::clone(node);
    tokio::spawn(async move {
        let line = report.line();
        tracing::warn!(%line, kind = report.kind(), "report");
        match &report {
            Report::Blame { act, .. } => node.board.blame(act),
            Report::Divergence(_) => node.board.divergence(),
            Report::Ceremony(_) => node.board.ceremony(),
            Report::Dissent { .. } => {}
        }
        if let Err(error) = node.gateway.report(&report, job.as_deref()).await {
            tracing::error!(%error, "the report is not kept");
        }
        node.board.alert(line);
    });
}

/// Asks all peers for a module that is needed here.
pub fn ask_for_module(node: &Node, module: ModuleDigest) {
    if node.want_module(module) {
        let bytes = peer_bytes(&PeerMessage::WantModule(module).to_bytes());
        for peer in node.routes.peers() {
            node.routes.send_peer(peer, bytes.clone());
        }
    }
}

async fn replace(
    node: &Arc<Node>,
    role: Role,
    session: &Session,
    sealed: Vec<u8>,
) -> Result<(), ControlError> {
    let name = files::sealed(role).ok_or(ControlError::OutOfTurn)?;
    let disk = Arc::clone(&node.disk);
    let replaced = tokio::task::spawn_blocking(move || disk.replace(name, &sealed)).await;
    match replaced {
        Ok(Ok(())) => Ok(session.send(&ToGuest::Replaced).await?),
        Ok(Err(error)) => {
            node.board
                .alert(format!("sealed secrets cannot be written: {error}"));
            Ok(session.send(&ToGuest::ReplaceRefused).await?)
        }
        // The runtime is ending.
        Err(_) => Err(ControlError::OutOfTurn),
    }
}

async fn key(node: &Arc<Node>, record: &KeyRecord) -> Result<(), ControlError> {
    record.check(&node.record)?;
    node.gateway.set_key(record.ed25519_key()?)?;
    let bytes = attestation::codec::encode(record);
    let disk = Arc::clone(&node.disk);
    let written = tokio::task::spawn_blocking(move || disk.replace(files::KEY, &bytes)).await;
    if let Ok(written) = written {
        written?;
    }
    if node.set_key(record).await? {
        tracing::info!(key = %record.group_key, "the committee has its key");
    }
    node.board.progress(None);
    let message = ToGuest::Key(Box::new(record.clone()));
    node.tell(Role::Coordinator, &message).await;
    node.tell_executable(true).await;
    Ok(())
}

async fn evm_key(node: &Arc<Node>, record: &KeyRecord) -> Result<(), ControlError> {
    if node.set_evm_key(record).await? {
        tracing::info!(key = %record.group_key, "the committee has its key for EVM chains");
    }
    node.board.progress(None);
    let message = ToGuest::EvmKey(Box::new(record.clone()));
    node.tell(Role::Coordinator, &message).await;
    Ok(())
}

async fn build(node: &Node, order: BuildJob) -> ToGuest {
    let (seq, view) = (order.seq, order.view);
    let built = node.gateway.build_job(order).await;
    let job = match built {
        Ok(job) => job.map(Box::new),
        Err(error @ BuildError::OtherHead { .. }) => {
            tracing::debug!(%error, "no job");
            node.heads.notify_one();
            None
        }
        Err(error) => {
            tracing::warn!(%error, "no job");
            None
        }
    };
    ToGuest::JobBuilt { seq, view, job }
}

async fn artifact(node: &Node, module: ModuleDigest, system: System) -> Option<Artifact> {
    match node
        .gateway
        .artifact(&module, node.engine().target(system))
        .await
    {
        Ok(artifact) => Some(Artifact {
            digest: artifact.digest,
            bytes: artifact.bytes,
        }),
        Err(error) => {
            tracing::info!(%module, %error, "no artifact");
            if matches!(error, gateway::ArtifactError::Unknown(_)) {
                ask_for_module(node, module);
            }
            None
        }
    }
}

fn body(ran: Ran) -> StepBody {
    let outputs = ran.outputs.into_iter().map(|(bytes, events, fee)| Output {
        bytes: bytes.into_vec(),
        events,
        fee,
    });
    StepBody {
        leaves: ran.leaves,
        writes: ran.writes,
        outputs: outputs.collect(),
    }
}

/// A step that cannot be applied yet is fetched from the others.
fn behind(node: &Node, applied: &Applied) {
    if matches!(applied, Applied::Behind { .. } | Applied::NeedsBundle) {
        node.heads.notify_one();
    }
}
