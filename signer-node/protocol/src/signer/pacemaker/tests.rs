use super::*;

/// Four of five, while a request waits.
fn waiting(now_ms: u64) -> Pacemaker {
    let mut pace = Pacemaker::new(Quorum::new(5, 4).unwrap(), View(0));
    pace.set_executable(true, now_ms);
    pace
}

/// So many others say that they are in this view.
fn meet(pace: &mut Pacemaker, others: u16, view: u64, now_ms: u64) {
    for slot in 2..2 + others {
        pace.note(Slot(slot), View(view), Boot(1), now_ms);
    }
}

/// The first moment at which the view is over.
fn ends(pace: &Pacemaker) -> Option<u64> {
    let at = pace.timer?;
    assert!(!pace.expired(at - 1) && pace.expired(at));
    Some(at)
}

#[test]
fn a_views_timer_is_a_second_doubles_up_to_thirty_and_is_one_again_after_an_attested_step() {
    let mut now = 1_000_000;
    let mut pace = waiting(now);
    for round in 0..2 {
        let first = pace.view.0;
        let lasts = [1, 2, 4, 8, 16, 30, 30, 30].map(|seconds| seconds * 1_000);
        for (view, lasts) in (first..).zip(lasts) {
            meet(&mut pace, 3, view, now);
            assert_eq!(ends(&pace), Some(now + lasts), "round {round}, view {view}");
            now += lasts;
            pace.entered(View(view + 1), now);
        }
        pace.attested(now);
    }
    // However many views have come to nothing.
    pace.failures = u32::MAX;
    pace.entered(View(1_000), now);
    meet(&mut pace, 3, 1_000, now);
    assert_eq!(ends(&pace), Some(now + TIMER_MAX_MS));
}

#[test]
fn a_views_timer_starts_when_t_members_are_seen_in_it_or_beyond_and_a_request_waits() {
    let mut pace = waiting(0);
    meet(&mut pace, 2, 0, 10);
    assert_eq!(ends(&pace), None, "three of five");
    pace.note(Slot(4), View(7), Boot(1), 50);
    assert_eq!(ends(&pace), Some(50 + TIMER_FIRST_MS));
    meet(&mut pace, 4, 0, 90);
    assert_eq!(ends(&pace), Some(50 + TIMER_FIRST_MS), "only once");
    pace.entered(View(1), 2_000);
    assert_eq!(ends(&pace), None, "the others are where they were");
    meet(&mut pace, 3, 1, 2_100);
    pace.set_executable(false, 2_200);
    assert_eq!((ends(&pace), pace.due()), (None, None), "nothing waits");
    pace.set_executable(true, 2_300);
    assert_eq!(ends(&pace), Some(2_300 + 2 * TIMER_FIRST_MS));
}

#[test]
fn a_views_timer_restarts_once_when_t_members_agree() {
    let mut pace = waiting(0);
    pace.agreed(0);
    assert_eq!(ends(&pace), None, "no timer, none to restart");
    meet(&mut pace, 3, 0, 0);
    pace.agreed(900);
    assert_eq!(ends(&pace), Some(900 + TIMER_FIRST_MS));
    pace.agreed(1_500);
    assert_eq!(ends(&pace), Some(900 + TIMER_FIRST_MS), "once in a view");
    pace.entered(View(1), 2_000);
    meet(&mut pace, 3, 1, 2_000);
    pace.agreed(3_000);
    assert_eq!(ends(&pace), Some(3_000 + 2 * TIMER_FIRST_MS), "as its own");
}
