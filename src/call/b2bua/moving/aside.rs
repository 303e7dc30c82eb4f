//! REFER outside the call's dialog that names it by Target-Dialog (RFC 4538): it is heard when it comes from the party of that very leg.

use crate::b2bua::within::Asked;
use crate::b2bua::{Calls, Env, identity};
use ringfort_base::{CallId, Hop};
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Message};
use ringfort_sip::transaction::TransactionId;

/// Call-ID and both tags of a Target-Dialog.
struct Named {
    call_id: String,
    tags: [String; 2],
}

fn named(value: &str) -> Option<Named> {
    let mut parts = value.split(';').map(str::trim);
    let call_id = parts.next().filter(|id| !id.is_empty())?.to_string();
    let tag = |name: &str| parts.clone().find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).map(str::to_string);
    Some(Named { call_id, tags: [tag("local-tag")?, tag("remote-tag")?] })
}

impl Calls {
    /// A REFER outside any dialog. RFC 3515 2.4.4: only who is in a call refers it.
    pub(crate) fn referred_aside(&mut self, env: &mut Env<'_>, id: TransactionId, hop: Hop, request: Message) {
        let asked = Asked { id, hop, request };
        let refuse = |env: &mut Env<'_>, status: u16| {
            let tag = env.cx.tag();
            env.cx.respond(asked.id, Builder::reply(&asked.request, status, None, Some(&tag)).build());
        };
        let Some(value) = asked.request.header(HeaderName::TargetDialog) else { return refuse(env, 403) };
        let Some(named) = named(value) else { return refuse(env, 400) };
        let Ok(source) = identity::source_of(env, &asked.hop, &asked.request) else { return refuse(env, 403) };
        let tag = env.cx.tag();
        let dialog = match Dialog::uas(&asked.request, &tag, asked.hop) {
            Ok(dialog) => dialog,
            Err(error) => return refuse(env, error.status()),
        };
        // Implementations differ in whose view the tags are told from; who knows both knows the dialog.
        let [one, other] = &named.tags;
        let found = self.leg_of(&named.call_id, one, other).or_else(|| self.leg_of(&named.call_id, other, one));
        let Some((id, side)) = found else { return refuse(env, 481) };
        let own = self.live.get_mut(&id).and_then(|call| call.party(side)).is_some_and(|party| party == source);
        if !own {
            return refuse(env, 403);
        }
        self.with(env, id, |call, env, tables| call.refer(env, tables, side, &asked, Some(dialog)));
    }

    fn leg_of(&self, call_id: &str, own: &str, peers: &str) -> Option<(CallId, crate::b2bua::Side)> {
        let (id, side) = self.tables.dialogs.get(&(call_id.to_string(), own.to_string())).copied()?;
        let call = self.live.get(&id)?;
        let leg = if side == crate::b2bua::Side::Caller { Some(&call.caller) } else { call.callee.as_ref() };
        leg.and_then(|leg| leg.dialog.as_ref()).filter(|dialog| dialog.id.remote_tag == peers).map(|_| (id, side))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_dialog_is_read() {
        let read = named("a@b ;local-tag=x;remote-tag=y;more").expect("sound");
        assert_eq!((read.call_id.as_str(), read.tags), ("a@b", ["x".to_string(), "y".to_string()]));
        assert!(named("a@b;local-tag=x").is_none() && named(";local-tag=x;remote-tag=y").is_none());
    }
}
