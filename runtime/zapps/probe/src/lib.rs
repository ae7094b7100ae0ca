//! Everything the SDK offers, one method each: what the tests of the SDK run.
//!
//! Not an example of good manners: it lets everyone write.

#![no_std]

use zapp::{Args, Request, Revert, output, state};

zapp::entry!(run, input_bytes_max = 1024);
zapp::describe!(b"{\"zapp\":\"probe\"}");

fn run(request: Request<'_>) -> Result<(), Revert> {
    let args = request.args;
    match request.method {
        b"" => args.end(),
        b"op" => {
            output(&[request.op as u8]);
            Ok(())
        }
        b"context" => context(args),
        b"hash" => hash(args),
        b"verify" => verify(args),
        b"put" => put(args),
        b"delete" => {
            state::delete(args.rest());
            Ok(())
        }
        b"list" => list(args),
        b"short" => short(args),
        b"events" => events(args),
        b"gas" => gas(args),
        b"abort" => zapp::abort(args.rest()),
        b"panic" => panic!("the probe panics"),
        b"join" => {
            output(&zapp::join::<4>(&[args.rest()]));
            Ok(())
        }
        _ => Err(Revert::UNKNOWN_METHOD),
    }
}

fn context(args: Args<'_>) -> Result<(), Revert> {
    args.end()?;
    let all: [u8; 176] = zapp::join(&[
        &zapp::caller(),
        &zapp::origin(),
        &zapp::zapp_id(),
        &zapp::request_id(),
        &zapp::committee(),
        &zapp::height().to_be_bytes(),
        &zapp::time_ms().to_be_bytes(),
    ]);
    output(&all);
    Ok(())
}

fn hash(args: Args<'_>) -> Result<(), Revert> {
    let bytes = args.rest();
    let all: [u8; 96] = zapp::join(&[
        &zapp::sha256(bytes),
        &zapp::sha3_256(bytes),
        &zapp::keccak256(bytes),
    ]);
    output(&all);
    Ok(())
}

fn verify(mut args: Args<'_>) -> Result<(), Revert> {
    let key = args.array()?;
    let signature = args.array()?;
    let verdict = zapp::ed25519_verify(&key, args.rest(), &signature);
    output(&[u8::from(verdict)]);
    Ok(())
}

/// Key of 4 bytes, then the value.
fn put(mut args: Args<'_>) -> Result<(), Revert> {
    let key: [u8; 4] = args.array()?;
    state::set(&key, args.rest());
    Ok(())
}

/// Every key above the argument, each of 4 bytes, at most 8 of them.
fn list(args: Args<'_>) -> Result<(), Revert> {
    let mut found = [0; 32];
    let mut bytes = 0;
    let mut buffer = [0; 4];
    let mut at = state::next(args.rest(), &mut buffer)?.map(<[u8]>::len);
    for slot in found.chunks_exact_mut(4) {
        if at != Some(4) {
            break;
        }
        slot.copy_from_slice(&buffer);
        bytes += 4;
        let last = buffer;
        at = state::next(&last, &mut buffer)?.map(<[u8]>::len);
    }
    output(found.get(..bytes).ok_or(Revert::OVERFLOW)?);
    Ok(())
}

/// Whether there is an entry, then its value, which must have at most 4 bytes.
fn short(args: Args<'_>) -> Result<(), Revert> {
    let mut buffer = [0; 5];
    let (flag, room) = buffer.split_at_mut(1);
    flag.copy_from_slice(&[u8::from(state::contains(args.rest()))]);
    let length = state::bytes(args.rest(), room)?.map_or(0, <[u8]>::len);
    output(buffer.get(..=length).ok_or(Revert::OVERFLOW)?);
    Ok(())
}

fn events(args: Args<'_>) -> Result<(), Revert> {
    zapp::emit(b"first", args.rest());
    zapp::emit(b"", b"");
    zapp::log("two events");
    Ok(())
}

/// Whether work makes the gas fall.
fn gas(args: Args<'_>) -> Result<(), Revert> {
    let before = zapp::gas_left();
    let _ = zapp::sha256(args.rest());
    output(&[u8::from(zapp::gas_left() < before)]);
    Ok(())
}
