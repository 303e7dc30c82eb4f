//! Requests for a whole picture between a browser, which asks by RTCP, and a phone that takes no such request: it is asked by INFO, and asks
//! by INFO (RFC 5168). Between two phones they pass as they are.

use crate::b2bua::Env;
use crate::b2bua::call::{Call, Leg, Media, Phase, Side};
use crate::b2bua::within::Asked;
use crate::context::Owner;
use ringfort_base::{Time, limits};
use ringfort_media::plan::RelayCommand;
use ringfort_media::session::LegKind;
use ringfort_sip::message::{HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use std::time::Duration;

const KIND: &str = "application/media_control+xml";
const REQUEST: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<media_control><vc_primitive><to_encoder>\
    <picture_fast_update/></to_encoder></vc_primitive></media_control>\r\n";

/// What a leg's peer was asked by INFO.
#[derive(Default)]
pub(crate) struct Pictures {
    /// The request that is not answered yet.
    sent: Option<TransactionId>,
    last: Option<Time>,
    /// It takes none: it is not asked again.
    refused: bool,
}

impl Pictures {
    /// The request that is not answered yet.
    pub fn sent_by(&mut self) -> &mut Option<TransactionId> {
        &mut self.sent
    }
}

impl Leg {
    fn may_be_asked(&self, now: Time) -> bool {
        let Pictures { sent, last, refused } = &self.pictures;
        let due = last.is_none_or(|last| now.since(last) >= Duration::from_millis(limits::PICTURE_PAUSE_MS));
        self.is_confirmed() && sent.is_none() && !refused && !self.abilities.no_info && due
    }
}

impl Call {
    /// The browser on `side` asks for a whole picture, and the other side's peer takes no such request by RTCP.
    pub(in crate::b2bua) fn picture_wanted(&mut self, env: &mut Env<'_>, side: Side) {
        let (owner, now) = (Owner::Call(self.id), env.cx.now.mono);
        if self.phase != Phase::Connected {
            return;
        }
        let Some(leg) = self.leg(side.other()).filter(|leg| leg.may_be_asked(now)) else { return };
        let hop = leg.next_hop();
        let Some(request) = leg.inside(env.cx, &Method::Info) else { return };
        let sent = leg.send_inside(env.cx, hop, request.body(KIND, REQUEST.as_bytes()).build(), owner);
        (leg.pictures.sent, leg.pictures.last) = (sent, Some(now));
        self.write_down(env);
    }

    /// Such a request has its final response, or will have none. False: it was none.
    pub(in crate::b2bua) fn picture_answered(&mut self, id: TransactionId, status: u16) -> bool {
        for side in [Side::Caller, Side::Callee] {
            let Some(leg) = self.leg(side).filter(|leg| leg.pictures.sent == Some(id)) else { continue };
            if status >= 200 {
                leg.pictures.sent = None;
                // Who is only busy may be asked again.
                leg.pictures.refused = status >= 300 && !matches!(status, 408 | 500 | 503);
            }
            return true;
        }
        false
    }

    /// An INFO that asks for a whole picture, where the other side is a browser. False: it is none, and goes on as it is.
    pub(in crate::b2bua) fn picture_told(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked) -> bool {
        let is_browser = |media: &&mut Media| media.session.kind() == LegKind::Webrtc && media.session.has_video();
        if !is_request(&asked.request) {
            return false;
        }
        let Some(port) = self.media(side.other()).filter(is_browser).map(|media| media.port) else { return false };
        env.cx.relay(RelayCommand::AskForPicture { port });
        asked.reply(env, 200, &[]);
        true
    }
}

/// Whether an INFO asks for a whole picture. The document has nothing else to say (RFC 5168 4), so its one element is looked for.
fn is_request(info: &Message) -> bool {
    let kind = info.header(HeaderName::ContentType).and_then(|kind| kind.split(';').next());
    let body = info.body().get(..limits::PASSED_BODY_MAX.min(info.body().len())).unwrap_or_default();
    info.method() == Method::Info
        && kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(KIND))
        && std::str::from_utf8(body).is_ok_and(|text| text.contains("picture_fast_update"))
}
