//! Honest committees: the flow, its cost, and what faults of machines and networks may not break.

use attestation::ids::Seq;

use crate::world::World;

#[test]
fn a_committee_attests_steps() {
    let mut world = World::four_of_five(1);
    let zapp = world.deploy();
    for _ in 0..20 {
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(5_000, World::all_done));
    }
    assert_eq!(world.head(), Seq(21));
}
