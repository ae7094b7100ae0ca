use alloc::format;
use alloc::vec;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::*;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn key(byte: u8) -> SealingKey {
    SealingKey::from_bytes([byte; 32])
}

fn share(epoch: u64, bytes: &[u8]) -> ShareBytes {
    ShareBytes::new(Epoch(epoch), Zeroizing::new(bytes.to_vec()))
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::generate(&mut rng(1));
    secrets.put_share(share(2, b"second")).unwrap();
    secrets.put_share(share(1, b"first")).unwrap();
    secrets.put_evm_share(share(1, b"other")).unwrap();
    secrets
}

#[test]
fn opened_secrets_are_the_sealed_ones() {
    let sealed = secrets().seal(&key(1), &mut rng(2));
    let opened = Secrets::open(&sealed, &key(1)).unwrap();
    assert_eq!(*opened.identity, *secrets().identity);
    assert_eq!(*opened.channel, *secrets().channel);
    assert_eq!(*opened.entropy, *secrets().entropy);
    assert_eq!(opened.share(Epoch(1)).unwrap().bytes(), b"first");
    assert_eq!(opened.share(Epoch(2)).unwrap().bytes(), b"second");
    assert!(opened.share(Epoch(3)).is_none());
    assert_eq!(opened.evm_share(Epoch(1)).unwrap().bytes(), b"other");
    assert!(opened.evm_share(Epoch(2)).is_none());
    assert_eq!(owner(&sealed), Ok(secrets().identity().key()));
    let empty = Secrets::generate(&mut rng(3));
    assert!(Secrets::open(&empty.seal(&key(1), &mut rng(4)), &key(1)).is_ok());
}

#[test]
fn every_flipped_bit_and_every_cut_is_an_error() {
    let sealed = secrets().seal(&key(1), &mut rng(2));
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut altered = sealed.clone();
            altered[at] ^= 1 << bit;
            let expected = match at {
                0..8 => SealedError::Header,
                40..56 => SealedError::WrongKey,
                _ => SealedError::Damaged,
            };
            assert_eq!(
                Secrets::open(&altered, &key(1)).unwrap_err(),
                expected,
                "{at}"
            );
        }
        let cut = Secrets::open(&sealed[..at], &key(1)).unwrap_err();
        let shortest = HEADER_BYTES + FIXED_BYTES + COUNT_BYTES + TAG_BYTES;
        let expected = match at < shortest {
            true => SealedError::Length(at),
            false => SealedError::Damaged,
        };
        assert_eq!(cut, expected);
    }
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(
        Secrets::open(&longer, &key(1)).unwrap_err(),
        SealedError::Damaged
    );
}

#[test]
fn a_wrong_key_is_told_from_damage() {
    let sealed = secrets().seal(&key(1), &mut rng(2));
    assert_eq!(
        Secrets::open(&sealed, &key(2)).unwrap_err(),
        SealedError::WrongKey
    );
    let long = vec![0; SEALED_BYTES_MAX + 1];
    let refusal = Secrets::open(&long, &key(1)).unwrap_err();
    assert_eq!(refusal, SealedError::Length(SEALED_BYTES_MAX + 1));
}

#[test]
fn two_seals_of_the_same_secrets_differ() {
    let mut rng = rng(2);
    assert_ne!(
        secrets().seal(&key(1), &mut rng),
        secrets().seal(&key(1), &mut rng)
    );
}

#[test]
fn shares_are_bounded_replaced_and_dropped() {
    let mut secrets = Secrets::generate(&mut rng(1));
    let long = vec![0; SHARE_BYTES_MAX + 1];
    assert_eq!(secrets.put_share(share(1, &long)), Err(SealedError::Shares));
    for epoch in 1..=SHARES_MAX as u64 {
        secrets.put_share(share(epoch, &long[1..])).unwrap();
        secrets.put_evm_share(share(epoch, &long[1..])).unwrap();
    }
    assert_eq!(secrets.put_share(share(99, b"")), Err(SealedError::Shares));
    assert_eq!(secrets.room_for(Epoch(SHARES_MAX as u64)), Ok(()));
    let told = format!("{}", secrets.room_for(Epoch(99)).unwrap_err());
    for what in [
        "16 shares",
        "epoch 99",
        "put it into force",
        "a new committee",
    ] {
        assert!(told.contains(what), "{told}");
    }
    assert_eq!(secrets.seal(&key(1), &mut rng(2)).len(), SEALED_BYTES_MAX);
    secrets.put_share(share(3, b"new")).unwrap();
    assert_eq!(secrets.share(Epoch(3)).unwrap().bytes(), b"new");
    secrets.drop_shares_before(Epoch(15));
    assert_eq!((secrets.shares().len(), secrets.evm_shares().len()), (2, 2));
    assert_eq!(secrets.room_for(Epoch(99)), Ok(()), "an epoch has begun");
}

#[test]
fn nothing_secret_is_shown() {
    let mut secrets = secrets();
    secrets.identity = Zeroizing::new([0xab; 32]);
    let shown = format!("{secrets:?} {:?} {:?}", key(0xab), secrets.shares());
    assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
}
