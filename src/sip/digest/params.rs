//! `auth-param`s: `name=value` or `name="value"`, separated by commas (RFC 3261 25.1).

use super::DigestError;
use crate::message::text::{Split, closing_quote, is_token, trim, unescaped, unquoted};
use std::borrow::Cow;

/// The parameters behind `Digest`. Values are unquoted and unescaped; whether they were quoted does not matter, since
/// phones differ in it.
pub(super) struct AuthParams<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> AuthParams<'a> {
    pub(super) fn parse(value: &'a str) -> Result<Self, DigestError> {
        let (scheme, list) = trim(value).split_once([' ', '\t']).ok_or(DigestError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(DigestError::Scheme);
        }
        let mut params = Vec::with_capacity(12);
        for param in Split::auth_params(list).filter(|param| !param.is_empty()) {
            params.push(read(param)?);
        }
        Ok(AuthParams(params))
    }

    /// A parameter's value. A repeated parameter is refused: two readers could disagree about which one counts.
    pub(super) fn take(&self, name: &'static str) -> Result<Option<String>, DigestError> {
        let mut named = self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        match (named.next(), named.next()) {
            (Some(_), Some(_)) => Err(DigestError::Repeated(name)),
            (found, _) => Ok(found.map(|(_, value)| value.clone().into_owned())),
        }
    }

    pub(super) fn need(&self, name: &'static str) -> Result<String, DigestError> {
        self.take(name)?.ok_or(DigestError::Missing(name))
    }
}

fn read(param: &str) -> Result<(&str, Cow<'_, str>), DigestError> {
    let (name, value) = param.split_once('=').ok_or(DigestError::Syntax)?;
    let (name, value) = (trim(name), trim(value));
    if !is_token(name) {
        return Err(DigestError::Syntax);
    }
    if value.starts_with('"') {
        let closed = closing_quote(value).is_some_and(|end| end + 1 == value.len());
        return if closed { Ok((name, unescaped(unquoted(value)))) } else { Err(DigestError::Syntax) };
    }
    Ok((name, Cow::Borrowed(value)))
}
