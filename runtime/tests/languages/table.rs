//! What `points` does: calls, and how each ends. It holds for every language.

/// One line of the table.
pub(crate) enum Line {
    /// A signed call by the key of this byte.
    Call(u8, &'static str, Vec<u8>, Ends),
    /// A view.
    View(&'static str, Vec<u8>, Ends),
    /// All entries of the zApp, in order.
    Holds(Vec<(Vec<u8>, Vec<u8>)>),
}

/// How a call or view ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Well, with an output and events.
    Well(Vec<u8>, Vec<(&'static str, Vec<u8>)>),
    /// With a revert of this code and no output.
    Reverts(u32),
    /// With a message.
    Aborts(&'static [u8]),
    /// With a broken rule of the host.
    Traps,
}

// Codes of the SDK (runtime/zapp/src/revert.rs), and the zApp's own.
pub(crate) const UNKNOWN_METHOD: u32 = 1;
pub(crate) const ARGUMENTS: u32 = 2;
pub(crate) const NOT_OWNER: u32 = 3;
pub(crate) const OVERFLOW: u32 = 4;
pub(crate) const STATE: u32 = 5;
pub(crate) const INPUT_LENGTH: u32 = 6;
pub(crate) const CALL: u32 = 7;
pub(crate) const ZERO_AMOUNT: u32 = 100;
pub(crate) const TOO_FEW: u32 = 101;
pub(crate) const NO_NAME: u32 = 102;

/// Who deploys.
pub(crate) const OWNER: u8 = 1;

/// 32 bytes of one value: a holder, or what stands for one.
pub(crate) fn who(byte: u8) -> Vec<u8> {
    vec![byte; 32]
}

pub(crate) fn u64(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Bytes or text of varying length.
pub(crate) fn counted(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes].concat()
}

pub(crate) fn to_and_amount(to: u8, amount: u64) -> Vec<u8> {
    [who(to), u64(amount)].concat()
}

/// The entry of what a holder has.
pub(crate) fn held(holder: u8, amount: u64) -> (Vec<u8>, Vec<u8>) {
    ([b"h".to_vec(), who(holder)].concat(), u64(amount))
}

/// Arguments of `init` and `migrate` that are refused, and why.
pub(crate) fn bad_names() -> Vec<(Vec<u8>, u32)> {
    let texts: [&[u8]; 9] = [
        b"\x80",
        b"a\xc3",
        b"\xc0\xaf",         // Longer than need be.
        b"\xe0\x9f\xbf",     // Likewise.
        b"\xed\xa0\x80",     // A surrogate.
        b"\xf0\x8f\xbf\xbf", // Longer than need be.
        b"\xf4\x90\x80\x80", // Beyond the last character.
        b"\xf5\x80\x80\x80",
        b"\xe2\x82a",
    ];
    let mut bad: Vec<_> = texts.map(|text| (counted(text), ARGUMENTS)).into();
    bad.extend([
        (counted(""), NO_NAME),
        (counted([b'n'; 17]), ARGUMENTS),
        (b"\0\x05four".to_vec(), ARGUMENTS),
        (b"\0\x01ab".to_vec(), ARGUMENTS),
        (b"\0".to_vec(), ARGUMENTS),
        (Vec::new(), ARGUMENTS),
    ]);
    bad
}

/// Names that are taken: of one byte, and of characters of two, three and four bytes.
pub(crate) const GOOD_NAMES: [&str; 4] = [
    "n",
    "\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}",
    "\u{e000}\u{ffff}\u{10000}",
    "\u{10ffff}",
];

/// The table, after a deployment under the name `points`.
pub(crate) fn table() -> Vec<Line> {
    let mut lines = refusals();
    lines.extend(movements());
    lines.extend(pages());
    lines.extend(endings());
    lines
}

/// What is asked wrongly.
fn refusals() -> Vec<Line> {
    let bad_option = [vec![2], who(9)].concat();
    let mut lines: Vec<Line> = [
        ("take", Vec::new(), UNKNOWN_METHOD),
        ("Give", to_and_amount(9, 1), UNKNOWN_METHOD),
        ("giv", to_and_amount(9, 1), UNKNOWN_METHOD),
        ("held", who(9), UNKNOWN_METHOD),
        ("give", Vec::new(), ARGUMENTS),
        ("give", who(9), ARGUMENTS),
        ("give", vec![0; 39], ARGUMENTS),
        ("give", vec![0; 41], ARGUMENTS),
        ("clear", vec![0], ARGUMENTS),
        // The longest arguments are those of `send`, the longest input has them and a name of 64.
        ("give", vec![0; 1 + 64 + 180 - 5], ARGUMENTS),
        ("give", vec![0; 1 + 64 + 180 - 4], INPUT_LENGTH),
        ("send", vec![0; 8 + 32 + 32 + 8], ARGUMENTS),
        ("stop", counted(b"\xff"), ARGUMENTS),
    ]
    .into_iter()
    .map(|(method, input, code)| Line::Call(OWNER, method, input, Ends::Reverts(code)))
    .collect();
    lines.extend(
        [
            ("give", to_and_amount(9, 1), UNKNOWN_METHOD),
            ("held", vec![0; 31], ARGUMENTS),
            ("page", bad_option, ARGUMENTS),
            ("page", vec![2], ARGUMENTS),
            ("page", vec![0, 0], ARGUMENTS),
            ("page", vec![1; 32], ARGUMENTS),
            ("digests", vec![0, 65], ARGUMENTS),
            ("digests", counted([0; 65]), ARGUMENTS),
        ]
        .map(|(method, input, code)| Line::View(method, input, Ends::Reverts(code))),
    );
    lines.push(Line::Holds(base(0)));
    lines
}

/// Entries that are always there, and the total unless nobody was given anything.
fn base(total: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = vec![
        (b"name".to_vec(), counted("points")),
        (b"owner".to_vec(), who(OWNER)),
    ];
    if total > 0 {
        entries.push((b"total".to_vec(), u64(total)));
    }
    entries
}

fn holds(total: u64, holders: &[(u8, u64)]) -> Line {
    let mut entries: Vec<_> = holders
        .iter()
        .map(|(who, much)| held(*who, *much))
        .collect();
    entries.extend(base(total));
    Line::Holds(entries)
}

fn gives(to: u8, amount: u64, has: u64) -> Line {
    let input = to_and_amount(to, amount);
    let ends = Ends::Well(u64(has), vec![("given", input.clone())]);
    Line::Call(OWNER, "give", input, ends)
}

fn passes(from: u8, to: u8, amount: u64, left: u64) -> Line {
    let input = to_and_amount(to, amount);
    let event = [who(from), input.clone()].concat();
    Line::Call(
        from,
        "pass",
        input,
        Ends::Well(u64(left), vec![("passed", event)]),
    )
}

fn reverts(from: u8, method: &'static str, input: Vec<u8>, code: u32) -> Line {
    Line::Call(from, method, input, Ends::Reverts(code))
}

fn shows(method: &'static str, input: Vec<u8>, output: Vec<u8>) -> Line {
    Line::View(method, input, Ends::Well(output, Vec::new()))
}

/// Points given, passed on, and refused.
fn movements() -> Vec<Line> {
    const ALL_BUT_7: u64 = u64::MAX - 7;
    let about = |total| [counted("points"), who(OWNER), u64(total)].concat();
    vec![
        shows("held", who(2), u64(0)),
        shows("about", Vec::new(), about(0)),
        reverts(2, "give", to_and_amount(2, 5), NOT_OWNER),
        reverts(2, "give", to_and_amount(2, 0), NOT_OWNER),
        reverts(OWNER, "give", to_and_amount(2, 0), ZERO_AMOUNT),
        gives(2, 5, 5),
        gives(2, 2, 7),
        holds(7, &[(2, 7)]),
        reverts(2, "pass", to_and_amount(3, 0), ZERO_AMOUNT),
        reverts(2, "pass", to_and_amount(3, 8), TOO_FEW),
        reverts(3, "pass", to_and_amount(2, 1), TOO_FEW),
        reverts(2, "pass", to_and_amount(2, 8), TOO_FEW),
        passes(2, 2, 7, 7),
        passes(2, 3, 3, 4),
        holds(7, &[(2, 4), (3, 3)]),
        passes(2, 0xff, 4, 0),
        holds(7, &[(3, 3), (0xff, 4)]),
        gives(3, ALL_BUT_7, ALL_BUT_7 + 3),
        reverts(OWNER, "give", to_and_amount(4, 1), OVERFLOW),
        passes(0xff, 3, 4, 0),
        holds(u64::MAX, &[(3, u64::MAX)]),
        shows("about", Vec::new(), about(u64::MAX)),
        shows("held", who(3), u64(u64::MAX)),
        passes(3, 4, 6, u64::MAX - 6),
        Line::Call(3, "forgo", Vec::new(), Ends::Well(Vec::new(), Vec::new())),
        Line::Call(5, "forgo", Vec::new(), Ends::Well(Vec::new(), Vec::new())),
        holds(6, &[(4, 6)]),
        reverts(4, "clear", Vec::new(), NOT_OWNER),
        Line::Call(
            OWNER,
            "clear",
            Vec::new(),
            Ends::Well(Vec::new(), Vec::new()),
        ),
        holds(0, &[]),
        shows("page", vec![0], vec![0, 0]),
    ]
}

/// Holders in order, however they came.
fn pages() -> Vec<Line> {
    let page = |holders: &[u8]| {
        let count = u16::try_from(holders.len()).expect("few");
        let entries = holders
            .iter()
            .map(|holder| to_and_amount(*holder, u64::from(*holder)));
        [count.to_be_bytes().to_vec(), entries.flatten().collect()].concat()
    };
    let after = |holder: u8| [vec![1], who(holder)].concat();
    let mut lines: Vec<Line> = [200, 3, 90, 1, 255, 2]
        .map(|holder| gives(holder, u64::from(holder), u64::from(holder)))
        .into();
    lines.extend([
        shows("page", vec![0], page(&[1, 2, 3, 90])),
        shows("page", after(0), page(&[1, 2, 3, 90])),
        shows("page", after(2), page(&[3, 90, 200, 255])),
        shows("page", after(89), page(&[90, 200, 255])),
        shows("page", after(254), page(&[255])),
        // The next key is another's: of `name`.
        shows("page", after(255), page(&[])),
        Line::Call(
            OWNER,
            "clear",
            Vec::new(),
            Ends::Well(Vec::new(), Vec::new()),
        ),
        holds(0, &[]),
    ]);
    lines
}

/// Ends that are none of the zApp's own codes.
fn endings() -> Vec<Line> {
    vec![
        Line::Call(2, "stop", counted("because"), Ends::Aborts(b"because")),
        Line::Call(2, "stop", counted(""), Ends::Aborts(b"")),
        Line::Call(2, "crash", Vec::new(), Ends::Traps),
        Line::View("meddle", Vec::new(), Ends::Traps),
        holds(0, &[]),
    ]
}
