// Other zApps, other chains, values from outside.

import { Bytes, at, part, utf8 } from "./bytes";
import { CALL_FAILED, OK, stop } from "./end";
import { zapp0_call, zapp0_post, zapp0_pull, zapp0_result } from "./host";
import { Writer } from "./values";

export enum Status {
  EndedWell = 0,
  Reverted = 1,
  Trapped = 2,
  OutOfGas = 3,
  /** No such zApp, or it takes no calls, runs already, or too many do. */
  NotCallable = 4,
}

/** How a call of another zApp ended. Unless it ended well, all that it did is undone. */
export class Answer {
  /** Of a revert. */
  code: u32 = OK;
  private readonly length: i32;

  constructor(public readonly status: Status, answered: u64) {
    this.length = <i32>(<u32>answered);
    if (status == Status.Reverted) {
      const code = new StaticArray<u8>(4);
      zapp0_result(at(code), 0, 4);
      this.code = load<u32>(at(code));
    }
  }

  /** The revert that a failed call is passed on as: the other zApp's own, if it is one. */
  passedOn(): u32 {
    if (this.status == Status.EndedWell) return OK;
    const own = this.status == Status.Reverted && this.code > 0 && this.code <= <u32>i32.MAX_VALUE;
    return own ? this.code : CALL_FAILED;
  }

  /**
   * The result of a call that ended well. One of another length ends this call, too, since nobody
   * could undo the other alone.
   */
  result(length: i32): Bytes {
    if (this.length != length) stop(utf8("a result of another type"));
    const result = new StaticArray<u8>(length);
    zapp0_result(at(result), 0, length);
    return result;
  }
}

/** All gas but a 64th of what is left. */
export const ALL_GAS: u64 = u64.MAX_VALUE;

/**
 * Calls a method of another zApp, which sees this one as its caller, with arguments that were
 * written. It runs within this request.
 */
export function call(zapp: Bytes, method: Bytes, args: Writer, gas: u64 = ALL_GAS): Answer {
  const written = args.all();
  const room = 1 + method.length + written.length;
  const input = new Writer(room).u8(<u8>method.length).fixed(method).fixed(written).all();
  const answered = zapp0_call(at(zapp), gas, at(input), room);
  return new Answer(<Status>(<i32>(answered >> 32)), answered);
}

/**
 * Sends a message of at most 16 KiB to a contract on another chain (its EIP-155 id); `contract` and
 * `receiver` have 32 bytes, `gas` is what the call is given there, a label has at most 32. Messages of
 * one zApp to one contract under one label are numbered from 1, and accepted in that order.
 */
export function post(
  chain: u64,
  contract: Bytes,
  receiver: Bytes,
  gas: u64,
  label: Bytes,
  payload: Bytes,
): void {
  assert(contract.length == 32 && receiver.length == 32);
  const to = new Writer(80 + label.length);
  to.u64(bswap<u64>(chain)).fixed(contract).fixed(receiver).u64(bswap<u64>(gas)).fixed(label);
  const destination = to.all();
  zapp0_post(at(destination), destination.length, at(payload), payload.length);
}

/**
 * What members saw at a source of the request. Whoever calls names the sources: compare `source` with
 * those that the zApp trusts.
 */
export class Pulled {
  constructor(private readonly answer: Bytes) {}

  /** The source's id. */
  get source(): Bytes {
    return part(this.answer, 0, 32);
  }

  /** Whether members have a number, and so no text. */
  get isInteger(): bool {
    return this.answer[32] == 1;
  }

  /** Whether members have a text, and so no number. */
  get isText(): bool {
    return this.answer[32] == 2;
  }

  /** The number, times 10 to the power of the source's decimal places. */
  get integer(): i64 {
    return load<i64>(at(part(this.answer, 33, 8)));
  }

  get text(): Bytes {
    return part(this.answer, 33, this.answer.length - 33);
  }
}

/** Null if the request names fewer sources; the first is number 0. */
export function pull(index: u32): Pulled | null {
  const room = 33 + 256;
  const number = new StaticArray<u8>(4);
  store<u32>(at(number), index);
  const answer = new StaticArray<u8>(room);
  const length = zapp0_pull(at(number), 4, at(answer), room);
  if (length < 33) return null;
  return new Pulled(part(answer, 0, min(length, room)));
}
