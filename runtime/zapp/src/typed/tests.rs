use super::*;

fn bytes<T: Value>(value: &T) -> ([u8; 128], usize) {
    let mut buffer = [0; 128];
    let mut writer = Writer::new(&mut buffer);
    value.encode(&mut writer);
    let written = writer.written();
    assert!(written <= T::BYTES_MAX, "BYTES_MAX holds every value");
    (buffer, written)
}

fn key<K: Key>(key: &K) -> ([u8; 128], usize) {
    let mut buffer = [0; 128];
    let mut writer = Writer::new(&mut buffer);
    key.encode_key(&mut writer);
    let written = writer.written();
    assert!(written <= K::KEY_BYTES_MAX, "KEY_BYTES_MAX holds every key");
    (buffer, written)
}

fn has_the_encoding<T: Value + PartialEq + core::fmt::Debug>(value: T, expected: &[u8]) {
    let (buffer, written) = bytes(&value);
    assert_eq!(&buffer[..written], expected);
    assert_eq!(decode::<T>(expected), Ok(value));
    for cut in 0..expected.len() {
        assert!(decode::<T>(&expected[..cut]).is_err(), "cut at {cut}");
    }
    assert!(
        decode::<T>(&buffer[..=written]).is_err(),
        "one byte too many"
    );
}

#[test]
fn every_value_has_one_encoding() {
    has_the_encoding(258u16, &[1, 2]);
    has_the_encoding(-2i64, &[255, 255, 255, 255, 255, 255, 255, 254]);
    has_the_encoding(true, &[1]);
    has_the_encoding([7u8; 3], &[7, 7, 7]);
    has_the_encoding((1u8, 2u16), &[1, 0, 2]);
    has_the_encoding(Some(5u8), &[1, 5]);
    has_the_encoding(None::<u8>, &[0]);
    has_the_encoding(Text::<4>::new("añ").expect("3 bytes"), b"\0\x03a\xc3\xb1");
    has_the_encoding(Bytes::<4>::EMPTY, &[0, 0]);
    let mut list = List::<u16, 3>::new();
    list.push(1).expect("room");
    list.push(2).expect("room");
    has_the_encoding(list, &[0, 2, 0, 1, 0, 2]);
}

#[test]
fn what_is_no_encoding_is_refused() {
    assert_eq!(decode::<bool>(&[2]), Err(Revert::ARGUMENTS));
    assert_eq!(decode::<Option<u8>>(&[2, 0]), Err(Revert::ARGUMENTS));
    assert_eq!(
        decode::<Text<4>>(b"\0\x05abcde"),
        Err(Revert::ARGUMENTS),
        "too long"
    );
    assert_eq!(
        decode::<Text<4>>(b"\0\x01\xff"),
        Err(Revert::ARGUMENTS),
        "no UTF-8"
    );
    assert_eq!(decode::<List<u8, 1>>(&[0, 2, 1, 1]), Err(Revert::ARGUMENTS));
}

/// Keys in ascending order: their bytes must be, too, and lead back to them.
fn sorts<K: Key + PartialEq + core::fmt::Debug>(keys: &[K]) {
    for pair in keys.windows(2) {
        let ((low, low_bytes), (high, high_bytes)) = (key(&pair[0]), key(&pair[1]));
        assert!(low[..low_bytes] < high[..high_bytes], "{pair:?}");
    }
    for expected in keys {
        let (buffer, written) = key(expected);
        let mut args = Args::new(&buffer[..written]);
        assert_eq!(K::decode_key(&mut args).as_ref(), Ok(expected));
        assert_eq!(args.end(), Ok(()));
    }
}

#[test]
fn the_bytes_of_keys_sort_as_the_keys_do() {
    sorts(&[0u64, 1, 255, 256, u64::MAX]);
    sorts(&[i64::MIN, -256, -1, 0, 1, i64::MAX]);
    sorts(&[i8::MIN, -1, 0, i8::MAX]);
    sorts(&[false, true]);
    sorts(&[[0u8, 255], [1, 0]]);
    let text = |text| Text::<8>::new(text).expect("short");
    sorts(
        &[
            "", "\0", "\0\0", "\0a", "a", "a\0", "a\0z", "a\u{1}", "aa", "b", "ñ",
        ]
        .map(text),
    );
    let of = |(name, number)| (text(name), number);
    sorts(
        &[
            ("", u16::MAX),
            ("\0", 0),
            ("a", 0),
            ("a", u16::MAX),
            ("a\0", 0),
            ("aa", 0),
        ]
        .map(of),
    );
}

#[test]
fn bytes_that_are_no_key_are_refused() {
    for bytes in [b"a".as_slice(), b"a\0", b"a\0\x02", b"abcdefghi\0\x01"] {
        let mut args = Args::new(bytes);
        assert!(Text::<8>::decode_key(&mut args).is_err(), "{bytes:?}");
    }
}
