use alloc::borrow::ToOwned as _;
use alloc::vec;

use super::*;

fn http(url: &str) -> Source {
    Source {
        at: Place::HttpJson {
            url: url.to_owned(),
        },
        pointer: "/price".to_owned(),
        scale: Some(8),
        reducer: Reducer::Median,
    }
}

fn rpc(method: &str, params: &str) -> Source {
    Source {
        at: Place::NomRpc {
            method: method.to_owned(),
            params: params.to_owned(),
        },
        ..http("")
    }
}

fn evm(data: &str) -> Source {
    Source {
        at: Place::EvmCall {
            chain: 1,
            contract: EvmAddress::from_bytes([7; 20]),
            data: data.to_owned(),
        },
        pointer: String::new(),
        scale: None,
        reducer: Reducer::Identical,
    }
}

fn pull(sources: Vec<Source>) -> Pull {
    Pull {
        sources,
        deadline_ms: 1_000,
    }
}

fn good() -> Source {
    http("https://example.org/a?b=c")
}

#[test]
fn a_good_source_passes() {
    let sources = vec![
        good(),
        http("http://127.0.0.1:80"),
        rpc("ledger.getFrontierMomentum", "[]"),
        rpc("embedded.token.getAll", "[0,10]"),
        evm("01abcdef"),
        evm(&"0f".repeat(256)),
    ];
    assert_eq!(pull(sources).check(1_000), Ok(()));
}

#[test]
fn each_bound_refuses_by_its_name() {
    let many = |count: usize| (0..count).map(|at| http(&alloc::format!("http://h/{at}")));
    assert_eq!(pull(many(16).collect()).check(1_000), Ok(()));
    let long = |length: usize| "x".repeat(length);
    let of = |change: fn(&mut Source)| {
        let mut source = good();
        change(&mut source);
        source
    };
    for (sources, error) in [
        (vec![], PullError::Count(0)),
        (many(17).collect(), PullError::Count(17)),
        (many(1_000).collect(), PullError::Count(1_000)),
        (vec![good(), good()], PullError::Twice(1)),
        (vec![http("ftp://host/")], PullError::Url(0)),
        (vec![http("https://")], PullError::Url(0)),
        (vec![http("https:///path")], PullError::Url(0)),
        (vec![good(), http("https://me@host/")], PullError::Url(1)),
        (vec![http("https://host/#a")], PullError::Url(0)),
        (
            vec![http("https://host/ HTTP/1.1\r\nX: y")],
            PullError::Url(0),
        ),
        (vec![http("https://hö.st/")], PullError::Url(0)),
        (
            vec![http(&alloc::format!("https://{}", long(505)))],
            PullError::Url(0),
        ),
        (
            vec![rpc("ledger.publishRawTransaction", "[]")],
            PullError::Rpc(0),
        ),
        (vec![rpc("getAll", "[]")], PullError::Rpc(0)),
        (vec![rpc("ledger..getAll", "[]")], PullError::Rpc(0)),
        (vec![rpc("ledger.getAll", "{}")], PullError::Rpc(0)),
        (
            vec![rpc("ledger.getAll", &alloc::format!("[{}]", long(511)))],
            PullError::Rpc(0),
        ),
        (vec![evm("01abcd")], PullError::Evm(0)),
        (vec![evm("01abcdef0")], PullError::Evm(0)),
        (vec![evm("01ABCDEF")], PullError::Evm(0)),
        (vec![evm("0x01abcdef")], PullError::Evm(0)),
        (vec![evm(&"0f".repeat(257))], PullError::Evm(0)),
        (
            vec![Source {
                pointer: "/a".to_owned(),
                ..evm("01abcdef")
            }],
            PullError::Evm(0),
        ),
        (
            vec![Source {
                scale: Some(0),
                ..evm("01abcdef")
            }],
            PullError::Evm(0),
        ),
        (
            vec![of(|source| source.pointer = "price".to_owned())],
            PullError::Pointer(0),
        ),
        (
            vec![of(|source| source.pointer = "/a~2".to_owned())],
            PullError::Pointer(0),
        ),
        (
            vec![of(|source| source.pointer = "/".repeat(257))],
            PullError::Pointer(0),
        ),
        (
            vec![of(|source| source.scale = Some(19))],
            PullError::Scale(0),
        ),
        (vec![of(|source| source.scale = None)], PullError::Scale(0)),
    ] {
        assert_eq!(
            pull(sources.clone()).check(1_000),
            Err(error),
            "{sources:?}"
        );
    }
    assert_eq!(pull(vec![good()]).check(999), Err(PullError::Deadline));
}

#[test]
fn whatever_a_source_says_is_in_its_id() {
    let changes: [fn(&mut Source); 6] = [
        |source| source.at = http("https://example.org/b").at,
        |source| source.at = rpc("a.get", "[]").at,
        |source| source.pointer.push('x'),
        |source| source.scale = Some(7),
        |source| source.scale = None,
        |source| source.reducer = Reducer::Mode,
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut other = good();
        change(&mut other);
        assert_ne!(other.id(), good().id(), "change {at}");
    }
}

#[test]
fn whatever_a_call_of_a_contract_says_is_in_its_id() {
    let call = |chain, contract, data: &str| Source {
        at: Place::EvmCall {
            chain,
            contract: EvmAddress::from_bytes([contract; 20]),
            data: data.to_owned(),
        },
        ..evm("")
    };
    let id = call(1, 7, "01abcdef").id();
    assert_eq!(id, evm("01abcdef").id());
    for other in [
        call(2, 7, "01abcdef"),
        call(1, 8, "01abcdef"),
        call(1, 7, "01abcdee"),
        call(1, 7, "01abcdef00"),
    ] {
        assert_ne!(other.id(), id, "{other:?}");
    }
}

#[test]
fn a_source_allows_its_kind_alone() {
    let text = Source {
        scale: None,
        reducer: Reducer::Mode,
        ..good()
    };
    let bytes = |length| Observed::Bytes(ByteBuf::from(vec![b'x'; length]));
    for (source, observed, allowed) in [
        (&good(), Observed::Integer(-1), true),
        (&good(), bytes(1), false),
        (&text, bytes(OBSERVED_BYTES_MAX), true),
        (&text, bytes(OBSERVED_BYTES_MAX + 1), false),
        (&text, Observed::Integer(1), false),
        (&text, Observed::Absent(Absence::Status), true),
        (&good(), Observed::Absent(Absence::Status), true),
    ] {
        assert_eq!(source.allows(&observed), allowed, "{observed:?}");
    }
}

/// Computed by another program from the layout alone.
#[test]
fn ids_are_those_of_the_layout() {
    let id = good().id();
    assert_eq!(
        alloc::format!("{id}"),
        "3a633e4f87148d5128f41ec9d08b90427f6a7f4aa6f013264e0b64e7daf8f25c"
    );
    let text = Source {
        pointer: "/height".to_owned(),
        scale: None,
        reducer: Reducer::Identical,
        ..rpc("ledger.getFrontierMomentum", "[]")
    };
    let id = text.id();
    assert_eq!(
        alloc::format!("{id}"),
        "e3628295cee7dce6cb68082496460a1f2167b909759bb6a9396e6e4294a9b0b7"
    );
    let call = Source {
        at: Place::EvmCall {
            chain: 31_337,
            contract: EvmAddress::from_bytes([7; 20]),
            data: "01abcdef90".to_owned(),
        },
        ..evm("")
    };
    let id = call.id();
    assert_eq!(
        alloc::format!("{id}"),
        "cdb399bec0ccaa52b2fa64f747abc8c4f56dbbb5692438fbb92732b5ac1d7c3d"
    );
}
