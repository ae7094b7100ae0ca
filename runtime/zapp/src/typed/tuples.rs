//! Tuples: their parts one after another.

use super::{Key, Value, Writer};
use crate::{Args, Revert, Type};

macro_rules! tuples {
    ($($($name:ident $at:tt),+;)*) => {
        $(
            impl<$($name: Value),+> Value for ($($name,)+) {
                const BYTES_MAX: usize = 0 $(+ $name::BYTES_MAX)+;
                const TYPE: Type = Type::Tuple(&[$($name::TYPE),+]);

                fn encode(&self, writer: &mut Writer<'_>) {
                    $(self.$at.encode(writer);)+
                }

                fn decode(args: &mut Args<'_>) -> Result<Self, Revert> {
                    Ok(($($name::decode(args)?,)+))
                }
            }

            /// The first part decides, then the second: no part's encoding begins another's.
            impl<$($name: Key),+> Key for ($($name,)+) {
                const KEY_BYTES_MAX: usize = 0 $(+ $name::KEY_BYTES_MAX)+;

                fn encode_key(&self, writer: &mut Writer<'_>) {
                    $(self.$at.encode_key(writer);)+
                }

                fn decode_key(args: &mut Args<'_>) -> Result<Self, Revert> {
                    Ok(($($name::decode_key(args)?,)+))
                }
            }
        )*
    };
}

tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
}
