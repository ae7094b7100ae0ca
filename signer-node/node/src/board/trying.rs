//! The repair of a share that the operator approved last, as `zq status` shows it.
//!
//! A try lives in the memory of those who take part. One that starts anew has forgotten it, and says
//! nothing of it to the others: each node tells its own operator what it knows.

use std::time::{Duration, Instant};

use attestation::ids::Slot;
use gateway::PartStatus;

/// A try takes a second or two once all have approved it; one that takes this long waits for somebody.
const PATIENCE: Duration = Duration::from_secs(600);

/// One try.
#[derive(Debug)]
pub(super) struct Try {
    lost: Slot,
    attempt: u64,
    began: Instant,
    /// Why it ended without a share.
    ended: Option<String>,
}

impl Try {
    pub(super) const fn begun(lost: Slot, attempt: u64, began: Instant) -> Self {
        Self {
            lost,
            attempt,
            began,
            ended: None,
        }
    }

    pub(super) const fn lost(&self) -> Slot {
        self.lost
    }

    /// It is over without a share; the first reason is kept. Whether that is news.
    pub(super) fn end(&mut self, why: &str) -> bool {
        let is_news = self.ended.is_none();
        self.ended.get_or_insert_with(|| why.to_owned());
        is_news
    }

    pub(super) fn line(&self) -> String {
        let Self { lost, attempt, .. } = self;
        let share = format!("the share of member {lost}, attempt {attempt}");
        let waited = self.began.elapsed();
        match &self.ended {
            Some(why) => format!("{share}: {why}"),
            None if waited < PATIENCE => format!(
                "{share}: under way for {} s; it waits for all that the plan names",
                waited.as_secs()
            ),
            None => format!(
                "{share}: not over after {} s: somebody that the plan names has not approved it, is away, \
                 or has started anew; if so, {ANOTHER}",
                waited.as_secs()
            ),
        }
    }

    pub(super) fn part(&self) -> PartStatus {
        PartStatus {
            name: "repair".into(),
            up: self.ended.is_none() && self.began.elapsed() < PATIENCE,
            detail: self.line(),
            ..PartStatus::default()
        }
    }
}

/// Why a try is over whose signer, or node, is another one by now.
pub(super) const STARTED_ANEW: &str = "given up: this member started anew before it knew the end, and \
     has forgotten its part; if the share is still lost, plan another (`zq committee repair`)";

/// What is to be done about a try that does not end.
const ANOTHER: &str = "plan another (`zq committee repair`)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_is_up_until_it_ends_or_nobody_goes_on_with_it() {
        let began = |before: Duration| Instant::now().checked_sub(before).expect("up for so long");
        let fresh = Try::begun(Slot(5), 2, began(Duration::ZERO));
        assert!(fresh.part().up);
        assert!(fresh.line().contains("member 5, attempt 2: under way"));
        let stuck = Try::begun(Slot(5), 2, began(PATIENCE));
        assert!(!stuck.part().up);
        assert!(stuck.line().contains("not over after 600 s"));
        let mut ended = fresh;
        assert!(ended.end("first"));
        assert!(!ended.end("second"), "it ends once");
        assert!(!ended.part().up);
        assert!(ended.line().ends_with("attempt 2: first"));
    }
}
