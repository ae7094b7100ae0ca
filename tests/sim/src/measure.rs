//! How long a step takes where liars, dead coordinators and distance decide, in simulated time.

use attestation::ids::Slot;
use signer_protocol::message::{Endpoint, Message, ToSigner};

use crate::dice::Dice;
use crate::founding::{Founding, dealt, record};
use crate::knobs::{Knobs, Profile};
use crate::liars::{Liars, MemberLie};
use crate::story::Story;
use crate::suite::Suite;
use crate::world::{Machine, World};

/// What befalls the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// n − t members vote; of those in a signing set one at a time gives a bad share.
    BadShares,
    /// The same with no share at all.
    Silence,
    /// The leading coordinator dies once the job is out.
    LeaderDies,
    /// The leading coordinator dies before the first request comes.
    NoLeader,
}

/// All of them, with what they are called.
pub const TROUBLES: [(Trouble, &str); 5] = [
    (Trouble::None, "no fault"),
    (Trouble::BadShares, "n − t bad shares, one at a time"),
    (Trouble::Silence, "n − t silent signers, one at a time"),
    (Trouble::LeaderDies, "the leader dies after its job"),
    (Trouble::NoLeader, "the first leader is dead"),
];

/// What one step took, in simulated milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// From the request at the nodes to the attestation at the first party that has it.
    pub request_ms: u64,
    /// From the first job on the network.
    pub job_ms: u64,
}

/// One step of a t-of-n committee, every message `one_way_ms` on its way.
#[must_use]
pub fn step<S: Suite>(
    (threshold, members): (u16, u16),
    one_way_ms: u64,
    trouble: Trouble,
    seed: u64,
) -> Option<Took> {
    let mut dice = Dice::new(seed);
    let size = Some((threshold, members));
    let mut knobs = Knobs::draw_sized(Profile::Calm, size, &mut dice);
    knobs.delay_ms = (one_way_ms, one_way_ms + 1);
    knobs.coordinators = 2;
    let lie = match trouble {
        Trouble::BadShares => Some(MemberLie::SpoilInTurn),
        Trouble::Silence => Some(MemberLie::SilentInTurn),
        Trouble::None | Trouble::LeaderDies | Trouble::NoLeader => None,
    };
    if lie.is_some() {
        (knobs.liars, knobs.lies_pm) = (members - threshold, 1_000);
    }
    let founding = Founding::new(
        record::<S>(members, threshold, 2),
        dealt(members, threshold),
    );
    let mut world = World::new(knobs, founding, dice, Story::new(false));
    let slots: Vec<Slot> = world.slots().into_iter().collect();
    if let Some(lie) = lie {
        let liars = world.dice.some(&slots, usize::from(members - threshold));
        world.liars = Liars::of(&liars, lie);
    }
    world.wire = Some(Vec::new());
    world.establish();
    // Channels come up, and everybody has heard of everybody.
    world.run_until(20 * one_way_ms + 1_000, |_| false);
    let leader = Machine {
        party: Endpoint::Coordinator(0),
        face: 0,
    };
    if trouble == Trouble::NoLeader {
        world.ranks.remove(&leader);
    }
    world.submit();
    let begun = world.now;
    let has_job = |world: &World<S>| {
        let mut wire = world.wire.iter().flatten();
        wire.any(|(_, _, message)| matches!(message, Message::ToSigner(ToSigner::Job { .. })))
    };
    world.run_until(600_000, has_job);
    let job = world.now;
    if trouble == Trouble::LeaderDies {
        world.ranks.remove(&leader);
    }
    world.run_until(600_000, |world| world.chain.head().0 > 0);
    (world.violation.is_none() && world.chain.head().0 > 0).then(|| Took {
        request_ms: world.now - begun,
        job_ms: world.now - job,
    })
}

impl<S: Suite> World<S> {
    /// Whether it is this liar's turn in a signing set: the first liar in it.
    #[must_use]
    pub fn is_its_turn(&self, slot: Slot, set: impl IntoIterator<Item = Slot>) -> bool {
        let lies = |slot: &Slot| !self.honest(Endpoint::Signer(*slot));
        set.into_iter().find(lies) == Some(slot)
    }
}
