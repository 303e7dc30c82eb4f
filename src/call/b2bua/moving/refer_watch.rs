//! SUBSCRIBE inside a call, for the subscription that its REFER made (RFC 3515 2.4.4, RFC 6665 4.1.2): prolonged, or ended.

use crate::b2bua::Env;
use crate::b2bua::call::{Call, Side};
use crate::b2bua::transfer::SUBSCRIPTION_S;
use crate::b2bua::within::Asked;
use crate::b2bua::write;
use ringfort_sip::message::HeaderName;

/// Whether two values of Event name the same subscription. There is one only, so its id may be left out.
fn is_same(known: &str, event: &str) -> bool {
    let parts = |event: &str| {
        let mut parts = event.split(';').map(|part| part.trim().to_ascii_lowercase());
        let package = parts.next().unwrap_or_default();
        (package, parts.find_map(|part| part.strip_prefix("id=").map(str::to_string)))
    };
    let ((package, id), (asked, wanted)) = (parts(known), parts(event));
    package == asked && (wanted.is_none() || wanted == id)
}

impl Call {
    /// Answers such a SUBSCRIBE, and tells how the transfer goes. False: nothing is told of any.
    pub(in crate::b2bua) fn refer_watched(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked) -> bool {
        let Some((known, told)) = self.news_of_refer(side) else { return false };
        if !is_same(&known, asked.request.header(HeaderName::Event).unwrap_or_default()) {
            return false;
        }
        let expires_s = asked.request.expires().ok().flatten().unwrap_or(SUBSCRIPTION_S).min(SUBSCRIPTION_S);
        let contact = write::contact(env.cx, &asked.hop);
        asked.reply(env, 200, &[(HeaderName::Expires, expires_s.to_string()), (HeaderName::Contact, contact)]);
        self.notify(env, side, &known, expires_s == 0, (told, ringfort_sip::status::reason(told)));
        if expires_s == 0 {
            self.tell_no_more(side);
        }
        true
    }
}
