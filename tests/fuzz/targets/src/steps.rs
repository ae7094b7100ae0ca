//! Signers and coordinators of a committee at work, under any list of events.
//!
//! The world, its machines and its checks are the simulator's: member 4 and coordinator 0 are hostile
//! and send what the input says under their own keys, everybody else is honest and whatever they send
//! is lost, doubled and held back. No promise may be broken.

use attestation::ids::{Signature, Slot};
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::{Endpoint, Message, ToCoordinator, ToMember, ToSigner};
use sim::dice::Dice;
use sim::founding::{Founding, dealt, record};
use sim::knobs::{Knobs, Profile};
use sim::liars::Liars;
use sim::story::Story;
use sim::suite::Real;
use sim::world::{Event, Machine, World};
use state::job::Domain;

use crate::input::Input;

/// The hostile member, one of as many as three of four tolerate.
const LIAR: Endpoint = Endpoint::Signer(Slot(4));
/// The hostile coordinator.
const LEADER: Endpoint = Endpoint::Coordinator(0);
/// Most events of one input.
const EVENTS_MAX: usize = 96;

/// Feeds a committee; whether a step was attested or something hostile arrived.
pub fn steps(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let mut world = committee();
    let mut given = 0;
    for _ in 0..EVENTS_MAX {
        if input.is_empty() || world.violation.is_some() {
            break;
        }
        given += usize::from(event(&mut world, &mut input));
    }
    if world.violation.is_none() {
        world.run_until(2_000, |_| false);
    }
    assert_eq!(world.violation, None, "a promise is broken");
    given > 0 || world.chain.head().0 > 0
}

/// Three of four with two coordinators, and two requests that wait.
#[must_use]
pub fn committee() -> World<Real> {
    let mut dice = Dice::new(0);
    let mut knobs = Knobs::draw(Profile::Calm, &mut dice);
    (knobs.members, knobs.threshold, knobs.coordinators) = (4, 3, 2);
    knobs.liars = 1;
    let founding = Founding::new(record::<Real>(4, 3, 2), dealt(4, 3));
    let mut world = World::new(knobs, founding, dice, Story::new(false));
    world.liars = Liars::default();
    world.liars.parties = [LIAR, LEADER].into();
    world.wire = Some(Vec::new());
    world.establish();
    world.submit();
    world.submit();
    world
}

/// One event. Whether a message of the input's making was given to a machine.
fn event(world: &mut World<Real>, input: &mut Input<'_>) -> bool {
    match input.byte() % 10 {
        0 => {
            let ms = 1 + 8 * u64::from(input.byte());
            world.run_until(ms, |_| false);
        }
        1 => world.submit(),
        2 => {
            let honest = Slot(1 + u16::from(input.byte() % 3));
            world.crash(machine(Endpoint::Signer(honest)));
        }
        3 => {
            // A clock that is off, by up to 64 seconds in either direction.
            let at = machine(Endpoint::Signer(Slot(1 + u16::from(input.byte() % 3))));
            let skew = i64::from(input.byte().cast_signed()) * 500;
            if let Some(member) = world.members.get_mut(&at) {
                member.skew_ms = skew;
            }
        }
        4 => {
            let until = world.now + 4 * u64::from(input.byte());
            let at = machine(Endpoint::Signer(Slot(1 + u16::from(input.byte() % 3))));
            if let Some(member) = world.members.get_mut(&at) {
                member.paused_until = until;
            }
        }
        // Again, to whoever it was for: members and coordinators repeat themselves.
        5 => {
            if let Some((from, to, message)) = sent(world, input) {
                deliver(world, from, to, message);
            }
        }
        6 => {
            if let Some((from, to, message)) = sent(world, input) {
                let to = match input.byte() % 4 {
                    0 => to,
                    slot => Endpoint::Signer(Slot(u16::from(slot))),
                };
                if from == LIAR || from == LEADER {
                    deliver(world, from, to, message);
                    return true;
                }
            }
        }
        _ => return lie(world, input),
    }
    false
}

/// What somebody sent, changed, and signed by a liar if it is one of a liar's.
fn lie(world: &mut World<Real>, input: &mut Input<'_>) -> bool {
    let Some((_, to, message)) = sent(world, input) else {
        return false;
    };
    let mut bytes = message.to_bytes();
    input.spoil(&mut bytes);
    let Ok(mut message) = Message::from_bytes(&bytes) else {
        return false;
    };
    let from = match message {
        Message::ToSigner(_) => LEADER,
        _ => LIAR,
    };
    sign(world, from, &mut message);
    let to = match (input.byte() % 5, &message) {
        (0, _) | (_, Message::ToCoordinator(_)) => to,
        (slot, _) => Endpoint::Signer(Slot(u16::from(slot.min(3)))),
    };
    if to == from {
        return false;
    }
    deliver(world, from, to, message);
    true
}

fn machine(party: Endpoint) -> Machine {
    Machine { party, face: 0 }
}

fn sent(world: &World<Real>, input: &mut Input<'_>) -> Option<(Endpoint, Endpoint, Message)> {
    let wire = world.wire.as_ref()?;
    // The last ones are the most telling.
    let back = 1 + input.below(wire.len());
    wire.get(wire.len().checked_sub(back)?).cloned()
}

fn deliver(world: &mut World<Real>, from: Endpoint, to: Endpoint, message: Message) {
    let to = machine(to);
    let process = match to.party {
        Endpoint::Signer(_) => world.members.get(&to).map(|member| member.process),
        _ => world.ranks.get(&to).map(|rank| rank.process),
    };
    let Some(process) = process else {
        return;
    };
    world.happen(Event::Deliver {
        from,
        to,
        process,
        message: Box::new(message),
    });
}

/// Puts a liar's name and signature on a message.
fn sign(world: &World<Real>, from: Endpoint, message: &mut Message) {
    let identity = world.founding.identity(from);
    let domain: &Domain = world.founding.committee.domain();
    let signed = |bytes: &[u8]| -> Signature { identity.sign(bytes) };
    let Endpoint::Signer(slot) = LIAR else {
        return;
    };
    match message {
        Message::ToSigner(ToSigner::Job { proposal, .. }) => {
            proposal.rank = 0;
            proposal.signature = signed(&proposal.signed_bytes(domain));
        }
        Message::ToSigner(ToSigner::Package(package)) => {
            package.rank = 0;
            package.signature = signed(&package.signed_bytes(domain));
        }
        Message::ToCoordinator(ToCoordinator::Vote { vote, nonces, .. }) => {
            (vote.slot, nonces.slot) = (slot, slot);
            vote.signature = signed(&vote.signed_bytes(domain));
            nonces.signature = signed(&nonces.signed_bytes(domain));
        }
        Message::ToCoordinator(ToCoordinator::Share(share)) => {
            (share.slot, share.next.slot) = (slot, slot);
            share.signature = signed(&share.signed_bytes(domain));
            share.next.signature = signed(&share.next.signed_bytes(domain));
        }
        Message::ToCoordinator(ToCoordinator::Fault(fault)) => {
            fault.slot = slot;
            fault.signature = signed(&fault.signed_bytes(domain));
        }
        Message::ToCoordinator(ToCoordinator::Status(status))
        | Message::ToMember(ToMember::Status(status)) => {
            status.signed.slot = slot;
            status.signed.signature = signed(&status.signed.signed_bytes(domain));
        }
        _ => {}
    }
}
