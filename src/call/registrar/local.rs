//! The node as registrar itself: standalone, and while the cloud is gone.

use super::request::{Wanted, WantedContact};
use super::{Asked, Binding, Registrar, Surroundings, forgotten, gruu, reply};
use crate::auth::Refusal;
use crate::context::Context;
use ringfort_base::event::Mode;
use ringfort_base::{Event, limits};
use ringfort_sip::message::HeaderName;
use std::fmt::Write;
use std::time::Duration;

/// A device on a connection shows at least this often that it lives (RFC 5626 4.4.1), seconds.
const FLOW_TIMER_S: u32 = 120;

impl Registrar {
    /// Authenticates and grants, or challenges.
    ///
    /// A device whose account only the cloud knows may go on with what the cloud granted it.
    pub(super) fn grant_locally(&mut self, cx: &mut Context, around: Surroundings<'_>, asked: Asked) {
        // Its credentials are for the cloud, whose realm may be the node's own: they prove nothing here, and forbid nothing.
        if self.is_known_refresh(cx, around.mode, &asked) {
            return self.apply(cx, asked, true);
        }
        match around.auth.check(cx, &asked.message, HeaderName::Authorization, &asked.hop) {
            Ok(account) if account.user == asked.request.user => {}
            Ok(_) => return reply(cx, asked.id, &asked.message, 403, Some("Not Your Address Of Record"), &[]),
            Err(refusal) => {
                let stale = matches!(refusal, Refusal::Stale(_));
                let challenges = around.auth.challenges(cx, stale, &asked.hop, &asked.message).into_iter();
                let headers: Vec<_> = challenges.map(|c| (HeaderName::WwwAuthenticate, c)).collect();
                return reply(cx, asked.id, &asked.message, 401, None, &headers);
            }
        }
        self.apply(cx, asked, false);
    }

    /// While the cloud is gone, a device that has no local account may refresh, and only refresh, what the cloud granted before:
    /// the same device from the same address.
    fn is_known_refresh(&self, cx: &Context, mode: Mode, asked: &Asked) -> bool {
        let Wanted::These(wanted) = &asked.request.contacts else { return false };
        let known = |contact: &WantedContact| {
            self.table
                .of(&asked.request.user)
                .iter()
                .any(|b| b.by_cloud && b.is_of(contact) && b.hop.remote.ip() == asked.hop.remote.ip())
        };
        mode == Mode::Survivable && !cx.snapshot.accounts.contains_key(&asked.request.user) && wanted.iter().all(known)
    }

    /// Does what is asked, all of it or nothing (RFC 3261 10.3 steps 6 and 7). What the cloud granted (`by_cloud`) stays so.
    fn apply(&mut self, cx: &mut Context, asked: Asked, by_cloud: bool) {
        let (min, max) = (cx.snapshot.sip.expires_min_s, cx.snapshot.sip.expires_max_s);
        match &asked.request.contacts {
            Wanted::Nothing => {}
            Wanted::RemoveAll => {
                let bindings = self.table.of(&asked.request.user);
                if bindings.iter().any(|b| b.call_id == asked.request.call_id && b.cseq >= asked.request.cseq) {
                    return reply(cx, asked.id, &asked.message, 500, Some("CSeq Out Of Order"), &[]);
                }
                self.remove(cx, &asked.request.user, |_| true);
            }
            Wanted::These(list) => {
                // RFC 3261 10.3 step 7: too brief.
                if list.iter().any(|c| c.expires_s.is_some_and(|s| s > 0 && s < min)) {
                    return reply(cx, asked.id, &asked.message, 423, None, &[(HeaderName::MinExpires, min.to_string())]);
                }
                if list.iter().any(|c| self.is_out_of_order(&asked, c)) {
                    return reply(cx, asked.id, &asked.message, 500, Some("CSeq Out Of Order"), &[]);
                }
                if !self.make_room(cx, &asked, list) {
                    return reply(cx, asked.id, &asked.message, 503, Some("Too Many Bindings"), &[]);
                }
                for contact in list {
                    let granted = contact.expires_s.unwrap_or(max).min(max);
                    let token = self.known(&asked, contact).map(|b| b.token.clone()).filter(|_| by_cloud);
                    self.bind(cx, &asked, contact, granted, token);
                }
            }
        }
        self.confirm(cx, &asked);
    }

    /// RFC 3261 10.3 step 7: the same Call-ID must come with a higher CSeq.
    fn is_out_of_order(&self, asked: &Asked, contact: &WantedContact) -> bool {
        self.table
            .of(&asked.request.user)
            .iter()
            .any(|b| b.is_of(contact) && b.call_id == asked.request.call_id && b.cseq >= asked.request.cseq)
    }

    /// The binding that a contact means.
    fn known(&self, asked: &Asked, contact: &WantedContact) -> Option<&Binding> {
        self.table.of(&asked.request.user).iter().find(|b| b.is_of(contact))
    }

    /// Makes room for those of these contacts that have no binding yet: the devices of this user that were silent for longest give
    /// way. A phone that comes with a new address after each start would otherwise lock its owner out. False: the whole table is full.
    pub(super) fn make_room(&mut self, cx: &mut Context, asked: &Asked, list: &[WantedContact]) -> bool {
        let new = list.iter().filter(|contact| contact.expires_s != Some(0) && self.known(asked, contact).is_none()).count();
        let user = &asked.request.user;
        while new > 0 && self.table.of(user).len() + new > limits::BINDINGS_PER_AOR_MAX {
            let Some(oldest) = self.table.of(user).first().map(|b| b.token.clone()) else { break };
            if let Some(binding) = self.table.remove(&oldest) {
                forgotten(cx, &binding, "replaced");
            }
        }
        new == 0 || self.table.len() + new <= limits::BINDINGS_MAX
    }

    /// Makes, refreshes or (0 seconds) removes one binding, for which there is room; `cloud` holds the token of one that the cloud
    /// granted.
    pub(super) fn bind(
        &mut self,
        cx: &mut Context,
        asked: &Asked,
        contact: &WantedContact,
        granted_s: u32,
        cloud: Option<String>,
    ) {
        let user = &asked.request.user;
        if granted_s == 0 {
            return self.remove(cx, user, |b| b.is_of(contact));
        }
        let replaced = self.table.remove_of(user, |b| b.is_of(contact));
        let before = replaced.last();
        let by_cloud = cloud.is_some();
        let token = cloud.or(before.map(|b| b.token.clone())).unwrap_or_else(|| cx.entropy.token(16));
        replaced.iter().filter(|b| b.token != token).for_each(|b| cx.persist(b.key(), None));
        let granted = Duration::from_secs(granted_s.into());
        let binding = Binding {
            user: user.clone(),
            token,
            contact: contact.uri.clone(),
            instance: contact.instance.clone(),
            reg_id: contact.reg_id,
            q_per_mille: contact.q_per_mille,
            path: asked.request.path.clone(),
            hop: asked.hop,
            moved: before.filter(|b| b.hop == asked.hop).map_or(cx.now.mono, |b| b.moved),
            user_agent: asked.request.user_agent.clone(),
            call_id: asked.request.call_id.clone(),
            cseq: asked.request.cseq,
            expires: cx.now.wall.plus(granted),
            until: cx.now.mono + granted,
            by_cloud,
        };
        cx.totals.registers += 1;
        cx.prove(&asked.hop, user);
        cx.event(Event::Registered {
            aor: user.clone().into(),
            transport: asked.hop.transport,
            expires_s: granted_s,
            local: !by_cloud,
            refresh: before.is_some(),
        });
        cx.persist(binding.key(), crate::kept::write(&binding));
        cx.border.follow_device(&binding.hop, &binding.user_agent);
        self.table.put(binding.clone());
        self.returned(cx, &binding, before.and_then(|b| b.hop.flow));
    }

    pub(super) fn remove(&mut self, cx: &mut Context, user: &str, fits: impl Fn(&Binding) -> bool) {
        for binding in self.table.remove_of(user, fits) {
            forgotten(cx, &binding, "removed");
        }
    }

    /// 200 with every binding of the address of record (RFC 3261 10.3 step 8).
    pub(super) fn confirm(&mut self, cx: &mut Context, asked: &Asked) {
        let bindings = self.table.of(&asked.request.user);
        let mut headers: Vec<_> = Vec::with_capacity(bindings.len() + 4);
        for binding in bindings {
            headers.push((HeaderName::Contact, self.contact_value(cx, binding, asked.request.gruu)));
        }
        // RFC 5626 6: who asked for connections of its own is told that it has them, and how often to show that they live.
        if matches!(&asked.request.contacts, Wanted::These(list) if list.iter().any(|c| c.reg_id.is_some())) {
            headers.push((HeaderName::Require, "outbound".into()));
            if asked.hop.transport.is_reliable() {
                headers.push((HeaderName::FlowTimer, FLOW_TIMER_S.to_string()));
            }
        }
        headers.extend(asked.message.values(HeaderName::Path).map(|value| (HeaderName::Path, value.to_string())));
        headers.extend(cx.snapshot.sip.service_route.iter().map(|uri| (HeaderName::ServiceRoute, format!("<{uri}>"))));
        headers.push((HeaderName::Supported, "path, outbound, gruu".into()));
        reply(cx, asked.id, &asked.message, 200, None, &headers);
        self.arm(cx);
    }

    /// One Contact of the answer, with what the device told and its GRUUs (RFC 5627 5.1).
    fn contact_value(&self, cx: &mut Context, binding: &Binding, with_gruu: bool) -> String {
        let mut value = format!("<{}>;expires={}", binding.contact, binding.until.since(cx.now.mono).as_secs());
        // Writing to a String cannot fail.
        if let Some(q) = binding.q_per_mille {
            let _ = write!(value, ";q={}.{:03}", q / 1000, q % 1000);
        }
        let Some(instance) = &binding.instance else { return value };
        let _ = write!(value, ";+sip.instance=\"{instance}\"");
        if let Some(id) = binding.reg_id {
            let _ = write!(value, ";reg-id={id}");
        }
        let domain = &cx.snapshot.node.domain;
        // What the cloud granted it would have to route as well.
        if let Some(public) = gruu::public(binding, domain).filter(|_| with_gruu && !binding.by_cloud) {
            let temporary = gruu::temporary(&self.table.seal, &mut *cx.entropy, binding, domain);
            let _ = write!(value, ";pub-gruu=\"{public}\";temp-gruu=\"{temporary}\"");
        }
        value
    }
}
