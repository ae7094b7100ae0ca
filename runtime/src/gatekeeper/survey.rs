//! The same checks to the end of a module, for its author.

use wasmparser::Parser;

use super::{Checked, FEATURES, Gatekeeper, counts, malformed};
use crate::limits;
use crate::rejection::{Rejection, Rule, at_most};

/// Checks a module to its end, for its author.
///
/// # Errors
/// Up to `max` rejections, the first of which is [`check`](super::check)'s. After one of the
/// validator or of a section's count there are no more: what follows would be judged on wrong
/// premises.
pub(crate) fn survey(wasm: &[u8], max: usize) -> Result<Checked<'_>, Vec<Rejection>> {
    to_the_end(wasm, max).map_err(|mut rejections| {
        // What ended the check comes on top of those that were held back, and what is missing too.
        rejections.truncate(max);
        rejections
    })
}

fn to_the_end(wasm: &[u8], max: usize) -> Result<Checked<'_>, Vec<Rejection>> {
    at_most(Rule::Size, 0, "bytes", wasm.len(), limits::MODULE_BYTES_MAX)
        .map_err(|rejection| vec![rejection])?;
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    let mut gatekeeper = Gatekeeper::new(wasm);
    gatekeeper.held_max = max;
    for payload in parser.parse_all(wasm) {
        let counted = payload.map_err(malformed).and_then(|payload| {
            counts::check(&payload)?;
            Ok(payload)
        });
        let verdict = match counted {
            Ok(payload) => gatekeeper.payload(payload),
            Err(rejection) => {
                gatekeeper.held.push(rejection);
                return Err(gatekeeper.held);
            }
        };
        let ends = verdict.as_ref().is_err_and(|rejection| {
            rejection.function.is_none()
                && matches!(rejection.rule, Rule::Malformed | Rule::Feature)
        });
        let held = gatekeeper.hold(verdict);
        if ends || held.is_err() {
            gatekeeper.held.extend(held.err());
            return Err(gatekeeper.held);
        }
    }
    if gatekeeper.held.is_empty() {
        return gatekeeper.finish();
    }
    let missing = gatekeeper.missing();
    gatekeeper.held.extend(missing);
    Err(gatekeeper.held)
}
