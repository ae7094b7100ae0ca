//! The lane driver: one coordinator leads the signings of one lane, one after the other (rule E3).
//!
//! A coordinator leads one signing of a lane at a time, since signers keep one open for each. What
//! comes meanwhile waits here, bounded; a signing that finds no quorum for [`ROUNDS_MAX`] rounds
//! makes room for the next, and whoever wants it asks again. Nothing here decides what is signed:
//! that is the leaf's, and the signers' to check.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use attestation::ids::Slot;
use frost_core::Ciphersuite;
use signer_protocol::blame::LeafShare;
use signer_protocol::identity::{SignIdentity, Verify};
use signer_protocol::lane::{FromLane, LaneError, Proof, Signed, Signing, Signs, ToLane, Warrant};

use crate::lane::{LaneOutput, LaneSigning, Leader};
use crate::parking::Parking;

/// Most leaves of a lane that wait for their turn.
pub const WAITING_MAX: usize = 64;
/// Rounds after which a signing without a quorum makes room for the next, beyond those that as many
/// members as may lie can spoil one by one.
pub const ROUNDS_MAX: u32 = 16;

/// What a lane's driver has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneEvent {
    /// Tell a member's signer.
    Send(Slot, ToLane),
    /// The group has signed what a leaf orders.
    Signed(Box<Signed>),
    /// No quorum signed it; it may be asked for again.
    GivenUp(Signing),
    /// A member's share fails under its verifying share. One under the second key proves it beside
    /// that key's record, which is the driver's to add.
    BadShare(Box<LeafShare>),
}

/// A lane whose suite does not matter to whoever runs it.
pub trait LeadLane {
    /// Leads the signing of what a leaf says, now or when it is its turn. One that is led or waits
    /// already is not led twice.
    ///
    /// # Errors
    /// [`LaneError::Proof`] if the leaf is none of this lane, [`LaneError::Busy`] if too many wait.
    fn lead(&mut self, now_ms: u64, proof: Proof) -> Result<(), LaneError>;

    /// Takes a signer's answer; one for another lane or signing changes nothing.
    fn handle(&mut self, now_ms: u64, from: Slot, answer: &FromLane);

    /// Does what is due at `now_ms`.
    fn handle_timeout(&mut self, now_ms: u64);

    /// When to call [`Self::handle_timeout`] at the latest.
    fn poll_timeout(&self) -> Option<u64>;

    /// The next thing that it has to say.
    fn poll(&mut self) -> Option<LaneEvent>;
}

/// One lane of a coordinator.
pub struct LaneLeader<C: Ciphersuite, I, V, S, F> {
    signs: S,
    turn: Turn<C, I, V, F>,
    waiting: VecDeque<(Proof, Warrant)>,
    events: VecDeque<LaneEvent>,
}

/// Who has the leader's keys.
enum Turn<C: Ciphersuite, I, V, F> {
    /// Nothing is being signed.
    Idle(Box<(Leader<C, I, V>, Parking, F)>),
    /// This is.
    Signing(Box<LaneSigning<C, I, V, F>>),
    /// Only while one becomes the other.
    Between,
}

impl<C, I, V, S, F> LaneLeader<C, I, V, S, F>
where
    C: Ciphersuite,
    I: SignIdentity,
    V: Verify,
    S: Signs,
    F: Fn(&[u8], &[u8]) -> bool,
{
    /// A lane of a coordinator. `valid` is the check of whoever takes the signatures: of message
    /// and signature, in this order.
    pub fn new(leader: Leader<C, I, V>, signs: S, valid: F) -> Self {
        let parking = Parking::new(leader.committee.quorum());
        Self {
            signs,
            turn: Turn::Idle(Box::new((leader, parking, valid))),
            waiting: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    fn warrant(&self, proof: &Proof) -> Result<Warrant, LaneError> {
        match &self.turn {
            Turn::Idle(leads) => {
                let (leader, ..) = leads.as_ref();
                proof.warrant(&leader.committee, &leader.verify, &self.signs)
            }
            Turn::Signing(signing) => signing.warrant_of(proof, &self.signs),
            Turn::Between => Err(LaneError::Proof),
        }
    }

    /// Begins with the next leaf that waits, if nothing is being signed.
    fn next(&mut self, now_ms: u64) {
        if !matches!(self.turn, Turn::Idle(_)) {
            return;
        }
        let Some((proof, warrant)) = self.waiting.pop_front() else {
            return;
        };
        if let Turn::Idle(leads) = core::mem::replace(&mut self.turn, Turn::Between) {
            let signing = LaneSigning::begin(now_ms, *leads, proof, warrant);
            self.turn = Turn::Signing(Box::new(signing));
        }
    }

    /// Takes what the signing has to say; goes on to the next once it is over.
    fn drain(&mut self, now_ms: u64) {
        while let Turn::Signing(signing) = &mut self.turn {
            let of = signing.warrant().named();
            match signing.poll() {
                Some(LaneOutput::Send(slot, message)) => {
                    self.events.push_back(LaneEvent::Send(slot, message));
                }
                Some(LaneOutput::BadShare(leaf)) => {
                    self.events.push_back(LaneEvent::BadShare(leaf));
                }
                // Passed over in the next round; networks cause it too.
                Some(LaneOutput::Silent(_)) => {}
                Some(LaneOutput::Signed(signature)) => {
                    let signing = of;
                    let signed = Box::new(Signed { signing, signature });
                    self.events.push_back(LaneEvent::Signed(signed));
                    self.close();
                    self.next(now_ms);
                }
                None if signing.rounds() > ROUNDS_MAX + signing.spoilers_max() => {
                    self.events.push_back(LaneEvent::GivenUp(of));
                    self.close();
                    self.next(now_ms);
                }
                None => return,
            }
        }
    }

    fn close(&mut self) {
        if let Turn::Signing(signing) = core::mem::replace(&mut self.turn, Turn::Between) {
            self.turn = Turn::Idle(Box::new(signing.into_leader()));
        }
    }
}

impl<C, I, V, S, F> LeadLane for LaneLeader<C, I, V, S, F>
where
    C: Ciphersuite,
    I: SignIdentity,
    V: Verify,
    S: Signs,
    F: Fn(&[u8], &[u8]) -> bool,
{
    fn lead(&mut self, now_ms: u64, proof: Proof) -> Result<(), LaneError> {
        let warrant = self.warrant(&proof)?;
        let led = match &self.turn {
            Turn::Signing(signing) => *signing.warrant() == warrant,
            Turn::Idle(_) | Turn::Between => false,
        };
        if led || self.waiting.iter().any(|(_, waits)| *waits == warrant) {
            return Ok(());
        }
        if self.waiting.len() >= WAITING_MAX {
            return Err(LaneError::Busy);
        }
        self.waiting.push_back((proof, warrant));
        self.next(now_ms);
        self.drain(now_ms);
        Ok(())
    }

    fn handle(&mut self, now_ms: u64, from: Slot, answer: &FromLane) {
        if let Turn::Signing(signing) = &mut self.turn {
            signing.handle(now_ms, from, answer.clone());
        }
        self.drain(now_ms);
    }

    fn handle_timeout(&mut self, now_ms: u64) {
        if let Turn::Signing(signing) = &mut self.turn {
            signing.handle_timeout(now_ms);
        }
        self.drain(now_ms);
    }

    fn poll_timeout(&self) -> Option<u64> {
        match &self.turn {
            Turn::Signing(signing) => signing.poll_timeout(),
            Turn::Idle(_) | Turn::Between => None,
        }
    }

    fn poll(&mut self) -> Option<LaneEvent> {
        self.events.pop_front()
    }
}

impl<C: Ciphersuite, I, V, S, F> core::fmt::Debug for LaneLeader<C, I, V, S, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LaneLeader")
            .field("waiting", &self.waiting.len())
            .field("signing", &matches!(self.turn, Turn::Signing(_)))
            .finish_non_exhaustive()
    }
}
