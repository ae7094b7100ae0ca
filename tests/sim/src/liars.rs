//! Liars: whole honest machines whose messages are changed on their way out, and that pool what they
//! hear. They hold their own keys, all of them together, and no one else's.

mod coordinator;
mod member;

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::{Seq, Slot, StatementId, View};
use signer_protocol::committee::Committee;
use signer_protocol::message::{
    Certificate, Endpoint, Message, SignedNonces, SignedPackage, ToCoordinator, ToSigner,
};
use state::job::SignedVote;

use crate::dice::Dice;
use crate::knobs::Knobs;
use crate::suite::Suite;
use crate::world::{Machine, Rank, World};

pub use coordinator::CoordinatorLie;
pub use member::MemberLie;

/// A message that leaves after a liar's change: to whom, what, and how much later.
pub type Lied = (Endpoint, Message, u64);

/// What liars know and do.
#[derive(Debug, Default)]
pub struct Liars {
    /// Who does not follow the protocol.
    pub parties: BTreeSet<Endpoint>,
    members: BTreeMap<Endpoint, BTreeSet<MemberLie>>,
    coordinators: BTreeMap<Endpoint, BTreeSet<CoordinatorLie>>,
    /// Which face of the two-faced an honest party sees.
    sides: BTreeMap<Endpoint, u8>,
    /// Votes heard, by step and statement.
    votes: BTreeMap<(Seq, StatementId), BTreeMap<(Slot, View), SignedVote>>,
    /// Commitments heard with votes, by voter, step and view.
    offers: BTreeMap<(Slot, Seq, View), SignedNonces>,
    /// Certificates seen or made, by step.
    certificates: BTreeMap<Seq, BTreeMap<(View, StatementId), Certificate>>,
    /// Packages sent by lying coordinators.
    packages: Vec<SignedPackage>,
    /// Commitments once made by liars.
    nonces: Vec<SignedNonces>,
}

/// Most old packages and commitments kept.
const KEPT_MAX: usize = 64;

impl Liars {
    /// Draws who lies, and how.
    pub fn draw(knobs: &Knobs, dice: &mut Dice) -> Self {
        let mut liars = Self::default();
        let members: Vec<Endpoint> = (1..=knobs.members)
            .map(|slot| Endpoint::Signer(Slot(slot)))
            .collect();
        let ranks: Vec<Endpoint> = (0..knobs.coordinators).map(Endpoint::Coordinator).collect();
        let excess = knobs.lying_coordinators == knobs.coordinators;
        for party in dice.some(&members, usize::from(knobs.liars)) {
            let mut lies = match excess {
                true => BTreeSet::from([MemberLie::TwoFaces]),
                false => MemberLie::draw(dice),
            };
            // Where n − t + 1 lie, high views take some with them and leave the others behind, for
            // as long as timers need to cross the gap (rule A10): L1 does not cover that.
            if knobs.liars > knobs.liars_live() {
                lies.remove(&MemberLie::HighView);
            }
            liars.parties.insert(party);
            liars.members.insert(party, lies);
        }
        for party in dice.some(&ranks, usize::from(knobs.lying_coordinators)) {
            let lies = match excess {
                true => BTreeSet::from([CoordinatorLie::TwoFaces]),
                false => CoordinatorLie::draw(dice),
            };
            liars.parties.insert(party);
            liars.coordinators.insert(party, lies);
        }
        let honest = members.iter().chain(&ranks);
        let honest = honest.filter(|party| !liars.parties.contains(party));
        liars.sides = honest
            .zip([0, 1].into_iter().cycle())
            .map(|(party, side)| (*party, side))
            .collect();
        liars
    }

    /// These members, who lie in one way.
    #[must_use]
    pub fn of(members: &[Slot], lie: MemberLie) -> Self {
        let parties = members.iter().copied().map(Endpoint::Signer);
        let lies = |party| (party, BTreeSet::from([lie]));
        Self {
            parties: parties.clone().collect(),
            members: parties.map(lies).collect(),
            ..Self::default()
        }
    }

    /// What a member does that it should not.
    #[must_use]
    pub fn member_lies(&self, party: Endpoint) -> BTreeSet<MemberLie> {
        self.members.get(&party).cloned().unwrap_or_default()
    }

    /// What a coordinator does that it should not.
    #[must_use]
    pub fn coordinator_lies(&self, party: Endpoint) -> BTreeSet<CoordinatorLie> {
        self.coordinators.get(&party).cloned().unwrap_or_default()
    }

    /// Whether a coordinator passes requests over.
    #[must_use]
    pub fn censor(&self) -> bool {
        let mut lies = self.coordinators.values();
        lies.any(|lies| lies.contains(&CoordinatorLie::Censor))
    }

    fn two_faced(&self, party: Endpoint) -> bool {
        let member = self.members.get(&party);
        let coordinator = self.coordinators.get(&party);
        member.is_some_and(|lies| lies.contains(&MemberLie::TwoFaces))
            || coordinator.is_some_and(|lies| lies.contains(&CoordinatorLie::TwoFaces))
    }

    fn side(&self, party: Endpoint) -> u8 {
        self.sides.get(&party).copied().unwrap_or(0)
    }

    /// A coordinator hears a message; one that forgets locks does not hear of them.
    #[must_use]
    pub fn hears<S: Suite>(
        &mut self,
        to: Machine,
        mut message: Message,
        ranks: &BTreeMap<Machine, Rank<S>>,
    ) -> Option<Message> {
        let lies = &ranks.get(&to)?.lies;
        if lies.is_empty() {
            return Some(message);
        }
        self.pool(&message);
        if lies.contains(&CoordinatorLie::ForgetLocks) {
            match &mut message {
                Message::ToCoordinator(ToCoordinator::Locked(_)) => return None,
                Message::ToCoordinator(ToCoordinator::Status(status)) => status.certificate = None,
                _ => {}
            }
        }
        Some(message)
    }

    /// What liars learn from a message.
    fn pool(&mut self, message: &Message) {
        match message {
            Message::ToCoordinator(ToCoordinator::Vote { vote, nonces, .. }) => {
                self.note_vote(vote);
                let place = (vote.slot, vote.seq, vote.view);
                self.offers.insert(place, nonces.clone());
                let newest = vote.seq;
                self.offers.retain(|(_, seq, _), _| *seq >= newest);
            }
            Message::ToCoordinator(ToCoordinator::Locked(lock)) => self.note_certificate(lock),
            Message::ToCoordinator(ToCoordinator::Status(status)) => {
                if let Some(lock) = &status.certificate {
                    self.note_certificate(lock);
                }
            }
            Message::ToSigner(ToSigner::Package(package)) => {
                self.note_certificate(&package.certificate);
            }
            _ => {}
        }
    }

    fn note_vote(&mut self, vote: &SignedVote) {
        let votes = self.votes.entry((vote.seq, vote.statement)).or_default();
        votes.insert((vote.slot, vote.view), vote.clone());
        while self.votes.len() > KEPT_MAX {
            self.votes.pop_first();
        }
    }

    fn note_certificate(&mut self, certificate: &Certificate) {
        for vote in &certificate.votes {
            self.note_vote(vote);
        }
        if let Some(claim) = certificate.claim() {
            let at = self.certificates.entry(claim.seq).or_default();
            at.insert((claim.view, claim.statement), certificate.clone());
        }
        while self.certificates.len() > 4 {
            self.certificates.pop_first();
        }
    }

    /// Makes certificates of what votes were heard, although no package ever held them.
    fn collect(&mut self, committee: &Committee) {
        let threshold = usize::from(committee.quorum().threshold());
        let mut made = Vec::new();
        for votes in self.votes.values() {
            let mut views = BTreeMap::<View, Vec<SignedVote>>::new();
            for ((_, view), vote) in votes {
                views.entry(*view).or_default().push(vote.clone());
            }
            let whole = views.into_values().filter(|votes| votes.len() >= threshold);
            made.extend(whole.map(|mut votes| {
                votes.truncate(threshold);
                Certificate { votes }
            }));
        }
        for certificate in made {
            self.note_certificate(&certificate);
        }
    }
}

impl<S: Suite> World<S> {
    /// How many machines a party is.
    #[must_use]
    pub fn faces_of(&self, party: Endpoint) -> u8 {
        1 + u8::from(self.liars.two_faced(party))
    }

    /// The machines that see a message: of a two-faced party each honest one sees one face.
    pub fn faces(&mut self, from: Machine, to: Endpoint) -> Vec<Machine> {
        let both = |party| [0, 1].map(|face| Machine { party, face }).to_vec();
        let one = |face| vec![Machine { party: to, face }];
        match (self.liars.two_faced(from.party), self.liars.two_faced(to)) {
            (_, false) if !self.liars.two_faced(from.party) => one(0),
            (true, true) => one(from.face),
            (false, true) => both(to),
            (true, false) => {
                let leads = matches!(from.party, Endpoint::Coordinator(_));
                let shown = self.liars.side(to) == from.face;
                // A slip now and then; and a member shows coordinators both its faces at times.
                let slip = if leads { 100 } else { 300 };
                if shown || self.dice.chance(slip) {
                    one(0)
                } else {
                    Vec::new()
                }
            }
            (false, false) => one(0),
        }
    }

    /// Now and then the two-faced show other faces to others.
    pub fn change_sides(&mut self) {
        if self.liars.sides.is_empty() || !self.dice.chance(10) {
            return;
        }
        for side in self.liars.sides.values_mut() {
            *side = u8::from(self.dice.chance(500));
        }
    }

    /// Members beyond what a committee can do without stop lying; they are not honest for it.
    pub fn reform(&mut self) {
        let keep = usize::from(self.liars_live());
        let members: Vec<Endpoint> = self.liars.members.keys().copied().collect();
        let rolled_back = usize::from(self.lying_members()) - members.len();
        for party in members.iter().skip(keep.saturating_sub(rolled_back)) {
            self.liars.members.insert(*party, BTreeSet::new());
            self.members
                .retain(|machine, _| machine.party != *party || machine.face == 0);
            for member in self
                .members
                .iter_mut()
                .filter(|(machine, _)| machine.party == *party)
            {
                member.1.lies.clear();
                member.1.engine.wrong = false;
            }
            self.tell(party, format_args!("stops lying, and starts anew"));
            // What its executor told it before is forgotten with the process.
            self.crash(Machine {
                party: *party,
                face: 0,
            });
        }
    }

    /// What a liar sends in place of a message.
    pub fn lie(&mut self, from: Machine, to: Endpoint, message: Message) -> Vec<Lied> {
        self.liars.pool(&message);
        match from.party {
            Endpoint::Coordinator(_) => self.coordinator_lies(from, to, message),
            _ => self.member_lies(from, to, message),
        }
    }

    fn lies_now(&mut self) -> bool {
        self.dice.chance(self.knobs.lies_pm)
    }
}
