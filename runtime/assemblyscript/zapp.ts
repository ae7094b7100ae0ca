/**
 * The SDK for zApps in AssemblyScript: the host interface `zapp0`, and above it what the SDK in Rust
 * has.
 *
 *     npx asc hello.ts -o hello.wasm
 *     zq zapp check hello.wasm
 *
 * A zApp is a function that answers requests, handed to `enter`, and a description of its methods,
 * `hello.abi.json`. A call that returns `OK` is kept; any other code undoes it and stands in the
 * attested leaf. Memory is never freed: every call begins with a new one.
 *
 * Values have one encoding, the same in every language: fields one after another, numbers big-endian
 * at full width, fixed bytes as they are; before text, bytes and lists their length as u16; before an
 * optional value 1, and 0 instead of none. docs/zapps.md has methods, limits and prices.
 *
 * There is no clock and no randomness: `Date` and `Math.random` import what no node has, and
 * `zq zapp check` refuses the module. What the host refuses (a key that is empty or longer than 256
 * bytes, a write in a view) ends the call as a trap.
 */
export * from "./sdk/bytes";
export * from "./sdk/context";
export * from "./sdk/end";
export * from "./sdk/outward";
export * from "./sdk/request";
export * from "./sdk/state";
export * from "./sdk/values";
