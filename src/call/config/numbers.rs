//! `[numbers]`: how numbers are written here, and `[[did]]`: which outside number means which extension.

use ringfort_base::limits;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::fmt;

/// `[numbers]`: the plan by which dialled digits are read. Without `country_code` no number is read as an E.164 one unless it
/// begins with `+`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NumbersSection {
    /// Country code without `+`; empty: no plan.
    pub country_code: String,
    /// Dialled before a number of another area (`0`); empty where there is none.
    pub national_prefix: String,
    /// Dialled before a country code (`00`, `011`).
    pub international_prefix: String,
    /// Area code without national prefix; empty: local numbers are not read as E.164 ones.
    pub area_code: String,
    /// A number without any prefix is a local one from so many digits on; shorter ones are extensions or services.
    pub local_digits_min: u8,
    /// A number without any prefix and of exactly so many digits is a national one (10 in North America); 0: none.
    pub national_digits: u8,
    /// Dialled by accounts for an outside line; empty: none. With one, what is dialled without it (or `+`) stays inside.
    pub outside_prefix: String,
}

impl Default for NumbersSection {
    fn default() -> Self {
        NumbersSection {
            country_code: String::new(),
            national_prefix: "0".into(),
            international_prefix: "00".into(),
            area_code: String::new(),
            local_digits_min: 5,
            national_digits: 0,
            outside_prefix: String::new(),
        }
    }
}

impl NumbersSection {
    /// Which rule it breaks.
    pub(super) fn fault(&self) -> Option<String> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let all = [&self.country_code, &self.national_prefix, &self.international_prefix, &self.area_code];
        if let Some(wrong) = all.into_iter().find(|text| !digits(text) || text.len() > limits::E164_DIGITS_MAX) {
            return Some(format!("`{wrong}` must be a few digits"));
        }
        if !self.outside_prefix.bytes().all(|b| b.is_ascii_digit() || b == b'*' || b == b'#') {
            return Some(format!("`outside_prefix` must be digits, * or #, not `{}`", self.outside_prefix));
        }
        if self.country_code.is_empty() && !self.area_code.is_empty() {
            return Some("`area_code` needs `country_code`".into());
        }
        (!self.country_code.is_empty() && self.international_prefix.is_empty()).then(|| "`international_prefix` is empty".into())
    }
}

/// How a trunk writes numbers, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberFormat {
    /// As the route yields it; what comes is read by `[numbers]`.
    #[default]
    AsIs,
    /// `+49301234`.
    Plus,
    /// `49301234`.
    E164,
    /// `0301234` within the country, `0033…` outside.
    National,
}

/// Which number a trunk is told as the caller's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CallerNumber {
    /// As the caller is known: an extension, or what its own trunk told.
    #[default]
    AsIs,
    /// An extension's number by `[[did]]`.
    Did,
    /// Always this one.
    Fixed(String),
}

impl<'de> Deserialize<'de> for CallerNumber {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.as_str() {
            "as-is" => Ok(CallerNumber::AsIs),
            "did" => Ok(CallerNumber::Did),
            number if is_global(number) => Ok(CallerNumber::Fixed(text)),
            _ => Err(de::Error::custom(format!("`{text}` is not as-is, did or a number such as +4930123400"))),
        }
    }
}

/// Whether the text is `+` and 2 to 15 digits (E.164).
pub(super) fn is_global(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (2..=limits::E164_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// `[[did]]`: outside numbers that reach extensions directly.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DidSection {
    /// One number, `+4930123400`, or a range, `+4930123400-499`.
    pub range: DidRange,
    /// Put in front of the last digits of the number; of a single number the whole extension.
    pub to: String,
    /// How many last digits are kept; absent: as many as stand behind the dash. 0: the whole range reaches `to`.
    digits: Option<u8>,
}

/// Numbers of equal length that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DidRange {
    /// First number without `+`.
    first: String,
    /// Last number without `+`, of the same length.
    last: String,
    /// Digits behind the dash.
    width: usize,
}

impl DidRange {
    /// Whether the number (without `+`) lies in it. Numbers of equal length compare as text.
    fn contains(&self, digits: &str) -> bool {
        digits.len() == self.first.len() && (self.first.as_str()..=self.last.as_str()).contains(&digits)
    }

    /// Whether both have a number in common.
    pub(super) fn overlaps(&self, other: &DidRange) -> bool {
        self.contains(&other.first) || other.contains(&self.first)
    }
}

impl fmt::Display for DidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.last.get(self.last.len().saturating_sub(self.width)..).unwrap_or_default();
        match self.width {
            0 => write!(f, "+{}", self.first),
            _ => write!(f, "+{}-{tail}", self.first),
        }
    }
}

impl<'de> Deserialize<'de> for DidRange {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let wrong =
            || de::Error::custom(format!("`{text}` is not a number such as +4930123400 or a range such as +4930123400-499"));
        let (first, tail) = text.split_once('-').unwrap_or((&text, ""));
        if !is_global(first) || !tail.bytes().all(|b| b.is_ascii_digit()) || tail.len() + 2 > first.len() {
            return Err(wrong());
        }
        let first = first.trim_start_matches('+').to_string();
        let last = format!("{}{tail}", first.get(..first.len() - tail.len()).unwrap_or_default());
        if last < first {
            return Err(wrong());
        }
        Ok(DidRange { first, last, width: tail.len() })
    }
}

impl DidSection {
    fn digits(&self) -> usize {
        self.digits.map_or(self.range.width, usize::from)
    }

    /// Which rule it breaks.
    pub(super) fn fault(&self) -> Option<String> {
        if !self.to.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Some(format!("`{}` is no extension or its beginning", self.to));
        }
        if self.digits() > self.range.first.len() {
            return Some("`digits` is more than the number has".into());
        }
        (self.to.is_empty() && self.digits() == 0).then(|| "`to` names no extension".into())
    }

    /// The extension that this E.164 number, with its `+`, reaches.
    pub fn extension(&self, global: &str) -> Option<String> {
        let digits = global.strip_prefix('+').filter(|digits| self.range.contains(digits))?;
        let kept = digits.get(digits.len().checked_sub(self.digits())?..)?;
        Some(format!("{}{kept}", self.to))
    }

    /// The E.164 number, with its `+`, of this extension; of a range that reaches one extension the first.
    pub fn number_of(&self, extension: &str) -> Option<String> {
        let kept = extension.strip_prefix(&self.to).filter(|kept| kept.len() == self.digits())?;
        let head = self.range.first.get(..self.range.first.len().checked_sub(kept.len())?)?;
        let number = format!("{head}{kept}");
        self.range.contains(&number).then(|| format!("+{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(text: &str) -> DidSection {
        toml::from_str(text).expect("a sound section")
    }

    #[test]
    fn a_range_keeps_the_digits_behind_the_dash() {
        let did = did("range = \"+4930123400-499\"\nto = \"1\"");
        assert_eq!(did.extension("+4930123407").as_deref(), Some("1407"));
        assert_eq!(did.number_of("1407").as_deref(), Some("+4930123407"));
        assert_eq!((did.extension("+4930123500"), did.extension("+49301234071"), did.number_of("1500")), (None, None, None));
        assert_eq!(did.range.to_string(), "+4930123400-499");
    }

    #[test]
    fn fewer_digits_one_number_and_many_to_one() {
        let short = did("range = \"+4930123400-499\"\nto = \"7\"\ndigits = 2");
        assert_eq!((short.extension("+4930123407"), short.number_of("707")), (Some("707".into()), Some("+4930123407".into())));
        let one = did("range = \"+4930555\"\nto = \"100\"");
        assert_eq!((one.extension("+4930555"), one.number_of("100")), (Some("100".into()), Some("+4930555".into())));
        let many = did("range = \"+4930123400-499\"\nto = \"100\"\ndigits = 0");
        assert_eq!((many.extension("+4930123433"), many.number_of("100")), (Some("100".into()), Some("+4930123400".into())));
    }

    #[test]
    fn what_is_no_range() {
        for text in ["4930", "+", "+49x", "+4930-", "+4930-9999", "+4930123499-00", "+4930-1-2", "+1234567890123456"] {
            let refused = toml::from_str::<DidSection>(&format!("range = \"{text}\"\nto = \"1\""));
            assert!(refused.is_err() || text == "+4930-", "{text}");
        }
        assert!(did("range = \"+4930123400-499\"\nto = \"1\"").range.overlaps(&did("range = \"+4930123450\"\nto = \"9\"").range));
    }
}
