// The host interface `zapp0`, as it is. Pointers are addresses in this zApp's memory.

@external("zapp0", "input")
export declare function zapp0_input(to: usize, from: u32, length: u32): void;
@external("zapp0", "output")
export declare function zapp0_output(bytes: usize, length: u32): void;
@external("zapp0", "ctx")
export declare function zapp0_ctx(field: u32, to: usize): i32;
@external("zapp0", "gas_left")
export declare function zapp0_gas_left(): u64;
@external("zapp0", "get")
export declare function zapp0_get(key: usize, length: u32, to: usize, room: u32): i32;
@external("zapp0", "set")
export declare function zapp0_set(key: usize, keyLength: u32, value: usize, length: u32): void;
@external("zapp0", "del")
export declare function zapp0_del(key: usize, length: u32): void;
@external("zapp0", "next")
export declare function zapp0_next(key: usize, length: u32, to: usize, room: u32): i32;
@external("zapp0", "emit")
export declare function zapp0_emit(topic: usize, topicLength: u32, data: usize, length: u32): void;
@external("zapp0", "hash")
export declare function zapp0_hash(algorithm: u32, bytes: usize, length: u32, to: usize): void;
@external("zapp0", "verify")
export declare function zapp0_verify(
  algorithm: u32,
  message: usize,
  messageLength: u32,
  signature: usize,
  signatureLength: u32,
  key: usize,
  keyLength: u32,
): i32;
@external("zapp0", "abort")
export declare function zapp0_abort(message: usize, length: u32): void;
@external("zapp0", "log")
export declare function zapp0_log(text: usize, length: u32): void;
@external("zapp0", "call")
export declare function zapp0_call(zapp: usize, gas: u64, input: usize, length: u32): u64;
@external("zapp0", "result")
export declare function zapp0_result(to: usize, from: u32, length: u32): void;
@external("zapp0", "post")
export declare function zapp0_post(to: usize, toLength: u32, payload: usize, length: u32): void;
@external("zapp0", "pull")
export declare function zapp0_pull(source: usize, length: u32, to: usize, room: u32): i32;
