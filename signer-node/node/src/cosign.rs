//! Signing steps for EVM chains, at a node: who is asked to lead it, and where signatures go.
//!
//! The node whose coordinator leads the view has it lead the signing of every step that has no
//! signature yet; a step that was signed elsewhere meanwhile may be signed twice, which harms
//! nothing. What is signed goes to all nodes, and a node that misses a signature for a while asks
//! the others for it, so that any gateway serves all of them.

use std::sync::Arc;
use std::time::Duration;

use attestation::ids::{Digest, EvmSignature, Seq};
use gateway::{Cosigned, Event, StoreError};
use link::local::{Role, ToGuest};
use serde_bytes::ByteBuf;
use signer_protocol::lane::{Proof, Signed};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::node::Node;
use crate::peer_message::PeerMessage;
use crate::wire::peer_bytes;

/// How often is looked for steps without a signature while no step is accepted.
const LOOK: Duration = Duration::from_secs(1);
/// Most steps that the coordinator is asked for at a time: as many as its lane keeps waiting.
const LED_MAX: u16 = 64;
/// Most steps that the others are asked for at a time.
const ASKED_MAX: u16 = 16;

/// Has steps signed, for as long as the node runs.
pub async fn work(node: Arc<Node>) {
    if !node.record.evm {
        return;
    }
    let mut events = node.gateway.subscribe();
    // Every step before it has its signature.
    let mut from = Seq(1);
    loop {
        let woken = timeout(LOOK, events.recv()).await;
        match woken {
            Ok(Ok(Event::StepAccepted(_)) | Err(RecvError::Lagged(_))) | Err(_) => {}
            Ok(Ok(_)) => continue,
            Ok(Err(RecvError::Closed)) => return,
        }
        let is_quiet = woken.is_err();
        if let Err(error) = look(&node, &mut from, is_quiet).await {
            tracing::warn!(%error, "signatures for EVM chains");
        }
    }
}

async fn look(node: &Node, from: &mut Seq, is_quiet: bool) -> Result<(), StoreError> {
    if node.gateway.evm_key().is_none() {
        return Ok(());
    }
    let leads = node.leads();
    let most = if leads { LED_MAX } else { ASKED_MAX };
    let unsigned = node.gateway.without_evm_signature(*from, most).await?;
    match unsigned.first() {
        Some(first) => *from = *first,
        None => return Ok(()),
    }
    for seq in unsigned {
        if leads {
            lead(node, seq).await?;
        } else if is_quiet {
            broadcast(node, &PeerMessage::WantEvmSignature(seq));
        }
    }
    Ok(())
}

async fn lead(node: &Node, seq: Seq) -> Result<(), StoreError> {
    let Some(step) = node.gateway.step(seq).await? else {
        return Ok(());
    };
    // The settlement is leaf 0 of every step.
    if let (Some(leaf), Some(path)) = (step.leaf(0), step.path(0)) {
        let proof = Proof {
            attestation: ByteBuf::from(step.attestation.to_bytes()),
            leaf: ByteBuf::from(leaf),
            index: 0,
            path: path.iter().copied().map(Digest::from_bytes).collect(),
        };
        let message = ToGuest::SignLeaf(Box::new(proof));
        node.tell(Role::Coordinator, &message).await;
    }
    Ok(())
}

/// The own coordinator has a step's signature.
///
/// # Errors
/// [`StoreError`] if the store cannot be read or written.
pub async fn signed(node: &Node, signed: &Signed) -> Result<(), StoreError> {
    let Ok(signature) = signed.signature.as_slice().try_into() else {
        return Ok(());
    };
    let (seq, signature) = (signed.signing.seq, EvmSignature::from_bytes(signature));
    if node.gateway.take_evm_signature(seq, signature).await? == Cosigned::New {
        broadcast(node, &PeerMessage::EvmSignature { seq, signature });
    }
    Ok(())
}

/// A peer's signature of a step.
pub async fn told(node: &Node, seq: Seq, signature: EvmSignature) {
    match node.gateway.take_evm_signature(seq, signature).await {
        Ok(Cosigned::Invalid) => tracing::debug!(seq = seq.0, "a peer's signature is not valid"),
        Ok(Cosigned::New | Cosigned::Known | Cosigned::Early) => {}
        Err(error) => tracing::warn!(%error, "a peer's signature is not kept"),
    }
}

/// What a peer misses, if it is here.
pub async fn wanted(node: &Node, seq: Seq) -> Option<PeerMessage> {
    let signature = node.gateway.evm_signature(seq).await.ok().flatten()?;
    Some(PeerMessage::EvmSignature { seq, signature })
}

fn broadcast(node: &Node, message: &PeerMessage) {
    let bytes = peer_bytes(&message.to_bytes());
    for peer in node.routes.peers() {
        node.routes.send_peer(peer, bytes.clone());
    }
}
