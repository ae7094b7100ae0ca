//! The Network of Momentum: deposits that reach the zApp, and payouts that it orders.
//!
//! The committee has an account there. Whoever sends to it names a zApp in the send's data; the
//! committee credits that zApp and calls its `#[deposit]`. What deposits gave a zApp it can [`pay`]
//! out, and no more: the committee counts each zApp's balance of each token. Whose money it is, the
//! zApp keeps in its own state.

use crate::description::Field;
use crate::typed::{Bytes, Value, Writer};
use crate::{Args, Destination, Revert, Type, abi, context};

/// ZNN's token standard, its 10 bytes; one ZNN is 10⁸ units.
pub const ZNN: [u8; 10] = [20, 230, 99, 24, 198, 49, 140, 99, 24, 198];
/// QSR's token standard, likewise.
pub const QSR: [u8; 10] = [4, 6, 99, 24, 198, 49, 140, 99, 24, 198];
/// Most data of a payout in bytes: what proof of work alone pays for.
pub const PAYOUT_DATA_BYTES_MAX: usize = 1_080;

/// What `#[deposit]` is told: the argument of the method that the committee calls. `N` is the most
/// data that the zApp takes; a deposit with more goes back to its sender, as one does whose method
/// fails in any way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit<const N: usize> {
    /// Hash of the send: no two deposits have the same.
    pub block: [u8; 32],
    /// Who sent it: the address's 20 bytes. [`address`] gives a caller's.
    pub from: [u8; 20],
    /// The token standard's 10 bytes.
    pub token: [u8; 10],
    /// How much, in the token's smallest unit. The network knows amounts of up to 2^255, which no
    /// token in use has: such a deposit goes back.
    pub amount: u128,
    /// What the sender wrote behind the zApp's id.
    pub data: Bytes<N>,
}

impl<const N: usize> Value for Deposit<N> {
    const BYTES_MAX: usize = 32 + 20 + 10 + 32 + Bytes::<N>::BYTES_MAX;
    const TYPE: Type = Type::Fields(&[
        field("block", <[u8; 32]>::TYPE),
        field("from", <[u8; 20]>::TYPE),
        field("token", <[u8; 10]>::TYPE),
        field("amount", <[u8; 32]>::TYPE),
        field("data", Bytes::<N>::TYPE),
    ]);

    fn encode(&self, writer: &mut Writer<'_>) {
        self.block.encode(writer);
        self.from.encode(writer);
        self.token.encode(writer);
        0u128.encode(writer);
        self.amount.encode(writer);
        self.data.encode(writer);
    }

    fn decode(args: &mut Args<'_>) -> Result<Self, Revert> {
        let (block, from) = (Value::decode(args)?, Value::decode(args)?);
        let token = Value::decode(args)?;
        if u128::decode(args)? != 0 {
            return Err(Revert::OVERFLOW);
        }
        let (amount, data) = (Value::decode(args)?, Value::decode(args)?);
        Ok(Self {
            block,
            from,
            token,
            amount,
            data,
        })
    }
}

const fn field(name: &'static str, of: Type) -> Field {
    Field { name, of }
}

/// Orders a payout from what deposits gave this zApp: `amount` of `token` to an address. It becomes
/// a block of the committee's account, if the request ends well.
///
/// The request is refused as a whole, and nothing of it stands, where a payout is of more than the
/// zApp has, of nothing, to an embedded contract or the committee itself, or where 256 of the zApp
/// wait. A request orders at most 32.
pub fn pay(to: &[u8; 20], token: &[u8; 10], amount: u128) {
    send(to, token, &wide(amount));
}

/// [`pay`] with data, which whoever receives it can read: at most [`PAYOUT_DATA_BYTES_MAX`] bytes,
/// else the call aborts.
pub fn pay_with(to: &[u8; 20], token: &[u8; 10], amount: u128, data: &[u8]) {
    let mut payload = [0; AMOUNT_BYTES + PAYOUT_DATA_BYTES_MAX];
    let mut writer = Writer::new(&mut payload);
    writer.put(&wide(amount));
    if data.len() > PAYOUT_DATA_BYTES_MAX {
        abi::abort(b"more data than a payout can carry");
    }
    writer.put(data);
    let length = writer.written();
    send(to, token, payload.get(..length).unwrap_or_default());
}

/// The NoM address of a key: `address(&caller())` is where whoever signed has its money.
#[must_use]
pub fn address(key: &[u8; 32]) -> [u8; 20] {
    let hash = crate::sha3_256(key);
    let mut address = [0; 20];
    // Users' addresses begin with 0, then 19 bytes of the hash.
    for (place, byte) in address.iter_mut().skip(1).zip(hash) {
        *place = byte;
    }
    address
}

/// Reverts unless the committee calls: anybody else could invent a deposit.
///
/// # Errors
/// [`Revert::DEPOSIT`].
pub fn check_caller() -> Result<(), Revert> {
    // The id of the system zApp, which no key and no other zApp has.
    if context::caller() == [0; 32] {
        return Ok(());
    }
    Err(Revert::DEPOSIT)
}

fn send(to: &[u8; 20], token: &[u8; 10], payload: &[u8]) {
    Destination {
        chain: PAYOUTS,
        contract: padded(token),
        receiver: padded(to),
        gas: 0,
        label: b"",
    }
    .send(payload);
}

fn wide(amount: u128) -> [u8; AMOUNT_BYTES] {
    padded(&amount.to_be_bytes())
}

/// Left-padded with zeros.
fn padded<const N: usize>(bytes: &[u8; N]) -> [u8; 32] {
    let mut padded = [0; 32];
    for (place, byte) in padded.iter_mut().rev().zip(bytes.iter().rev()) {
        *place = *byte;
    }
    padded
}

const AMOUNT_BYTES: usize = 32;
/// The chain of messages that are payouts.
const PAYOUTS: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    /// A deposit as the committee writes it (`state::system::nom::Deposited`).
    fn told(amount: [u8; 32], data: &[u8]) -> [u8; 100] {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        crate::join(&[&[1; 32], &[2; 20], &ZNN, &amount, &length, data])
    }

    #[test]
    fn a_deposit_is_read_as_the_committee_writes_it() {
        let deposit: Deposit<8> = decode(&told(padded(&[7]), b"data")).unwrap();
        let expected = Deposit {
            block: [1; 32],
            from: [2; 20],
            token: ZNN,
            amount: 7,
            data: Bytes::new(b"data").unwrap(),
        };
        assert_eq!(deposit, expected);
        let mut buffer = [0; Deposit::<8>::BYTES_MAX];
        let mut writer = Writer::new(&mut buffer);
        deposit.encode(&mut writer);
        let written = writer.written();
        assert_eq!(buffer[..written], told(padded(&[7]), b"data"));
    }

    #[test]
    fn a_deposit_that_the_zapp_does_not_take_reverts() {
        let told = told(padded(&[7]), b"data");
        assert_eq!(decode::<Deposit<3>>(&told), Err(Revert::ARGUMENTS));
        assert_eq!(decode::<Deposit<8>>(&told[..99]), Err(Revert::ARGUMENTS));
        let vast = self::told([1; 32], b"data");
        assert_eq!(decode::<Deposit<8>>(&vast), Err(Revert::OVERFLOW));
    }
}
