//! The committed corpus, through the functions that fuzzers call.
//! `ZQ_UPDATE_CORPUS=1 cargo test --package fuzz-targets` writes the seeds anew.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::fs;

use fuzz_targets::{ALL, seeds};

#[test]
fn seeds_are_those_that_the_generator_makes() {
    let update = std::env::var_os("ZQ_UPDATE_CORPUS").is_some_and(|value| value == "1");
    let all = seeds::all();
    assert_eq!(all.len(), ALL.len(), "each target has seeds");
    for (target, files) in all {
        assert!(files.len() >= 3, "{target} has {} seeds", files.len());
        for (name, bytes) in files {
            let path = seeds::folder().join(target).join(&name);
            if update {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
            let found = fs::read(&path).unwrap_or_default();
            assert!(
                found == bytes,
                "{target}/{name} differs; ZQ_UPDATE_CORPUS=1 writes it"
            );
        }
    }
}

/// Replays each file, and the longest of each target with bytes changed: a fuzzer's first minute.
#[test]
fn every_file_of_the_corpus_breaks_no_rule_and_most_are_of_use() {
    for target in ALL {
        let folder = seeds::folder().join(target.name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let mut of_use = 0;
        for file in &files {
            of_use += usize::from((target.run)(&fs::read(file).unwrap()));
        }
        let share = of_use * 100 / files.len();
        assert!(share >= 50, "{}: {share} % are of use", target.name);
    }
}

#[test]
fn changed_seeds_break_no_rule() {
    for target in ALL {
        let folder = seeds::folder().join(target.name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in files.iter().take(6) {
            let bytes = fs::read(file).unwrap();
            for change in 0..8u8 {
                let mut changed = bytes.clone();
                let at = usize::from(change) * 37 % changed.len().max(1);
                match (change % 4, changed.get_mut(at)) {
                    (0, _) => changed.truncate(at),
                    (1, _) => changed.push(change),
                    (2, Some(byte)) => *byte ^= 1 << (change % 8),
                    (_, Some(byte)) => *byte = 0xff,
                    (_, None) => {}
                }
                let _ = (target.run)(&changed);
            }
        }
    }
}

#[test]
fn modules_of_the_corpus_are_accepted_or_refused_by_the_rule_in_their_name() {
    let mut others = Vec::new();
    for file in fs::read_dir(seeds::folder().join("gatekeeper")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let verdict = match runtime::prepare(&fs::read(&path).unwrap()) {
            Ok(_) => "accepted",
            Err(rejection) => rejection.rule.id(),
        };
        let (named, _) = name.split_once('-').unwrap();
        // What a fuzzer found is named for nothing.
        if named != verdict && named != "found" {
            others.push(format!("{name}: {verdict}"));
        }
    }
    assert!(others.is_empty(), "{others:?}");
}
