//! `zq zapp serve-chain`, which tests of zApps speak to, against the steps of the runtime's own
//! tests, which a signer replays.

#[path = "../../../runtime/tests/harness/mod.rs"]
mod harness;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use harness::{Chain, key, module_path};

/// The process, spoken to line by line.
struct Served {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Served {
    fn start(module: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_zq"))
            .args(["zapp", "serve-chain", module])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("zq starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            input,
            output,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("zq reads");
        self.line()
    }

    /// Ends its input; it must end well.
    fn end(mut self) {
        drop(self.input);
        assert!(self.child.wait().expect("it ends").success());
    }
}

/// The text of an error.
fn error(answer: &str) -> String {
    let digits = answer.strip_prefix("error ").expect(answer);
    String::from_utf8(hex::decode(digits).expect("digits")).expect("text")
}

fn word(bytes: &[u8]) -> String {
    match bytes {
        [] => "-".to_owned(),
        bytes => hex::encode(bytes),
    }
}

#[test]
fn gas_in_a_test_is_the_gas_of_a_step() {
    let max = u128::MAX.to_be_bytes();
    let to = |amount: &[u8]| [key(3).as_bytes(), amount].concat();
    let (some, all) = (to(&5u128.to_be_bytes()), to(&max));
    let calls: [(u8, &str, &[u8]); 7] = [
        (1, "mint", &some),
        (1, "mint", &all),
        (2, "mint", &some),
        (3, "transfer", &some),
        (2, "transfer", &some),
        (1, "no such method", &[]),
        (1, "mint", &[0; 300]),
    ];
    let mut chain = Chain::new();
    let (ledger, deployed) = chain.try_deploy(key(1), "ledger", &[]);
    let path = module_path("ledger");
    let mut served = Served::start(path.to_str().expect("a path in UTF-8"));
    assert_eq!(served.line(), "ok");
    let owner = hex::encode(key(1).as_bytes());
    let answer = served.ask(&format!("deploy {owner} -"));
    assert!(
        answer.starts_with(&format!("ok ok 0 {} - ", deployed.gas)),
        "{answer}"
    );
    let mut seen = Vec::new();
    for (caller, method, input) in calls {
        let step = chain.call(key(caller), ledger, method, input);
        let caller = hex::encode(key(caller).as_bytes());
        let (method_word, input) = (word(method.as_bytes()), word(input));
        let answer = served.ask(&format!("call {caller} {method_word} {input} 1000000000"));
        let (status, output) = (step.status.name(), word(&step.output));
        let expected = format!("ok {status} {} {} {output} ", step.code, step.gas);
        assert!(
            answer.starts_with(&expected),
            "{method}: {answer}, {expected}"
        );
        seen.push(status);
    }
    assert!(
        seen.contains(&"ok") && seen.contains(&"reverted"),
        "{seen:?}"
    );
    let view = chain.query(ledger, "total", &[]);
    let answer = served.ask(&format!("view {} -", word(b"total")));
    let expected = format!(
        "ok ok 0 {} {} - none none none",
        view.gas,
        word(&view.output)
    );
    assert_eq!(answer, expected);
    served.end();
}

#[test]
fn what_a_test_asks_wrongly_is_told_and_the_chain_goes_on() {
    let path = module_path("counter");
    let mut served = Served::start(path.to_str().expect("a path in UTF-8"));
    assert_eq!(served.line(), "ok");
    let caller = "01".repeat(32);
    let add = format!("call {caller} {} {} 1000000", word(b"add"), word(&[0; 8]));
    for (line, words) in [
        (add.as_str(), "Chain::deploy first"),
        ("view 616464 -", "Chain::deploy first"),
        ("nonsense", "not understood"),
        ("", "not understood"),
        ("deploy 0102 -", "no key of 32 bytes"),
        ("deposit 01 - 1 -", "not 10 bytes"),
        ("account 0102", "not 32 bytes"),
        ("time soon", "no time"),
        ("time 0", "time cannot go back"),
    ] {
        let said = error(&served.ask(line));
        assert!(said.contains(words), "{line}: {said}");
    }
    assert!(
        served
            .ask(&format!("deploy {caller} -"))
            .starts_with("ok ok ")
    );
    let answer = served.ask(&add);
    assert!(answer.starts_with("ok ok 0 "), "{answer}");
    assert!(
        answer.ends_with(&format!(
            " - {}:{} none none",
            word(b"added"),
            word(&[0; 8])
        )),
        "{answer}"
    );
    // Too little gas, and a code with its name.
    let poor = add.replace(" 1000000", " 80000");
    assert!(served.ask(&poor).starts_with("ok out_of_gas 0 80000 "));
    let unknown = add.replace(&word(b"add"), &word(b"sub"));
    assert!(served.ask(&unknown).contains(&word(b"UNKNOWN_METHOD")));
    served.end();

    let mut served = Served::start("/dev/null");
    assert!(error(&served.line()).contains("/dev/null"));
    served.end();
}

#[test]
fn a_deposit_reaches_its_zapp_in_a_test_as_it_does_in_a_step() {
    let path = module_path("till");
    let mut served = Served::start(path.to_str().expect("a path in UTF-8"));
    assert_eq!(served.line(), "ok");
    let (seed, owner) = ("09".repeat(32), "01".repeat(32));
    let token = "14e66318c6318c6318c6";
    let account = served.ask(&format!("account {seed}"));
    let words: Vec<&str> = account.split(' ').collect();
    let ["ok", key, address] = words.as_slice() else {
        panic!("{account}");
    };
    let deposit = format!("deposit {seed} {token} 700 -");
    assert!(error(&served.ask(&deposit)).contains("Chain::deploy first"));
    assert!(
        served
            .ask(&format!("deploy {owner} -"))
            .starts_with("ok ok ")
    );
    // With data, the till does not want it.
    let answer = served.ask(&deposit.replace(" -", " 00"));
    assert!(answer.starts_with("ok reverted 2 "), "{answer}");
    for _ in 0..2 {
        let answer = served.ask(&deposit);
        assert!(answer.starts_with("ok ok 0 "), "{answer}");
        assert!(
            answer.contains(&format!(" {}:", word(b"received"))),
            "{answer}"
        );
    }
    let amount = format!("{:032x}", 1_000);
    let withdraw = format!("call {key} {} {token}{amount} 1000000", word(b"withdraw"));
    let answer = served.ask(&withdraw);
    let payout = format!(
        "{}:{}{token}:{}{address}:0:{}{amount}",
        u64::MAX,
        "00".repeat(22),
        "00".repeat(12),
        "00".repeat(16),
    );
    assert!(answer.starts_with("ok ok 0 "), "{answer}");
    assert!(
        answer.ends_with(&format!(" none none {payout}")),
        "{answer}"
    );
    // 400 are left; and nobody but the committee brings deposits.
    assert!(served.ask(&withdraw).starts_with("ok reverted 100 "));
    let invented = [&"00".repeat(94), "0000"].concat();
    let forged = format!("call {owner} {} {invented} 1000000", word(b"deposit"));
    let answer = served.ask(&forged);
    assert!(answer.starts_with("ok reverted 8 "), "{answer}");
    served.end();
}
