//! The node as registrar itself: standalone, and while the cloud is gone.

use super::request::{Wanted, WantedContact};
use super::{Asked, Binding, Registrar, Surroundings, forgotten, reply};
use crate::auth::Refusal;
use crate::context::Context;
use ringfort_base::event::Mode;
use ringfort_base::{Event, Wall, limits};
use ringfort_sip::message::HeaderName;
use std::time::Duration;

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
                let challenges = around.auth.challenges(cx, stale).into_iter();
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
            self.table.of(&asked.request.user).iter().any(|b| {
                b.by_cloud && b.is_of(&contact.uri, contact.instance.as_deref()) && b.hop.remote.ip() == asked.hop.remote.ip()
            })
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
                self.remove(cx, |b| b.user == asked.request.user);
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
        self.table.of(&asked.request.user).iter().any(|b| {
            b.is_of(&contact.uri, contact.instance.as_deref())
                && b.call_id == asked.request.call_id
                && b.cseq >= asked.request.cseq
        })
    }

    /// The binding that a contact means.
    fn known(&self, asked: &Asked, contact: &WantedContact) -> Option<&Binding> {
        self.table.of(&asked.request.user).iter().find(|b| b.is_of(&contact.uri, contact.instance.as_deref()))
    }

    /// Makes room for those of these contacts that have no binding yet: the devices of this user that were silent for longest give
    /// way. A phone that comes with a new address after each start would otherwise lock its owner out. False: the whole table is full.
    pub(super) fn make_room(&mut self, cx: &mut Context, asked: &Asked, list: &[WantedContact]) -> bool {
        let new = list.iter().filter(|contact| contact.expires_s != Some(0) && self.known(asked, contact).is_none()).count();
        let user = &asked.request.user;
        while new > 0 && self.table.of(user).len() + new > limits::BINDINGS_PER_AOR_MAX {
            let Some(oldest) = self.table.of(user).first().map(|b| b.token.clone()) else { break };
            for binding in self.table.remove_where(|b| b.token == oldest) {
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
        let same = |b: &Binding| b.user == *user && b.is_of(&contact.uri, contact.instance.as_deref());
        if granted_s == 0 {
            return self.remove(cx, same);
        }
        let known = self.known(asked, contact).map(|b| b.token.clone());
        let by_cloud = cloud.is_some();
        let refresh = known.is_some();
        let token = cloud.or(known).unwrap_or_else(|| cx.entropy.token(16));
        if refresh {
            self.table.remove_where(|b| same(b) && b.token != token).iter().for_each(|b| cx.persist(b.key(), None));
        }
        let binding = Binding {
            user: user.clone(),
            token,
            contact: contact.uri.clone(),
            instance: contact.instance.clone(),
            hop: asked.hop,
            user_agent: asked.request.user_agent.clone(),
            call_id: asked.request.call_id.clone(),
            cseq: asked.request.cseq,
            expires: cx.now.wall.plus(Duration::from_secs(granted_s.into())),
            by_cloud,
        };
        cx.totals.registers += 1;
        cx.event(Event::Registered {
            aor: user.clone().into(),
            transport: asked.hop.transport,
            expires_s: granted_s,
            local: !by_cloud,
            refresh,
        });
        cx.persist(binding.key(), serde_json::to_vec(&binding).ok());
        self.table.put(binding);
    }

    pub(super) fn remove(&mut self, cx: &mut Context, fits: impl Fn(&Binding) -> bool) {
        for binding in self.table.remove_where(fits) {
            forgotten(cx, &binding, "removed");
        }
    }

    /// 200 with every binding of the address of record (RFC 3261 10.3 step 8).
    pub(super) fn confirm(&mut self, cx: &mut Context, asked: &Asked) {
        let left = |expires: Wall| expires.left(cx.now.wall).as_secs();
        let contacts: Vec<_> = self
            .table
            .of(&asked.request.user)
            .iter()
            .map(|b| (HeaderName::Contact, format!("<{}>;expires={}", b.contact, left(b.expires))))
            .collect();
        reply(cx, asked.id, &asked.message, 200, None, &contacts);
        self.arm(cx);
    }
}
