//! Bytes as a list of decisions.

/// What is left of an input. At its end everything is 0.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// An index into a list of this length.
    pub fn below(&mut self, count: usize) -> usize {
        self.number() % count.max(1)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Changes a few bytes.
    pub fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.byte() % 4 {
            let at = self.below(bytes.len());
            let with = self.byte();
            match bytes.get_mut(at) {
                Some(byte) if with & 1 == 0 => *byte ^= with | 1,
                Some(byte) => *byte = with,
                None => bytes.push(with),
            }
        }
    }
}
