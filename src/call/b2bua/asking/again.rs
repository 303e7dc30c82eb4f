//! The INVITE of a branch sent again: with the credentials that a carrier asks for (RFC 3261 22.2), or to another server of the same
//! peer (RFC 3263 4.3). Call-ID and tags stay and the number grows, so that no server takes the one for a repeat of the other.

use crate::b2bua::attempt::peer_failed;
use crate::b2bua::call::Call;
use crate::b2bua::destination::peer_of;
use crate::b2bua::{Env, Tables, session_timer, write};
use crate::context::{Context, Owner};
use bytes::Bytes;
use ringfort_base::{Hop, limits};
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use std::time::Duration;

/// Header fields.
type Fields = Vec<(HeaderName, String)>;

/// How the server of a branch failed.
pub(in crate::b2bua) struct ServerFailure<'a> {
    pub what: &'a str,
    /// Its Retry-After.
    pub again: Option<Duration>,
    /// It said nothing, so its transaction goes on.
    pub silent: bool,
}

impl Call {
    /// 422: the target wants longer sessions. It is asked once more (RFC 4028 7.3). False: that would not help.
    pub(in crate::b2bua) fn ask_for_longer(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        no: u32,
        response: &Message,
    ) -> bool {
        let expires_s = env.cx.snapshot.sip.session_expires_s;
        let Some(branch) = self.asking.branch(no).filter(|branch| expires_s > 0 && branch.forks.is_empty()) else { return false };
        if std::mem::replace(&mut branch.longer, true) || !branch.leg.raise_interval(response) {
            return false;
        }
        let (hop, min_s) = (branch.leg.hop, branch.leg.session.min_s.max(env.cx.snapshot.sip.session_min_s));
        self.again(env, tables, no, hop, session_timer::fields(expires_s, min_s))
    }

    /// A trunk's challenge is answered with its own credentials. False: it cannot be, or it was in vain.
    pub(in crate::b2bua) fn prove(&mut self, env: &mut Env<'_>, tables: &mut Tables, no: u32, response: &Message) -> bool {
        let Some(branch) = self.asking.branch(no) else { return false };
        let hop = branch.leg.hop;
        branch.leg.proving.take(env.cx, response) && self.again(env, tables, no, hop, Vec::new())
    }

    /// The server of this branch failed. True: another server of the peer has the INVITE now. Who has founded an early dialog is not
    /// left for another one: it may have rung a person.
    pub(in crate::b2bua) fn server_failed(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        no: u32,
        failure: ServerFailure<'_>,
    ) -> bool {
        let Some(branch) = self.asking.branch(no) else { return false };
        peer_failed(env, &branch.target, branch.leg.hop, &failure);
        if !branch.forks.is_empty() || branch.tried.len() >= limits::SERVERS_TRIED_MAX {
            return false;
        }
        let peer = peer_of(&branch.target).and_then(|name| env.peers.find(&name));
        let Some((peer, next)) = peer.and_then(|peer| Some((peer, peer.next_server(&branch.tried)?))) else { return false };
        branch.tried.push(next);
        // Silence has to leave time for the next stage; a server that said no took its time already.
        let (now, patience) = (env.cx.now.mono, peer.patience());
        let until = if failure.silent { branch.until } else { branch.until.max(now + patience / 2) };
        let more = branch.tried.len() < limits::SERVERS_TRIED_MAX && peer.next_server(&branch.tried).is_some();
        let left = until.since(now);
        (branch.spoke, branch.until, branch.deadline) = (false, until, now + if more { left / 2 } else { left });
        let before = branch.leg.unwanted().filter(|_| failure.silent);
        let sent = self.again(env, tables, no, next, Vec::new());
        if let Some((id, before)) = before.filter(|_| sent) {
            tables.abandoned.give_up(env.cx, id, before, None);
        }
        self.watch_silence(env);
        sent
    }

    fn again(&mut self, env: &mut Env<'_>, tables: &mut Tables, no: u32, hop: Hop, mut fields: Fields) -> bool {
        let (call, via) = (self.id, env.cx.branch());
        let Some(branch) = self.asking.branch(no) else { return false };
        let before = branch.leg.invite.as_ref().and_then(|(_, octets)| Message::parse(octets.clone()).ok());
        let Some(before) = before else { return false };
        let cseq = before.cseq().map_or(1, |(number, _)| number).saturating_add(1);
        fields.extend(branch.leg.proving.fields(env.cx, &Method::Invite, before.request_uri().unwrap_or_default()));
        let octets = reworded(env.cx, &before, &Anew { hop: &hop, via: &via, cseq, fields: &fields });
        let Some(id) = env.cx.request(hop, octets.clone(), Some(Owner::Call(call))) else { return false };
        tables.loops.sent(call, &via);
        (branch.leg.hop, branch.leg.invite) = (hop, Some((id, octets)));
        true
    }
}

/// What is another in a request that is sent again.
pub(in crate::b2bua) struct Anew<'a> {
    pub hop: &'a Hop,
    /// Branch of its Via.
    pub via: &'a str,
    pub cseq: u32,
    /// What stands in the place of fields of these names: credentials, and what else was asked for.
    pub fields: &'a [(HeaderName, String)],
}

/// The request for another transaction.
pub(in crate::b2bua) fn reworded(cx: &Context, before: &Message, anew: &Anew<'_>) -> Bytes {
    const OTHERS: [HeaderName; 5] =
        [HeaderName::Via, HeaderName::CSeq, HeaderName::Contact, HeaderName::ContentType, HeaderName::ContentLength];
    let (method, transport) = (before.method(), anew.hop.transport);
    // What its Contact says of it beside the address stays (RFC 7866 6.1.1 has one such).
    let said = |old: &str| old.rsplit_once('>').map(|(_, said)| said.to_string()).unwrap_or_default();
    let contact = before.header(HeaderName::Contact).map(|old| format!("{}{}", write::contact(cx, anew.hop), said(old)));
    let request = Builder::request(&method, before.request_uri().unwrap_or_default());
    let request = request.via(transport, cx.own.sent_by(anew.hop), anew.via, true);
    let stays = |name: HeaderName| !OTHERS.contains(&name) && !anew.fields.iter().any(|(field, _)| *field == name);
    let request = before.lines().filter(|(name, _)| stays(*name)).fold(request, |request, (_, line)| request.line(line));
    let request =
        request.header(HeaderName::CSeq, format_args!("{} {method}", anew.cseq)).header_if(HeaderName::Contact, contact);
    let request = anew.fields.iter().fold(request, |request, (name, value)| request.header(*name, value));
    match before.header(HeaderName::ContentType) {
        Some(kind) => request.body(kind, before.body().to_vec()).build(),
        None => request.build(),
    }
}
