//! Numbers: what was dialled, read by the number plan (`[numbers]`, `[[did]]`), and written as a trunk wants it.
//!
//! One number has up to three forms: as dialled, as E.164, as an extension. Rules may be written for any of them.

use crate::config::{NumberFormat, NumbersSection, Snapshot};
use ringfort_base::limits;
use ringfort_sip::uri::Uri;
use std::borrow::Cow;

/// What can be written between the digits of a telephone number and means nothing (RFC 3966 5.1.1).
const SEPARATORS: [char; 4] = ['-', '.', '(', ')'];

/// A called number in all its forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// As dialled, without visual separators.
    pub dialled: String,
    /// E.164 with `+`, where the plan says what it is.
    pub global: Option<String>,
    /// The extension that it reaches by `[[did]]`.
    pub extension: Option<String>,
}

/// Whence a number comes: each is read in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A person with a phone, who dials the prefix of an outside line.
    Person,
    /// A peer that writes numbers so.
    Peer(NumberFormat),
}

impl Number {
    /// Reads what was dialled. An account's own name is never taken apart.
    pub fn read(snapshot: &Snapshot, dialled: &str, writer: Writer) -> Number {
        if snapshot.accounts.contains_key(dialled) {
            return Number { dialled: dialled.into(), ..Number::default() };
        }
        let dialled = without_separators(dialled).into_owned();
        let global = global(&snapshot.numbers, &dialled, writer);
        let extension = global.as_ref().and_then(|number| snapshot.dids.iter().find_map(|did| did.extension(number)));
        Number { dialled, global, extension }
    }

    /// The forms that rules are tried with: of an own number only the extension, so that no outside route takes it.
    pub fn forms(&self) -> impl Iterator<Item = &str> {
        let outside = self.extension.is_none();
        let dialled = outside.then_some(self.dialled.as_str());
        let global = self.global.as_deref().filter(|_| outside);
        self.extension.as_deref().into_iter().chain(dialled).chain(global)
    }

    /// What an extension is looked up by.
    pub fn inside(&self) -> &str {
        self.extension.as_deref().unwrap_or(&self.dialled)
    }
}

/// The number that a request URI asks for: the user part without escapes and parameters. A local number with a global context
/// (RFC 3966 5.1.5) becomes the global one if it is long enough to be a subscriber's; short ones are services of that context, which
/// have no E.164 number.
pub fn of_uri(plan: &NumbersSection, uri: &Uri) -> String {
    let number = uri.dialled().unwrap_or_default().into_owned();
    let context = uri.param("phone-context").map(str::to_string).or_else(|| user_param(uri, "phone-context"));
    let clean = without_separators(&number).into_owned();
    let prefixed = clean.starts_with('+') || is_prefixed(plan, &clean);
    match context.as_deref().map(without_separators) {
        Some(context) if context.starts_with('+') && !prefixed && is_subscriber(plan, &clean) => format!("{context}{clean}"),
        _ if uri.is_sip() => number,
        _ => clean,
    }
}

/// A parameter inside the user part: `sip:1234;phone-context=+4930@host` (RFC 3261 19.1.6).
fn user_param(uri: &Uri, name: &str) -> Option<String> {
    let params = uri.user.as_deref()?.split(';').skip(1);
    let mut named = params.filter_map(|param| param.split_once('=')).filter(|(key, _)| key.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| ringfort_sip::uri::unescape(value).into_owned())
}

/// Without visual separators, if the text is a number at all; names such as `anna.b` stay.
pub fn without_separators(text: &str) -> Cow<'_, str> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_number = digits.chars().all(|c| c.is_ascii_digit() || "*#".contains(c) || SEPARATORS.contains(&c));
    let counts = digits.chars().any(|c| c.is_ascii_digit());
    match is_number && counts && digits.contains(SEPARATORS) {
        true => text.chars().filter(|c| !SEPARATORS.contains(c)).collect::<String>().into(),
        false => text.into(),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_prefixed(plan: &NumbersSection, digits: &str) -> bool {
    let begins = |prefix: &str| !prefix.is_empty() && digits.starts_with(prefix);
    begins(&plan.international_prefix) || begins(&plan.national_prefix)
}

fn is_subscriber(plan: &NumbersSection, digits: &str) -> bool {
    is_digits(digits) && digits.len() >= usize::from(plan.local_digits_min)
}

/// The number without the prefix of an outside line, if a person dialled one.
pub fn without_outside_prefix<'a>(plan: &NumbersSection, dialled: &'a str, writer: Writer) -> Option<&'a str> {
    let prefix = Some(plan.outside_prefix.as_str()).filter(|p| !p.is_empty() && writer == Writer::Person)?;
    dialled.strip_prefix(prefix).filter(|rest| !rest.is_empty())
}

/// E.164 with `+`; `None`: the plan does not say which number it is.
pub fn global(plan: &NumbersSection, clean: &str, writer: Writer) -> Option<String> {
    if clean.starts_with('+') {
        return plausible(clean.to_string());
    }
    match writer {
        Writer::Peer(NumberFormat::E164 | NumberFormat::Plus) if is_subscriber(plan, clean) => plausible(format!("+{clean}")),
        Writer::Person if !plan.outside_prefix.is_empty() => by_plan(plan, without_outside_prefix(plan, clean, writer)?),
        _ => by_plan(plan, clean),
    }
}

fn by_plan(plan: &NumbersSection, clean: &str) -> Option<String> {
    if clean.starts_with('+') {
        return plausible(clean.to_string());
    }
    let country = Some(plan.country_code.as_str()).filter(|code| !code.is_empty() && is_digits(clean))?;
    let behind = |prefix: &str| Some(prefix).filter(|p| !p.is_empty()).and_then(|p| clean.strip_prefix(p));
    let number = if let Some(rest) = behind(&plan.international_prefix) {
        format!("+{rest}")
    } else if plan.national_digits > 0 && clean.len() == usize::from(plan.national_digits) {
        format!("+{country}{clean}")
    } else if let Some(rest) = behind(&plan.national_prefix) {
        format!("+{country}{rest}")
    } else if !plan.area_code.is_empty() && is_subscriber(plan, clean) {
        format!("+{country}{}{clean}", plan.area_code)
    } else {
        return None;
    };
    plausible(number)
}

/// E.164 has at most 15 digits, and none begins with 0.
fn plausible(number: String) -> Option<String> {
    let digits = number.strip_prefix('+')?;
    let fits = (2..=limits::E164_DIGITS_MAX).contains(&digits.len()) && is_digits(digits) && !digits.starts_with('0');
    fits.then_some(number)
}

/// The number as a trunk of this format writes it. What has no E.164 form stays as it is.
pub fn written(plan: &NumbersSection, format: NumberFormat, number: &str) -> String {
    let clean = without_separators(number);
    let global = match format {
        NumberFormat::AsIs => None,
        _ => by_plan(plan, &clean),
    };
    let Some(global) = global else { return number.to_string() };
    let digits = global.trim_start_matches('+');
    match format {
        NumberFormat::AsIs | NumberFormat::Plus => global,
        NumberFormat::E164 => digits.to_string(),
        NumberFormat::National => match digits.strip_prefix(&plan.country_code).filter(|_| !plan.country_code.is_empty()) {
            Some(national) => format!("{}{national}", plan.national_prefix),
            None => format!("{}{digits}", plan.international_prefix),
        },
    }
}

/// The emergency number that was dialled: exactly, behind the prefix of an outside line, or with the country's code in front.
pub fn emergency<'a>(snapshot: &'a Snapshot, dialled: &str, writer: Writer) -> Option<&'a str> {
    let plan = &snapshot.numbers;
    let clean = without_separators(dialled);
    let inside = without_outside_prefix(plan, &clean, writer);
    let national = |text: &str| {
        let global = by_plan(plan, text)?;
        let national = global.strip_prefix('+')?.strip_prefix(&plan.country_code)?;
        (!plan.country_code.is_empty()).then(|| national.to_string())
    };
    let nationals = [national(&clean), inside.and_then(national)];
    let forms =
        [Some(dialled), Some(&*clean), inside].into_iter().flatten().chain(nationals.iter().flatten().map(String::as_str));
    let numbers = &snapshot.emergency.numbers;
    forms.into_iter().find_map(|form| numbers.iter().find(|number| *number == form)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const PLAN: &str = "[numbers]\ncountry_code = \"49\"\narea_code = \"30\"\n";

    fn snapshot(text: &str) -> Arc<Snapshot> {
        Snapshot::load("t", text, &mut |_| Some(zeroize::Zeroizing::new("x".into()))).expect("sound")
    }

    fn read(text: &str, dialled: &str, writer: Writer) -> Number {
        Number::read(&snapshot(text), dialled, writer)
    }

    #[test]
    fn one_number_however_it_is_dialled() {
        for dialled in ["004930123456", "030123456", "+4930123456", "123456", "+49-(30)-123.456"] {
            assert_eq!(read(PLAN, dialled, Writer::Person).global.as_deref(), Some("+4930123456"), "{dialled}");
        }
        for (dialled, wanted) in [("102", None), ("*43", None), ("anna.b", None), ("00", None), ("0033142", Some("+33142"))] {
            assert_eq!(read(PLAN, dialled, Writer::Person).global.as_deref(), wanted, "{dialled}");
        }
        assert_eq!(read("", "030123456", Writer::Person).global, None, "without a plan");
        assert_eq!(read(PLAN, "0012345678901234567", Writer::Person).global, None, "more than 15 digits");
    }

    #[test]
    fn north_america() {
        let plan = "[numbers]\ncountry_code=\"1\"\nnational_prefix=\"1\"\ninternational_prefix=\"011\"\nnational_digits=10\narea_code=\"212\"\nlocal_digits_min=7\n";
        for (dialled, wanted) in [
            ("12125550100", "+12125550100"),
            ("2125550100", "+12125550100"),
            ("5550100", "+12125550100"),
            ("0114930123", "+4930123"),
        ] {
            assert_eq!(read(plan, dialled, Writer::Person).global.as_deref(), Some(wanted), "{dialled}");
        }
    }

    #[test]
    fn an_outside_line_has_a_prefix() {
        let plan = format!("{PLAN}outside_prefix = \"0\"\n");
        let global = |dialled, writer| read(&plan, dialled, writer).global;
        assert_eq!(global("0030123456", Writer::Person).as_deref(), Some("+4930123456"));
        assert_eq!(global("000331425", Writer::Person).as_deref(), Some("+331425"));
        assert_eq!(global("+4930123456", Writer::Person).as_deref(), Some("+4930123456"));
        assert_eq!(global("123456", Writer::Person), None, "stays inside");
        assert_eq!(global("030123456", Writer::Peer(NumberFormat::AsIs)).as_deref(), Some("+4930123456"), "a carrier dials none");
    }

    #[test]
    fn a_trunk_s_numbers_are_read_by_its_format() {
        let e164 = Writer::Peer(NumberFormat::E164);
        assert_eq!(read(PLAN, "4930123456", e164).global.as_deref(), Some("+4930123456"));
        assert_eq!(read(PLAN, "110", e164).global, None);
        assert_eq!(read(PLAN, "4930123456", Writer::Peer(NumberFormat::National)).global.as_deref(), Some("+49304930123456"));
    }

    #[test]
    fn each_trunk_is_written_to_in_its_format() {
        let snapshot = snapshot(PLAN);
        let write = |format, number| written(&snapshot.numbers, format, number);
        assert_eq!(write(NumberFormat::AsIs, "030123456"), "030123456");
        assert_eq!(write(NumberFormat::Plus, "030123456"), "+4930123456");
        assert_eq!(write(NumberFormat::E164, "030123456"), "4930123456");
        assert_eq!(write(NumberFormat::National, "+4930123456"), "030123456");
        assert_eq!(write(NumberFormat::National, "+33142"), "0033142");
        assert_eq!(write(NumberFormat::Plus, "115"), "115", "a service number has no E.164 form");
    }

    #[test]
    fn a_did_reaches_its_extension_and_nothing_else_of_it_is_seen() {
        let text = format!("{PLAN}[[account]]\nuser=\"107\"\n[[did]]\nrange=\"+4930123400-499\"\nto=\"1\"\ndigits=2\n");
        let number = read(&text, "030123407", Writer::Person);
        assert_eq!((number.extension.as_deref(), number.inside()), (Some("107"), "107"));
        assert_eq!(number.forms().collect::<Vec<_>>(), ["107"]);
        assert_eq!(read(&text, "107", Writer::Person).forms().collect::<Vec<_>>(), ["107"]);
        assert_eq!(read(&text, "030123599", Writer::Person).forms().collect::<Vec<_>>(), ["030123599", "+4930123599"]);
    }

    #[test]
    fn emergency_numbers_in_every_disguise() {
        let text = format!(
            "{PLAN}outside_prefix=\"0\"\n[[trunk]]\nname=\"c\"\naddress=\"192.0.2.1:5060\"\n[emergency]\nnumbers=[\"112\"]\nto=[\"trunk:c\"]\n"
        );
        let snapshot = snapshot(&text);
        for dialled in ["112", "0112", "1-1-2", "+49112", "00112", "00049112", "0+49112"] {
            assert_eq!(emergency(&snapshot, dialled, Writer::Person), Some("112"), "{dialled}");
        }
        for dialled in ["1123", "0030112", "+33112", "012", "110", "", "0"] {
            assert_eq!(emergency(&snapshot, dialled, Writer::Person), None, "{dialled}");
        }
        assert_eq!(emergency(&snapshot, "0112", Writer::Peer(NumberFormat::AsIs)), Some("112"), "national prefix");
    }

    #[test]
    fn uris_of_both_kinds_and_their_context() {
        let plan = &snapshot(PLAN).numbers;
        let dialled = |text: &str| of_uri(plan, &Uri::parse(text).expect("sound"));
        assert_eq!(dialled("tel:+49-30-123456"), "+4930123456");
        assert_eq!(dialled("tel:123456;phone-context=+4930"), "+4930123456");
        assert_eq!(dialled("sip:123456;phone-context=+4930@192.0.2.1;user=phone"), "+4930123456");
        assert_eq!(dialled("tel:112;phone-context=+49"), "112", "a service of that country");
        assert_eq!(dialled("tel:030123456;phone-context=+49"), "030123456");
        assert_eq!(dialled("tel:123456;phone-context=example.com"), "123456");
        assert_eq!(dialled("sip:anna.b@192.0.2.1"), "anna.b");
    }
}
