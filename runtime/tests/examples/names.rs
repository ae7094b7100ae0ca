//! `names`.

use super::{Zapp, join, u64_of};
use crate::harness::key;

const BAD_NAME: u32 = 100;
const TAKEN: u32 = 101;
const FREE: u32 = 102;
const NOT_HOLDER: u32 = 103;
const TOO_FAR_AHEAD: u32 = 104;
const ARGUMENTS: u32 = 2;

const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;

fn names() -> Zapp {
    Zapp::deployed(key(9), "names", &[])
}

fn text(name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).expect("short").to_be_bytes();
    join(&[&length, name.as_bytes()])
}

impl Zapp {
    fn register(&mut self, from: u8, name: &str) -> u64 {
        let (output, events) = self.ok(key(from), "register", &text(name));
        assert_eq!(events, ["registered"]);
        u64_of(&output)
    }

    /// Names of a listing, whose rows have `more` bytes after each name.
    fn listed(&mut self, method: &str, input: &[u8], more: usize) -> Vec<String> {
        let output = self.view(method, input);
        let (count, mut rest) = output.split_at(2);
        let mut names = Vec::new();
        while !rest.is_empty() {
            let length = usize::from(rest[1]);
            names.push(String::from_utf8_lossy(&rest[2..2 + length]).into_owned());
            rest = &rest[2 + length + more..];
        }
        assert_eq!(usize::from(count[1]), names.len());
        names
    }

    fn all(&mut self, after: &str) -> Vec<String> {
        self.listed("list", &text(after), 40)
    }

    fn held_by(&mut self, holder: u8) -> Vec<String> {
        let input = join(&[key(holder).as_bytes(), &text("")]);
        self.listed("held_by", &input, 0)
    }
}

#[test]
fn names_are_listed_in_order_page_by_page() {
    let mut names = names();
    for name in ["zenon", "abc", "ab-c", "abcd", "b00", "aaaaaaaa"] {
        names.register(1, name);
    }
    let sorted = ["aaaaaaaa", "ab-c", "abc", "abcd", "b00", "zenon"];
    assert_eq!(names.all(""), sorted);
    assert_eq!(names.all("ab"), sorted[1..]);
    assert_eq!(names.all("abc"), sorted[3..]);
    assert_eq!(names.all("zenon"), [""; 0]);
    for at in 0..12 {
        names.register(2, &format!("n{at:02}"));
    }
    let page = names.all("");
    assert_eq!((page.len(), page[15].as_str()), (16, "n10"));
    assert_eq!(names.all("n10"), ["n11", "zenon"]);
    assert_eq!(names.held_by(1), sorted);
    assert_eq!(names.held_by(2).len(), 12);
}

#[test]
fn a_name_is_held_until_its_term_ends_and_then_free_for_others() {
    let mut names = names();
    names.chain.set_time(1_000_000);
    let until = names.register(1, "alice");
    assert_eq!(until, 1_000_000 + YEAR_MS);
    let record = join(&[&[1], key(1).as_bytes(), &until.to_be_bytes()]);
    assert_eq!(names.view("lookup", &text("alice")), record);
    assert_eq!(names.view("lookup", &text("alic")), [0]);
    assert_eq!(names.revert(key(2), "register", &text("alice")), TAKEN);

    names.chain.set_time(until - 1);
    assert_eq!(names.revert(key(2), "register", &text("alice")), TAKEN);
    names.chain.set_time(until);
    assert_eq!(names.view("lookup", &text("alice")), [0]);
    assert_eq!(names.all(""), [""; 0]);
    assert_eq!(names.held_by(1), [""; 0]);
    assert_eq!(names.revert(key(1), "renew", &text("alice")), FREE);
    names.register(2, "alice");
    assert_eq!(
        (names.held_by(1).len(), names.held_by(2)),
        (0, vec!["alice".into()])
    );
}

#[test]
fn a_name_is_renewed_and_transferred_by_its_holder_only() {
    let mut names = names();
    let until = names.register(1, "alice");
    let to = |name: &str, to: u8| join(&[&text(name), key(to).as_bytes()]);
    assert_eq!(names.revert(key(2), "renew", &text("alice")), NOT_HOLDER);
    assert_eq!(
        names.revert(key(2), "transfer", &to("alice", 2)),
        NOT_HOLDER
    );
    assert_eq!(names.revert(key(1), "transfer", &to("bob", 2)), FREE);

    let (renewed, _) = names.ok(key(1), "renew", &text("alice"));
    assert_eq!(u64_of(&renewed), until + YEAR_MS);
    names.ok(key(1), "transfer", &to("alice", 1));
    assert_eq!(names.held_by(1), ["alice"], "a transfer to oneself");
    let (_, events) = names.ok(key(1), "transfer", &to("alice", 2));
    assert_eq!(events, ["transferred"]);
    assert_eq!((names.held_by(1).len(), names.held_by(2).len()), (0, 1));
    for _ in 0..8 {
        names.ok(key(2), "renew", &text("alice"));
    }
    // Ten years less the seconds since.
    assert_eq!(names.revert(key(2), "renew", &text("alice")), TOO_FAR_AHEAD);
}

#[test]
fn names_of_other_characters_are_refused() {
    let mut names = names();
    for name in ["", "ab", "Abc", "a_c", "-ab", "ab-", "a\0c", "añc"] {
        assert_eq!(
            names.revert(key(1), "register", &text(name)),
            BAD_NAME,
            "{name}"
        );
    }
    let long = "a".repeat(33);
    assert_eq!(names.revert(key(1), "register", &text(&long)), ARGUMENTS);
    assert_eq!(names.revert(key(1), "register", b"\0\x03\xffbc"), ARGUMENTS);
    names.register(1, &long[..32]);
}
