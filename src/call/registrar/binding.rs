//! One binding: which device stands for an address of record, and how it is reached.

use super::request::WantedContact;
use crate::status::RegistrationStatus;
use ringfort_base::{Hop, Time, Wall};
use ringfort_sip::uri::Uri;
use serde::{Deserialize, Serialize};

/// One way to one device of one address of record. A device that keeps several connections has a binding for each (RFC 5626 4.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// User part of the address of record.
    pub user: String,
    /// Names this binding in the contact that the cloud is given.
    pub token: String,
    /// The device's own contact URI; the request URI of calls to it.
    pub contact: String,
    /// `+sip.instance`, where the device has one.
    pub instance: Option<String>,
    /// Number of the device's connection, where it keeps several (RFC 5626 4.2).
    #[serde(default)]
    pub reg_id: Option<u32>,
    /// Preference among the devices of one user, thousandths (RFC 3261 10.2.1.2).
    #[serde(default)]
    pub q_per_mille: Option<u16>,
    /// Proxies on the way to the device (RFC 3327), in the order in which a request passes them: Route values.
    #[serde(default)]
    pub path: Vec<String>,
    /// How the device was last heard: calls to it go the same way.
    pub hop: Hop,
    /// When it began to be reached by that hop.
    #[serde(skip)]
    pub moved: Time,
    /// User-Agent as told.
    pub user_agent: String,
    /// Call-ID of the REGISTER.
    pub call_id: String,
    /// CSeq of the last REGISTER.
    pub cseq: u32,
    /// When it runs out, for the next process and for people.
    pub expires: Wall,
    /// When it runs out, by the clock that does not jump.
    #[serde(skip)]
    pub until: Time,
    /// Granted by the cloud.
    pub by_cloud: bool,
}

/// Which device a binding or a leg of a call belongs to, through every change of its connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// User part of the address of record.
    pub user: String,
    /// `+sip.instance`, where the device has one.
    pub instance: Option<String>,
    /// The contact URI that it registered last.
    pub contact: String,
}

impl Device {
    /// Whether this binding is one of the device's: the same instance, or else the same contact.
    pub fn has(&self, binding: &Binding) -> bool {
        match (&self.instance, &binding.instance) {
            (Some(own), Some(other)) => own == other,
            _ => same_uri(&self.contact, &binding.contact),
        }
    }
}

impl Binding {
    /// Journal key.
    pub fn key(&self) -> String {
        format!("binding/{}", self.token)
    }

    /// The device behind it.
    pub fn device(&self) -> Device {
        Device { user: self.user.clone(), instance: self.instance.clone(), contact: self.contact.clone() }
    }

    /// Whether a REGISTER's contact means this binding: the same connection of the same instance (RFC 5626 6), or the same contact
    /// by the rules for URIs (RFC 3261 10.3 step 7).
    pub(crate) fn is_of(&self, wanted: &WantedContact) -> bool {
        match (self.instance.as_deref(), wanted.instance.as_deref()) {
            (Some(own), Some(other)) => own == other && self.reg_id == wanted.reg_id,
            _ => same_uri(&self.contact, &wanted.uri),
        }
    }

    /// Whether a request can be sent to it now: by datagrams, or by a connection that stands.
    pub fn is_reachable(&self) -> bool {
        !self.hop.transport.is_reliable() || self.hop.flow.is_some()
    }

    pub(crate) fn status(&self, domain: &str) -> RegistrationStatus {
        RegistrationStatus {
            aor: format!("{}@{domain}", self.user).into(),
            transport: self.hop.transport,
            source: self.hop.remote.to_string().into(),
            user_agent: self.user_agent.clone(),
            expires: self.expires,
            by_cloud: self.by_cloud,
        }
    }
}

/// RFC 3261 19.1.4.
fn same_uri(a: &str, b: &str) -> bool {
    a == b || matches!((Uri::parse(a), Uri::parse(b)), (Ok(a), Ok(b)) if a.equivalent(&b))
}
