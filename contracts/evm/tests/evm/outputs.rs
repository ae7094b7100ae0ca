//! What the scenarios of the rulebook do not have: outputs that no committee attests, and
//! calldata of another length.

use attestation::leaf::{Leaf, OutputLeaf, Status};
use conformance::sample;
use evm::abi::{Value, call, encode, number};
use evm::chain::{ANYONE, Account, Answer, Chain};
use evm::committee::Committee;
use evm::step::{attested, calldata, included, step_with};

use crate::contracts;
use crate::gas::deploy_ledger;
use crate::world::{GUARDIAN, done, refused, terms};

struct Acceptor {
    chain: Chain<'static>,
    committee: Committee,
    at: Account,
}

impl Acceptor {
    fn new() -> Option<Self> {
        let mut chain = Chain::new(contracts()?);
        let committee = Committee::new(1);
        let arguments = encode(&terms(&committee, GUARDIAN));
        let at = chain.deploy("OutputAcceptor", &arguments).unwrap();
        Some(Self {
            chain,
            committee,
            at,
        })
    }

    /// The answer to a leaf that is signed, in place of the settlement or beside it.
    fn accept(&mut self, leaf: Vec<u8>, index: usize) -> Answer {
        let mut leaves = vec![leaf; 2];
        leaves[1 - index] = sample::leaves(1, 1).remove(1 - index);
        let root = attestation::merkle::root(&leaves);
        let commit = sample::Step::first(1).attestation.commit;
        let attestation = attested(&mut self.committee, &commit, &root);
        let data = calldata("accept", &attestation, &included(&leaves, index));
        self.chain.send(ANYONE, self.at, &data).answer
    }
}

#[test]
fn leaves_that_are_no_outputs_are_refused_though_they_are_signed() {
    let Some(mut acceptor) = Acceptor::new() else {
        return;
    };
    let (settlement, output) = (
        sample::leaves(1, 1).remove(0),
        sample::leaves(1, 1).remove(1),
    );
    let with = |leaf: &[u8], at: usize, value: u8| {
        let mut leaf = leaf.to_vec();
        leaf[at] = value;
        leaf
    };
    let longer = |leaf: &[u8]| [leaf, &[0]].concat();
    let malformed = refused("MalformedLeaf()");
    for (leaf, index) in [
        (with(&output, 74, 6), 1),
        (longer(&output), 1),
        (output[..150].to_vec(), 1),
        (longer(&settlement), 0),
        (with(&settlement, 2, 1), 0),
    ] {
        assert!(Leaf::from_bytes(&leaf).is_err());
        assert_eq!(acceptor.accept(leaf, index), malformed);
    }
    assert_eq!(
        acceptor.accept(with(&output, 1, 2), 1),
        refused("WrongKind(2)")
    );
    assert_eq!(acceptor.accept(settlement, 0), refused("NotAnOutput(0)"));
    assert_eq!(acceptor.accept(with(&output, 74, 5), 1), done());
    assert_eq!(acceptor.accept(output, 1), refused("Consumed(1,1)"));
}

#[test]
fn every_output_of_a_large_step_has_a_place_of_its_own() {
    let Some(mut acceptor) = Acceptor::new() else {
        return;
    };
    let leaves = sample::leaves(7, 600)[1..].to_vec();
    let (attestation, leaves) = step_with(&mut acceptor.committee, 7, leaves, |_| ());
    let mut accept = |index: usize| {
        let data = calldata("accept", &attestation, &included(&leaves, index));
        acceptor.chain.send(ANYONE, acceptor.at, &data).answer
    };
    let places = [1, 2, 127, 128, 129, 255, 256, 257, 384, 511, 512, 600];
    for index in places {
        assert_eq!(accept(index), done(), "{index}");
    }
    for index in places {
        assert_eq!(accept(index), refused(&format!("Consumed(7,{index})")));
    }
    let consumed = |chain: &mut Chain, seq: u64, index: u64| {
        let data = call("isConsumed(uint64,uint256)", &[number(seq), number(index)]);
        chain.number(acceptor.at, &data)
    };
    for index in 0..700 {
        let wanted = u64::from(places.contains(&(index as usize)));
        assert_eq!(consumed(&mut acceptor.chain, 7, index), wanted);
        assert_eq!(consumed(&mut acceptor.chain, 8, index), 0);
    }
}

#[test]
fn an_output_is_read_as_the_format_has_it() {
    let Some(mut acceptor) = Acceptor::new() else {
        return;
    };
    let leaf = OutputLeaf {
        status: Status::Reverted,
        code: 0xa1b2_c3d4,
        gas: 0x0102_0304_0506_0708,
        ..sample::output(1, 1)
    };
    let at = acceptor.chain.deploy(
        "OutputReader",
        &encode(&terms(&acceptor.committee, GUARDIAN)),
    );
    acceptor.at = at.unwrap();
    assert_eq!(acceptor.accept(Leaf::Output(leaf).to_bytes(), 1), done());
    let wanted = [
        Value::Word(*leaf.zapp.as_bytes()),
        Value::Word(*leaf.request.as_bytes()),
        number(1),
        number(leaf.code.into()),
        number(leaf.gas),
        Value::Word(*leaf.output.as_bytes()),
        Value::Word(*leaf.events.as_bytes()),
    ];
    let answer = acceptor
        .chain
        .view(acceptor.at, &call("last()", &[]))
        .answer;
    assert_eq!(answer, Answer::Returned(encode(&wanted)));
}

#[test]
fn an_output_whose_effect_fails_is_not_consumed() {
    let Some(mut acceptor) = Acceptor::new() else {
        return;
    };
    let at = acceptor.chain.deploy(
        "OutputReader",
        &encode(&terms(&acceptor.committee, GUARDIAN)),
    );
    acceptor.at = at.unwrap();
    let with_code = |code| {
        let leaf = OutputLeaf {
            code,
            ..sample::output(1, 1)
        };
        Leaf::Output(leaf).to_bytes()
    };
    assert_eq!(acceptor.accept(with_code(7), 1), refused("NotWanted()"));
    assert_eq!(acceptor.accept(with_code(8), 1), done());
}

#[test]
fn a_ledgers_calldata_has_one_length() {
    let Some(contracts) = contracts() else {
        return;
    };
    let mut chain = Chain::new(contracts);
    let mut committee = Committee::new(1);
    let ledger = deploy_ledger(&mut chain, &committee);
    let first = sample::Step::first(1).attestation;
    let good = attested(&mut committee, &first.commit, &first.root).accept();
    let longer = [good.as_slice(), &[0; 32]].concat();
    let answer = chain.send(ANYONE, ledger, &longer).answer;
    assert_eq!(answer, refused("CalldataLength(580,548)"));
    let answer = chain.send(ANYONE, ledger, &good[..547]).answer;
    assert!(matches!(answer, Answer::Refused(_)), "{answer:?}");
    let mut commit = attested(&mut committee, &first.commit, &first.root);
    commit.commit[2] ^= 1;
    let answer = chain.send(ANYONE, ledger, &commit.accept()).answer;
    assert_eq!(answer, refused("MalformedCommit()"));
    commit.commit.truncate(344);
    let answer = chain.send(ANYONE, ledger, &commit.accept()).answer;
    assert_eq!(answer, refused("MalformedCommit()"));
    assert_eq!(chain.send(ANYONE, ledger, &good).answer, done());
}
