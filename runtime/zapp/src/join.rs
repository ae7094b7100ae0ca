//! Fixed-width keys, values and outputs from their parts.

/// `N` bytes: the parts one after another. The parts must fill them: a shorter key would end in
/// zeros, a longer one lose its end, so either aborts the call.
#[must_use]
pub fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut joined = [0; N];
    let mut slots = joined.iter_mut();
    let mut rest = N;
    for part in parts {
        assert!(part.len() <= rest, "the parts fit");
        rest -= part.len();
        // The part first: `zip` takes from its left side even where the right one has ended.
        for (byte, slot) in part.iter().zip(slots.by_ref()) {
            *slot = *byte;
        }
    }
    assert!(rest == 0, "the parts fill the bytes");
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_one_after_another() {
        assert_eq!(join(&[b"a", b"", b"bc"]), *b"abc");
        assert_eq!(join::<0>(&[]), []);
    }

    #[test]
    #[should_panic(expected = "fill")]
    fn parts_that_are_too_short_abort() {
        let _ = join::<4>(&[b"a", b"bc"]);
    }

    #[test]
    #[should_panic(expected = "fit")]
    fn parts_that_are_too_long_abort() {
        let _ = join::<2>(&[b"a", b"bc"]);
    }
}
