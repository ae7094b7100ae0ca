//! A committee changes its members while it works: enrolment, removal, refresh.

use e2e::Load;
use e2e::town::{Town, members, text};
use serde_json::Value;

#[test]
fn a_member_joins_one_leaves_and_steps_go_on() {
    let mut town = Town::open();
    let joins = town.running.committee.enrol().expect("a data directory");
    assert_eq!(joins, 6);
    let card = text(&town.running.committee.members()[5].dir.join("card.json"));
    let change = town.plan(1, "change", &["--join", &card, "--leave", "3"]);

    let load = Load::start(&town.running, town.zapp, &[1, 2]).expect("callers");
    load.wait_for_more(5).expect("steps");
    // The one that leaves is not asked.
    town.approve([6, 1, 2, 4, 5], &change);
    town.running.committee.start_member(6).expect("started");
    town.activate(&[1, 2, 4, 5, 6]);
    town.wait_epoch(&[1, 2, 3, 4, 5, 6], 2);
    load.wait_for_more(5).expect("steps in the new epoch");
    load.finish().expect("every call once");

    for slot in [1, 3, 6] {
        let answer = town.running.committee.committee_json(slot).expect("up");
        assert_eq!(members(&answer), [1, 2, 4, 5, 6], "node {slot}");
        assert_eq!(answer.get("threshold"), Some(&Value::from(4)));
        assert_eq!(answer.get("change"), None);
    }
    // The one that left is not needed, and the one that joined is: four of five sign.
    for slot in [3, 4] {
        town.running.committee.kill_member(slot).expect("killed");
    }
    assert_eq!(town.call(6), 2);

    // A member that missed nothing but its process comes back into the new epoch.
    town.running.committee.start_member(4).expect("started");
    town.wait_epoch(&[4], 2);
    town.running.committee.kill_member(5).expect("killed");
    assert_eq!(town.call(4), 2);
}

#[test]
fn a_refresh_survives_kills_and_a_member_that_missed_it_follows() {
    let mut town = Town::open();
    assert_eq!(town.call(1), 1);
    let change = town.plan(2, "change", &["--dealers", "1,2,3,4"]);
    // The fifth is away; without it there is no certificate.
    town.running.committee.kill_member(5).expect("killed");
    town.approve(1..=5, &change);
    for slot in [1, 4] {
        town.wait(slot, "a ceremony", |committee| {
            committee.pointer("/change/stage") == Some(&Value::from("ceremony"))
        });
        town.running.committee.kill_member(slot).expect("killed");
        town.running.committee.start_member(slot).expect("started");
    }
    let key = text(&town.path("asker.key"));
    let early = town.zq(2, &["committee", "change", "activate", "--key", &key]);
    assert_eq!(early.1, Some(1), "{}", early.0);
    assert_eq!(town.call(2), 1, "the old epoch goes on");
    town.running.committee.start_member(5).expect("started");
    town.activate(&[1, 2, 3, 4, 5]);
    // One that is away when it comes into force.
    town.running.committee.kill_member(3).expect("killed");
    town.wait_epoch(&[1, 2, 4, 5], 2);
    assert_eq!(town.call(2), 2);
    town.running.committee.start_member(3).expect("started");
    town.wait_epoch(&[3], 2);
    town.running.committee.kill_member(2).expect("killed");
    assert_eq!(town.call(3), 2, "it signs with its new share");
}

#[test]
fn a_member_moves_to_another_disk_with_its_register() {
    let mut town = Town::open();
    town.call(1);
    let dir = town.dir(5);
    let (dir_text, out) = (text(&dir), text(&town.path("register.export")));
    let export = ["register", "export", "--dir", &dir_text, "--out", &out];
    let import = ["register", "import", "--dir", &dir_text, &out];
    let (said, done) = town.node(&export);
    assert!(!done && said.contains("in use"), "{said}");

    town.running.committee.stop_member(5).expect("stopped");
    let (said, done) = town.node(&export);
    assert!(done && said.contains("head 2"), "{said}");
    assert!(!town.node(&export).1, "nothing is written over");
    let whole = std::fs::read(&out).expect("exported");
    let mut altered = whole.clone();
    *altered.last_mut().expect("bytes") ^= 1;
    for wrong in [&altered[..], &whole[1..], &[]] {
        std::fs::write(&out, wrong).expect("written");
        let (said, done) = town.node(&import);
        assert!(!done && said.contains("register.export"), "{said}");
    }
    std::fs::write(&out, &whole).expect("written");
    // A new disk, with everything but the register.
    std::fs::remove_file(dir.join("register")).expect("there");
    let (said, done) = town.node(&import);
    assert!(done && said.contains("head 2"), "{said}");

    town.running.committee.start_member(5).expect("started");
    town.running.committee.kill_member(4).expect("killed");
    assert_eq!(town.call(1), 1, "the fifth signs");
    let http = town.running.committee.http(5).expect("a member");
    let alerts = http.get("/v1/status").expect("up").to_string();
    assert!(!alerts.contains("takes no part"), "{alerts}");
}

#[test]
fn what_is_wrong_with_a_change_or_a_data_directory_is_said() {
    let mut town = Town::open();
    let (healthy, done) = town.node(&["doctor", "--json", "--dir", &text(&town.dir(1))]);
    assert!(done, "{healthy}");
    let looks: Vec<Value> = serde_json::from_str(&healthy).expect("JSON");
    assert!(
        looks
            .iter()
            .any(|look| look["look"] == "register" && look["result"] == "ok")
    );

    // A change that is none, of the wrong epoch, of somebody else.
    let change = town.plan(1, "change", &[]);
    let bytes = std::fs::read(&change).expect("planned");
    let cut = town.path("cut");
    std::fs::write(&cut, &bytes[..bytes.len() - 1]).expect("written");
    let dir = text(&town.dir(1));
    let approve = |town: &Town, dir: &str, file: &std::path::Path| {
        town.node(&["approve", "--yes", "--dir", dir, &text(file)])
    };
    let (said, done) = approve(&town, &dir, &cut);
    assert!(!done && said.contains("not a change"), "{said}");
    let (said, done) = town.node(&["approve", "--dir", &dir, &text(&change)]);
    assert!(!done && said.contains("say --yes"), "{said}");
    assert!(!town.dir(1).join("change.approved").exists());
    let stranger = town.running.committee.enrol().expect("a data directory");
    let stranger = text(&town.dir(stranger.into()));
    let (said, done) = approve(&town, &stranger, &change);
    assert!(
        !done && said.contains("neither in the committee nor planned"),
        "{said}"
    );

    let plan = |town: &Town, wish: &[&str]| {
        let out = text(&town.path("refused"));
        let arguments = [&["committee", "change", "plan", "--out", &out], wish].concat();
        let (said, code) = town.zq(1, &arguments);
        (said.to_string(), code)
    };
    for (wish, code, named) in [
        (&["--leave", "9"][..], 2, "no member"),
        (&["--leave", "1", "--leave", "2"], 2, "members"),
        (&["--threshold", "2"], 2, "threshold"),
        (&["--dealers", "1,2,3"], 1, "threshold"),
        (&["--epoch", "1"], 1, "epoch"),
        (
            &[
                "--suspect",
                "1",
                "--suspect",
                "2",
                "--suspect",
                "3",
                "--suspect",
                "4",
            ],
            1,
            "new key",
        ),
    ] {
        let (said, actual) = plan(&town, wish);
        assert_eq!(actual, Some(code), "{wish:?}: {said}");
        assert!(said.contains(named), "{wish:?}: {said}");
    }
    assert!(!town.path("refused").exists());

    // A damaged register.
    town.running.committee.stop_member(5).expect("stopped");
    let register = town.dir(5).join("register");
    let mut bytes = std::fs::read(&register).expect("there");
    *bytes.get_mut(20).expect("long") ^= 1;
    std::fs::write(&register, bytes).expect("written");
    let (said, done) = town.node(&["doctor", "--dir", &text(&town.dir(5))]);
    assert!(!done && said.contains("damaged"), "{said}");
}

#[test]
fn a_complete_change_that_is_given_up_harms_no_later_one() {
    let mut town = Town::open();
    assert_eq!(town.call(1), 1);
    // The first is complete at all and never put into force.
    let first = town.plan(1, "first", &[]);
    town.approve(1..=5, &first);
    for slot in 1..=5 {
        town.wait(slot, "the first change complete", |committee| {
            committee.pointer("/change/stage") == Some(&Value::from("ready"))
        });
    }
    // Another author, who has not heard of it, takes the same number: named, and nobody stops.
    let same = town.plan(1, "same", &["--epoch", "2", "--dealers", "1,2,3,4"]);
    town.approve(1..=5, &same);
    for slot in 1..=5 {
        town.wait(slot, "a refusal of the number", |committee| {
            let detail = committee.pointer("/change/detail").and_then(Value::as_str);
            detail.is_some_and(|detail| detail.contains("epoch 2 was used"))
        });
    }
    assert_eq!(town.call(2), 1, "the epoch in force goes on");
    // The fifth is to leave: it is not asked, and knows of the first change only.
    let second = town.plan(1, "second", &["--leave", "5", "--threshold", "3"]);
    town.approve(1..=4, &second);
    town.activate(&[1, 2, 3, 4]);
    town.wait_epoch(&[1, 2, 3, 4, 5], 3);
    // Twice is once: the second is refused by a step, or not taken.
    let key = text(&town.path("asker.key"));
    let again = town.zq(1, &["committee", "change", "activate", "--key", &key]);
    assert_eq!(again.1, Some(1), "{}", again.0);
    for slot in [1, 5] {
        let answer = town.running.committee.committee_json(slot).expect("up");
        assert_eq!(members(&answer), [1, 2, 3, 4], "node {slot}");
    }
    assert_eq!(town.call(5), 3);
    town.running.committee.kill_member(4).expect("killed");
    assert_eq!(town.call(1), 3);
    // The fifth is there still, and counts for no quorum: it is no member any more.
    town.running.committee.kill_member(3).expect("killed");
    let told = e2e::wait_for("no quorum", || {
        let (_, ended) = town.zq(1, &["status"]);
        (ended == Some(4)).then_some(())
    });
    told.expect("zq status says so");
    let status = town.running.status(1).expect("answers");
    assert_eq!(status["members_voting"], 2, "{status}");
    assert_eq!(status["threshold"], 3, "{status}");
    assert_eq!(status["members_up"], 3, "{status}");
}

#[test]
fn a_new_card_counts_from_the_epoch_on_whose_plan_names_it() {
    let mut town = Town::open();
    let dir = text(&town.dir(5));
    let (out, passphrase) = (
        text(&town.path("card-5.json")),
        text(&town.dir(5).join("passphrase")),
    );
    let account = "5a".repeat(32);
    let card = [
        "card",
        "--dir",
        &dir,
        "--passphrase-file",
        &passphrase,
        "--payout",
        &account,
        "--out",
        &out,
    ];
    let (said, done) = town.node(&card);
    assert!(!done && said.contains("in use"), "{said}");
    town.running.committee.stop_member(5).expect("stopped");
    let (said, done) = town.node(&card);
    assert!(done, "{said}");
    assert!(!town.node(&card).1, "nothing is written over");
    town.running.committee.start_member(5).expect("started");

    // One that joins is not named so, and one that stays not with the cards that join.
    let refused = |wish: &[&str]| {
        let plan = text(&town.path("refused"));
        let arguments = [&["committee", "change", "plan", "--out", &plan], wish].concat();
        let (said, code) = town.zq(1, &arguments);
        (said.to_string(), code)
    };
    let (said, code) = refused(&["--leave", "5", "--card", &out]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no member that stays"), "{said}");
    let (said, code) = refused(&["--join", &out]);
    assert!(code == Some(1) && said.contains("twice"), "{said}");

    let change = town.plan(1, "change", &["--card", &out]);
    let shown = town.node(&[
        "approve",
        "--yes",
        "--dir",
        &text(&town.dir(1)),
        &text(&change),
    ]);
    assert!(
        shown.1 && shown.0.contains(&format!("pay of 5  {account}")),
        "{}",
        shown.0
    );
    town.approve(2..=5, &change);
    town.activate(&[1, 2, 3, 4, 5]);
    town.wait_epoch(&[1, 2, 3, 4, 5], 2);
    let answer = town.running.committee.committee_json(1).expect("up");
    assert_eq!(answer["members"][4]["payout"], account, "{answer}");
    town.running.committee.kill_member(4).expect("killed");
    assert_eq!(town.call(1), 2, "the fifth signs");
}

#[test]
fn members_of_another_release_than_the_epochs_stop_and_say_what_to_install() {
    let mut town = Town::open();
    assert_eq!(town.call(1), 1);
    let next = "7b".repeat(32);
    let change = town.plan(1, "change", &["--profile", &next]);
    let shown = town.node(&[
        "approve",
        "--yes",
        "--dir",
        &text(&town.dir(1)),
        &text(&change),
    ]);
    assert!(
        shown.1 && shown.0.contains(&format!("profile    {next} instead")),
        "{}",
        shown.0
    );
    town.approve(2..=5, &change);
    town.activate(&[1, 2, 3, 4, 5]);
    town.wait_epoch(&[1, 2, 3, 4, 5], 2);
    for slot in [1, 5] {
        let told = e2e::wait_for("what to install", || {
            let status = town.running.status(slot)?.to_string();
            let halted = format!("committee {next}: install its image");
            let alerted = format!("epoch 2 runs steps under profile {next}");
            (status.contains(&halted) && status.contains(&alerted)).then_some(())
        });
        told.expect("status says so");
    }
    let told = e2e::wait_for("no quorum", || {
        let (_, ended) = town.zq(1, &["status"]);
        (ended == Some(4)).then_some(())
    });
    told.expect("nobody votes");
    let before = town.running.status(1).expect("answers")["head"].clone();
    let key = text(&town.path("asker.key"));
    let zapp = town.zapp.to_string();
    let call = ["zapp", "call", &zapp, "add", "--key", &key, "--wait", "3"];
    let (said, code) = town.zq(1, &call);
    assert_eq!(code, Some(4), "{said}");
    let after = town.running.status(1).expect("answers")["head"].clone();
    assert_eq!(before, after);
}
