//! What an auditor would try against a signing, beyond what the other files try.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use attestation::ids::{Epoch, Slot};
use frost_core::Field as _;
use frost_ed25519::Ed25519ScalarField;
use serde_bytes::ByteBuf;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::evidence::share_fails;
use signer_protocol::identity::{Ed25519Verify, SignIdentity as _};
use signer_protocol::message::{
    Endpoint, Message, SignedPackage, SignedShare, ToCoordinator, ToSigner,
};
use signer_protocol::signer::PackageError;

use crate::voice::{SOON_MS, give_job, give_package, one, package, repackage, signer, voted};
use crate::world::{Seen, World};

/// Where the two points of `frost_core`'s encoding of commitments begin, after version and suite.
const POINTS: [usize; 2] = [5, 37];
const IDENTITY: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};
/// Of order eight.
const SMALL_ORDER: &str = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa";
/// A point of the large group plus one of small order.
const MIXED_ORDER: &str = "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43";

fn point(text: &str) -> [u8; 32] {
    let digit = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(digit)
}

#[test]
fn commitments_that_are_no_sound_points_of_the_suite_get_no_share_and_touch_no_nonce() {
    let mut world = World::four_of_five(61);
    let (_, heard) = voted(&mut world);
    let votes = heard.borrow().votes.clone();
    let good = package(&world, &votes);
    let coordinator = world.identity(Endpoint::Coordinator(0));
    let (liar, domain) = (world.identity(signer(2)), world.domain);
    type Spoil = Box<dyn Fn(&mut Vec<u8>)>;
    let mut cases: Vec<(String, Spoil)> = Vec::new();
    for at in POINTS {
        for (what, bytes) in [
            ("the identity", IDENTITY),
            ("a point of small order", point(SMALL_ORDER)),
            ("a point of mixed order", point(MIXED_ORDER)),
            ("no point", [0xff; 32]),
        ] {
            let put = move |all: &mut Vec<u8>| all[at..at + 32].copy_from_slice(&bytes);
            cases.push((format!("{what} at {at}"), Box::new(put)));
        }
    }
    cases.push(("another version".into(), Box::new(|all| all[0] ^= 1)));
    cases.push(("another suite".into(), Box::new(|all| all[1] ^= 1)));
    cases.push(("a trailing byte".into(), Box::new(|all| all.push(0))));
    cases.push(("a byte short".into(), Box::new(|all| all.truncate(68))));
    cases.push(("nothing".into(), Box::new(Vec::clear)));
    let check = |world: &mut World, bad: &SignedPackage, what: &str| {
        world.seen.clear();
        give_package(world, 1, bad);
        world.run_for(20);
        assert_eq!(heard.borrow().shares, 0, "{what}");
        let refused = Seen::PackageRefused(Slot(1), PackageError::Commitments);
        assert_eq!(
            format!("{:?}", world.seen),
            format!("{:?}", [refused]),
            "{what}"
        );
    };
    for (what, spoil) in cases {
        let bad = repackage(&good, &coordinator, &domain, |package| {
            let nonces = &mut package.nonces[1];
            let mut bytes = nonces.commitments.to_vec();
            spoil(&mut bytes);
            nonces.commitments = ByteBuf::from(bytes);
            nonces.signature = liar.sign(&nonces.signed_bytes(&domain));
        });
        check(&mut world, &bad, &what);
    }
    let bad = repackage(&good, &coordinator, &domain, |package| {
        let nonces = &mut package.nonces[1];
        nonces.epoch = Epoch(2);
        nonces.signature = liar.sign(&nonces.signed_bytes(&domain));
    });
    check(&mut world, &bad, "of another epoch");
    give_package(&mut world, 1, &good);
    world.run_for(20);
    assert_eq!(heard.borrow().shares, 1, "the nonces are untouched");
}

#[test]
fn two_packages_split_over_the_members_never_combine_and_the_next_rank_finishes_in_two_seconds() {
    let mut world = World::four_of_five(62);
    let (job, heard) = voted(&mut world);
    let view = world.view(1);
    give_job(&mut world, 5, &job, view, None);
    world.run_for(20);
    let votes = heard.borrow().votes.clone();
    let (first, second) = (package(&world, &votes[..4]), package(&world, &votes[1..]));
    let began = world.now;
    let head = world.head();
    for (slot, package) in [
        (1, &first),
        (2, &first),
        (3, &first),
        (4, &second),
        (5, &second),
    ] {
        give_package(&mut world, slot, package);
    }
    world.run_for(20);
    assert_eq!(
        heard.borrow().shares,
        5,
        "each member answers what it was shown"
    );
    // What either lacks is asked for with the other's attempt: it is refused, and proof.
    give_package(&mut world, 4, &first);
    give_package(&mut world, 2, &second);
    world.run_for(20);
    assert_eq!(heard.borrow().shares, 5, "no share is given twice");
    let culprit = Culprit::Coordinator(0);
    let acts = world.blamed(culprit);
    assert_eq!(acts.len(), 2, "by each that saw both: {acts:?}");
    for act in acts {
        assert!(matches!(act, Act::PackagedTwice(_)), "{act:?}");
        assert!(act.proves(culprit, &world.committee, &Ed25519Verify));
    }
    world.tamper = Some(Box::new(|from, to, message| match (from, to) {
        (Endpoint::Coordinator(0), _) | (_, Endpoint::Coordinator(0)) => Vec::new(),
        _ => one(to, message),
    }));
    assert!(world.run_until(SOON_MS, |world| world.head() > head));
    assert!(world.now - began < 2_000, "took {} ms", world.now - began);
}

#[test]
fn two_shares_shifted_against_each_other_sum_up_and_each_fails_on_its_own() {
    let mut world = World::four_of_five(63);
    let zapp = world.deploy();
    let liars = [1, 2].map(|slot| world.identity(signer(slot)));
    let domain = world.domain;
    type Log = Rc<RefCell<(BTreeMap<Slot, SignedShare>, Option<SignedPackage>)>>;
    let log: Log = Rc::default();
    let heard = Rc::clone(&log);
    world.tamper = Some(Box::new(move |_, to, mut message| {
        match &mut message {
            Message::ToSigner(ToSigner::Package(package)) => {
                heard.borrow_mut().1 = Some(package.clone());
            }
            Message::ToCoordinator(ToCoordinator::Share(share)) => {
                let shift = Ed25519ScalarField::one();
                let bytes = <[u8; 32]>::try_from(share.share.as_slice()).unwrap();
                let scalar = Ed25519ScalarField::deserialize(&bytes).unwrap();
                let shifted = match share.slot {
                    Slot(1) => scalar + shift,
                    Slot(2) => scalar - shift,
                    _ => scalar,
                };
                if let Some(liar) = liars.get(usize::from(share.slot.0) - 1) {
                    share.share = ByteBuf::from(Ed25519ScalarField::serialize(&shifted));
                    share.signature = liar.sign(&share.signed_bytes(&domain));
                }
                heard.borrow_mut().0.insert(share.slot, share.clone());
            }
            _ => {}
        }
        one(to, message)
    }));
    world.request(zapp, "add", Vec::new());
    assert!(
        world.run_until(SOON_MS, World::all_done),
        "the sum is a signature"
    );
    let log = log.borrow();
    let package = log.1.as_ref().unwrap();
    let attested = world.attested[&world.head()];
    let stated = signer_protocol::message::Stated {
        commit: attested.commit,
        root: attested.root,
    };
    let fails = log.0.values().map(|share| {
        let fails = share_fails(&world.committee, &world.public, share, package, &stated);
        (share.slot, fails)
    });
    let expected = [
        (Slot(1), true),
        (Slot(2), true),
        (Slot(3), false),
        (Slot(4), false),
    ];
    assert_eq!(fails.collect::<Vec<_>>(), expected);
    // A signature names nobody; pay follows votes (rule A12), so there is nothing to gain.
    for slot in [1, 2] {
        assert!(world.blamed(Culprit::Member(Slot(slot))).is_empty());
    }
}
