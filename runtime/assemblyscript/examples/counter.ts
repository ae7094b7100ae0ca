// A number that everyone may add to.
import * as zapp from "../zapp";

const TOTAL = zapp.utf8("total");

function add(args: zapp.Reader): u32 {
  const amount = args.u64();
  if (!args.end()) return zapp.ARGUMENTS;

  const before = zapp.getU64(TOTAL);
  if (amount > u64.MAX_VALUE - before) return zapp.OVERFLOW;
  const total = before + amount;
  zapp.setU64(TOTAL, total);

  new zapp.Writer(8).u64(amount).emit("added");
  new zapp.Writer(8).u64(total).output();
  return zapp.OK;
}

function get(args: zapp.Reader): u32 {
  if (!args.end()) return zapp.ARGUMENTS;
  new zapp.Writer(8).u64(zapp.getU64(TOTAL)).output();
  return zapp.OK;
}

function run(request: zapp.Request): u32 {
  const args = request.args;
  if (request.op == zapp.Op.Init) return args.end() ? zapp.OK : zapp.ARGUMENTS;
  if (request.op == zapp.Op.Call && request.is("add")) return add(args);
  if (request.op == zapp.Op.View && request.is("get")) return get(args);
  return zapp.UNKNOWN_METHOD;
}

export function zapp_main(op: i32, length: i32): u32 {
  return zapp.enter(op, length, 8, run);
}
