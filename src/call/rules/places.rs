//! Reading and changing the places that rules name. Fields that hold several values are taken value by value.

use super::draft::Draft;
use crate::config::{AddressPart, FieldName, Place, UriPart};
use ringfort_sip::message::{HeaderName, NameAddr, split_values};
use ringfort_sip::uri::{Host, Uri, escape_user};

/// Fields whose values stand side by side with commas; in others a comma means nothing.
const LISTS: [HeaderName; 22] = [
    HeaderName::Accept,
    HeaderName::AlertInfo,
    HeaderName::Allow,
    HeaderName::AllowEvents,
    HeaderName::CallInfo,
    HeaderName::Contact,
    HeaderName::Diversion,
    HeaderName::ErrorInfo,
    HeaderName::Geolocation,
    HeaderName::HistoryInfo,
    HeaderName::PAssertedIdentity,
    HeaderName::PAssociatedUri,
    HeaderName::Path,
    HeaderName::PPreferredIdentity,
    HeaderName::ProxyRequire,
    HeaderName::Reason,
    HeaderName::RemotePartyId,
    HeaderName::Require,
    HeaderName::ServiceRoute,
    HeaderName::Supported,
    HeaderName::Unsupported,
    HeaderName::Warning,
];

/// What becomes of a value: another one, or none.
type Edit<'e> = &'e mut dyn FnMut(&str) -> Option<String>;

fn pieces(name: HeaderName, value: &str) -> Vec<&str> {
    if LISTS.contains(&name) { split_values(value).collect() } else { vec![value] }
}

impl Draft<'_> {
    /// Every value of a place; none when it is absent.
    pub(super) fn read(&self, place: &Place) -> Vec<String> {
        match place {
            Place::RequestUri(part) => self.uri.iter().filter_map(|uri| read_uri(uri, part)).collect(),
            Place::Field(field) => self.values(field).map(str::to_string).collect(),
            Place::Address(field, part) => self.values(field).filter_map(|value| read_address(value, part)).collect(),
        }
    }

    fn values(&self, field: &FieldName) -> impl Iterator<Item = &str> {
        let named = self.fields.iter().filter(|f| field.is(f.name, &f.text));
        named.flat_map(|f| pieces(f.name, &f.value))
    }

    /// Sets a place.
    pub(super) fn set(&mut self, place: &Place, value: &str) {
        match place {
            Place::Field(field) => {
                self.fields.retain(|f| !field.is(f.name, &f.text));
                self.push(field.name, &field.text, value);
            }
            _ => self.change(place, true, &mut |_| Some(value.to_string())),
        }
    }

    /// Adds a header field.
    pub(super) fn add(&mut self, place: &Place, value: &str) {
        if let Place::Field(field) = place {
            self.push(field.name, &field.text, value);
        }
    }

    /// Changes each value that is there; a part that is absent stays so.
    pub(super) fn edit(&mut self, place: &Place, edit: Edit<'_>) {
        self.change(place, false, edit);
    }

    fn change(&mut self, place: &Place, make: bool, edit: Edit<'_>) {
        match place {
            Place::RequestUri(part) => {
                let Some(new) = self.uri.as_ref().and_then(|uri| change_uri(uri, part, make, edit)) else { return };
                self.changed |= self.uri.as_deref() != Some(&new);
                self.uri = Some(new);
            }
            Place::Field(field) => self.each_value(field, &mut |value| edit(value)),
            Place::Address(field, part) => {
                self.each_value(field, &mut |value| Some(change_address(value, part, make, edit).unwrap_or(value.to_string())));
            }
        }
    }

    fn each_value(&mut self, field: &FieldName, edit: Edit<'_>) {
        let mut changed = false;
        for own in self.fields.iter_mut().filter(|f| field.is(f.name, &f.text)) {
            let old = pieces(own.name, &own.value);
            let new: Vec<Option<String>> = old.iter().map(|value| edit(value)).collect();
            if new.iter().map(Option::as_deref).eq(old.iter().map(|value| Some(*value))) {
                continue;
            }
            own.value = new.into_iter().flatten().collect::<Vec<_>>().join(", ");
            own.line = None;
            changed = true;
        }
        if changed {
            self.fields.retain(|f| f.line.is_some() || !f.value.is_empty());
            self.changed = true;
        }
    }
}

fn read_address(value: &str, part: &AddressPart) -> Option<String> {
    let address = NameAddr::parse(value).ok()?;
    match part {
        AddressPart::Display => address.display_name().map(|name| name.into_owned()),
        AddressPart::Uri(part) => read_uri(address.uri, part),
    }
}

/// The value with a part changed; `None` when it cannot be read or has no such part.
fn change_address(value: &str, part: &AddressPart, make: bool, edit: Edit<'_>) -> Option<String> {
    let address = NameAddr::parse(value).ok()?;
    let (mut display, mut uri) = (address.display_name().map(|name| name.into_owned()), address.uri.to_string());
    match part {
        AddressPart::Display if display.is_some() || make => display = edit(&display.unwrap_or_default()),
        AddressPart::Display => return None,
        AddressPart::Uri(part) => uri = change_uri(&uri, part, make, edit)?,
    }
    let display = display.filter(|name| !name.is_empty()).map(|name| format!("\"{}\" ", quoted(&name)));
    let params = address.params.as_str();
    let semicolon = if params.is_empty() { "" } else { ";" };
    Some(format!("{}<{uri}>{semicolon}{params}", display.unwrap_or_default()))
}

/// The inside of a quoted string (RFC 3261 25.1).
pub(crate) fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn read_uri(text: &str, part: &UriPart) -> Option<String> {
    if *part == UriPart::Whole {
        return Some(text.to_string());
    }
    let uri = Uri::parse(text).ok()?;
    match part {
        UriPart::Whole => None,
        UriPart::User => uri.user_unescaped().map(|user| user.into_owned()),
        UriPart::Host => Some(uri.host.to_string()).filter(|host| !host.is_empty()),
        UriPart::Port => uri.port.map(|port| port.to_string()),
        UriPart::Param(name) => uri.param(name).map(str::to_string),
    }
}

fn change_uri(text: &str, part: &UriPart, make: bool, edit: Edit<'_>) -> Option<String> {
    let old = read_uri(text, part);
    if old.is_none() && !make {
        return None;
    }
    let new = edit(old.as_deref().unwrap_or_default()).filter(|new| !new.is_empty());
    if *part == UriPart::Whole {
        return new;
    }
    if new == old {
        return Some(text.to_string());
    }
    let mut uri = Uri::parse(text).ok()?;
    match part {
        UriPart::User => uri.user = new.map(|user| escape_user(&user).into_owned()),
        UriPart::Host if uri.host == Host::None => return None,
        UriPart::Host => uri.host = Uri::parse(&format!("sip:{}", new?)).ok()?.host,
        UriPart::Port => uri.port = new.map(|port| port.parse()).transpose().ok()?,
        UriPart::Param(name) => set_param(&mut uri, name, new),
        UriPart::Whole => {}
    }
    Some(uri.to_string())
}

fn set_param(uri: &mut Uri, name: &str, value: Option<String>) {
    let place = uri.params.iter().position(|(n, _)| n.eq_ignore_ascii_case(name));
    match (place.and_then(|place| uri.params.get_mut(place)), value) {
        (Some(param), Some(value)) => param.1 = Some(value),
        (None, Some(value)) => uri.params.push((name.to_string(), Some(value))),
        (_, None) => uri.params.retain(|(n, _)| !n.eq_ignore_ascii_case(name)),
    }
}
