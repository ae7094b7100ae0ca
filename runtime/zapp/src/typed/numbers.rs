//! Numbers, truth values, fixed bytes and nothing.

use super::{Key, Value, Writer};
use crate::{Args, Revert, Type};

macro_rules! numbers {
    ($($type:ident)*) => {
        $(
            impl Value for $type {
                const BYTES_MAX: usize = size_of::<Self>();
                const TYPE: Type = Type::Name(stringify!($type));

                fn encode(&self, writer: &mut Writer<'_>) {
                    writer.put(&self.to_be_bytes());
                }

                fn decode(args: &mut Args<'_>) -> Result<Self, Revert> {
                    args.array().map(Self::from_be_bytes)
                }
            }
        )*
    };
}

numbers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);

macro_rules! unsigned_keys {
    ($($type:ident)*) => {
        $(
            impl Key for $type {
                const KEY_BYTES_MAX: usize = Self::BYTES_MAX;

                fn encode_key(&self, writer: &mut Writer<'_>) {
                    self.encode(writer);
                }

                fn decode_key(args: &mut Args<'_>) -> Result<Self, Revert> {
                    Self::decode(args)
                }
            }
        )*
    };
}

unsigned_keys!(u8 u16 u32 u64 u128 bool);

/// Two's complement with its sign turned around: negative numbers come first.
macro_rules! signed_keys {
    ($($type:ident)*) => {
        $(
            impl Key for $type {
                const KEY_BYTES_MAX: usize = Self::BYTES_MAX;

                fn encode_key(&self, writer: &mut Writer<'_>) {
                    (self ^ Self::MIN).encode(writer);
                }

                fn decode_key(args: &mut Args<'_>) -> Result<Self, Revert> {
                    Self::decode(args).map(|number| number ^ Self::MIN)
                }
            }
        )*
    };
}

signed_keys!(i8 i16 i32 i64 i128);

/// 0 or 1; other bytes are no truth value.
impl Value for bool {
    const BYTES_MAX: usize = 1;
    const TYPE: Type = Type::Name("bool");

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.put(&[u8::from(*self)]);
    }

    fn decode(args: &mut Args<'_>) -> Result<Self, Revert> {
        match args.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Revert::ARGUMENTS),
        }
    }
}

impl<const N: usize> Value for [u8; N] {
    const BYTES_MAX: usize = N;
    const TYPE: Type = Type::FixedBytes(N);

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.put(self);
    }

    fn decode(args: &mut Args<'_>) -> Result<Self, Revert> {
        args.array()
    }
}

impl<const N: usize> Key for [u8; N] {
    const KEY_BYTES_MAX: usize = N;

    fn encode_key(&self, writer: &mut Writer<'_>) {
        writer.put(self);
    }

    fn decode_key(args: &mut Args<'_>) -> Result<Self, Revert> {
        args.array()
    }
}

/// No bytes.
impl Value for () {
    const BYTES_MAX: usize = 0;
    const TYPE: Type = Type::Name("none");

    fn encode(&self, _: &mut Writer<'_>) {}

    fn decode(_: &mut Args<'_>) -> Result<Self, Revert> {
        Ok(())
    }
}

/// 0, or 1 and the value.
impl<T: Value> Value for Option<T> {
    const BYTES_MAX: usize = 1 + T::BYTES_MAX;
    const TYPE: Type = Type::Option(&T::TYPE);

    fn encode(&self, writer: &mut Writer<'_>) {
        self.is_some().encode(writer);
        if let Some(value) = self {
            value.encode(writer);
        }
    }

    fn decode(args: &mut Args<'_>) -> Result<Self, Revert> {
        match bool::decode(args)? {
            true => T::decode(args).map(Some),
            false => Ok(None),
        }
    }
}
