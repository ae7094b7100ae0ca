//! The operations of a step alone in a loop, and how many of them the protocol prescribes.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use ed25519_dalek::{Signer as _, SigningKey};
use frost_ed25519 as frost;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use sha2::{Digest as _, Sha256};

use crate::step::StepCosts;

/// Microseconds of each operation, medians.
pub(crate) struct Raw {
    members: f64,
    threshold: f64,
    sign: f64,
    verify: f64,
    commit: f64,
    share: f64,
    aggregate: f64,
    hash_kib: f64,
    seal_kib: f64,
    fsync: f64,
}

/// Measures every operation on this machine.
pub(crate) fn measure(members: u16, threshold: u16) -> Result<Raw> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let key = SigningKey::from_bytes(&[7; 32]);
    let verifying = key.verifying_key();
    let message = [9u8; 200];
    let signature = key.sign(&message);
    let ceremony = frost::keys::generate_with_dealer(
        members,
        threshold,
        frost::keys::IdentifierList::Default,
        &mut rng,
    );
    let (shares, public) = ceremony.context("dealer keys")?;
    let packages: BTreeMap<_, _> = shares
        .into_iter()
        .take(usize::from(threshold))
        .map(|(id, share)| Ok((id, frost::keys::KeyPackage::try_from(share)?)))
        .collect::<Result<_>>()?;
    let first = packages.values().next().context("a share")?;
    let mut nonces = BTreeMap::new();
    let mut commitments = BTreeMap::new();
    for (id, package) in &packages {
        let (nonce, commitment) = frost::round1::commit(package.signing_share(), &mut rng);
        nonces.insert(*id, nonce);
        commitments.insert(*id, commitment);
    }
    let signing = frost::SigningPackage::new(commitments, &message);
    let signature_shares: BTreeMap<_, _> = packages
        .iter()
        .map(|(id, package)| {
            let nonce = nonces.get(id).context("nonces of every signer")?;
            Ok((*id, frost::round2::sign(&signing, nonce, package)?))
        })
        .collect::<Result<_>>()?;
    let first_nonces = nonces.values().next().context("nonces")?;
    let kib = [3u8; 1024];
    Ok(Raw {
        members: f64::from(members),
        threshold: f64::from(threshold),
        sign: median_us(400, || key.sign(&message)),
        verify: median_us(400, || verifying.verify_strict(&message, &signature)),
        commit: median_us(400, || {
            frost::round1::commit(first.signing_share(), &mut rng)
        }),
        share: median_us(200, || frost::round2::sign(&signing, first_nonces, first)),
        aggregate: median_us(200, || {
            frost::aggregate(&signing, &signature_shares, &public)
        }),
        hash_kib: median_us(2000, || Sha256::digest(kib)),
        seal_kib: noise_kib()?,
        fsync: fsync_us()?,
    })
}

/// One KiB through a Noise transport: sealed once and opened once.
fn noise_kib() -> Result<f64> {
    let pattern = "Noise_NN_25519_ChaChaPoly_SHA256";
    let mut one = snow::Builder::new(pattern.parse()?).build_initiator()?;
    let mut two = snow::Builder::new(pattern.parse()?).build_responder()?;
    let (mut wire, mut plain) = (vec![0u8; 2048], vec![0u8; 2048]);
    let written = one.write_message(&[], &mut wire)?;
    two.read_message(wire.get(..written).unwrap_or_default(), &mut plain)?;
    let written = two.write_message(&[], &mut wire)?;
    one.read_message(wire.get(..written).unwrap_or_default(), &mut plain)?;
    let (mut one, mut two) = (one.into_transport_mode()?, two.into_transport_mode()?);
    let kib = [3u8; 1024];
    Ok(median_us(1000, || {
        let written = one.write_message(&kib, &mut wire)?;
        two.read_message(wire.get(..written).unwrap_or_default(), &mut plain)
    }))
}

fn fsync_us() -> Result<f64> {
    let path = std::env::temp_dir().join(format!("zquorum-fsync-{}", std::process::id()));
    let mut file = fs::File::create(&path)?;
    let mut failed = None;
    let micros = median_us(100, || {
        if let Err(error) = file.write_all(&[1; 256]).and_then(|()| file.sync_data()) {
            failed = Some(error);
        }
    });
    fs::remove_file(&path)?;
    failed.map_or(Ok(micros), |error| Err(error.into()))
}

pub(crate) fn median_us<T>(runs: usize, mut operation: impl FnMut() -> T) -> f64 {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let began = Instant::now();
            black_box(operation());
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(runs / 2).copied().unwrap_or_default()
}

impl Raw {
    /// What all members together spend on each kind of raw operation, in µs of CPU per request,
    /// for steps of so many requests.
    pub(crate) fn split(&self, step: &StepCosts, requests: f64) -> Split {
        let (n, t) = (self.members, self.threshold);
        let requests = requests.max(1.0);
        // Every signer and one gateway check each caller's signature.
        let callers = (n + 1.0) * self.verify;
        // Each signer: checks proposal, listed votes, previous attestation, package, t votes,
        // t commitments and the new attestation; signs vote and commitments. Voters sign their
        // share and the next commitments.
        let member = (1.0 + n + 1.0 + 1.0 + t + t + 1.0) * self.verify + 2.0 * self.sign;
        // The coordinator: checks n votes and commitments, t shares' envelopes.
        let coordinator = (2.0 * n + t) * self.verify + 2.0 * self.sign;
        let envelopes = n * member + t * 2.0 * self.sign + coordinator;
        let frost = n * self.commit + t * (self.share + self.commit) + self.aggregate;
        // The job to every signer, on to its executor, and the reports back.
        let sealed_kib = n * (2.0 * step.job_bytes + step.report_bytes) / 1024.0;
        Split {
            // Gateway and executors run it, signers replay it.
            execution: (n + 1.0) * step.execute_us + n * step.replay_us,
            signatures: callers + envelopes / requests,
            frost: frost / requests,
            noise: sealed_kib * self.seal_kib,
            // Vote and job, lock, step: three waits of each member; and the request itself.
            fsync_waits: (3.0 * n + 1.0) * self.fsync / requests,
        }
    }

    /// The operations by name, in µs.
    pub(crate) fn operations(&self) -> [(&'static str, f64); 8] {
        [
            ("Ed25519 sign", self.sign),
            ("Ed25519 verify, strict", self.verify),
            ("FROST commit", self.commit),
            ("FROST sign share", self.share),
            ("FROST aggregate and verify", self.aggregate),
            ("SHA-256 of 1 KiB", self.hash_kib),
            ("Noise seal and open 1 KiB", self.seal_kib),
            ("append 256 B and fsync", self.fsync),
        ]
    }
}

/// Raw cost of a request, all members together, µs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    pub(crate) execution: f64,
    pub(crate) signatures: f64,
    pub(crate) frost: f64,
    pub(crate) noise: f64,
    /// Time, not CPU: members wait for their disks at the same time.
    pub(crate) fsync_waits: f64,
}

impl Split {
    /// CPU: the floor below which no implementation of the protocol goes with these libraries.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.execution + self.signatures + self.frost + self.noise
    }
}
