// How a call ends.

import { Bytes, at, utf8 } from "./bytes";
import { zapp0_abort, zapp0_gas_left, zapp0_log } from "./host";

export const OK: u32 = 0;
/** No such method for this kind of request. Codes below 100 mean the same in every zApp. */
export const UNKNOWN_METHOD: u32 = 1;
/** The arguments are not those of the method. */
export const ARGUMENTS: u32 = 2;
/** The method is for the zApp's owner. */
export const NOT_OWNER: u32 = 3;
/** A number would pass its range. Sums wrap in silence: compare before you add. */
export const OVERFLOW: u32 = 4;
/** An entry is missing, or not what the zApp writes. */
export const STATE: u32 = 5;
/** The input is longer than the zApp says. */
export const INPUT_LENGTH: u32 = 6;
/** Another zApp that was called gave no result. */
export const CALL_FAILED: u32 = 7;
/** Only the committee calls this, when a deposit comes in. */
export const DEPOSIT: u32 = 8;
/** The first code of an author's own, which end at 2^31 - 1. */
export const OWN: u32 = 100;

/** Ends the call at once, without effect, with a message as its output. */
export function stop(message: Bytes): void {
  zapp0_abort(at(message), message.length);
}

/** What the compiler calls for `throw`, a failed `assert` or an index that is out of range. */
export function panic(_message: string | null, _file: string | null, _line: u32, _column: u32): void {
  stop(utf8("panic"));
}

/** Writes a line for the author; it costs gas and is part of no digest. */
export function log(text: string): void {
  const bytes = utf8(text);
  zapp0_log(at(bytes), bytes.length);
}

/** Gas that this call may still use. Never let a result follow from it. */
export function gasLeft(): u64 {
  return zapp0_gas_left();
}
