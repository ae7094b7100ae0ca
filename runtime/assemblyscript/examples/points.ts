// Points that an owner gives away and holders pass on; and one method for each thing more that a
// language's SDK must be able to do.
//
// The same zApp as runtime/zapps/points in Rust: one table of calls, runtime/tests/languages, holds
// for both, and for the one in C.
import * as zapp from "../zapp";
import { Bytes, Op, Reader, Request, Status, Writer, utf8 } from "../zapp";

/** Nothing would move. */
const ZERO_AMOUNT = zapp.OWN;
/** The holder has less than the amount. */
const TOO_FEW = zapp.OWN + 1;
/** A name has at least one character. */
const NO_NAME = zapp.OWN + 2;

const NAME_BYTES_MAX = 16;
const PAGE: u16 = 4;

// ---- State ----

function ownerKey(): Bytes {
  return utf8("owner");
}

function nameKey(): Bytes {
  return utf8("name");
}

function totalKey(): Bytes {
  return utf8("total");
}

function holders(): Bytes {
  return utf8("h");
}

function keyOf(holder: Bytes): Bytes {
  return zapp.join(holders(), holder);
}

/** No points are no entry. */
function hold(holder: Bytes, amount: u64): void {
  if (amount == 0) {
    zapp.remove(keyOf(holder));
  } else {
    zapp.setU64(keyOf(holder), amount);
  }
}

function isOwner(): bool {
  return zapp.equal(zapp.load(ownerKey(), 32), zapp.caller());
}

function rename(name: Bytes): u32 {
  if (name.length == 0) return NO_NAME;
  zapp.set(nameKey(), new Writer(2 + NAME_BYTES_MAX).bytes(name).all());
  return zapp.OK;
}

// ---- Deployment and upgrade ----

function init(args: Reader): u32 {
  const name = args.text(NAME_BYTES_MAX);
  if (!args.end()) return zapp.ARGUMENTS;
  zapp.set(ownerKey(), zapp.caller());
  return rename(name);
}

function migrate(args: Reader): u32 {
  const name = args.text(NAME_BYTES_MAX);
  return args.end() ? rename(name) : zapp.ARGUMENTS;
}

// ---- Calls ----

function give(args: Reader): u32 {
  const to = args.fixed(32);
  const amount = args.u64();
  if (!args.end()) return zapp.ARGUMENTS;
  if (!isOwner()) return zapp.NOT_OWNER;
  if (amount == 0) return ZERO_AMOUNT;
  const total = zapp.getU64(totalKey());
  if (amount > u64.MAX_VALUE - total) return zapp.OVERFLOW;
  zapp.setU64(totalKey(), total + amount);
  // Nobody has more than the total.
  const has = zapp.getU64(keyOf(to)) + amount;
  hold(to, has);

  new Writer(40).fixed(to).u64(amount).emit("given");
  zapp.log("given");
  new Writer(8).u64(has).output();
  return zapp.OK;
}

function pass(args: Reader): u32 {
  const to = args.fixed(32);
  const amount = args.u64();
  if (!args.end()) return zapp.ARGUMENTS;
  if (amount == 0) return ZERO_AMOUNT;
  const from = zapp.caller();
  const had = zapp.getU64(keyOf(from));
  if (had < amount) return TOO_FEW;
  // Written before the credit is read: passing to oneself moves nothing.
  hold(from, had - amount);
  hold(to, zapp.getU64(keyOf(to)) + amount);

  new Writer(72).fixed(from).fixed(to).u64(amount).emit("passed");
  new Writer(8).u64(zapp.getU64(keyOf(from))).output();
  return zapp.OK;
}

function forgo(args: Reader): u32 {
  if (!args.end()) return zapp.ARGUMENTS;
  const from = zapp.caller();
  // Nobody has more than the total.
  zapp.setU64(totalKey(), zapp.getU64(totalKey()) - zapp.getU64(keyOf(from)));
  hold(from, 0);
  return zapp.OK;
}

function clear(args: Reader): u32 {
  if (!args.end()) return zapp.ARGUMENTS;
  if (!isOwner()) return zapp.NOT_OWNER;
  const prefix = holders();
  let holder = zapp.next(prefix, prefix);
  while (holder !== null) {
    zapp.remove(holder);
    holder = zapp.next(holder, prefix);
  }
  zapp.remove(totalKey());
  return zapp.OK;
}

function passAt(args: Reader): u32 {
  const other = args.fixed(32);
  const to = args.fixed(32);
  const amount = args.u64();
  if (!args.end()) return zapp.ARGUMENTS;
  const answer = zapp.call(other, utf8("pass"), new Writer(40).fixed(to).u64(amount));
  if (answer.status != Status.EndedWell) return answer.passedOn();
  new Writer(8).fixed(answer.result(8)).output();
  return zapp.OK;
}

function tryAt(args: Reader): u32 {
  const other = args.fixed(32);
  const method = args.text(16);
  const gas = args.u64();
  if (!args.end()) return zapp.ARGUMENTS;
  const answer = zapp.call(other, method, new Writer(0), gas);
  if (answer.status == Status.EndedWell) answer.result(0);
  new Writer(5).u8(<u8>answer.status).u32(answer.code).output();
  return zapp.OK;
}

function send(args: Reader): u32 {
  const chain = args.u64();
  const contract = args.fixed(32);
  const receiver = args.fixed(32);
  const gas = args.u64();
  const label = args.bytes(32);
  const payload = args.bytes(64);
  if (!args.end()) return zapp.ARGUMENTS;
  zapp.post(chain, contract, receiver, gas, label, payload);
  return zapp.OK;
}

function seen(args: Reader): u32 {
  const index = args.u32();
  if (!args.end()) return zapp.ARGUMENTS;
  const pulled = zapp.pull(index);
  const answer = new Writer(77).bool(pulled !== null);
  if (pulled !== null) {
    answer.fixed(pulled.source).bool(pulled.isInteger);
    if (pulled.isInteger) answer.u64(pulled.integer);
    answer.bool(pulled.isText);
    if (pulled.isText) {
      if (pulled.text.length > 32) return zapp.ARGUMENTS;
      answer.bytes(pulled.text);
    }
  }
  answer.output();
  return zapp.OK;
}

function stop(args: Reader): u32 {
  const message = args.text(16);
  if (!args.end()) return zapp.ARGUMENTS;
  zapp.stop(message);
  return zapp.OK;
}

function crash(args: Reader): u32 {
  if (!args.end()) return zapp.ARGUMENTS;
  zapp.remove(utf8(""));
  return zapp.OK;
}

function spin(args: Reader): u32 {
  if (!args.end()) return zapp.ARGUMENTS;
  while (true) {}
}

// ---- Views ----

function held(args: Reader): u32 {
  const holder = args.fixed(32);
  if (!args.end()) return zapp.ARGUMENTS;
  new Writer(8).u64(zapp.getU64(keyOf(holder))).output();
  return zapp.OK;
}

function page(args: Reader): u32 {
  const prefix = holders();
  const from = args.bool() ? zapp.join(prefix, args.fixed(32)) : prefix;
  if (!args.end()) return zapp.ARGUMENTS;

  const entries = new Writer(PAGE * 40);
  let count: u16 = 0;
  let key = zapp.next(from, prefix);
  for (; key !== null && count < PAGE; count++) {
    if (key.length != prefix.length + 32) return zapp.STATE;
    entries.fixed(zapp.part(key, prefix.length, 32)).u64(zapp.getU64(key));
    key = zapp.next(key, prefix);
  }
  new Writer(2 + PAGE * 40).u16(count).fixed(entries.all()).output();
  return zapp.OK;
}

function about(args: Reader): u32 {
  if (!args.end()) return zapp.ARGUMENTS;
  const name = zapp.get(nameKey(), 2 + NAME_BYTES_MAX);
  if (name === null) return zapp.STATE;
  const answer = new Writer(2 + NAME_BYTES_MAX + 40);
  answer.fixed(name).fixed(zapp.load(ownerKey(), 32)).u64(zapp.getU64(totalKey())).output();
  return zapp.OK;
}

function context(args: Reader): u32 {
  if (!args.end()) return zapp.ARGUMENTS;
  new Writer(176)
    .fixed(zapp.caller())
    .fixed(zapp.origin())
    .fixed(zapp.self())
    .fixed(zapp.requestId())
    .fixed(zapp.committee())
    .u64(zapp.height())
    .u64(zapp.timeMs())
    .output();
  return zapp.OK;
}

function digests(args: Reader): u32 {
  const data = args.bytes(64);
  if (!args.end()) return zapp.ARGUMENTS;
  const before = zapp.gasLeft();
  const answer = new Writer(97).fixed(zapp.sha256(data)).fixed(zapp.sha3_256(data));
  answer.fixed(zapp.keccak256(data)).bool(zapp.gasLeft() < before).output();
  return zapp.OK;
}

function verify(args: Reader): u32 {
  const key = args.fixed(32);
  const signature = args.fixed(64);
  const message = args.bytes(64);
  if (!args.end()) return zapp.ARGUMENTS;
  new Writer(1).bool(zapp.ed25519Verify(key, message, signature)).output();
  return zapp.OK;
}

function meddle(args: Reader): u32 {
  if (!args.end()) return zapp.ARGUMENTS;
  zapp.setU64(totalKey(), 0);
  return zapp.OK;
}

// ---- Which is meant ----

function runCall(request: Request): u32 {
  const args = request.args;
  if (request.is("give")) return give(args);
  if (request.is("pass")) return pass(args);
  if (request.is("forgo")) return forgo(args);
  if (request.is("clear")) return clear(args);
  if (request.is("pass_at")) return passAt(args);
  if (request.is("try_at")) return tryAt(args);
  if (request.is("send")) return send(args);
  if (request.is("seen")) return seen(args);
  if (request.is("stop")) return stop(args);
  if (request.is("crash")) return crash(args);
  if (request.is("spin")) return spin(args);
  return zapp.UNKNOWN_METHOD;
}

function runView(request: Request): u32 {
  const args = request.args;
  if (request.is("held")) return held(args);
  if (request.is("page")) return page(args);
  if (request.is("about")) return about(args);
  if (request.is("context")) return context(args);
  if (request.is("digests")) return digests(args);
  if (request.is("verify")) return verify(args);
  if (request.is("meddle")) return meddle(args);
  return zapp.UNKNOWN_METHOD;
}

function run(request: Request): u32 {
  switch (request.op) {
    case Op.Init:
      return init(request.args);
    case Op.Migrate:
      return migrate(request.args);
    case Op.Call:
      return runCall(request);
    default:
      return runView(request);
  }
}

export function zapp_main(op: i32, length: i32): u32 {
  // The arguments of `send` are the longest.
  return zapp.enter(op, length, 8 + 32 + 32 + 8 + (2 + 32) + (2 + 64), run);
}
