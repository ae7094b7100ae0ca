//! A report with its job, from a node or from files.

use std::path::{Path, PathBuf};

use attestation::codec;
use attestation::ids::{Digest, ModuleDigest, Slot, StatementId, ZappId};
use serde::Serialize;
use serde_json::Value;
use signer_protocol::message::MESSAGE_BYTES_MAX;
use signer_protocol::report::Report;
use state::job::Job;
use state::step::Previous;
use state::system::methods::{DEPLOY, UPGRADE, Upgrade};
use state::system::{Deploy, ZappRecord, zapp_key};

use super::position;
use crate::failure::Failure;
use crate::files;
use crate::node::Node;
use crate::print::plain;

/// What somebody states that the job comes to.
pub(super) struct Stated {
    /// Who, for people.
    pub(super) who: String,
    pub(super) statement: StatementId,
    /// Slot, and the mask of the trace root, where it is a vote.
    pub(super) mask: Option<(Slot, Digest)>,
}

/// A report and the job that it is about.
pub(super) struct Bundle {
    /// What happened, in one line.
    pub(super) line: String,
    pub(super) stated: Vec<Stated>,
    pub(super) job: Job,
    /// Where its files are, if it has some.
    dir: Option<PathBuf>,
}

impl Bundle {
    /// From files if it names one, else from the node.
    pub(super) fn read(
        report: &str,
        node: &impl Fn() -> Result<Node, Failure>,
    ) -> Result<Self, Failure> {
        let (evidence, job, dir) = match report.parse::<Digest>() {
            Ok(id) => {
                let node = node()?;
                let path = format!("/v1/reports/{id}");
                let shown = node.get(&path)?;
                let evidence = shown.get("evidence").map(plain).unwrap_or_default();
                let evidence = hex::decode(evidence).unwrap_or_default();
                if shown.get("job") != Some(&Value::Bool(true)) {
                    return Err(no_job());
                }
                (evidence, node.get_bytes(&format!("{path}/job"))?, None)
            }
            Err(_) => {
                let path = Path::new(report);
                let name = path.file_name().and_then(|name| name.to_str());
                let id = name.and_then(|name| name.strip_suffix(".report.cbor"));
                let id = id.ok_or_else(|| {
                    Failure::Usage(format!(
                        "{report}: give a report's 64 digits, or its file REPORT.report.cbor"
                    ))
                })?;
                let job = path.with_file_name(format!("{id}.job.cbor"));
                if !job.is_file() {
                    return Err(no_job());
                }
                let dir = path.parent().map(Path::to_owned);
                let bytes_max = MESSAGE_BYTES_MAX as u64;
                (
                    files::read(path, bytes_max)?,
                    files::read(&job, bytes_max)?,
                    dir,
                )
            }
        };
        let evidence: Report = decode(&evidence, "report")?;
        let job: Job = decode(&job, "job")?;
        if let Report::Divergence(divergence) = &evidence
            && divergence.job != job.digest()
        {
            return Err(Failure::new(
                format!(
                    "the job is {}, the report names {}",
                    job.digest(),
                    divergence.job
                ),
                "the two files do not belong together: `zq report show --out` anew",
            ));
        }
        Ok(Self {
            line: evidence.line(),
            stated: stated(&evidence),
            job,
            dir,
        })
    }

    /// A module: of the files given, beside the report, or the node's.
    pub(super) fn module(
        &self,
        digest: &ModuleDigest,
        given: &[Vec<u8>],
        node: &impl Fn() -> Result<Node, Failure>,
    ) -> Result<Vec<u8>, Failure> {
        let is = |wasm: &[u8]| digest_of(wasm) == *digest;
        if let Some(wasm) = given.iter().find(|wasm| is(wasm)) {
            return Ok(wasm.clone());
        }
        let beside = self
            .dir
            .as_ref()
            .map(|dir| dir.join(format!("{digest}.wasm")));
        if let Some(path) = beside.filter(|path| path.is_file()) {
            return Some(files::read(&path, files::MODULE_BYTES_MAX)?)
                .filter(|wasm| is(wasm))
                .ok_or_else(|| altered(digest));
        }
        let fetched = node()?.get_bytes(&format!("/v1/modules/{digest}"));
        let wasm = fetched.map_err(|_| {
            Failure::new(
                format!("module {digest} is neither given, nor beside the report, nor the node's"),
                "give its file as --module, or name a node that has it with --node",
            )
        })?;
        Some(wasm)
            .filter(|wasm| is(wasm))
            .ok_or_else(|| altered(digest))
    }
}

/// What each party states that the job comes to.
fn stated(report: &Report) -> Vec<Stated> {
    if let Report::Dissent { certified, own, .. } = report {
        let parties = [("t members", certified), ("the node's own member", own)];
        let stated = parties.map(|(who, statement)| Stated {
            who: who.to_owned(),
            statement: *statement,
            mask: None,
        });
        return stated.into();
    }
    let stated = report.votes().into_iter().map(|vote| Stated {
        who: format!("member {}", vote.slot),
        statement: vote.statement,
        mask: Some((vote.slot, vote.mask)),
    });
    stated.collect()
}

/// The modules that a job's requests may run: those of the zApps in its witness, and those that are
/// deployed.
pub(crate) fn modules_of(job: &[u8]) -> Result<Vec<ModuleDigest>, Failure> {
    let job: Job = decode(job, "job")?;
    let (Previous { state: root, .. }, _) = position(&job)?;
    let state = job
        .witness
        .open(&root)
        .map_err(|error| damaged("job", &error))?;
    let (system, key_bytes) = (ZappId::SYSTEM, zapp_key(&ZappId::SYSTEM).len());
    let records = state.of(&system).filter_map(|(key, entry)| {
        let zapp = key.get(key_bytes.checked_sub(32)?..)?.try_into().ok()?;
        let is_record = zapp_key(&ZappId::from_bytes(zapp)) == key;
        let record: Option<ZappRecord> = codec::decode(&entry.value, MESSAGE_BYTES_MAX).ok();
        is_record.then_some(record?.module)
    });
    let calls = job.requests.iter().map(|request| &request.call);
    let deployed =
        calls
            .filter(|call| call.zapp == system)
            .filter_map(|call| match call.method.as_str() {
                DEPLOY => Some(Deploy::from_bytes(&call.input).ok()?.module),
                UPGRADE => {
                    let upgrade: Option<Upgrade> =
                        codec::decode(&call.input, MESSAGE_BYTES_MAX).ok();
                    Some(upgrade?.module)
                }
                _ => None,
            });
    let all: std::collections::BTreeSet<ModuleDigest> = records.chain(deployed).collect();
    Ok(all.into_iter().collect())
}

fn decode<T: Serialize + serde::de::DeserializeOwned>(
    bytes: &[u8],
    what: &str,
) -> Result<T, Failure> {
    codec::decode(bytes, MESSAGE_BYTES_MAX).map_err(|error| damaged(what, &error))
}

pub(super) fn damaged(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        format!("the {what} is damaged: {error}"),
        "fetch it anew with `zq report show --out`, or compare the versions of zq and node",
    )
}

fn altered(digest: &ModuleDigest) -> Failure {
    Failure::new(
        format!("what should be module {digest} has another digest"),
        "give its file as --module",
    )
}

fn no_job() -> Failure {
    Failure::new(
        "the report comes without its job",
        "ask the nodes of the members that voted: whoever voted has it",
    )
}

fn digest_of(wasm: &[u8]) -> ModuleDigest {
    use sha2::Digest as _;
    ModuleDigest::from_bytes(sha2::Sha256::digest(wasm).into())
}
