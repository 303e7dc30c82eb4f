//! Personal data in events: numbers, names, addresses. Not shown unless asked for.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A value that identifies a person or an inside address. `Display` and `Debug` mask it; whoever may see it says
/// so with [`Pii::reveal`].
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pii<T>(T);

impl<T> Pii<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Pii(value)
    }
    /// The value itself, for a reader who may see it.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Pii<T> {
    fn from(value: T) -> Self {
        Pii(value)
    }
}

impl<T: fmt::Display> fmt::Display for Pii<T> {
    /// The last two characters, so that an operator can tell two numbers apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let shown: String = if text.chars().count() > 4 {
            let tail: Vec<char> = text.chars().rev().take(2).collect();
            tail.into_iter().rev().collect()
        } else {
            String::new()
        };
        write!(f, "…{shown}")
    }
}

impl<T: fmt::Display> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_in_display_and_debug() {
        let number = Pii::new("+4930123456".to_string());
        assert_eq!(format!("{number}"), "…56");
        assert_eq!(format!("{number:?}"), "…56");
        assert_eq!(format!("{}", Pii::new("101".to_string())), "…");
        assert_eq!(number.reveal(), "+4930123456");
    }
}
