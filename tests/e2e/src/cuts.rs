//! Committees whose links are cut, also while their processes die.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use attestation::ids::ZappId;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::links::{Link, Relays};
use crate::namespaces::{self, Namespaces};
use crate::{COUNTER, DEADLINE, Load, Running, kills, text, wait_for};

const MEMBERS: [u16; 5] = [1, 2, 3, 4, 5];
/// The members whose nodes run a coordinator.
const LEADERS: [u16; 2] = [1, 2];
/// Every so many rounds no four members need hear each other.
const STORM_EVERY: u64 = 3;

/// A committee with its counter, whose links can be cut.
pub struct Net<'a> {
    /// The committee.
    pub running: Running,
    /// A counter that these callers leave alone.
    pub other: ZappId,
    wires: Wires<'a>,
    counter: ZappId,
    /// Calls of the counter that are accounted for.
    calls: u64,
    /// The statement of each step that any node has shown.
    shown: BTreeMap<u64, String>,
}

enum Wires<'a> {
    Relays(Relays),
    Namespaces(&'a Namespaces),
}

impl Net<'static> {
    /// Starts a committee with a relay on each link.
    ///
    /// # Errors
    /// If it does not get its key.
    pub fn relayed() -> Result<Self> {
        let mut running = Running::prepare()?;
        let relays = Relays::between(&mut running.committee)?;
        Self::start(running, Wires::Relays(relays))
    }
}

impl<'a> Net<'a> {
    /// Starts a committee with each member in a namespace of its own; the caller is in the hub.
    ///
    /// # Errors
    /// If it does not get its key.
    pub fn within(spaces: &'a Namespaces) -> Result<Self> {
        let mut running = Running::prepare()?;
        for slot in MEMBERS {
            let address = namespaces::address(u8::try_from(slot)?);
            running.committee.listen_on(slot, address)?;
        }
        Self::start(running, Wires::Namespaces(spaces))
    }

    fn start(running: Running, wires: Wires<'a>) -> Result<Self> {
        let mut net = Self {
            running,
            counter: ZappId::SYSTEM,
            other: ZappId::SYSTEM,
            wires,
            calls: 0,
            shown: BTreeMap::new(),
        };
        MEMBERS
            .into_iter()
            .try_for_each(|slot| net.start_member(slot))?;
        net.running.committee.wait_ready(DEADLINE)?;
        net.counter = net.running.deploy_counter(1)?;
        let other = COUNTER.replace("\"n\"", "\"m\"");
        net.other = net.running.deploy(1, &wat::parse_str(other)?)?;
        net.settle()?;
        Ok(net)
    }

    /// Starts the node of a member where it belongs.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_member(&mut self, slot: u16) -> Result<()> {
        let committee = &mut self.running.committee;
        match self.wires {
            Wires::Relays(_) => committee.start_member(slot),
            Wires::Namespaces(spaces) => spaces.at(slot, || committee.start_member(slot)),
        }
    }

    /// Makes the links from each of `from` to each of `to` do as said, and not those back. Between
    /// namespaces whatever is not whole is silent.
    ///
    /// # Errors
    /// If a member is none.
    pub fn set(&self, from: &[u16], to: &[u16], link: Link) -> Result<()> {
        for (from, to) in pairs(from, to) {
            match &self.wires {
                Wires::Relays(relays) => relays.set(from, to, link)?,
                Wires::Namespaces(spaces) => {
                    spaces.drop_packets(from, u8::try_from(to)?, link != Link::Whole)?;
                }
            }
        }
        Ok(())
    }

    /// Cuts all links between two groups, both ways.
    ///
    /// # Errors
    /// If a member is none.
    pub fn part(&self, one: &[u16], other: &[u16], how: Link) -> Result<()> {
        self.set(one, other, how)?;
        self.set(other, one, how)
    }

    /// Makes all links whole.
    ///
    /// # Errors
    /// If a member is none.
    pub fn heal(&self) -> Result<()> {
        self.set(&MEMBERS, &MEMBERS, Link::Whole)
    }

    /// Waits until all nodes have accepted the last step of any of them.
    ///
    /// # Errors
    /// If one does not in time, or two show different steps.
    pub fn settle(&mut self) -> Result<u64> {
        let heads = MEMBERS.iter().filter_map(|slot| self.running.head(*slot));
        let head = heads.max().context("a node that answers")?;
        for slot in MEMBERS {
            self.running.wait_for_head(slot, head)?;
        }
        self.look()?;
        Ok(head)
    }

    /// The last step of each node.
    ///
    /// # Errors
    /// If one does not answer.
    pub fn heads(&self) -> Result<Vec<u64>> {
        let heads = MEMBERS.iter().map(|slot| self.running.head(*slot));
        heads.collect::<Option<_>>().context("a node that answers")
    }

    /// Asks these nodes for a call each and waits a while; whether all say that nothing came of it,
    /// and no node has accepted a step meanwhile.
    ///
    /// # Errors
    /// If a node does not answer.
    pub fn stands_still(&mut self, slots: &[u16]) -> Result<bool> {
        let before = self.heads()?;
        let mut attested = Vec::new();
        for slot in slots {
            let caller = &mut self.running.caller;
            let request = caller.request(self.other, "add", Vec::new())?;
            let http = self.running.committee.http(*slot)?;
            let answer = self.running.caller.submit(&http, &request, STILL_S)?;
            if text(&answer, "/state") != Some("pending") {
                attested.push(answer);
            }
        }
        let after = self.heads()?;
        if attested.is_empty() && before == after {
            return Ok(true);
        }
        println!("{before:?}, then {after:?}; {attested:?}");
        Ok(false)
    }

    /// Looks at the steps of all nodes that answer: whatever one has ever shown, all show.
    ///
    /// # Errors
    /// If a seq has two statements.
    pub fn look(&mut self) -> Result<()> {
        let settled = self.shown.len() as u64;
        for slot in MEMBERS {
            let Some(head) = self.running.head(slot) else {
                continue;
            };
            // The last ones again: others may have shown them first.
            for seq in settled.saturating_sub(LOOK_BACK).max(1)..=head {
                let step = self.running.committee.http(slot)?;
                let step = step.get(&format!("/v1/steps/{seq}"))?;
                let statement = text(&step, "/statement").context("a statement")?;
                let shown = self.shown.entry(seq).or_insert_with(|| statement.into());
                if shown != statement {
                    bail!("step {seq}: {shown}, and {statement} at node {slot}");
                }
            }
        }
        Ok(())
    }

    /// Starts one caller for each of `slots`.
    ///
    /// # Errors
    /// If the system has no randomness for their keys.
    pub fn load(&self, slots: &[u16]) -> Result<Load> {
        Load::start_after(&self.running, self.counter, slots, self.calls)
    }

    /// Ends the callers' requests and compares what all nodes have; says how many calls were
    /// attested.
    ///
    /// # Errors
    /// If a request is lost or ran twice, or nodes disagree.
    pub fn finish(&mut self, load: Load) -> Result<u64> {
        let attested = load.finish()?;
        self.calls += attested;
        self.settle()?;
        kills::check_agreement(&self.running)?;
        Ok(attested)
    }
}

/// How many rounds of cuts: `usual`, or what `ZQ_CUTS` says, for longer runs.
///
/// # Errors
/// If that is no number.
pub fn how_many(usual: u64) -> Result<u64> {
    match std::env::var("ZQ_CUTS") {
        Ok(cuts) => Ok(cuts.parse().context("ZQ_CUTS")?),
        Err(_) => Ok(usual),
    }
}

/// Cuts links round after round while callers keep the committee busy, kills something in each, and
/// says how many calls were attested. Four members that hear each other, a coordinator among them,
/// must go on whatever the links to the fifth do; in a storm any link may be cut, and nothing need
/// go on.
///
/// # Errors
/// If four do not go on, a request is lost or runs twice, or a seq has two statements.
pub fn at_random(net: &mut Net<'_>, rounds: u64) -> Result<u64> {
    let load = net.load(&[1, 3, 5])?;
    let mut random = ChaCha8Rng::seed_from_u64(rounds);
    for round in 1..=rounds {
        let storm = round % STORM_EVERY == 0;
        let outsider = one(&mut random, &MEMBERS)?;
        net.heal()?;
        let mut cut = Vec::new();
        for (from, to) in pairs(&MEMBERS, &MEMBERS) {
            let link = one(&mut random, &[Link::Whole, Link::Silent, Link::Closed])?;
            if storm || from == outsider || to == outsider {
                net.set(&[from], &[to], link)?;
                if link != Link::Whole {
                    cut.push(format!("{from}>{to} {link:?}"));
                }
            }
        }
        let victim = one(&mut random, &kills::VICTIMS)?;
        let slot = match victim {
            "coordinator" => one(&mut random, &LEADERS)?,
            _ => one(&mut random, &MEMBERS)?,
        };
        println!(
            "round {round}: {victim} of member {slot} killed, cut: {}",
            cut.join(", ")
        );
        kill(net, victim, slot)?;
        if !storm {
            load.wait_for_more(3)
                .with_context(|| format!("round {round}"))?;
        }
        net.look()?;
    }
    net.heal()?;
    load.wait_for_more(5).context("all links whole")?;
    net.finish(load)
}

/// Kills a part of a member and waits until it is back.
fn kill(net: &mut Net<'_>, victim: &str, slot: u16) -> Result<()> {
    match victim {
        "node" => {
            net.running.committee.kill_member(slot)?;
            net.start_member(slot)?;
            wait_for("a node that answers", || net.running.head(slot)).map(drop)
        }
        "engine" => kills::kill_engine(&net.running, slot).map(drop),
        part => {
            let before = wait_for(&format!("{part} of member {slot}"), || {
                let pid = net.running.guest(slot, part).ok()?;
                net.running.kill_guest(slot, part).ok().map(|()| pid)
            })?;
            wait_for("a new process", || {
                let pid = net.running.guest(slot, part).ok();
                pid.filter(|pid| *pid != before).map(drop)
            })
        }
    }
}

/// Each of `from` with each other one of `to`.
fn pairs(from: &[u16], to: &[u16]) -> BTreeSet<(u16, u16)> {
    let pairs = from
        .iter()
        .flat_map(|from| to.iter().map(move |to| (*from, *to)));
    pairs.filter(|(from, to)| from != to).collect()
}

fn one<T: Copy>(random: &mut ChaCha8Rng, of: &[T]) -> Result<T> {
    let at = random.next_u64() % (of.len() as u64);
    of.get(usize::try_from(at)?).copied().context("one")
}

/// How long each node is asked to wait where nothing may be attested, in seconds.
const STILL_S: u64 = 2;
/// Steps that are looked at again; no node is further behind when all are settled.
const LOOK_BACK: u64 = 16;
