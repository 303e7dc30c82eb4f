//! Dialogs: the state that two user agents share between a request that founds one and the BYE that ends it (RFC 3261 12).
//!
//! A [`Dialog`] is plain data that can be written down and read back. It comes from [`Dialog::uas`] when the node answers or from
//! [`Dialog::uac`] when the peer does; makes requests by [`Dialog::request`] and [`Dialog::ack`]; judges requests by
//! [`Dialog::accept_request`]. Responses of ours are made from the request by `Builder::reply` with the dialog's local tag.
//! It ends when its owner drops it.

use crate::message::{Builder, Contacts, HeaderError, HeaderName, Message, Method, NameAddr};
use crate::uri::Uri;
use ringfort_base::{Hop, Transport};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Max-Forwards of a new request (RFC 3261 8.1.1.6).
const MAX_FORWARDS: u8 = 70;
/// Largest CSeq number (RFC 3261 8.1.1.5).
const CSEQ_MAX: u32 = (1 << 31) - 1;
/// Seconds after which a request that came out of order may be tried again (RFC 3261 14.2: 0 to 10).
const RETRY_AFTER_S: u32 = 5;

/// What names a dialog on our side (RFC 3261 12). A tag of an RFC 2543 peer may be empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DialogId {
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// The peer's tag.
    pub remote_tag: String,
}

impl DialogId {
    /// The dialog that a received message belongs to: our tag is in To of a request, in From of a response. An initial request
    /// yields an id without a local tag, which no dialog has.
    ///
    /// # Errors
    /// From, To or Call-ID are missing or malformed.
    pub fn of_received(message: &Message) -> Result<DialogId, HeaderError> {
        let (from, to) = (tag(&message.from()?), tag(&message.to()?));
        let (local_tag, remote_tag) = if message.is_request() { (to, from) } else { (from, to) };
        Ok(DialogId { call_id: message.call_id()?.to_owned(), local_tag, remote_tag })
    }
}

impl fmt::Debug for DialogId {
    /// Tags only: a Call-ID may bear an inside address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DialogId({} {})", self.local_tag, self.remote_tag)
    }
}

/// How far a dialog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DialogState {
    /// Only provisional responses passed.
    Early,
    /// A 2xx passed.
    Confirmed,
}

/// One dialog, seen from our side.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Dialog {
    /// Its name.
    pub id: DialogId,
    /// How far it is.
    pub state: DialogState,
    /// Our address as the founding request wrote it, with our tag: From of our requests.
    pub local: String,
    /// The peer's address likewise: To of our requests.
    pub remote: String,
    /// Number of our last request; 0 while there was none.
    pub local_cseq: u32,
    /// Number of the peer's last request, if there was one.
    pub remote_cseq: Option<u32>,
    /// Number of our last INVITE: that of its ACK.
    pub invite_cseq: Option<u32>,
    /// The peer's Contact: Request-URI of our requests.
    pub remote_target: String,
    /// Route values in the order in which our requests bear them.
    pub route_set: Vec<String>,
    /// Only secure hops may be used (RFC 3261 12.1.1).
    pub secure: bool,
    /// Where the founding message came from: the way our requests go.
    pub hop: Hop,
}

/// The Via of a request of ours.
#[derive(Clone, Copy, Debug)]
pub struct NewVia<'a> {
    /// Transport of the next hop.
    pub transport: Transport,
    /// Our host and port there.
    pub sent_by: &'a str,
    /// A fresh branch with the magic cookie; the next request takes another.
    pub branch: &'a str,
    /// Ask for symmetric response routing (RFC 3581).
    pub rport: bool,
}

/// Why a message does not fit a dialog, or founds none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialogError {
    /// A header field is missing or malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A request that founds a dialog has exactly one Contact with a URI (RFC 3261 8.1.1.8, 12.1.1).
    #[error("no usable Contact")]
    Contact,
    /// A request with a To tag founds no dialog (RFC 3261 12.2.2).
    #[error("request within a dialog that does not exist")]
    Unknown,
    /// Neither 2xx nor a 1xx with a To tag (RFC 3261 12.1).
    #[error("response that founds no dialog")]
    NotFounding,
    /// The number is not above that of the request before (RFC 3261 12.2.2).
    #[error("CSeq {received} after {last}")]
    OutOfOrder {
        /// The request's number.
        received: u32,
        /// The number of the request before.
        last: u32,
    },
}

impl DialogError {
    /// The status that the peer is owed when a request caused it.
    pub fn status(self) -> u16 {
        match self {
            DialogError::Header(_) | DialogError::Contact => 400,
            DialogError::Unknown => 481,
            DialogError::NotFounding | DialogError::OutOfOrder { .. } => 500,
        }
    }

    /// Seconds for Retry-After, where the peer may try again.
    pub fn retry_after_s(self) -> Option<u32> {
        matches!(self, DialogError::OutOfOrder { .. }).then_some(RETRY_AFTER_S)
    }

    /// The rule's stable name, for events and metrics.
    pub fn rule(self) -> &'static str {
        match self {
            DialogError::Header(error) => error.rule(),
            DialogError::Contact => "dialog-contact",
            DialogError::Unknown => "dialog-unknown",
            DialogError::NotFounding => "dialog-not-founding",
            DialogError::OutOfOrder { .. } => "cseq-out-of-order",
        }
    }
}

impl Dialog {
    /// The dialog that a received request founds (RFC 3261 12.1.1), early until [`Dialog::confirm`].
    ///
    /// # Errors
    /// The request lies within another dialog, or lacks what a dialog needs.
    pub fn uas(request: &Message, local_tag: &str, hop: Hop) -> Result<Dialog, DialogError> {
        let (from, to) = (request.from()?, request.to()?);
        if to.tag().is_some() {
            return Err(DialogError::Unknown);
        }
        let sips = request.request_uri().is_some_and(is_sips);
        Ok(Dialog {
            id: DialogId { call_id: request.call_id()?.to_owned(), local_tag: local_tag.to_owned(), remote_tag: tag(&from) },
            state: DialogState::Early,
            local: format!("{};tag={local_tag}", field(request, HeaderName::To)?),
            remote: field(request, HeaderName::From)?,
            local_cseq: 0,
            remote_cseq: Some(request.cseq()?.0),
            invite_cseq: None,
            remote_target: contact(request)?.ok_or(DialogError::Contact)?,
            route_set: record_routes(request)?,
            secure: sips && hop.transport.is_secure(),
            hop,
        })
    }

    /// The dialog that a response founds (RFC 3261 12.1.2): early by a 1xx with a To tag, confirmed by a 2xx. `request` is ours
    /// as it was sent. A response without Contact, as some peers send 1xx, leaves the Request-URI as the target.
    ///
    /// # Errors
    /// The response founds no dialog, or lacks what a dialog needs.
    pub fn uac(request: &Message, response: &Message, hop: Hop) -> Result<Dialog, DialogError> {
        let state = founded(response)?;
        let (cseq, method) = request.cseq()?;
        let target = request.request_uri().unwrap_or_default();
        Ok(Dialog {
            id: DialogId::of_received(response)?,
            state,
            local: field(request, HeaderName::From)?,
            remote: field(response, HeaderName::To)?,
            local_cseq: cseq,
            remote_cseq: None,
            invite_cseq: (method == Method::Invite).then_some(cseq),
            remote_target: contact(response)?.unwrap_or_else(|| target.to_owned()),
            route_set: reversed(record_routes(response)?),
            secure: is_sips(target) && hop.transport.is_secure(),
            hop,
        })
    }

    /// Another early dialog of the same INVITE with a tag of ours (RFC 3261 12.1), as if it had been forked.
    pub fn sibling(&self, local_tag: &str) -> Dialog {
        let untagged = self.local.strip_suffix(&format!(";tag={}", self.id.local_tag)).unwrap_or(&self.local);
        let mut sibling = Dialog { local: format!("{untagged};tag={local_tag}"), ..self.clone() };
        sibling.id.local_tag = local_tag.to_owned();
        sibling
    }

    /// We answered the founding request by 2xx.
    pub fn confirm(&mut self) {
        self.state = DialogState::Confirmed;
    }

    /// A 2xx to a request of ours within this dialog. The first one to the founding INVITE confirms the dialog and sets the
    /// route anew (RFC 3261 13.2.2.4); one to a target refresh request sets the remote target (12.2.1.2).
    ///
    /// # Errors
    /// Contact or Record-Route are malformed; the dialog stays as it was.
    pub fn accept_success(&mut self, response: &Message) -> Result<(), DialogError> {
        let target = contact(response)?.filter(|_| refreshes_target(&response.method()));
        if self.state == DialogState::Early && response.method() == Method::Invite {
            self.route_set = reversed(record_routes(response)?);
            self.state = DialogState::Confirmed;
        }
        if let Some(target) = target {
            self.remote_target = target;
        }
        Ok(())
    }

    /// Judges a request that was matched to this dialog, and remembers its CSeq (RFC 3261 12.2.2). ACK and CANCEL bear the number
    /// of their INVITE and are not judged. Numbers may leap: a proxy may have answered some in between.
    ///
    /// # Errors
    /// [`DialogError::OutOfOrder`] when the number does not grow.
    pub fn accept_request(&mut self, request: &Message) -> Result<(), DialogError> {
        let (received, method) = request.cseq()?;
        if matches!(method, Method::Ack | Method::Cancel) {
            return Ok(());
        }
        match self.remote_cseq {
            Some(last) if received <= last => Err(DialogError::OutOfOrder { received, last }),
            _ => {
                self.remote_cseq = Some(received);
                Ok(())
            }
        }
    }

    /// Takes the peer's Contact from a re-INVITE or another target refresh request. To be called when it is answered by 2xx: a
    /// refused one changes nothing (RFC 6141 4.2).
    ///
    /// # Errors
    /// Contact is malformed; the dialog stays as it was.
    pub fn refresh_target(&mut self, request: &Message) -> Result<(), DialogError> {
        if let Some(target) = contact(request)?.filter(|_| refreshes_target(&request.method())) {
            self.remote_target = target;
        }
        Ok(())
    }

    /// The next request within the dialog (RFC 3261 12.2.1.1), with everything but Contact, body and what the method asks for.
    /// For ACK see [`Dialog::ack`]; CANCEL is made by the transaction layer.
    pub fn request(&mut self, method: &Method, via: NewVia<'_>) -> Builder {
        self.local_cseq = (self.local_cseq + 1).min(CSEQ_MAX);
        if *method == Method::Invite {
            self.invite_cseq = Some(self.local_cseq);
        }
        self.build(method, self.local_cseq, via)
    }

    /// The ACK of a 2xx to our last INVITE, with its number (RFC 3261 13.2.2.4). `None` when we sent no INVITE.
    /// The owner keeps the octets, to send them again when the 2xx is repeated.
    pub fn ack(&self, via: NewVia<'_>) -> Option<Builder> {
        Some(self.build(&Method::Ack, self.invite_cseq?, via))
    }

    /// The URI to resolve for the next hop (RFC 3261 8.1.2): the topmost Route, else the remote target.
    pub fn next_hop(&self) -> &str {
        self.route_set.first().map_or(&self.remote_target, |route| uri_of(route))
    }

    fn build(&self, method: &Method, cseq: u32, via: NewVia<'_>) -> Builder {
        let (request_uri, routes) = self.route();
        let request = Builder::request(method, &request_uri)
            .via(via.transport, via.sent_by, via.branch, via.rport)
            .header(HeaderName::MaxForwards, MAX_FORWARDS);
        let request = routes.iter().fold(request, |request, route| request.header(HeaderName::Route, route));
        request
            .header(HeaderName::From, &self.local)
            .header(HeaderName::To, &self.remote)
            .header(HeaderName::CallId, &self.id.call_id)
            .header(HeaderName::CSeq, format_args!("{cseq} {method}"))
    }

    /// Request-URI and Route values. A first hop without `lr` is a strict router of RFC 2543: it wants itself in the
    /// Request-URI and the target as the last Route (RFC 3261 12.2.1.1).
    fn route(&self) -> (String, Vec<String>) {
        match self.route_set.split_first() {
            Some((first, rest)) if is_strict(uri_of(first)) => {
                let target = format!("<{}>", self.remote_target);
                let routes = rest.iter().cloned().chain([target]).collect();
                (request_uri(uri_of(first)), routes)
            }
            _ => (request_uri(&self.remote_target), self.route_set.clone()),
        }
    }
}

impl fmt::Debug for Dialog {
    /// Without the addresses of people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialog({:?} {:?}, cseq {} {:?})", self.id, self.state, self.local_cseq, self.remote_cseq)
    }
}

/// The state of the dialog that a response founds.
fn founded(response: &Message) -> Result<DialogState, DialogError> {
    let tagged = response.to()?.tag().is_some();
    match response.status() {
        Some(101..200) if tagged => Ok(DialogState::Early),
        Some(200..300) => Ok(DialogState::Confirmed),
        _ => Err(DialogError::NotFounding),
    }
}

/// Methods whose Contact sets the remote target: INVITE (RFC 3261 12.2), UPDATE (RFC 3311 5.1), SUBSCRIBE and NOTIFY
/// (RFC 6665 4.1.2, 4.2.2), REFER (RFC 3515 2.1).
fn refreshes_target(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer)
}

fn tag(address: &NameAddr<'_>) -> String {
    address.tag().unwrap_or_default().to_owned()
}

fn field(message: &Message, name: HeaderName) -> Result<String, HeaderError> {
    message.header(name).map(str::to_owned).ok_or(HeaderError::Missing(name))
}

/// The URI of the first Contact; `None` when there is no Contact. A star is no address (RFC 3261 10.2.2 has it for REGISTER only).
fn contact(message: &Message) -> Result<Option<String>, DialogError> {
    match message.contacts()? {
        Contacts::None => Ok(None),
        Contacts::Star => Err(DialogError::Contact),
        Contacts::List(list) => Ok(list.first().map(|address| address.uri.to_owned())),
    }
}

/// Record-Route values as written, each checked to be an address.
fn record_routes(message: &Message) -> Result<Vec<String>, HeaderError> {
    message.addresses(HeaderName::RecordRoute)?;
    Ok(message.values(HeaderName::RecordRoute).map(str::to_owned).collect())
}

fn reversed(mut routes: Vec<String>) -> Vec<String> {
    routes.reverse();
    routes
}

fn is_sips(uri: &str) -> bool {
    uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
}

/// The URI within a Route value. Values were checked when the route set was taken.
fn uri_of(route: &str) -> &str {
    NameAddr::parse(route).map_or(route, |address| address.uri)
}

/// Whether a Route URI lacks `lr`. One that cannot be read is left to the next hop as it is.
fn is_strict(uri: &str) -> bool {
    Uri::parse(uri).is_ok_and(|uri| uri.param("lr").is_none())
}

/// A URI without what is not allowed in a Request-URI: `method` and headers (RFC 3261 19.1.1).
fn request_uri(uri: &str) -> String {
    match Uri::parse(uri) {
        Ok(mut parsed) if parsed.is_sip() => {
            parsed.params.retain(|(name, _)| !name.eq_ignore_ascii_case("method"));
            parsed.headers.clear();
            parsed.to_string()
        }
        _ => uri.to_owned(),
    }
}
