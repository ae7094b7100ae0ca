//! What a committee demands of its members besides keys: engines that differ, and Sentinels.
//!
//! Both are fixed by the creation record and hold in every epoch. What a card says of its engine is
//! the member's own word, signed by its identity key; that it has a Sentinel is its owner's word,
//! signed by the owner's key. Whether the Sentinel is active, the network says, not the record.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::codec::Layout;
use crate::committee::{Card, Quorum};
use crate::ids::{IdentityKey, NetworkId, Signature, Slot};
use crate::tags;

/// What a member's executor runs zApps with. Nothing that members compare depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Machine code, compiled by wasmtime.
    Wasmtime,
    /// The interpreter wasmi.
    Wasmi,
}

impl Engine {
    /// All engines.
    pub const ALL: [Self; 2] = [Self::Wasmtime, Self::Wasmi];

    /// As it is written and signed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wasmtime => "wasmtime",
            Self::Wasmi => "wasmi",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Sentinel of the Network of Momentum that stands behind a member, with its owner's word for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentinel {
    /// Key of the account that registered the Sentinel.
    pub owner: IdentityKey,
    /// Signature by `owner` over [`Sentinel::statement`].
    pub proof: Signature,
}

impl Sentinel {
    /// What the owner's key signs for a member: one line of text, so that a wallet that signs text
    /// can. `ZQSNTL1:`, then network (16 hexadecimal digits), identity key and channel key (64 each).
    /// Neither image nor payout account is in it: a member's later cards keep its proof.
    #[must_use]
    pub fn statement(network: NetworkId, card: &Card) -> String {
        let mut text: String = tags::SENTINEL.0.map(char::from).iter().collect();
        text.push_str(&hex::encode(network.0.to_be_bytes()));
        for key in [card.identity.as_bytes(), card.channel.as_bytes()] {
            text.push_str(&hex::encode(key));
        }
        text
    }

    /// Whether a text has the form of a statement, of whatever member.
    #[must_use]
    pub fn is_statement(text: &str) -> bool {
        let digits = text.as_bytes().strip_prefix(&tags::SENTINEL.0);
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        digits.is_some_and(|digits| digits.len() == 2 * 72 && digits.iter().all(is_digit))
    }

    /// The owner's account.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from(&self.owner)
    }

    /// Whether the owner's key signed for this member.
    #[must_use]
    pub fn vouches_for(
        &self,
        network: NetworkId,
        card: &Card,
        verify: impl Fn(&IdentityKey, &[u8], &Signature) -> bool,
    ) -> bool {
        let statement = Self::statement(network, card);
        verify(&self.owner, statement.as_bytes(), &self.proof)
    }
}

/// A committee's demands. What is not demanded is not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Fewest members on each engine; 0 where engines are members' own choice. From n − t + 1 on, no
    /// quorum has one engine alone, and what only one engine gets wrong is not signed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub engine_members_min: u16,
    /// Whether each member has an active Sentinel of its own.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub sentinels: bool,
}

/// Why conditions, or members under them, are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// So few that a quorum could run on one engine.
    #[error(
        "at least {demanded} members on each engine: with fewer than n − t + 1 = {blocking}, the \
         threshold can be met on one engine alone, and its bug be signed"
    )]
    EngineDemandTooLow {
        /// What is demanded.
        demanded: u16,
        /// n − t + 1.
        blocking: u16,
    },
    /// More than there are members for.
    #[error("at least {demanded} members on each of two engines, of {members}: never met")]
    EngineDemandTooHigh {
        /// What is demanded.
        demanded: u16,
        /// n.
        members: u16,
    },
    /// A card does not say its engine where that matters.
    #[error("the card of member {0} does not say which engine it runs")]
    EngineUnsaid(Slot),
    /// Too few members run an engine.
    #[error("{members} members run {engine}, at least {demanded} are demanded")]
    TooFewOnEngine {
        /// The engine.
        engine: Engine,
        /// Members whose cards name it.
        members: u16,
        /// What is demanded.
        demanded: u16,
    },
    /// A member has no Sentinel where each must.
    #[error("the card of member {0} names no Sentinel, and each must")]
    SentinelMissing(Slot),
    /// A proof is not the owner's signature over this member's keys, on this network.
    #[error("the Sentinel's owner did not sign for member {0} on this network")]
    SentinelProof(Slot),
    /// Two members have one Sentinel where each must have its own.
    #[error("the Sentinel of member {0} is another member's, too")]
    SentinelTwice(Slot),
}

impl Conditions {
    /// Whether nothing is demanded.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the demands against each other and members against them. A proof that a card carries
    /// must hold whether it is demanded or not.
    ///
    /// # Errors
    /// [`ConditionError`] names the first check that failed.
    pub fn check<'a>(
        &self,
        network: NetworkId,
        quorum: Quorum,
        members: impl IntoIterator<Item = (Slot, &'a Card)>,
        verify: impl Fn(&IdentityKey, &[u8], &Signature) -> bool,
    ) -> Result<(), ConditionError> {
        self.check_demand(quorum)?;
        let mut engines = Vec::new();
        let mut owners = BTreeSet::new();
        for (slot, card) in members {
            match card.engine {
                Some(engine) => engines.push(engine),
                None if self.engine_members_min > 0 => {
                    return Err(ConditionError::EngineUnsaid(slot));
                }
                None => {}
            }
            match &card.sentinel {
                Some(sentinel) if !sentinel.vouches_for(network, card, &verify) => {
                    return Err(ConditionError::SentinelProof(slot));
                }
                Some(sentinel) if !owners.insert(sentinel.owner) && self.sentinels => {
                    return Err(ConditionError::SentinelTwice(slot));
                }
                None if self.sentinels => return Err(ConditionError::SentinelMissing(slot)),
                Some(_) | None => {}
            }
        }
        let demanded = self.engine_members_min;
        for engine in Engine::ALL {
            let members = engines.iter().filter(|other| **other == engine).count();
            let members = u16::try_from(members).unwrap_or(u16::MAX);
            if members < demanded {
                return Err(ConditionError::TooFewOnEngine {
                    engine,
                    members,
                    demanded,
                });
            }
        }
        Ok(())
    }

    fn check_demand(&self, quorum: Quorum) -> Result<(), ConditionError> {
        let (demanded, members) = (self.engine_members_min, quorum.members());
        let blocking = quorum.blocking();
        if demanded > 0 && demanded < blocking {
            return Err(ConditionError::EngineDemandTooLow { demanded, blocking });
        }
        if demanded > members / 2 {
            return Err(ConditionError::EngineDemandTooHigh { demanded, members });
        }
        Ok(())
    }

    /// Appends what is demanded, each part after its name.
    #[must_use]
    pub(crate) fn lay(&self, mut layout: Layout) -> Layout {
        if self.engine_members_min > 0 {
            layout = layout.bytes(b"engines").number(self.engine_members_min);
        }
        if self.sentinels {
            layout = layout.bytes(b"sentinels");
        }
        layout
    }
}

/// Appends what cards say beyond keys, image and payout, each part after its name and with its place
/// in the list. A Sentinel's proof is no part of it, as a card's signature is none.
#[must_use]
pub fn lay_claims<'a>(
    mut layout: Layout,
    cards: impl IntoIterator<Item = (u64, &'a Card)>,
) -> Layout {
    for (place, card) in cards {
        if let Some(engine) = card.engine {
            let named = layout.bytes(b"engine").number(place);
            layout = named.bytes(engine.name().as_bytes());
        }
        if let Some(sentinel) = &card.sentinel {
            let named = layout.bytes(b"sentinel").number(place);
            layout = named.fixed(sentinel.owner.as_bytes());
        }
    }
    layout
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_unset(flag: &bool) -> bool {
    !*flag
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(count: &u16) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::ids::{ChannelKey, Digest};

    const NETWORK: NetworkId = NetworkId(7);

    fn sign(key: &SigningKey, message: &[u8]) -> Signature {
        Signature::from_bytes(key.sign(message).to_bytes())
    }

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    fn public(key: &SigningKey) -> IdentityKey {
        IdentityKey::from_bytes(key.verifying_key().to_bytes())
    }

    fn card(byte: u8, engine: Option<Engine>) -> Card {
        let keys = (public(&key(byte)), ChannelKey::from_bytes([byte; 32]));
        let by_key = |bytes: &[u8]| sign(&key(byte), bytes);
        let card = Card::signed(keys, Card::NO_IMAGE, Card::NO_PAYOUT, by_key);
        match engine {
            Some(engine) => card.running(engine, by_key),
            None => card,
        }
    }

    fn sentinel(network: NetworkId, card: &Card, owner: u8) -> Option<Sentinel> {
        let statement = Sentinel::statement(network, card);
        Some(Sentinel {
            owner: public(&key(owner)),
            proof: sign(&key(owner), statement.as_bytes()),
        })
    }

    /// Five members at threshold 4: n − t + 1 = 2.
    fn check(conditions: Conditions, cards: &[Card]) -> Result<(), ConditionError> {
        let members = u16::try_from(cards.len()).unwrap();
        let quorum = Quorum::with_default_threshold(members).unwrap();
        let members = (1..).map(Slot).zip(cards);
        conditions.check(NETWORK, quorum, members, crate::identity::verify)
    }

    #[test]
    fn a_quorum_never_has_one_engine_alone_where_engines_are_demanded() {
        use Engine::{Wasmi, Wasmtime};
        let five = |engines: [Engine; 5]| -> Vec<Card> {
            (1..)
                .zip(engines)
                .map(|(byte, engine)| card(byte, Some(engine)))
                .collect()
        };
        let demand = |engine_members_min| Conditions {
            engine_members_min,
            sentinels: false,
        };
        let mixed = five([Wasmtime, Wasmi, Wasmtime, Wasmi, Wasmtime]);
        assert_eq!(check(demand(0), &mixed), Ok(()));
        assert_eq!(check(demand(2), &mixed), Ok(()));
        let too_low = ConditionError::EngineDemandTooLow {
            demanded: 1,
            blocking: 2,
        };
        assert_eq!(check(demand(1), &mixed), Err(too_low));
        let too_high = ConditionError::EngineDemandTooHigh {
            demanded: 3,
            members: 5,
        };
        assert_eq!(check(demand(3), &mixed), Err(too_high));
        for (engines, few) in [
            ([Wasmtime, Wasmtime, Wasmtime, Wasmtime, Wasmi], Wasmi),
            ([Wasmi, Wasmi, Wasmtime, Wasmi, Wasmi], Wasmtime),
        ] {
            let few = ConditionError::TooFewOnEngine {
                engine: few,
                members: 1,
                demanded: 2,
            };
            assert_eq!(check(demand(2), &five(engines)), Err(few));
            assert_eq!(check(demand(0), &five(engines)), Ok(()));
        }
        let mut unsaid = mixed;
        unsaid[3] = card(4, None);
        let error = ConditionError::EngineUnsaid(Slot(4));
        assert_eq!(check(demand(2), &unsaid), Err(error));
        assert_eq!(check(demand(0), &unsaid), Ok(()));
    }

    #[test]
    fn every_demand_that_is_taken_keeps_each_engine_below_the_threshold() {
        for members in crate::committee::MEMBERS_MIN..=crate::committee::MEMBERS_MAX {
            for threshold in 0..=members {
                let Ok(quorum) = Quorum::new(members, threshold) else {
                    continue;
                };
                let takes = |engine_members_min| {
                    let demand = Conditions {
                        engine_members_min,
                        sentinels: false,
                    };
                    demand.check_demand(quorum).is_ok()
                };
                // Every quorum allows a demand, and with the least of them the most that one engine
                // can have is one short of t.
                let least = (1..=members).find(|demand| takes(*demand)).unwrap();
                assert_eq!(members - least, threshold - 1);
                assert!(!takes(members / 2 + 1));
            }
        }
    }

    #[test]
    fn each_member_has_a_sentinel_of_its_own_whose_owner_signed_for_it_where_they_are_demanded() {
        let with_sentinels = || -> Vec<Card> {
            let cards = (1..=5u8).map(|byte| {
                let mut card = card(byte, None);
                card.sentinel = sentinel(NETWORK, &card, 100 + byte);
                card
            });
            cards.collect()
        };
        let demanded = Conditions {
            engine_members_min: 0,
            sentinels: true,
        };
        let both = |cards: &[Card]| [demanded, Conditions::default()].map(|all| check(all, cards));
        assert_eq!(both(&with_sentinels()), [Ok(()), Ok(())]);

        let mut cards = with_sentinels();
        cards[1].sentinel = None;
        let missing = ConditionError::SentinelMissing(Slot(2));
        assert_eq!(both(&cards), [Err(missing), Ok(())]);

        let mut cards = with_sentinels();
        cards[4].sentinel = sentinel(NETWORK, &cards[4], 101);
        let twice = ConditionError::SentinelTwice(Slot(5));
        assert_eq!(both(&cards), [Err(twice), Ok(())]);

        // What does not hold is refused whether it is demanded or not.
        let good = with_sentinels();
        let (mut elsewhere, mut other_channel) = (good.clone(), good.clone());
        elsewhere[2].sentinel = sentinel(NetworkId(8), &good[2], 103);
        other_channel[2].channel = ChannelKey::from_bytes([99; 32]);
        let (mut stolen, mut unsigned) = (good.clone(), good.clone());
        stolen[2].sentinel.clone_from(&good[3].sentinel);
        if let Some(sentinel) = &mut unsigned[2].sentinel {
            sentinel.proof = Signature::from_bytes([0; 64]);
        }
        let mut weak = good;
        weak[2].sentinel = Some(Sentinel {
            owner: IdentityKey::from_bytes([0; 32]),
            proof: Signature::from_bytes([0; 64]),
        });
        for cards in [elsewhere, other_channel, stolen, unsigned, weak] {
            let refused = Err(ConditionError::SentinelProof(Slot(3)));
            assert_eq!(both(&cards), [refused, refused]);
        }
    }

    #[test]
    fn a_sentinels_statement_is_one_line_of_text_that_no_other_member_or_network_has() {
        let (one, two) = (card(1, None), card(2, None));
        let text = Sentinel::statement(NETWORK, &one);
        assert_eq!(text.len(), 8 + 16 + 64 + 64);
        assert!(text.starts_with("ZQSNTL1:0000000000000007"), "{text}");
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        assert!(Sentinel::is_statement(&text));
        for other in [
            text.to_uppercase(),
            text[..text.len() - 1].into(),
            text.clone() + "0",
            text.replace("ZQSNTL1:", "ZQSNTL2:"),
            "0".repeat(text.len()),
        ] {
            assert!(!Sentinel::is_statement(&other), "{other}");
        }
        assert_ne!(text, Sentinel::statement(NETWORK, &two));
        assert_ne!(text, Sentinel::statement(NetworkId(8), &one));
        // Later cards of the same keys keep it.
        let mut later = one;
        later.image = Digest::from_bytes([5; 32]);
        later.payout = public(&key(9));
        later.engine = Some(Engine::Wasmi);
        assert_eq!(text, Sentinel::statement(NETWORK, &later));
    }

    #[test]
    fn no_two_lists_of_claims_are_laid_out_alike() {
        let with = |engine, owner: Option<u8>| {
            let mut card = card(1, engine);
            card.sentinel = owner.and_then(|owner| sentinel(NETWORK, &card, owner));
            card
        };
        let choices = [
            with(None, None),
            with(Some(Engine::Wasmtime), None),
            with(Some(Engine::Wasmi), None),
            with(None, Some(1)),
            with(None, Some(2)),
            with(Some(Engine::Wasmi), Some(1)),
        ];
        let mut seen = BTreeSet::new();
        for (first, second) in choices
            .iter()
            .flat_map(|a| choices.iter().map(move |b| (a, b)))
        {
            for conditions in [(0, false), (2, false), (3, false), (0, true), (2, true)] {
                let conditions = Conditions {
                    engine_members_min: conditions.0,
                    sentinels: conditions.1,
                };
                let cards = (0..).zip([first, second]);
                let laid = lay_claims(Layout::new(tags::COMMITTEE), cards);
                assert!(seen.insert(conditions.lay(laid).into_bytes()));
            }
        }
        assert_eq!(seen.len(), choices.len() * choices.len() * 5);
        let none: Vec<(u64, &Card)> = vec![(0, &choices[0])];
        let laid = lay_claims(Layout::new(tags::COMMITTEE), none);
        assert_eq!(laid.into_bytes(), tags::COMMITTEE.0);
    }
}
