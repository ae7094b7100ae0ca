//! A running committee with a counter, whose members change.

use std::path::PathBuf;

use attestation::ids::ZappId;
use serde_json::Value;
use tempfile::TempDir;

use crate::{DEADLINE, Running};

/// A running committee with a counter, and a key file of somebody who asks for changes.
pub struct Town {
    /// The committee.
    pub running: Running,
    /// The counter.
    pub zapp: ZappId,
    files: TempDir,
}

impl Town {
    /// A committee of five with a counter.
    ///
    /// # Panics
    /// If it does not start.
    pub fn open() -> Self {
        Self::with(Running::start().expect("a committee with its key"))
    }

    /// The same with one member whose signer errs as said.
    ///
    /// # Panics
    /// If it does not start.
    pub fn with_faulty(slot: u16, fault: &str) -> Self {
        let mut running = Running::prepare().expect("members");
        let started = running.start_with_faulty("signer", &[slot], fault);
        started.expect("a committee with its key");
        Self::with(running)
    }

    /// The same of members that were started.
    ///
    /// # Panics
    /// If it does not deploy the counter.
    pub fn with(mut running: Running) -> Self {
        let files = TempDir::new().expect("a directory");
        let zapp = running.deploy_counter(1).expect("deployed");
        let town = Self {
            running,
            zapp,
            files,
        };
        let key = town.path("asker.key");
        let made = Running::offline(&["key", "new", &text(&key)]).expect("zq runs");
        assert_eq!(made.1, Some(0), "{}", made.0);
        town
    }

    /// A file of this test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// What `zq --json` says at the node of `slot`, and its exit code.
    ///
    /// # Panics
    /// If it does not print JSON.
    pub fn zq(&self, slot: u16, arguments: &[&str]) -> (Value, Option<i32>) {
        let arguments = [&["--json"], arguments].concat();
        let (said, code) = self.running.zq(slot, &arguments).expect("zq runs");
        let json = serde_json::from_str(&said).unwrap_or_else(|_| panic!("JSON: {said}"));
        (json, code)
    }

    /// Plans a change at the node of `slot`.
    ///
    /// # Panics
    /// If it is refused.
    pub fn plan(&self, slot: u16, name: &str, wish: &[&str]) -> PathBuf {
        let path = self.path(name);
        let out = text(&path);
        let arguments = [&["committee", "change", "plan", "--out", &out], wish].concat();
        let (said, code) = self.zq(slot, &arguments);
        assert_eq!(code, Some(0), "{said}");
        path
    }

    /// The operators of these members approve a change.
    ///
    /// # Panics
    /// If one cannot.
    pub fn approve(&self, slots: impl IntoIterator<Item = u16>, change: &std::path::Path) {
        for slot in slots {
            let approved = self.running.committee.approve(slot, change);
            approved.expect("approved");
        }
    }

    /// Waits until the change is complete at these members, and puts it into force.
    ///
    /// # Panics
    /// If it does not come into force.
    pub fn activate(&mut self, slots: &[u16]) {
        for slot in slots {
            self.wait(*slot, "the change complete", |committee| {
                committee.pointer("/change/stage") == Some(&Value::from("ready"))
            });
        }
        let key = text(&self.path("asker.key"));
        let activate = ["committee", "change", "activate", "--key", &key];
        let first = slots.first().expect("one");
        let (said, code) = self.zq(*first, &activate);
        assert_eq!(code, Some(0), "{said}");
    }

    /// Waits until the committee as the node of `slot` shows it is as wanted.
    ///
    /// # Panics
    /// If it is not in time.
    pub fn wait(&mut self, slot: u16, what: &str, reached: impl Fn(&Value) -> bool) {
        let committee = &mut self.running.committee;
        let waited = committee.wait_for(slot, DEADLINE, what, |http| {
            http.get("/v1/committee")
                .is_ok_and(|answer| reached(&answer))
        });
        waited.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Waits until these members are in an epoch.
    pub fn wait_epoch(&mut self, slots: &[u16], epoch: u64) {
        for slot in slots {
            self.wait(*slot, &format!("epoch {epoch}"), |committee| {
                committee.get("epoch") == Some(&Value::from(epoch))
            });
        }
    }

    /// Epoch of an attested call.
    ///
    /// # Panics
    /// If it is not attested.
    pub fn call(&mut self, slot: u16) -> u64 {
        let answer = self.running.call(slot, self.zapp, "add").expect("attested");
        let seq = answer.pointer("/seq").cloned().expect("a step");
        let http = self.running.committee.http(slot).expect("a member");
        let step = http.get(&format!("/v1/steps/{seq}")).expect("the step");
        step.get("epoch").and_then(Value::as_u64).expect("an epoch")
    }

    /// What `zq-node` says with these arguments, and whether it succeeds.
    ///
    /// # Panics
    /// If it does not run.
    pub fn node(&self, arguments: &[&str]) -> (String, bool) {
        let mut command = self.running.committee.programs().command("zq-node");
        let output = command.args(arguments).output().expect("zq-node runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (said, output.status.success())
    }

    /// Data directory of a member.
    ///
    /// # Panics
    /// If there is none.
    pub fn dir(&self, slot: usize) -> PathBuf {
        let mut members = self.running.committee.members().iter();
        let member = members.nth(slot - 1).expect("a member");
        member.dir.clone()
    }
}

/// A path as an argument.
///
/// # Panics
/// If it is not UTF-8.
pub fn text(path: &std::path::Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// Slots of the members that `/v1/committee` shows.
pub fn members(committee: &Value) -> Vec<u64> {
    let members = committee.get("members").and_then(Value::as_array);
    let slots = members
        .into_iter()
        .flatten()
        .filter_map(|card| card.get("slot"));
    slots.filter_map(Value::as_u64).collect()
}
