//! What a seed draws before anything happens: the committee, its faults and its liars.

use std::fmt;

use attestation::committee::Quorum;

use crate::dice::Dice;

/// A family of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Nothing fails: the reference for speed, and the first thing to look at.
    Calm,
    /// Loss, copies, reordering, delays, partitions, clocks.
    Network,
    /// Processes and machines that die, twins, disks that fill up or go back in time.
    Crash,
    /// As many lying members as the threshold tolerates, and lying coordinators.
    Byzantine,
    /// Everything, each knob turned off in a quarter of all seeds.
    Swarm,
    /// A change of members or threshold under network and crash faults, with a liar in half of the
    /// runs, and nothing else.
    Change,
    /// Everything of `swarm` while the epoch changes under a committee that takes steps.
    Epochs,
    /// One liar too many: f = 2t − n. A violation is what is expected.
    Excess,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calm => "calm",
            Self::Network => "network",
            Self::Crash => "crash",
            Self::Byzantine => "byzantine",
            Self::Swarm => "swarm",
            Self::Change => "change",
            Self::Epochs => "epochs",
            Self::Excess => "excess",
        })
    }
}

/// Everything that a seed decides at its start. Rates are per simulated minute, `_pm` is per
/// mille.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// n.
    pub members: u16,
    /// t.
    pub threshold: u16,
    /// k.
    pub coordinators: u16,
    /// Whether the key comes from a key generation in this run, not from a dealer.
    pub ceremony: bool,
    /// How long faults go on.
    pub faulty_ms: u64,
    /// Requests handed in while they do.
    pub requests: u64,
    /// Messages lost.
    pub loss_pm: u64,
    /// Messages that arrive twice.
    pub double_pm: u64,
    /// How long a message travels.
    pub delay_ms: (u64, u64),
    /// Messages that take up to five seconds.
    pub clog_pm: u64,
    /// Partitions.
    pub partitions: u64,
    /// Deaths of signers' processes.
    pub crashes: u64,
    /// Power cuts of members' machines.
    pub power_cuts: u64,
    /// Starts of a signer beside one that still runs.
    pub twins: u64,
    /// Processes that stand still for a while.
    pub pauses: u64,
    /// Disks that are full for a while.
    pub full_disks: u64,
    /// Disks put back to an earlier image.
    pub rollbacks: u64,
    /// Deaths of coordinators.
    pub failovers: u64,
    /// Executors that stop answering.
    pub stalls: u64,
    /// Clocks that jump.
    pub clock_jumps: u64,
    /// How far a clock is off, in milliseconds.
    pub skew_ms: u64,
    /// Register writes take this long.
    pub persist_ms: (u64, u64),
    /// Executors take this long.
    pub execute_ms: (u64, u64),
    /// Requests that trap executors.
    pub traps: u64,
    /// Members that lie from the start.
    pub liars: u16,
    /// Coordinators that lie: never all.
    pub lying_coordinators: u16,
    /// How often a liar lies where it can.
    pub lies_pm: u64,
}

impl Knobs {
    /// Draws a run.
    ///
    /// # Panics
    /// Never: the sizes drawn are those of the protocol.
    #[must_use]
    pub fn draw(profile: Profile, dice: &mut Dice) -> Self {
        Self::draw_sized(profile, None, dice)
    }

    /// Draws a run of a committee with this t and n, which the protocol allows.
    ///
    /// # Panics
    /// Never: the sizes drawn are those of the protocol.
    #[must_use]
    pub fn draw_sized(profile: Profile, size: Option<(u16, u16)>, dice: &mut Dice) -> Self {
        let sizes = [(4, 3), (4, 3), (5, 4), (5, 4), (7, 5)];
        let drawn = *dice.pick(&sizes).expect("there are sizes");
        let (members, threshold) = size.map_or(drawn, |(t, n)| (n, t));
        let mut knobs = Self::calm(members, threshold, dice);
        match profile {
            Profile::Calm => {}
            Profile::Network => knobs.network(dice),
            Profile::Crash => knobs.crash(dice),
            Profile::Byzantine => knobs.byzantine(dice, 0),
            Profile::Swarm | Profile::Epochs => {
                for family in [Self::network, Self::crash] {
                    if !dice.chance(250) {
                        family(&mut knobs, dice);
                    }
                }
                if !dice.chance(250) {
                    knobs.byzantine(dice, 250);
                }
                if profile == Profile::Swarm {
                    knobs.ceremony = dice.chance(100);
                } else {
                    // As many as the key generation that all such runs share was for.
                    (knobs.coordinators, knobs.lying_coordinators) =
                        (2, knobs.lying_coordinators.min(1));
                }
            }
            Profile::Change => {
                for family in [Self::network, Self::crash] {
                    if !dice.chance(250) {
                        family(&mut knobs, dice);
                    }
                }
                knobs.liars = u16::from(dice.chance(500));
            }
            Profile::Excess => {
                knobs.liars = 2 * threshold - members;
                knobs.lying_coordinators = knobs.coordinators;
            }
        }
        knobs
    }

    /// n and t.
    ///
    /// # Panics
    /// Never: the sizes drawn are those of the protocol.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        Quorum::new(self.members, self.threshold).expect("sizes are those of the protocol")
    }

    /// Most members that may lie while two statements of one seq are never both signed.
    #[must_use]
    pub fn liars_safe(&self) -> u16 {
        2 * self.threshold - self.members - 1
    }

    /// Most members that may lie or be away while steps are attested.
    #[must_use]
    pub fn liars_live(&self) -> u16 {
        self.members - self.threshold
    }

    fn calm(members: u16, threshold: u16, dice: &mut Dice) -> Self {
        // Long runs are rare: registers begin anew, requests are passed over, timers grow.
        let long = dice.chance(50);
        let faulty_ms = dice.within(if long {
            (60_000, 150_000)
        } else {
            (8_000, 20_000)
        });
        let requests = dice.within(if long { (60, 150) } else { (4, 14) });
        Self {
            members,
            threshold,
            coordinators: u16::try_from(dice.within((2, 3))).unwrap_or(2),
            ceremony: false,
            faulty_ms,
            requests,
            loss_pm: 0,
            double_pm: 0,
            delay_ms: (1, 10),
            clog_pm: 0,
            partitions: 0,
            crashes: 0,
            power_cuts: 0,
            twins: 0,
            pauses: 0,
            full_disks: 0,
            rollbacks: 0,
            failovers: 0,
            stalls: 0,
            clock_jumps: 0,
            skew_ms: 0,
            persist_ms: (1, 5),
            execute_ms: (1, 5),
            traps: 0,
            liars: 0,
            lying_coordinators: 0,
            lies_pm: 0,
        }
    }

    fn network(&mut self, dice: &mut Dice) {
        self.loss_pm = dice.swarm((1, 300));
        self.double_pm = dice.swarm((1, 500));
        self.delay_ms = (1, 2 + dice.swarm((1, 200)));
        self.clog_pm = dice.swarm((1, 30));
        self.partitions = dice.swarm((1, 12));
        self.skew_ms = dice.swarm((100, 5_000));
        self.clock_jumps = dice.swarm((1, 6));
        self.pauses = dice.swarm((1, 20));
    }

    fn crash(&mut self, dice: &mut Dice) {
        self.crashes = dice.swarm((1, 40));
        self.power_cuts = dice.swarm((1, 40));
        self.twins = dice.swarm((1, 15));
        self.full_disks = dice.swarm((1, 6));
        self.rollbacks = dice.swarm((4, 20));
        self.failovers = dice.swarm((1, 20));
        self.stalls = dice.swarm((1, 4));
        self.persist_ms = (1, 2 + dice.swarm((1, 150)));
        self.execute_ms = (1, 2 + dice.swarm((1, 400)));
        if dice.chance(200) {
            self.traps = dice.within((1, 2));
        }
    }

    fn byzantine(&mut self, dice: &mut Dice, none_pm: u64) {
        self.lies_pm = match dice.chance(200) {
            true => 1_000,
            false => dice.within((50, 600)),
        };
        if !dice.chance(none_pm) {
            let most = u64::from(self.liars_safe());
            self.liars = u16::try_from(dice.within((1, most))).unwrap_or(1);
        }
        if !dice.chance(none_pm) {
            let most = u64::from(self.coordinators - 1);
            self.lying_coordinators = u16::try_from(dice.within((1, most))).unwrap_or(1);
        }
        if self.delay_ms.1 <= 10 {
            self.delay_ms = (1, dice.within((5, 60)));
        }
    }
}

/// Names of the knobs that are on, for a story's first lines.
impl fmt::Display for Knobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (t, n, k) = (self.threshold, self.members, self.coordinators);
        write!(
            f,
            "{t}-of-{n}, {k} coordinators, {} requests",
            self.requests
        )?;
        let on = [
            ("loss ‰", self.loss_pm),
            ("copies ‰", self.double_pm),
            ("delay ms", self.delay_ms.1),
            ("clogs ‰", self.clog_pm),
            ("partitions/min", self.partitions),
            ("crashes/min", self.crashes),
            ("power cuts/min", self.power_cuts),
            ("twins/min", self.twins),
            ("pauses/min", self.pauses),
            ("full disks/min", self.full_disks),
            ("rollbacks/min", self.rollbacks),
            ("failovers/min", self.failovers),
            ("stalls/min", self.stalls),
            ("clock jumps/min", self.clock_jumps),
            ("skew ms", self.skew_ms),
            ("persist ms", self.persist_ms.1),
            ("execute ms", self.execute_ms.1),
            ("traps", self.traps),
            ("liars", u64::from(self.liars)),
            ("lying coordinators", u64::from(self.lying_coordinators)),
            ("lies ‰", self.lies_pm),
        ];
        for (name, value) in on.into_iter().filter(|(_, value)| *value > 0) {
            write!(f, ", {name} {value}")?;
        }
        if self.ceremony {
            f.write_str(", own key generation")?;
        }
        Ok(())
    }
}
