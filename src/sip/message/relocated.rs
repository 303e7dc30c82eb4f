//! A message that names another place as its sender's.

use super::{HeaderName, Message};
use bytes::Bytes;

impl Message {
    /// The same message with another URI in its first Contact. `None`: it has no Contact that can be read, or a limit would be exceeded.
    pub fn relocated(&self, uri: &str) -> Option<Message> {
        let contacts = self.contacts().ok()?;
        let old = contacts.first()?.uri;
        let field = self.index.named(HeaderName::Contact).find(|field| self.text(field.value).contains(old))?;
        let start = field.value.range().start + self.text(field.value).find(old)?;
        let mut octets = Vec::with_capacity(self.octets.len() + uri.len());
        octets.extend_from_slice(&self.octets[..start]);
        octets.extend_from_slice(uri.as_bytes());
        octets.extend_from_slice(&self.octets[start + old.len()..]);
        Message::parse(Bytes::from(octets)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uri_of_the_first_contact_changes() {
        let text =
            |contact: &str| format!("OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\nContact: {contact}\r\nContent-Length: 2\r\n\r\nhi");
        let message = |contact: &str| Message::parse(Bytes::from(text(contact))).expect("a message");
        let moved = message("\"a;b\" <sip:1@x;gr=u> ;+sip.instance=\"<u>\"").relocated("sip:1@192.0.2.1;ob");
        assert_eq!(moved, Some(message("\"a;b\" <sip:1@192.0.2.1;ob> ;+sip.instance=\"<u>\"")));
        assert_eq!(message("*").relocated("sip:b"), None);
    }
}
