//! Places of a message that rules name: `request-uri.user`, `From.host`, `Contact.param:transport`, `X-Anything`.

use ringfort_sip::message::HeaderName;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// A place of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The Request-URI or a part of it.
    RequestUri(UriPart),
    /// Whole values of a header field.
    Field(FieldName),
    /// A part of each address in a header field.
    Address(FieldName, AddressPart),
}

/// A part of a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriPart {
    /// All of it.
    Whole,
    /// User part, without escapes.
    User,
    /// Host.
    Host,
    /// Port.
    Port,
    /// A parameter by name.
    Param(String),
}

/// A part of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressPart {
    /// Display name, without quotes.
    Display,
    /// A part of its URI.
    Uri(UriPart),
}

/// The name of a header field, listed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName {
    /// The listed name, if it is one.
    pub name: HeaderName,
    /// As written in the rule, or the long form of a listed one.
    pub text: String,
}

impl FieldName {
    /// Whether a field of this name is meant.
    pub fn is(&self, name: HeaderName, text: &str) -> bool {
        self.name == name && (name != HeaderName::Other || self.text.eq_ignore_ascii_case(text))
    }
}

/// A place that a rule may change.
#[derive(Clone, Debug)]
pub(crate) struct Changeable(pub Place);

/// What transactions, dialogs and framing stand on.
const PROTECTED: [HeaderName; 7] = [
    HeaderName::Via,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::ContentLength,
    HeaderName::MaxForwards,
    HeaderName::RecordRoute,
    HeaderName::Route,
];
/// Fields that bear tags or found dialogs: their parts may be changed, they may not go.
const BY_PARTS: [HeaderName; 3] = [HeaderName::From, HeaderName::To, HeaderName::Contact];

impl Place {
    /// Reads a place.
    pub fn parse(text: &str) -> Option<Place> {
        let (name, part) = text.split_once('.').map_or((text, None), |(name, part)| (name, Some(part)));
        if name.eq_ignore_ascii_case("request-uri") {
            return Some(Place::RequestUri(part.map_or(Some(UriPart::Whole), UriPart::parse)?));
        }
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-_!%*+`'~".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
            return None;
        }
        let known = HeaderName::parse(name.as_bytes());
        let text = if known == HeaderName::Other { name } else { known.as_str() };
        let field = FieldName { name: known, text: text.to_string() };
        Some(match part {
            None => Place::Field(field),
            Some("display") => Place::Address(field, AddressPart::Display),
            Some("uri") => Place::Address(field, AddressPart::Uri(UriPart::Whole)),
            Some(part) => Place::Address(field, AddressPart::Uri(UriPart::parse(part)?)),
        })
    }

    pub(crate) fn is_whole_field(&self) -> bool {
        matches!(self, Place::Field(_))
    }

    /// Whether it lies in From or To.
    pub(crate) fn is_of_people(&self) -> bool {
        matches!(self, Place::Address(field, _) if matches!(field.name, HeaderName::From | HeaderName::To))
    }
}

impl UriPart {
    fn parse(text: &str) -> Option<UriPart> {
        match text {
            "user" => Some(UriPart::User),
            "host" => Some(UriPart::Host),
            "port" => Some(UriPart::Port),
            _ => text.strip_prefix("param:").filter(|name| !name.is_empty()).map(|name| UriPart::Param(name.to_string())),
        }
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Place::parse(&text).ok_or_else(|| {
            let forms = "a field's name, or `.display`, `.uri`, `.user`, `.host`, `.port`, `.param:NAME` behind it or behind `request-uri`";
            de::Error::custom(format!("`{text}` is no place of a message: {forms}"))
        })
    }
}

/// The name of a field that the node does not know: what it knows it treats by itself.
impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Place::deserialize(d)? {
            Place::Field(field) if field.name == HeaderName::Other => Ok(field),
            _ => Err(de::Error::custom("only fields that the node does not know are passed by name, such as `X-Tenant`")),
        }
    }
}

impl<'de> Deserialize<'de> for Changeable {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let place = Place::deserialize(d)?;
        let (Place::Field(field) | Place::Address(field, _)) = &place else { return Ok(Changeable(place)) };
        if PROTECTED.contains(&field.name) {
            return Err(de::Error::custom(format!("{} is protected: transactions and dialogs stand on it", field.text)));
        }
        if BY_PARTS.contains(&field.name) && place.is_whole_field() {
            let text = &field.text;
            return Err(de::Error::custom(format!(
                "{text} is changed by its parts: `{text}.display`, `{text}.user`, `{text}.host`, …"
            )));
        }
        Ok(Changeable(place))
    }
}
