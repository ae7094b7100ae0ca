//! Looking at sources: where the operator's rules allow it, each once.

use std::sync::Arc;

use attestation::source::{Absence, Observed, Place, Source};
use serde_json::Value;

use super::rules::Rules;
use super::{evm, http, json};

/// What is seen at each source, in their order. They are asked at the same time.
pub async fn at_all(rules: &Arc<Rules>, sources: &[Source]) -> Vec<Observed> {
    let looks: Vec<_> = sources
        .iter()
        .map(|source| {
            let (rules, source) = (Arc::clone(rules), source.clone());
            tokio::task::spawn_blocking(move || at(&rules, &source))
        })
        .collect();
    let mut seen = Vec::with_capacity(looks.len());
    for look in looks {
        let absent = Observed::Absent(Absence::Unreachable);
        seen.push(look.await.unwrap_or(absent));
    }
    seen
}

/// How many of the sources are asked: for one that the rules forbid nothing is.
#[must_use]
pub fn asked(rules: &Rules, sources: &[Source]) -> usize {
    let is_asked = |source: &&Source| match &source.at {
        Place::HttpJson { url } => rules.target(url).is_some(),
        Place::NomRpc { .. } => rules.nom().is_some(),
        Place::EvmCall { chain, .. } => rules.evm(*chain).is_some(),
    };
    sources.iter().filter(is_asked).count()
}

/// What is seen at one source. Blocks for three times [`http::PATIENCE`] at most.
#[must_use]
pub fn at(rules: &Rules, source: &Source) -> Observed {
    let answer = match &source.at {
        Place::EvmCall {
            chain,
            contract,
            data,
        } => return evm::call(rules, *chain, contract, data).unwrap_or_else(Observed::Absent),
        Place::HttpJson { url } => match rules.target(url) {
            Some(target) => http::ask(&target, None),
            None => Err(Absence::Forbidden),
        },
        Place::NomRpc { method, params } => nom(rules, method, params),
    };
    match answer {
        Ok(document) => json::read(&document, &source.pointer, source.scale),
        Err(why) => Observed::Absent(why),
    }
}

/// The result of a call of the operator's own NoM node.
fn nom(rules: &Rules, method: &str, params: &str) -> Result<Vec<u8>, Absence> {
    let target = rules.nom().ok_or(Absence::Forbidden)?;
    let params: Value = serde_json::from_str(params).map_err(|_| Absence::Kind)?;
    http::ask_rpc(&target, method, &params)
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
