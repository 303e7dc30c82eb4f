//! One digit of a keypad, whatever way it travels.

use serde::{Deserialize, Serialize};

/// The keys in the order of their event codes (RFC 4733 table 3).
const SYMBOLS: &[u8; 16] = b"0123456789*#ABCD";

/// What happens to a digit: it begins, and later it ends. A digit that is told as a whole (by SIP INFO) only ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digit {
    /// Event code of RFC 4733: 0 to 9, 10 `*`, 11 `#`, 12 to 15 `A` to `D`.
    pub code: u8,
    /// How long it lasted, ms; as far as it is known when it begins.
    pub duration_ms: u32,
    /// It is over, and the duration is final.
    pub end: bool,
}

impl Digit {
    /// A whole digit. `None`: no key has this symbol.
    pub fn whole(symbol: char, duration_ms: u32) -> Option<Digit> {
        let symbol = u8::try_from(symbol.to_ascii_uppercase()).ok()?;
        let code = SYMBOLS.iter().position(|known| *known == symbol)? as u8;
        Some(Digit { code, duration_ms, end: true })
    }

    /// The key: `0` to `9`, `*`, `#`, `A` to `D`.
    pub fn symbol(self) -> char {
        SYMBOLS.get(usize::from(self.code)).map_or('?', |symbol| char::from(*symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_event_codes() {
        for (code, symbol) in "0123456789*#ABCD".chars().enumerate() {
            let digit = Digit::whole(symbol, 100).unwrap();
            assert_eq!((usize::from(digit.code), digit.symbol()), (code, symbol));
        }
        assert_eq!(Digit::whole('d', 100).unwrap().code, 15);
        assert_eq!(Digit::whole('E', 100), None);
    }
}
