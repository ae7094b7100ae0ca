//! What `#[zapp]` makes of a module with one of everything, as far as it needs no host.

#[zapp::zapp(name = "every-thing")]
mod everything {
    use zapp::prelude::*;

    static LIMIT: Item<u128> = Item::new(b"limit");

    #[derive(Value, Debug, PartialEq)]
    pub struct Row {
        name: Text<8>,
        r#type: u8,
    }

    #[error]
    enum Error {
        First,
        /// Has a "number".
        Second = 200,
        Third,
    }

    #[event]
    struct NothingHappened;

    #[event]
    struct RowMoved {
        row: Row,
    }

    /// Checks its argument.
    ///
    /// Only the first paragraph is told.
    #[init]
    fn init(limit: u128) -> Result<()> {
        ensure(limit > 0, Error::First)
    }

    #[migrate]
    fn migrate(from: u32) -> Result<(), Error> {
        match from {
            0 => Err(Error::Third),
            _ => Ok(()),
        }
    }

    /// An argument with the name
    /// of a function.
    #[call]
    fn r#move(args: [u8; 2], request: Option<Row>) -> Result<()> {
        ensure(args == [1, 2], Error::Second)?;
        ensure(request.is_some(), Revert::NOT_OWNER)
    }

    #[call]
    fn nothing() {}

    #[view]
    fn rows() -> Result<List<(Row, i64), 3>> {
        // Needs a host; only its types matter here.
        NothingHappened.emit();
        let (name, r#type) = (Text::new("a")?, 1);
        RowMoved {
            row: Row { name, r#type },
        }
        .emit();
        LIMIT.load()?;
        Ok(List::new())
    }

    mod tests {
        use super::*;
        use zapp::{Args, Op, Request};

        fn run(op: Op, method: &str, args: &[u8]) -> Result<()> {
            __zapp_run(Request {
                op,
                method: method.as_bytes(),
                args: Args::new(args),
            })
        }

        #[test]
        fn the_section_tells_all_of_it() {
            let expected = "{\"zapp\":\"every-thing\",\"calls\":[\
                {\"name\":\"move\",\"input\":[\"args:bytes2\",\
                \"request:(name:text..8,type:u8)?\"],\"output\":\"none\",\
                \"doc\":\"An argument with the name of a function.\"},\
                {\"name\":\"nothing\",\"input\":[],\"output\":\"none\"}],\
                \"views\":[{\"name\":\"rows\",\"input\":[],\
                \"output\":\"[((name:text..8,type:u8),i64)]..3\"}],\
                \"init\":{\"input\":[\"limit:u128\"],\"doc\":\"Checks its argument.\"},\
                \"migrate\":{\"input\":[\"from:u32\"]},\
                \"reverts\":{\"100\":\"First\",\"200\":\"Second: Has a \\\"number\\\".\",\
                \"201\":\"Third\"},\
                \"events\":[{\"name\":\"nothing_happened\",\"data\":[]},\
                {\"name\":\"row_moved\",\"data\":[\"row:(name:text..8,type:u8)\"]}]}";
            assert_eq!(core::str::from_utf8(&__ZAPP_ABI), Ok(expected));
        }

        #[test]
        fn requests_reach_their_function_with_all_of_their_arguments_or_none() {
            let some = [1, 2, 1, 0, 1, b'a', 7];
            let table: [(Op, &str, &[u8], Result<()>); 13] = [
                (Op::Call, "move", &some, Ok(())),
                (Op::Call, "move", &some[..6], Err(Revert::ARGUMENTS)),
                (Op::Call, "move", &[1, 2, 0], Err(Revert::NOT_OWNER)),
                (Op::Call, "move", &[2, 2, 0], Err(Revert::new(200))),
                (Op::Call, "move", &[1, 2, 0, 0], Err(Revert::ARGUMENTS)),
                (Op::View, "move", &some, Err(Revert::UNKNOWN_METHOD)),
                (Op::Call, "rows", &[], Err(Revert::UNKNOWN_METHOD)),
                (Op::Call, "nothing", &[], Ok(())),
                (Op::Call, "nothing", &[0], Err(Revert::ARGUMENTS)),
                (Op::Init, "", &[1; 16], Ok(())),
                (Op::Init, "whatever", &[0; 16], Err(Revert::new(100))),
                (Op::Migrate, "", &[0; 4], Err(Revert::new(201))),
                (Op::Migrate, "", &[1; 4], Ok(())),
            ];
            for (op, method, args, expected) in table {
                assert_eq!(run(op, method, args), expected, "{op:?} {method} {args:?}");
            }
        }

        #[test]
        fn the_buffer_holds_the_longest_arguments() {
            // Length byte, 64 of the name, and the one of `init`; those of `move` are shorter.
            assert_eq!(__ZAPP_INPUT_BYTES_MAX, 1 + 64 + 16);
            assert_eq!(2 + 1 + Row::BYTES_MAX, 14);
        }
    }
}

#[zapp::zapp]
mod two_words {
    use zapp::prelude::*;

    #[view]
    fn one() -> u8 {
        1
    }

    #[test]
    fn a_zapp_without_init_is_deployed_without_arguments() {
        let init = |args| {
            __zapp_run(zapp::Request {
                op: zapp::Op::Init,
                method: b"",
                args: zapp::Args::new(args),
            })
        };
        assert_eq!(init(&[]), Ok(()));
        assert_eq!(init(&[0]), Err(Revert::ARGUMENTS));
        assert!(__ZAPP_ABI.starts_with(b"{\"zapp\":\"two-words\""));
    }
}
