//! A number that everyone may add to.
//!
//! `add` (amount u64) answers with the new total, `get` is a view of it; both are u64 big-endian.
//! A total beyond 64 bits reverts with `OVERFLOW`.

#![no_std]

use zapp::{Args, Op, Request, Revert, emit, output, state};

zapp::entry!(run, input_bytes_max = 96);
zapp::describe!(
    b"{\"zapp\":\"counter\",\
    \"calls\":[{\"name\":\"add\",\"input\":[\"amount:u64\"],\"output\":\"u64\"}],\
    \"views\":[{\"name\":\"get\",\"input\":[],\"output\":\"u64\"}]}"
);

fn run(request: Request<'_>) -> Result<(), Revert> {
    match (request.op, request.method) {
        (Op::Init, _) => request.args.end(),
        (Op::Call, b"add") => add(request.args),
        (Op::View, b"get") => {
            request.args.end()?;
            output(&total()?.to_be_bytes());
            Ok(())
        }
        _ => Err(Revert::UNKNOWN_METHOD),
    }
}

fn add(mut args: Args<'_>) -> Result<(), Revert> {
    let amount = args.u64()?;
    args.end()?;
    let total = total()?.checked_add(amount).ok_or(Revert::OVERFLOW)?;
    let bytes = total.to_be_bytes();
    state::set(TOTAL, &bytes);
    emit(b"added", &amount.to_be_bytes());
    output(&bytes);
    Ok(())
}

fn total() -> Result<u64, Revert> {
    Ok(u64::from_be_bytes(state::array(TOTAL)?.unwrap_or_default()))
}

const TOTAL: &[u8] = b"total";
