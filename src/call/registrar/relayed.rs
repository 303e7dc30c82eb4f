//! A REGISTER relayed to the cloud: the cloud sees the node's own contact with a token for each device, its challenges and
//! the device's answers pass unchanged (digest binds neither Contact nor Call-ID), and what it grants is kept.

use super::request::{Wanted, WantedContact};
use super::{Asked, Registrar, Surroundings, reply};
use crate::context::{Context, Owner};
use crate::peers::PeerName;
use crate::wake::Wake;
use bytes::Bytes;
use ringfort_base::{Hop, limits};
use ringfort_sip::message::{Builder, Contacts, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use ringfort_sip::uri;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// A relayed REGISTER that waits for the cloud.
pub(super) struct Pending {
    asked: Asked,
    transaction: TransactionId,
    /// The cloud's server that was asked.
    hop: Hop,
    /// Servers of the cloud that were asked before it.
    before: usize,
    /// A token for each contact.
    tokens: Vec<String>,
}

impl Registrar {
    /// Sends the REGISTER on to the cloud, or grants locally when that is not possible.
    pub(super) fn relay(&mut self, cx: &mut Context, around: Surroundings<'_>, mut asked: Asked) {
        // The cloud knows one contact for each device, and would ring a device with two of them twice.
        if let Wanted::These(list) = &mut asked.request.contacts {
            list.iter_mut().for_each(|contact| contact.reg_id = None);
        }
        self.relay_after(cx, around, asked, 0);
    }

    fn relay_after(&mut self, cx: &mut Context, around: Surroundings<'_>, asked: Asked, before: usize) {
        let Some((hop, patience)) = around.peers.find(&PeerName::Cloud).and_then(|c| Some((c.hop()?, c.patience()))) else {
            return self.grant_locally(cx, around, asked);
        };
        let tokens = self.tokens(cx, &asked);
        let octets = self.relayed_request(cx, &asked, &hop, &tokens);
        let pending = self.next_pending;
        self.next_pending += 1;
        let Some(transaction) = cx.request(hop, octets, Some(Owner::Registration(pending))) else {
            return reply(cx, asked.id, &asked.message, 503, None, &[(HeaderName::RetryAfter, "5".into())]);
        };
        cx.timers.set(Wake::RegisterOverdue(pending), cx.now.mono + patience);
        self.pending.insert(pending, Pending { asked, transaction, hop, before, tokens });
    }

    /// A token for each contact: the one the cloud knows already, or a new one.
    fn tokens(&self, cx: &mut Context, asked: &Asked) -> Vec<String> {
        let Wanted::These(list) = &asked.request.contacts else { return Vec::new() };
        list.iter()
            .map(|contact| {
                let bindings = self.table.of(&asked.request.user);
                let known = bindings.iter().find(|b| b.is_of(contact));
                known.map_or_else(|| cx.entropy.token(16), |b| b.token.clone())
            })
            .collect()
    }

    fn relayed_request(&self, cx: &mut Context, asked: &Asked, hop: &Hop, tokens: &[String]) -> Bytes {
        // As it came it could bear what ends a URI or begins a parameter.
        let (user, message) = (uri::escape_user(&asked.request.user), &asked.message);
        let own = cx.own.sent_by(hop);
        let aor = format!("<sip:{user}@{}>", cx.snapshot.cloud_domain());
        let tag = cx.tag();
        let branch = cx.branch();
        // The request URI stays as it came: the device's digest answer is over it.
        let mut builder = Builder::request(&Method::Register, message.request_uri().unwrap_or_default())
            .via(hop.transport, &own, &branch, true)
            .header(HeaderName::MaxForwards, message.max_forwards().ok().flatten().unwrap_or(70).saturating_sub(1))
            .header(HeaderName::From, format!("{aor};tag={tag}"))
            .header(HeaderName::To, aor)
            .header(HeaderName::CallId, hidden_call_id(&asked.request.call_id))
            .header(HeaderName::CSeq, format!("{} REGISTER", asked.request.cseq));
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            builder = message.headers(name).fold(builder, |b, value| b.header(name, value));
        }
        match &asked.request.contacts {
            Wanted::Nothing => {}
            Wanted::RemoveAll => builder = builder.header(HeaderName::Contact, "*").header(HeaderName::Expires, 0),
            Wanted::These(list) => {
                for (contact, token) in list.iter().zip(tokens) {
                    let expires = contact.expires_s.unwrap_or(cx.snapshot.sip.expires_max_s);
                    let transport = hop.transport.uri_token();
                    let value = format!("<sip:{user}@{own};transport={transport};rf={token}>;expires={expires}");
                    builder = builder.header(HeaderName::Contact, value);
                }
            }
        }
        builder.header(HeaderName::UserAgent, crate::PRODUCT).build()
    }

    /// The cloud answered.
    pub fn relayed_answer(&mut self, cx: &mut Context, around: Surroundings<'_>, pending: u64, response: &Message) {
        let status = response.status().unwrap_or(500);
        if status < 200 {
            return;
        }
        let Some(Pending { asked, tokens, hop, before, .. }) = self.finish(cx, pending) else { return };
        match status {
            200..=299 => self.granted_by_cloud(cx, asked, &tokens, response),
            // The cloud's front answers, but nothing is behind it.
            408 | 500 | 502..=504 => {
                let again = (status == 503).then(|| retry_after(response)).flatten();
                around.peers.server_failed(cx, &PeerName::Cloud, hop, again, &format!("REGISTER answered {status}"));
                self.relay_elsewhere(cx, around, asked, hop, before);
            }
            _ => {
                let passed = [
                    HeaderName::WwwAuthenticate,
                    HeaderName::ProxyAuthenticate,
                    HeaderName::MinExpires,
                    HeaderName::RetryAfter,
                    HeaderName::Unsupported,
                ];
                let headers: Vec<_> =
                    passed.into_iter().flat_map(|n| response.headers(n).map(move |v| (n, v.to_string()))).collect();
                reply(cx, asked.id, &asked.message, status, Some(response.reason()), &headers);
            }
        }
    }

    fn granted_by_cloud(&mut self, cx: &mut Context, asked: Asked, tokens: &[String], response: &Message) {
        if let Wanted::RemoveAll = asked.request.contacts {
            self.remove(cx, &asked.request.user, |_| true);
        }
        if let Wanted::These(list) = &asked.request.contacts {
            if !self.make_room(cx, &asked, list) {
                return reply(cx, asked.id, &asked.message, 503, Some("Too Many Bindings"), &[]);
            }
            for (contact, token) in list.iter().zip(tokens) {
                let granted = granted_seconds(response, token, contact);
                self.bind(cx, &asked, contact, granted, Some(token.clone()));
            }
        }
        self.confirm(cx, &asked);
    }

    /// The cloud is silent: the very REGISTER that met it goes to another server of it, or is granted locally.
    pub fn relayed_overdue(&mut self, cx: &mut Context, around: Surroundings<'_>, pending: u64, what: &str) {
        let Some(Pending { asked, hop, before, .. }) = self.finish(cx, pending) else { return };
        around.peers.server_failed(cx, &PeerName::Cloud, hop, None, what);
        self.relay_elsewhere(cx, around, asked, hop, before);
    }

    /// RFC 3263 4.3: the next server of the cloud, if it has one that works; the device waits for so many at most.
    fn relay_elsewhere(&mut self, cx: &mut Context, around: Surroundings<'_>, asked: Asked, failed: Hop, before: usize) {
        let next = around.peers.find(&PeerName::Cloud).and_then(|cloud| cloud.next_server(&[failed]));
        match next.is_some() && before + 1 < limits::SERVERS_TRIED_MAX {
            true => self.relay_after(cx, around, asked, before + 1),
            false => self.grant_locally(cx, around, asked),
        }
    }

    fn finish(&mut self, cx: &mut Context, pending: u64) -> Option<Pending> {
        let found = self.pending.remove(&pending)?;
        cx.timers.stop(Wake::RegisterOverdue(pending));
        cx.owners.remove(&found.transaction);
        Some(found)
    }
}

/// Seconds of Retry-After (RFC 3261 20.33).
fn retry_after(response: &Message) -> Option<Duration> {
    let value = response.header(HeaderName::RetryAfter)?;
    let digits = value.trim().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}

/// The device's Call-ID without the host that it may name. The device's CSeq rises with it, so the cloud sees one order.
fn hidden_call_id(call_id: &str) -> String {
    crate::auth::hex(Sha256::digest(call_id.as_bytes()).into_iter().take(12))
}

/// What the cloud granted for the contact with this token: its expires parameter, the Expires header, or what was asked for.
fn granted_seconds(response: &Message, token: &str, asked: &WantedContact) -> u32 {
    if asked.expires_s == Some(0) {
        return 0;
    }
    let of_contact = match response.contacts() {
        Ok(Contacts::List(list)) => list
            .iter()
            .find(|c| c.uri.contains(&format!(";rf={token}")))
            .and_then(|c| c.param("expires"))
            .and_then(|v| v.parse().ok()),
        _ => None,
    };
    of_contact.or_else(|| response.expires().ok().flatten()).or(asked.expires_s).unwrap_or(3600)
}
