//! A REGISTER read once (RFC 3261 10.3): whose bindings, which contacts, for how long.

use crate::context::Context;
use ringfort_base::limits;
use ringfort_sip::message::{Contacts, HeaderName, Message, NameAddr};
use ringfort_sip::uri::Uri;

/// What a REGISTER asks for.
pub(crate) struct RegisterRequest {
    /// User part of the address of record.
    pub user: String,
    /// Call-ID.
    pub call_id: String,
    /// CSeq number.
    pub cseq: u32,
    /// The contacts.
    pub contacts: Wanted,
    /// User-Agent as told.
    pub user_agent: String,
    /// The device understands GRUUs (RFC 5627).
    pub gruu: bool,
    /// Proxies on the way to the device (RFC 3327), the nearest to the node first.
    pub path: Vec<String>,
}

/// Contacts of a REGISTER.
pub(crate) enum Wanted {
    /// None: a query.
    Nothing,
    /// `*` with Expires 0: remove all.
    RemoveAll,
    /// Make, refresh or (expires 0) remove these.
    These(Vec<WantedContact>),
}

/// One contact of a REGISTER.
pub(crate) struct WantedContact {
    /// URI as written.
    pub uri: String,
    /// Seconds asked for; `None`: the registrar's choice.
    pub expires_s: Option<u32>,
    /// `+sip.instance` (RFC 5626 4.1).
    pub instance: Option<String>,
    /// Number of the connection (RFC 5626 4.2); only of a device that supports `outbound` and is the node's next hop.
    pub reg_id: Option<u32>,
    /// Preference, thousandths.
    pub q_per_mille: Option<u16>,
}

/// Why it is refused.
pub(crate) struct Refusal {
    pub status: u16,
    pub reason: &'static str,
}

const fn refuse(status: u16, reason: &'static str) -> Refusal {
    Refusal { status, reason }
}

impl RegisterRequest {
    pub fn read(cx: &Context, message: &Message) -> Result<RegisterRequest, Refusal> {
        let to = message.to().map_err(|_| refuse(400, "Malformed To"))?;
        let uri = Uri::parse(to.uri).map_err(|_| refuse(400, "Malformed To URI"))?;
        // RFC 3261 10.3 step 5: an address of record that is not ours.
        let host = uri.host.to_string();
        let own = [cx.snapshot.node.domain.as_str(), cx.snapshot.cloud_domain()];
        let by_address = uri.host.ip().is_some_and(|ip| cx.own.all().any(|own| own.advertised == ip));
        if !by_address && !own.iter().any(|d| d.eq_ignore_ascii_case(&host)) {
            return Err(refuse(404, "Domain Not Served Here"));
        }
        let user = uri.user_unescaped().filter(|u| !u.is_empty()).ok_or(refuse(400, "To Without User"))?;
        let (cseq, _) = message.cseq().map_err(|_| refuse(400, "Malformed CSeq"))?;
        Ok(RegisterRequest {
            user: user.to_string(),
            call_id: message.call_id().map_err(|_| refuse(400, "Malformed Call-ID"))?.to_string(),
            cseq,
            contacts: Wanted::read(message)?,
            gruu: message.has_token(HeaderName::Supported, "gruu"),
            path: path(message)?,
            user_agent: message.header(HeaderName::UserAgent).unwrap_or_default().chars().take(100).collect(),
        })
    }
}

impl Wanted {
    fn read(message: &Message) -> Result<Wanted, Refusal> {
        let expires = message.expires().map_err(|_| refuse(400, "Malformed Expires"))?;
        match message.contacts().map_err(|_| refuse(400, "Malformed Contact"))? {
            Contacts::None => Ok(Wanted::Nothing),
            Contacts::Star if expires == Some(0) => Ok(Wanted::RemoveAll),
            Contacts::Star => Err(refuse(400, "Contact * Needs Expires 0")),
            Contacts::List(list) if list.len() > limits::BINDINGS_PER_AOR_MAX => Err(refuse(403, "Too Many Contacts")),
            Contacts::List(list) => {
                // RFC 5626 6: a connection is the device's own only where no proxy lies between.
                let outbound =
                    message.has_token(HeaderName::Supported, "outbound") && message.values(HeaderName::Via).count() == 1;
                let read = |c| WantedContact::read(c, expires, outbound);
                Ok(Wanted::These(list.iter().map(read).collect::<Result<_, _>>()?))
            }
        }
    }
}

impl WantedContact {
    fn read(contact: &NameAddr<'_>, header: Option<u32>, outbound: bool) -> Result<WantedContact, Refusal> {
        Uri::parse(contact.uri).map_err(|_| refuse(400, "Malformed Contact URI"))?;
        // RFC 3261 10.2.1.1: a malformed expires parameter counts as 3600.
        let own = contact.param("expires").map(|v| v.parse().unwrap_or(3600));
        Ok(WantedContact {
            uri: contact.uri.to_string(),
            expires_s: own.or(header),
            instance: contact.instance().map(str::to_string),
            reg_id: contact.reg_id().filter(|_| outbound && contact.instance().is_some()),
            q_per_mille: contact.q_per_mille(),
        })
    }
}

/// Route values of the proxies that want to stay on the way to the device (RFC 3327 5.3).
fn path(message: &Message) -> Result<Vec<String>, Refusal> {
    let path = message.addresses(HeaderName::Path).map_err(|_| refuse(400, "Malformed Path"))?;
    if path.len() > limits::PATH_VALUES_MAX {
        return Err(refuse(403, "Path Too Long"));
    }
    if path.iter().any(|proxy| Uri::parse(proxy.uri).map_or(true, |uri| !uri.is_sip())) {
        return Err(refuse(400, "Malformed Path URI"));
    }
    Ok(path.iter().map(|proxy| format!("<{}>", proxy.uri)).collect())
}
