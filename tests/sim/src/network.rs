//! The network between machines: what it loses, doubles, delays and cuts.

use std::collections::BTreeSet;

use signer_protocol::message::{DkgMessage, Endpoint, Message, ToMember};

use crate::dice::Dice;
use crate::knobs::Knobs;

/// What has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Their bytes, before Noise and framing.
    pub bytes: u64,
}

impl Traffic {
    /// Counts a ceremony's message.
    pub fn add(&mut self, message: &DkgMessage) {
        self.messages += 1;
        let message = Message::ToMember(ToMember::Dkg(message.clone()));
        self.bytes += message.to_bytes().len() as u64;
    }
}

/// A network.
#[derive(Debug)]
pub struct Network {
    loss_pm: u64,
    double_pm: u64,
    delay_ms: (u64, u64),
    clog_pm: u64,
    /// Directions that carry nothing.
    cut: BTreeSet<(Endpoint, Endpoint)>,
}

impl Network {
    /// The network of a run.
    #[must_use]
    pub fn new(knobs: &Knobs) -> Self {
        Self {
            loss_pm: knobs.loss_pm,
            double_pm: knobs.double_pm,
            delay_ms: knobs.delay_ms,
            clog_pm: knobs.clog_pm,
            cut: BTreeSet::new(),
        }
    }

    /// Heals for good.
    pub fn heal(&mut self) {
        (self.loss_pm, self.double_pm, self.clog_pm) = (0, 0, 0);
        self.delay_ms = (1, 20);
        self.cut.clear();
    }

    /// Ends a partition.
    pub fn mend(&mut self) {
        self.cut.clear();
    }

    /// Cuts the network somewhere; says how.
    pub fn part(&mut self, parties: &[Endpoint], dice: &mut Dice) -> String {
        self.cut.clear();
        match dice.below(3) {
            0 => {
                let Some(alone) = dice.pick(parties).copied() else {
                    return String::new();
                };
                for other in parties.iter().filter(|other| **other != alone) {
                    self.cut.insert((alone, *other));
                    self.cut.insert((*other, alone));
                }
                format!("{alone} is cut off")
            }
            1 => {
                let half = dice.some(parties, parties.len() / 2);
                for a in parties {
                    for b in parties {
                        if half.contains(a) != half.contains(b) {
                            self.cut.insert((*a, *b));
                        }
                    }
                }
                let names: Vec<String> = half.iter().map(ToString::to_string).collect();
                format!("{} are cut off from the others", names.join(", "))
            }
            _ => {
                let mute = dice.some(parties, parties.len() / 3 + 1);
                for a in &mute {
                    for b in parties.iter().filter(|b| *b != a) {
                        self.cut.insert((*a, *b));
                    }
                }
                let names: Vec<String> = mute.iter().map(ToString::to_string).collect();
                format!("{} hear and are not heard", names.join(", "))
            }
        }
    }

    /// After how many milliseconds the copies of a message arrive.
    pub fn carry(&self, from: Endpoint, to: Endpoint, dice: &mut Dice) -> Vec<u64> {
        if self.cut.contains(&(from, to)) {
            return Vec::new();
        }
        let copies = 1 + usize::from(dice.chance(self.double_pm));
        let mut arrivals = Vec::with_capacity(copies);
        for _ in 0..copies {
            if dice.chance(self.loss_pm) {
                continue;
            }
            let mut delay = dice.within(self.delay_ms);
            if dice.chance(self.clog_pm) {
                delay += dice.within((200, 5_000));
            }
            arrivals.push(delay);
        }
        arrivals
    }
}
