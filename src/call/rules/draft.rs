//! A message taken apart for change. Lines that no rule touches stay octet for octet.

use bytes::Bytes;
use ringfort_sip::message::{HeaderName, Message};

/// A message under change.
pub(super) struct Draft<'m> {
    before: &'m Message,
    /// The Request-URI of a request.
    pub(super) uri: Option<String>,
    pub(super) fields: Vec<Field<'m>>,
    /// A new body.
    pub(super) body: Option<Vec<u8>>,
    pub(super) changed: bool,
}

/// One header field.
pub(super) struct Field<'m> {
    pub(super) name: HeaderName,
    pub(super) text: String,
    pub(super) value: String,
    /// Its octets as they came, until it is changed.
    pub(super) line: Option<&'m [u8]>,
}

impl<'m> Draft<'m> {
    pub(super) fn of(message: &'m Message) -> Draft<'m> {
        let fields = message.lines().zip(message.all_headers()).map(|((name, line), (text, value))| Field {
            name,
            text: text.to_string(),
            value: value.to_string(),
            line: Some(line),
        });
        let uri = message.request_uri().map(str::to_string);
        Draft { before: message, uri, fields: fields.collect(), body: None, changed: false }
    }

    pub(super) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or(self.before.body())
    }

    /// The first value of a field.
    pub(super) fn value(&self, name: HeaderName) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
    }

    pub(super) fn drop_field(&mut self, name: HeaderName) {
        self.fields.retain(|field| field.name != name);
    }

    pub(super) fn push(&mut self, name: HeaderName, text: &str, value: &str) {
        self.fields.push(Field { name, text: text.to_string(), value: value.to_string(), line: None });
        self.changed = true;
    }

    /// The message; `None` when nothing was changed. What cannot be read any more comes as an empty message, which is never sound.
    pub(super) fn message(&self, before: &Message) -> Option<Message> {
        if !self.changed {
            return None;
        }
        let octets = self.octets(before);
        Message::parse(octets).ok().or_else(|| Message::parse(Bytes::from_static(b"SIP/2.0 500 \r\n\r\n")).ok())
    }

    fn octets(&self, before: &Message) -> Bytes {
        let mut out = Vec::with_capacity(before.octets().len() + 256);
        match &self.uri {
            Some(uri) => out.extend_from_slice(format!("{} {uri} {}\r\n", before.method(), before.version()).as_bytes()),
            None => {
                let (version, status) = (before.version(), before.status().unwrap_or(500));
                out.extend_from_slice(format!("{version} {status} {}\r\n", before.reason()).as_bytes());
            }
        }
        for field in self.fields.iter().filter(|field| self.body.is_none() || field.name != HeaderName::ContentLength) {
            match field.line {
                Some(line) => out.extend_from_slice(line),
                None => out.extend_from_slice(format!("{}: {}\r\n", field.text, field.value).as_bytes()),
            }
        }
        if let Some(body) = &self.body {
            out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.body());
        Bytes::from(out)
    }
}
