// From the host's call to the author's function.

import { Bytes, at, part } from "./bytes";
import { ARGUMENTS, INPUT_LENGTH, STATE, UNKNOWN_METHOD } from "./end";
import { zapp0_input } from "./host";
import { isBroken } from "./state";
import { Reader } from "./values";

export enum Op {
  /** Runs once, when the zApp is deployed. */
  Init = 0,
  /** A signed call; its writes are kept. */
  Call = 1,
  /** A query; the host refuses writes. */
  View = 2,
  /** Runs once on the state that the module before left. */
  Migrate = 3,
}

/** A request as the zApp sees it. */
export class Request {
  constructor(
    public readonly op: Op,
    public readonly method: Bytes,
    public readonly args: Reader,
  ) {}

  /** Whether it is for the method of this name. */
  is(name: string): bool {
    const method = this.method;
    if (method.length != name.length) return false;
    for (let i = 0; i < name.length; i++) {
      if (name.charCodeAt(i) != <i32>method[i]) return false;
    }
    return true;
  }
}

const METHOD_BYTES_MAX: i32 = 64;

/**
 * Answers a request by `run`; what `zapp_main` does. The longest arguments of a method have
 * `argumentsBytesMax` bytes; longer inputs revert with `INPUT_LENGTH`.
 */
export function enter(
  op: i32,
  length: i32,
  argumentsBytesMax: i32,
  run: (request: Request) => u32,
): u32 {
  if (length > 1 + METHOD_BYTES_MAX + argumentsBytesMax) return INPUT_LENGTH;
  const input = new StaticArray<u8>(length);
  zapp0_input(at(input), 0, length);
  if (op < Op.Init || op > Op.Migrate) return UNKNOWN_METHOD;
  if (length == 0) return ARGUMENTS;
  const nameLength = <i32>input[0];
  const argumentsFrom = 1 + nameLength;
  if (nameLength > METHOD_BYTES_MAX || argumentsFrom > length) return ARGUMENTS;
  const args = new Reader(part(input, argumentsFrom, length - argumentsFrom));
  const code = run(new Request(<Op>op, part(input, 1, nameLength), args));
  return isBroken ? STATE : code;
}
