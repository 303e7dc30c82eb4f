//! Octets read as a program of small numbers; behind the end everything is 0, so each input has exactly one meaning.

/// The octets that are left.
pub struct Program<'a>(&'a [u8]);

impl<'a> Program<'a> {
    /// From the first octet on.
    pub fn new(octets: &'a [u8]) -> Program<'a> {
        Program(octets)
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next octet.
    pub fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of a list.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.octet()) % of.len()]
    }

    /// A place in a list of this length; `None` when it is empty.
    pub fn place(&mut self, len: usize) -> Option<usize> {
        let octet = usize::from(self.octet());
        (len > 0).then(|| octet % len)
    }
}
