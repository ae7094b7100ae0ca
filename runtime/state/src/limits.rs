//! Every bound on what a step and its parts may hold, in one place.

use attestation::leaf::LEAVES_MAX;

/// Most requests in a step.
pub const REQUESTS_MAX: usize = 1024;
/// Longest key of a zApp's entry in bytes; the shortest is one byte.
pub const KEY_BYTES_MAX: usize = 256;
/// Longest value in bytes.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Most write operations (set or delete) of one request.
pub const WRITES_MAX: usize = 1024;
/// Most bytes that one request may write, keys and values together.
pub const WRITES_BYTES_MAX: usize = 1024 * 1024;
/// Most events of one request.
pub const EVENTS_MAX: usize = 256;
/// Most bytes of one request's events, topics and data together.
pub const EVENTS_BYTES_MAX: usize = 64 * 1024;
/// Most outbound messages of one request.
pub const POSTS_MAX: usize = 32;
/// Most bytes of one request's outbound messages, payloads and labels together.
pub const POSTS_BYTES_MAX: usize = 64 * 1024;
/// Most zApps that run at once, each called by the one before.
pub const FRAMES_MAX: usize = 8;
/// Most pages of memory that zApps which run at once may grow to, all together: a quarter of
/// what the smallest executor has.
pub const FRAMES_PAGES_MAX: u64 = 512;
/// Most zApps that one request may call, each counted once: their modules must be at hand.
pub const CALLEES_MAX: usize = 16;
/// Longest output of a request in bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of methods and inputs of a step's requests together.
pub const INPUTS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes that the report of one request weighs, see [`Report::weight`].
///
/// [`Report::weight`]: crate::execute::Report::weight
pub const REPORT_BYTES_MAX: usize = WRITES_BYTES_MAX
    + WRITES_MAX * FRAMING_BYTES
    + EVENTS_BYTES_MAX
    + EVENTS_MAX * FRAMING_BYTES
    + POSTS_BYTES_MAX
    + POSTS_MAX * POST_FRAMING_BYTES
    + OUTPUT_BYTES_MAX
    + REPORT_FRAMING_BYTES;
/// Most bytes that a step's reports weigh together: an executor's answer stays below the longest
/// message. A request that might not fit waits for the next step.
pub const REPORTS_BYTES_MAX: usize = 12 * 1024 * 1024;
/// What a write or an event weighs beyond its bytes.
pub const FRAMING_BYTES: usize = 128;
/// What a message weighs beyond its bytes.
pub const POST_FRAMING_BYTES: usize = 320;
/// What a report weighs beyond its writes, events and output.
pub const REPORT_FRAMING_BYTES: usize = 512;
/// Longest encoded witness in bytes: a job with it stays below the longest message.
pub const WITNESS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most inner nodes in a witness: bounds the memory of a decoded one.
pub const WITNESS_NODES_MAX: usize = 1 << 18;
/// Most gas that a step may use; a request whose limit does not fit waits for the next step.
pub const STEP_GAS_MAX: u64 = 2_000_000_000;
/// Gas of a request that ends without running.
pub const REQUEST_GAS: u64 = 1_000;
/// Most gas of a request that a zApp pays for whose owner has set no bound: a stranger spends an
/// escrow in small steps, if at all.
pub const ESCROW_CALL_GAS: u64 = 50_000_000;
/// How far ahead of a step a request that pays with work may be valid, in milliseconds.
pub const WORK_AHEAD_MS: u64 = 15 * 60 * 1000;
/// Gas of a method of the system zApp that runs nothing: a few entries read and written.
pub const SYSTEM_GAS: u64 = 50_000;
/// Gas for deploying, before the module is looked at: the gatekeeper's work on the largest one.
pub const DEPLOY_GAS: u64 = 10_000_000;
/// Gas for deploying, per function of the module: 70 µs of compilation each.
pub const DEPLOY_FUNCTION_GAS: u64 = 70_000;
/// Gas for deploying, per operator of the module: 2.7 µs of compilation each.
pub const DEPLOY_OPERATOR_GAS: u64 = 3_000;
/// Longest name of a gatekeeper's rule in bytes.
pub const RULE_BYTES_MAX: usize = 64;
/// A fault counts for so many steps after the one in which the request ran first.
pub const FAULT_SEQS_MAX: u64 = 16;
/// Most observations in a job: each is a signature to verify.
pub const OBSERVATIONS_MAX: usize = 2048;
/// Most bytes that they weigh together, see [`SignedObservation::weight`].
///
/// [`SignedObservation::weight`]: crate::pull::SignedObservation::weight
pub const OBSERVATIONS_BYTES_MAX: usize = 1024 * 1024;
/// What an observation weighs beyond its values.
pub const OBSERVATION_FRAMING_BYTES: usize = 384;
/// An observation counts for so many steps after the one that was next when it was made.
pub const OBSERVATION_SEQS_MAX: u64 = 4096;
/// How far an observation may be from the step's time, in milliseconds: a value that was held back
/// for longer is worth nothing.
pub const OBSERVATION_MS_MAX: u64 = 60_000;
/// Gas of a request that names sources, besides [`PULL_SOURCE_GAS`] for each: members' signatures.
pub const PULL_GAS: u64 = 400_000;
/// Gas of a source: every member's node asks there.
pub const PULL_SOURCE_GAS: u64 = 50_000;

/// Longest path of the state tree: one level per bit of a key hash.
pub(crate) const DEPTH_MAX: u16 = 256;

const _: () = assert!(REPORT_BYTES_MAX + REQUESTS_MAX * REPORT_FRAMING_BYTES < REPORTS_BYTES_MAX);
const _: () = assert!((1 + REQUESTS_MAX * (1 + POSTS_MAX)) as u64 <= LEAVES_MAX);
const _: () = assert!(OUTPUT_BYTES_MAX <= VALUE_BYTES_MAX);
const _: () = assert!(KEY_BYTES_MAX + VALUE_BYTES_MAX <= WRITES_BYTES_MAX);
