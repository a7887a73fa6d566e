//! A fuzzer's bytes read as decisions. When they are at an end, every further decision is zero.

/// The rest of an input.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Up to `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let taken = self.take(N);
        let mut bytes = [0; N];
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    pub(crate) fn number(&mut self) -> usize {
        usize::from(u16::from_be_bytes(self.bytes()))
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.number() % end
    }

    /// One of these, unless there are none.
    pub(crate) fn choice<'b, T>(&mut self, items: &'b [T]) -> Option<&'b T> {
        (!items.is_empty()).then(|| &items[self.below(items.len())])
    }

    /// True once in `times`.
    pub(crate) fn rarely(&mut self, times: u8) -> bool {
        self.byte() % times == times - 1
    }

    /// Changes bytes of a message: overwrites, flips, cuts, inserts.
    pub(crate) fn edit(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.byte() % 4 {
            let at = if bytes.is_empty() {
                0
            } else {
                self.below(bytes.len())
            };
            match self.byte() % 5 {
                0 => bytes
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|byte| *byte ^= self.byte()),
                1 => bytes.truncate(at),
                2 => {
                    let count = usize::from(self.byte());
                    bytes.splice(at..at, self.take(count).iter().copied());
                }
                3 => {
                    let end = (at + usize::from(self.byte())).min(bytes.len());
                    bytes.drain(at..end);
                }
                _ => {
                    let count = usize::from(self.byte() % 16);
                    let new = self.take(count);
                    let old = bytes.iter_mut().skip(at);
                    old.zip(new).for_each(|(old, new)| *old = *new);
                }
            }
        }
    }
}
