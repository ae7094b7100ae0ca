//! The whole circle: a deposit on the Zenon node, its step, a zApp that pays out, the attested
//! leaves of two blocks, what members sign of them, and the recipient's side on the node.

use attestation::codec;
use attestation::ids::{Digest, ModuleDigest, RequestId, ZappId};
use attestation::leaf::{Leaf, MessageLeaf, Status};
use attestation::step_attestation::StepAttestation;
use devnet::{Account, CHAIN, Key, Quorum, Steps, ZNN, token};
use nom::client::{Client, ClientError};
use nom::{Amount, Block, BlockType, Seal};
use signer_protocol::lane::Proof;
use state::execute::{Executable, Execute, ExecuteError, Execution, Post, Prepared, Verdict};
use state::journal::Journal;
use state::step::StepOutcome;
use state::system::nom::{
    ANCHOR, CALLER, CONFIRM, Confirm, DEPOSIT, Deposit, Deposited, ISSUE, Issue, OPEN, Open, Taken,
    published,
};
use state::system::{DEPLOY, Deploy};

use crate::network;

/// How deep a deposit must be.
const DEPTH: u64 = 2;

/// A zApp in place of a module: it keeps a third of every deposit and pays the rest back.
struct Cashier;

impl Execute for Cashier {
    fn prepare(&mut self, _: &RequestId, _: &ModuleDigest) -> Result<Verdict, ExecuteError> {
        Ok(Verdict::Prepared(Prepared {
            metered: Digest::from_bytes([9; 32]),
            functions: 1,
            operators: 1,
            calls: false,
            pages: 1,
        }))
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        let mut messages = Vec::new();
        if call.method == "deposit" && call.caller == CALLER {
            let deposit = Deposited::from_bytes(call.input).unwrap();
            let amount = u128::from_be_bytes(deposit.amount[16..].try_into().unwrap());
            journal
                .write(&call.zapp, b"last", Some(&deposit.data))
                .unwrap();
            let mut contract = [0; 32];
            contract[22..].copy_from_slice(&deposit.token);
            let mut receiver = [0; 32];
            receiver[12..].copy_from_slice(&deposit.from);
            let back = Amount::from(amount - amount / 3);
            messages.push(Post {
                zapp: call.zapp,
                chain: MessageLeaf::NOM,
                contract,
                receiver,
                gas: 0,
                label: Vec::new(),
                payload: [back.as_bytes().as_slice(), b"your change"].concat(),
            });
        }
        Ok(Execution {
            status: Status::Ok,
            code: 0,
            gas: 1_000,
            output: Vec::new(),
            events: Vec::new(),
            messages,
            trace: Digest::from_bytes([1; 32]),
        })
    }
}

/// A committee that the network knows by its account.
struct Chain {
    quorum: Quorum,
    steps: Steps,
}

impl Chain {
    fn system(&mut self, method: &str, input: Vec<u8>) -> (StepOutcome, StepAttestation) {
        let call = (method, input);
        let done = self
            .steps
            .step(&mut self.quorum, &mut Cashier, ZappId::SYSTEM, call);
        assert_eq!(
            done.0.outcomes[0].status,
            Status::Ok,
            "{method}: {:?}",
            done.0.outcomes
        );
        done
    }

    fn issue(&mut self, momentum: nom::MomentumRef, fused_plasma: u64) -> (Proof, Vec<u8>) {
        let issue = Issue {
            momentum: Digest::from_bytes(*momentum.hash.as_bytes()),
            momentum_height: momentum.height,
            fused_plasma,
            difficulty: 0,
            nonce: 0,
        };
        let done = self.system(ISSUE, codec::encode(&issue));
        let data = done.0.outcomes[0].output.clone();
        (Steps::issued(&done), data)
    }

    /// The block of a proof, signed by four of five members in their lanes.
    fn sign(&mut self, (proof, data): &(Proof, Vec<u8>)) -> Block {
        let (signature, reported) = self.quorum.sign(proof, |_, answer| Some(answer));
        assert_eq!(reported, []);
        let Ok(Leaf::Block(leaf)) = Leaf::from_bytes(&proof.leaf) else {
            panic!("a block");
        };
        let seal = Seal {
            public_key: *self.quorum.committee.group_key().as_bytes(),
            signature,
        };
        published(&leaf, data.clone(), seal).unwrap()
    }

    /// Issues, signs and publishes the next order's block, and tells the committee of it.
    fn next(&mut self, account: &Account, client: &Client, plasma: u64) -> Block {
        let momentum = client.confirmed_momentum(1).unwrap().unwrap().reference();
        let issued = self.issue(momentum, plasma);
        let block = self.sign(&issued);
        account.publish(&block, 1).unwrap();
        let confirm = Confirm {
            block: Digest::from_bytes(*block.hash.as_bytes()),
            issue: Issue::of(&block.header),
        };
        self.system(CONFIRM, codec::encode(&confirm));
        block
    }
}

#[test]
fn a_deposit_becomes_a_step_and_its_zapps_payout_a_block_that_the_network_confirms() {
    let Some(network) = network("deposit, step and payout on the Zenon node") else {
        return;
    };
    let client = network.client();
    let account = Account::new(&network, Key::committee(6));
    let mut user = Account::new(&network, Key::user(4));
    let quorum = Quorum::new(CHAIN, 6);
    assert_eq!(quorum.account(), account.address());
    let steps = Steps::new(&quorum.record);
    let mut chain = Chain { quorum, steps };

    let open = Open {
        key: *chain.quorum.committee.group_key(),
    };
    chain.system(OPEN, codec::encode(&open));
    let deploy = Deploy {
        module: ModuleDigest::from_bytes([1; 32]),
        salt: Digest::from_bytes([5; 32]),
        escrow: 0,
        init: Vec::new(),
    };
    let zapp = deploy.zapp(&attestation::ids::IdentityKey::from_bytes([0xa1; 32]));
    chain.system(DEPLOY, deploy.to_bytes());

    // Out there: a user sends, naming the zApp.
    let data = [zapp.as_bytes().as_slice(), b"two coffees"].concat();
    let draft = user.place().unwrap();
    let draft = draft.send(account.address(), token(ZNN), Amount::from(900), data);
    let sent = user.sign(draft).unwrap();
    user.publish(&sent, DEPTH).unwrap();
    let deposits = client.deposits(&account.address(), DEPTH).unwrap();
    let [(deposit, confirmed)] = deposits.as_slice() else {
        panic!("one deposit, not {deposits:?}");
    };

    // In a step: the zApp has it, and orders a payout.
    let input = Deposit {
        block: deposit.to_bytes().unwrap(),
        data: deposit.data.clone(),
        momentum_height: confirmed.momentum.height,
    };
    let (taken, _) = chain.system(DEPOSIT, codec::encode(&input));
    let output = &taken.outcomes[0].output;
    assert_eq!(
        codec::decode::<Taken>(output, 100).unwrap(),
        Taken::Accepted
    );
    let last = chain.steps.state.get(&zapp, b"last").unwrap();
    assert_eq!(last, Some(b"two coffees".as_slice()));

    // A block that acknowledges a momentum that never was is signed, and dead at the node.
    let nowhere = nom::MomentumRef {
        hash: nom::Hash::from_bytes([9; 32]),
        height: confirmed.momentum.height,
    };
    let issued = chain.issue(nowhere, 21_000);
    let dead = chain.sign(&issued);
    let declined = client.publish(&dead).unwrap_err();
    assert!(
        matches!(declined, ClientError::Declined { .. }),
        "{declined}"
    );
    // Issued again with one that is there, it lives.
    let receive = chain.next(&account, client, 21_000);
    assert_eq!(receive.header.block_type, BlockType::UserReceive);
    assert_eq!(receive.header.height, dead.header.height);

    let payout = chain.next(&account, client, 21_000 + 68 * 11);
    assert_eq!(payout.header.to_address, user.address());
    let held = client.block(&payout.hash).unwrap().unwrap();
    assert_eq!(held.block.data, b"your change");
    let balances = client.account(&account.address()).unwrap().balances;
    assert_eq!(balances.get(&token(ZNN)), Some(&Amount::from(300)));
    let books = chain.steps.state.nom_balance(&zapp, token(ZNN).as_bytes());
    assert_eq!(Amount::from_bytes(books.unwrap()), Amount::from(300));

    // The user has it once it takes it in.
    let before = client.account(&user.address()).unwrap().balances[&token(ZNN)];
    let draft = user.place().unwrap().receive(payout.hash);
    let received = user.sign(draft).unwrap();
    user.publish(&received, 1).unwrap();
    let after = client.account(&user.address()).unwrap().balances[&token(ZNN)];
    assert_eq!(after.checked_sub(before), Some(Amount::from(600)));

    // And the committee goes on: the step before is anchored.
    chain.system(ANCHOR, Vec::new());
    let anchor = chain.next(&account, client, 21_000 + 68 * 120);
    let held = client.block(&anchor.hash).unwrap().unwrap();
    assert_eq!(held.block.data.len(), 112);
    assert_eq!(held.block.header.height, 3);
}
