//! The entry points: from JSON to a decision of the rulebook to what the chain is to do.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use acceptor::ledger::{self, Ledger};
use acceptor::messages::{Channels as _, Destination, Messages};
use acceptor::outputs::Outputs;
use acceptor::trust::{self, Delays, Trust};
use attestation::commit::Commit;
use attestation::ids::{
    Digest, Epoch, GroupKey, LeafRoot, NetworkId, RuntimeProfile, Seq, Signature, StateRoot,
};
use attestation::leaf::{MessageLeaf, OutputLeaf};
use attestation::step_attestation::StepAttestation;

use crate::error::Error;
use crate::host::{Host, HostKey};
use crate::message::{
    self, Bytes, Env, Execute, Guard, Head, Info, Instantiate, LedgerTerms, Number, Outcome, Query,
    Reply, Terms, ToReceiver,
};
use crate::response::{Response, SubMessage};
use crate::store::{self, Config, Store};

/// Registers a committee.
///
/// # Errors
/// [`Error`] if it is not to be trusted, or an address is none.
pub fn instantiate<H: Host>(
    host: &H,
    env: &Env,
    info: &Info,
    message: Instantiate,
) -> Result<Response, Error> {
    refuse_funds(info)?;
    let store = Store(host);
    match message {
        Instantiate::Ledger { terms, head } => {
            trust(terms.group_key)?;
            let genesis = ledger::Head::genesis(&ledger_terms(host, &terms));
            store.set_head(&head.unwrap_or_else(|| shown(&genesis)));
            store.set_config(&Config::Ledger { terms });
        }
        Instantiate::Outputs {
            terms,
            guard,
            receiver,
        } => {
            check_address(host, guard.guardian.as_deref())?;
            check_address(host, receiver.as_deref())?;
            store.set_trust(&trust(terms.group_key)?);
            store.set_config(&Config::Outputs {
                terms,
                guard,
                receiver,
            });
        }
        Instantiate::Messages {
            terms,
            guard,
            gas_max,
        } => {
            check_address(host, guard.guardian.as_deref())?;
            store.set_trust(&trust(terms.group_key)?);
            let own = host.canonical(&env.contract.address);
            let contract = own.as_deref().and_then(padded).ok_or(Error::Address)?;
            store.set_config(&Config::Messages {
                terms,
                guard,
                contract: Digest::from_bytes(contract),
                gas_max,
            });
        }
    }
    Ok(Response::default())
}

/// Does what it is told to, or refuses.
///
/// # Errors
/// [`Error`] names the first rule that is broken.
pub fn execute<H: Host>(
    host: &H,
    env: &Env,
    info: &Info,
    message: Execute,
) -> Result<Response, Error> {
    refuse_funds(info)?;
    let config = Store(host).config();
    match message {
        Execute::AcceptStep {
            commit,
            root,
            signature,
        } => accept_step(host, &config, &commit, root, &signature),
        Execute::AcceptOutput { receipt, leaf } => {
            accept_output(host, env, &config, (&receipt.0, &leaf.0))
        }
        Execute::Deliver { receipt, leaf } => deliver(host, env, &config, (&receipt.0, &leaf.0)),
        Execute::ChangeKey { receipt, leaf } => {
            change_key(host, env, &config, (&receipt.0, &leaf.0))
        }
        Execute::ActivateKey {} => {
            let mut trust = kept(host)?;
            trust.activate(env.now())?;
            Store(host).set_trust(&trust);
            Ok(Response::default()
                .with("action", "activate_key")
                .with("group_key", trust.key.to_string()))
        }
        Execute::CancelKeyChange {} => {
            guarded(host, &config, info, "cancel_key_change", |trust, _| {
                trust.cancel()
            })
        }
        Execute::Pause {} => guarded(host, &config, info, "pause", |trust, delays| {
            trust.pause(env.now(), delays);
            Ok(())
        }),
        Execute::Resume {} => guarded(host, &config, info, "resume", |trust, _| {
            trust.resume();
            Ok(())
        }),
    }
}

/// Answers a question, in JSON.
///
/// # Errors
/// [`Error::OtherKind`] if this kind of contract has no answer.
pub fn query<H: Host>(host: &H, question: &Query) -> Result<Vec<u8>, Error> {
    let store = Store(host);
    let json = match question {
        Query::Config {} => serde_json::to_vec(&store.config()),
        Query::Head {} => serde_json::to_vec(&store.head().ok_or(Error::OtherKind)?),
        Query::Trust {} => serde_json::to_vec(&store::shown(&kept(host)?)),
        Query::Consumed { seq, index } => {
            serde_json::to_vec(&store.is_consumed(Seq(seq.0), index.0))
        }
        Query::Channel { channel } => serde_json::to_vec(&Number(store.last(channel))),
        Query::Outcome { channel, number } => {
            let come = (1..=store.last(channel)).contains(&number.0);
            let outcome = || store.failure(channel, number.0);
            serde_json::to_vec(&come.then(|| outcome().unwrap_or(Outcome::Delivered)))
        }
    };
    Ok(json?)
}

/// A message failed at its receiver: its number stays consumed.
///
/// # Errors
/// [`Error::Json`] if the reply is not to a message of this contract's.
pub fn reply<H: Host>(host: &H, reply: &Reply) -> Result<Response, Error> {
    let not_ours = || Error::Json(serde::de::Error::custom("a reply to nothing"));
    let (channel, number) = reply.payload.0.split_first_chunk().ok_or_else(not_ours)?;
    let number = number.try_into().map_err(|_| not_ours())?;
    let (channel, number) = (Digest::from_bytes(*channel), u64::from_be_bytes(number));
    Store(host).fail(&channel, number, Outcome::Failed);
    Ok(outcome(&channel, number, "failed"))
}

fn accept_step<H: Host>(
    host: &H,
    config: &Config,
    commit: &Bytes,
    root: LeafRoot,
    signature: &Bytes,
) -> Result<Response, Error> {
    let Config::Ledger { terms } = config else {
        return Err(Error::OtherKind);
    };
    let attestation = StepAttestation {
        commit: Commit::from_bytes(&commit.0).map_err(Error::Commit)?,
        root,
        signature: Signature::from_bytes(message::signature(signature)?),
    };
    let store = Store(host);
    let head = store.head().ok_or(Error::OtherKind)?;
    let head = ledger::Head {
        seq: Seq(head.seq.0),
        epoch: Epoch(head.epoch.0),
        statement: head.statement,
        state: head.state,
    };
    let mut ledger = Ledger::resume(ledger_terms(host, terms), head);
    let head = ledger.accept(&attestation)?;
    store.set_head(&shown(&head));
    Ok(Response::default()
        .with("action", "accept_step")
        .with("seq", head.seq.to_string())
        .with("statement", head.statement.to_string())
        .with("state", head.state.to_string())
        .with("root", root.to_string()))
}

fn accept_output<H: Host>(
    host: &H,
    env: &Env,
    config: &Config,
    (receipt, leaf): (&[u8], &[u8]),
) -> Result<Response, Error> {
    let Config::Outputs {
        terms, receiver, ..
    } = config
    else {
        return Err(Error::OtherKind);
    };
    let trust = kept(host)?;
    trust.open(env.now())?;
    let terms = trusted_terms(host, terms, trust.key);
    let mut outputs = Outputs::new(terms, Store(host)).until(trust.last());
    let (id, output) = outputs.accept(receipt, leaf)?;
    let mut response = Response::default()
        .with("action", "accept_output")
        .with("seq", id.seq.to_string())
        .with("index", id.index.to_string())
        .with("request", output.request.to_string())
        .with("status", u8::from(output.status).to_string());
    if let Some(receiver) = receiver {
        let call = serde_json::to_vec(&on_output(id.index, &output))?;
        let call = SubMessage::call(receiver.clone(), call);
        response.messages.push(call);
    }
    Ok(response)
}

fn deliver<H: Host>(
    host: &H,
    env: &Env,
    config: &Config,
    (receipt, leaf): (&[u8], &[u8]),
) -> Result<Response, Error> {
    let Config::Messages {
        terms,
        contract,
        gas_max,
        ..
    } = config
    else {
        return Err(Error::OtherKind);
    };
    let trust = kept(host)?;
    trust.open(env.now())?;
    let here = Destination {
        chain: MessageLeaf::cosmos(&env.block.chain_id),
        contract: *contract.as_bytes(),
    };
    let terms = trusted_terms(host, terms, trust.key);
    let mut messages = Messages::new(terms, here, Store(host)).until(trust.last());
    let message = messages.accept(receipt, leaf)?;
    let (channel, number) = (message.channel, message.number);
    match dispatch(host, gas_max.0, message) {
        Ok(call) => {
            let mut response = outcome(&channel, number, "dispatched");
            response.messages.push(call);
            Ok(response)
        }
        Err((failed, name)) => {
            Store(host).fail(&channel, number, failed);
            Ok(outcome(&channel, number, name))
        }
    }
}

/// The call of a message's receiver, which may fail without harm to the channel. The chain gives
/// it all the gas that the leaf grants, or the whole transaction fails and consumes nothing.
fn dispatch<H: Host>(
    host: &H,
    gas_max: u64,
    message: MessageLeaf,
) -> Result<SubMessage, (Outcome, &'static str)> {
    let receiver = host.human(unpadded(&message.receiver));
    let receiver = receiver.ok_or((Outcome::NoReceiver, "no_receiver"))?;
    if message.gas > gas_max {
        return Err((Outcome::TooMuchGas, "too_much_gas"));
    }
    let payload = [
        message.channel.as_bytes().as_slice(),
        &message.number.to_be_bytes(),
    ];
    let call = serde_json::to_vec(&ToReceiver::OnMessage {
        zapp: Digest::from_bytes(*message.zapp.as_bytes()),
        channel: message.channel,
        number: Number(message.number),
        payload: Bytes(message.payload),
    });
    let call = call.expect("plain structs always encode");
    Ok(SubMessage::call(receiver, call).guarded(message.gas, payload.concat()))
}

fn change_key<H: Host>(
    host: &H,
    env: &Env,
    config: &Config,
    (receipt, leaf): (&[u8], &[u8]),
) -> Result<Response, Error> {
    let (terms, guard) = consumer(config)?;
    let mut trust = kept(host)?;
    let terms = trusted_terms(host, terms, trust.key);
    let mut store = Store(host);
    let when = (env.now(), &delays(guard));
    let pending = trust.change(when, &terms, (receipt, leaf), &mut store)?;
    store.set_trust(&trust);
    Ok(Response::default()
        .with("action", "change_key")
        .with("group_key", pending.key.to_string())
        .with("last_seq", pending.last.to_string())
        .with("ready_at", pending.ready_at.to_string()))
}

/// What only the guardian may do.
fn guarded<H: Host>(
    host: &H,
    config: &Config,
    info: &Info,
    action: &'static str,
    act: impl FnOnce(&mut Trust, &Delays) -> Result<(), trust::Refused>,
) -> Result<Response, Error> {
    let (_, guard) = consumer(config)?;
    if guard.guardian.as_ref() != Some(&info.sender) {
        return Err(trust::Refused::NotGuardian.into());
    }
    let mut trust = kept(host)?;
    act(&mut trust, &delays(guard))?;
    Store(host).set_trust(&trust);
    let until = trust.paused_until.to_string();
    Ok(Response::default()
        .with("action", action)
        .with("paused_until", until))
}

const fn consumer(config: &Config) -> Result<(&Terms, &Guard), Error> {
    match config {
        Config::Ledger { .. } => Err(Error::OtherKind),
        Config::Outputs { terms, guard, .. } | Config::Messages { terms, guard, .. } => {
            Ok((terms, guard))
        }
    }
}

fn trust(key: GroupKey) -> Result<Trust, Error> {
    Ok(Trust::new(key).map_err(trust::Refused::from)?)
}

fn kept<H: Host>(host: &H) -> Result<Trust, Error> {
    Store(host).trust().ok_or(Error::OtherKind)
}

fn ledger_terms<'a, H: Host>(host: &'a H, terms: &LedgerTerms) -> acceptor::Terms<HostKey<'a, H>> {
    acceptor::Terms {
        network: NetworkId(terms.network.0),
        committee: terms.committee,
        epoch: Epoch(terms.epoch.0),
        profile: terms.profile,
        key: HostKey::new(terms.group_key, host),
        genesis_state: terms.genesis_state,
    }
}

/// Rule E2 reads neither epoch nor profile nor state.
fn trusted_terms<'a, H: Host>(
    host: &'a H,
    terms: &Terms,
    key: GroupKey,
) -> acceptor::Terms<HostKey<'a, H>> {
    acceptor::Terms {
        network: NetworkId(terms.network.0),
        committee: terms.committee,
        epoch: Epoch(0),
        profile: RuntimeProfile::from_bytes([0; 32]),
        key: HostKey::new(key, host),
        genesis_state: StateRoot::from_bytes([0; 32]),
    }
}

const fn delays(guard: &Guard) -> Delays {
    Delays {
        change: guard.change_delay.0,
        pause_max: guard.pause_max.0,
    }
}

fn shown(head: &ledger::Head) -> Head {
    Head {
        seq: head.seq.into(),
        epoch: head.epoch.into(),
        statement: head.statement,
        state: head.state,
    }
}

fn outcome(channel: &Digest, number: u64, name: &str) -> Response {
    Response::default()
        .with("action", "deliver")
        .with("channel", channel.to_string())
        .with("number", number.to_string())
        .with("outcome", name)
}

fn on_output(index: u64, output: &OutputLeaf) -> ToReceiver {
    ToReceiver::OnOutput {
        seq: output.seq.into(),
        index: Number(index),
        zapp: Digest::from_bytes(*output.zapp.as_bytes()),
        request: Digest::from_bytes(*output.request.as_bytes()),
        status: output.status.into(),
        code: output.code,
        gas: Number(output.gas),
        output: output.output,
        events: output.events,
    }
}

fn refuse_funds(info: &Info) -> Result<(), Error> {
    if info.funds.is_empty() {
        Ok(())
    } else {
        Err(Error::Funds)
    }
}

fn check_address<H: Host>(host: &H, human: Option<&str>) -> Result<(), Error> {
    match human {
        Some(human) if !host.is_address(human) => Err(Error::Address),
        _ => Ok(()),
    }
}

/// An address as leaves hold it: 32 bytes, or 20 after twelve zeros.
fn padded(address: &[u8]) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    match address.len() {
        32 => out.copy_from_slice(address),
        20 => out.last_chunk_mut::<20>()?.copy_from_slice(address),
        _ => return None,
    }
    Some(out)
}

/// The address that 32 bytes hold.
fn unpadded(field: &[u8; 32]) -> &[u8] {
    field.strip_prefix(&[0; 12]).unwrap_or(field)
}
