//! Links between nodes that are cut, both ways or one way: by relays that hang up or fall silent,
//! and by packets that are dropped between network namespaces.

use e2e::cuts::{self, Net};
use e2e::links::Link::{self, Closed, Silent, Whole};
use e2e::namespaces::Namespaces;

#[test]
fn three_and_two_attest_nothing_until_they_are_joined() {
    let mut net = Net::relayed().expect("a committee with its key");
    three_and_two(&mut net, Closed);
    three_and_two(&mut net, Silent);
}

#[test]
fn four_go_on_without_the_fifth_which_catches_up_and_takes_part_again() {
    let mut net = Net::relayed().expect("a committee with its key");
    four_and_one(&mut net, 5, Silent, Silent);
    four_and_one(&mut net, 1, Closed, Closed);
    four_and_one(&mut net, 2, Silent, Silent);
}

#[test]
fn a_member_that_is_deaf_or_mute_holds_nobody_up_and_one_of_each_are_no_quorum() {
    let mut net = Net::relayed().expect("a committee with its key");
    four_and_one(&mut net, 1, Whole, Silent);
    four_and_one(&mut net, 2, Silent, Whole);
    deaf_and_mute(&mut net);
}

#[test]
fn links_cut_and_processes_killed_at_random_lose_nothing_and_attest_nothing_twice() {
    let rounds = cuts::how_many(9).expect("a number");
    let mut net = Net::relayed().expect("a committee with its key");
    let attested = cuts::at_random(&mut net, rounds);
    println!("{} calls attested", attested.expect("nothing is lost"));
}

#[test]
fn packets_dropped_between_namespaces_lose_nothing_and_attest_nothing_twice() {
    let test = "packets dropped between network namespaces";
    let Some(spaces) = Namespaces::make(test, 5) else {
        return;
    };
    let rounds = cuts::how_many(3).expect("a number");
    let attested = spaces.in_hub(|| {
        let mut net = Net::within(&spaces)?;
        three_and_two(&mut net, Silent);
        four_and_one(&mut net, 1, Silent, Silent);
        four_and_one(&mut net, 2, Whole, Silent);
        cuts::at_random(&mut net, rounds)
    });
    println!("{} calls attested", attested.expect("nothing is lost"));
}

/// Three and two attest nothing until they are joined, though each has a coordinator.
fn three_and_two(net: &mut Net<'_>, how: Link) {
    net.settle().expect("one chain");
    net.part(&[1, 3, 4], &[2, 5], how).expect("cut");
    attests_nothing_until_healed(net);
}

/// Member 4 is not heard and member 5 hears nothing: the first cannot vote, the second has nothing
/// to vote for.
fn deaf_and_mute(net: &mut Net<'_>) {
    net.settle().expect("one chain");
    net.set(&[4], &[1, 2, 3, 5], Silent).expect("cut");
    net.set(&[1, 2, 3, 4], &[5], Silent).expect("cut");
    attests_nothing_until_healed(net);
}

fn attests_nothing_until_healed(net: &mut Net<'_>) {
    let load = net.load(&[1, 2, 5]).expect("callers");
    assert!(net.stands_still(&[1, 2]).expect("answers"));
    assert_eq!(load.attested(), 0);
    net.heal().expect("whole");
    load.wait_for_more(3).expect("they go on");
    net.finish(load).expect("nothing lost, nothing twice");
}

/// Four go on without the fifth, of whose links those on which it is heard and those on which it
/// hears do as said; joined again, it catches up and takes part.
fn four_and_one(net: &mut Net<'_>, one: u16, heard: Link, hears: Link) {
    let four: Vec<u16> = (1..=5).filter(|slot| *slot != one).collect();
    let load = net.load(&four).expect("callers");
    load.wait_for_more(2).expect("all are there");
    net.set(&[one], &four, heard).expect("cut");
    net.set(&four, &[one], hears).expect("cut");
    load.wait_for_more(10).expect("the four go on");
    let alone = net.running.head(one);
    let head = net.heads().expect("answers").into_iter().max();
    // Jobs tell the attestations before them, also to one that cannot answer.
    if hears != Whole {
        assert!(alone < head, "{alone:?}: it was not cut off");
    }
    net.heal().expect("whole");
    let head = head.expect("five nodes");
    net.running.wait_for_head(one, head).expect("caught up");
    net.finish(load).expect("nothing lost, nothing twice");
    takes_part(net, one);
}

/// Without another one, a step needs this member.
fn takes_part(net: &mut Net<'_>, slot: u16) {
    let other = if slot == 5 { 4 } else { 5 };
    net.running.committee.kill_member(other).expect("killed");
    let answer = net.running.call(slot, net.other, "add");
    answer.expect("attested with its share");
    net.start_member(other).expect("started");
    net.settle().expect("one chain");
}
