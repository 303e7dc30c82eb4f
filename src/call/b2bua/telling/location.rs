//! Where the caller is (RFC 6442). With an emergency call his location goes along, by reference in Geolocation or as a PIDF-LO part
//! beside the session description; with other calls it stays here. Hosts of the caller's side are renamed alike in both, so that a
//! reference still finds its part.

use crate::b2bua::passing::{self, Came};
use crate::context::Context;
use crate::events::document;
use ringfort_sip::message::{Message, Part};

/// Type of a location that is carried (RFC 4119).
const PIDF: &str = "application/pidf+xml";

/// Type and octets of the body of an INVITE: the description alone, or the caller's location with it. `unique` names no text that a
/// caller could have written.
pub(in crate::b2bua) fn body(cx: &Context, came: Option<&Came<'_>>, unique: &str, sdp: Vec<u8>) -> (String, Vec<u8>) {
    let parts = came.filter(|came| came.asked.emergency).map(|came| (came, located(came.message)));
    let Some((came, parts)) = parts.filter(|(_, parts)| !parts.is_empty()) else { return ("application/sdp".into(), sdp) };
    let hosts = passing::hosts_of(cx, came.message, came.hop);
    let boundary = format!("ringfort-{unique}");
    let mut whole = format!("--{boundary}\r\nContent-Type: application/sdp\r\n\r\n").into_bytes();
    whole.extend_from_slice(&sdp);
    for part in parts {
        whole.extend_from_slice(format!("\r\n--{boundary}\r\nContent-Type: {PIDF}\r\n").as_bytes());
        for name in ["Content-ID", "Content-Disposition"] {
            let value = part.field_named(name);
            if !value.is_empty() {
                whole.extend_from_slice(format!("{name}: {}\r\n", renamed(cx, value, &hosts)).as_bytes());
            }
        }
        whole.extend_from_slice(b"\r\n");
        whole.extend_from_slice(&document::renamed(part.content(), &hosts, &cx.snapshot.node.domain));
    }
    whole.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/mixed;boundary={boundary}"), whole)
}

fn located(invite: &Message) -> Vec<Part<'_>> {
    invite.parts().into_iter().filter(|part| part.media_type().eq_ignore_ascii_case(PIDF)).collect()
}

/// A value of Geolocation: a reference to a part follows that part's name, one to a server stays what it is.
pub(in crate::b2bua) fn reference(cx: &Context, value: &str, hosts: &[String]) -> String {
    if !value.trim_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("<cid:")) {
        return value.to_string();
    }
    renamed(cx, value, hosts)
}

fn renamed(cx: &Context, value: &str, hosts: &[String]) -> String {
    String::from_utf8_lossy(&document::renamed(value.as_bytes(), hosts, &cx.snapshot.node.domain)).into_owned()
}
