//! Parameters behind a header value: `;name=value;flag` (RFC 3261 25.1 `generic-param`).

use super::text::{Split, closing_quote, is_token, is_ws, trim, unquoted};

/// The parameters of one header value, read when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// Takes the text behind a value: empty, or beginning with `;`. Refuses what no parameter list can be.
    pub(crate) fn parse(text: &'a str) -> Result<Params<'a>, &'static str> {
        let text = trim(text);
        if text.is_empty() {
            return Ok(Params(""));
        }
        let list = text.strip_prefix(';').ok_or("parameters")?;
        for param in Split::semicolons(list) {
            check(param)?;
        }
        Ok(Params(list))
    }

    /// Every parameter as written: name and value with its quotes, if it has one.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let list = (!self.0.is_empty()).then(|| Split::semicolons(self.0));
        list.into_iter().flatten().map(split)
    }

    /// A parameter's value without quotes (escapes kept); empty for a flag. Names are compared without regard to case.
    pub fn value(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| unquoted(value.unwrap_or("")))
    }

    /// Whether a parameter is there, with or without a value.
    pub fn has(self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The parameters' text without the leading semicolon.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

fn split(param: &str) -> (&str, Option<&str>) {
    match param.split_once('=') {
        Some((name, value)) => (trim(name), Some(trim(value))),
        None => (param, None),
    }
}

fn check(param: &str) -> Result<(), &'static str> {
    let (name, value) = split(param);
    if !is_token(name) {
        return Err("parameter-name");
    }
    match value {
        None => Ok(()),
        Some("") => Err("parameter-value"),
        Some(quoted) if quoted.starts_with('"') => match closing_quote(quoted) {
            Some(end) if end + 1 == quoted.len() => Ok(()),
            _ => Err("parameter-quote"),
        },
        // Wider than the grammar's token and host: IPv6 in `received`, unquoted URNs of some phones.
        Some(value) if value.bytes().any(|b| is_ws(b) || matches!(b, b'"' | b',')) => Err("parameter-value"),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_and_flags() {
        let params = Params::parse(" ;Tag = 98asjd8 ; lr;x=\"a;b\"").unwrap();
        assert_eq!(params.value("tag"), Some("98asjd8"));
        assert_eq!(params.value("LR"), Some(""));
        assert_eq!(params.value("x"), Some("a;b"));
        assert_eq!(params.value("y"), None);
        assert_eq!(params.iter().count(), 3);
        assert_eq!(Params::parse("").unwrap().iter().count(), 0);
    }

    #[test]
    fn names_the_rule() {
        for (text, rule) in [
            ("x", "parameters"),
            (";;", "parameter-name"),
            (";=1", "parameter-name"),
            (";a b", "parameter-name"),
            (";a=", "parameter-value"),
            (";a=b c", "parameter-value"),
            (";a=\"b", "parameter-quote"),
            (";a=\"b\"c", "parameter-quote"),
        ] {
            assert_eq!(Params::parse(text), Err(rule), "{text}");
        }
    }
}
