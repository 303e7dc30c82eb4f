//! What a recorder asks within its dialog (RFC 7866 7.2, 9.2): the end, the whole metadata once more, whether the node is there; that
//! its audio goes elsewhere, by other numbers, or not now.

use super::begin::{ALLOW, contact};
use super::{Question, Unacknowledged};
use crate::b2bua::call::Call;
use crate::b2bua::within::{self, Asked};
use crate::b2bua::{Env, Tables, progress, write};
use ringfort_base::{Event, Hop};
use ringfort_media::error::MediaError;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;

/// A recorder asks for all metadata by a body of this type (RFC 7866 9.2).
const SNAPSHOT: &str = "application/rs-metadata-request";

impl Call {
    /// A request within the dialog with the recorder.
    pub(in crate::b2bua) fn recorder_asks(&mut self, env: &mut Env<'_>, tables: &mut Tables, asked: &Asked) {
        let Some(recorded) = &mut self.recorded else { return asked.reply(env, 481, &[]) };
        let (Some(live), Some(dialog)) = (&mut recorded.live, &mut recorded.dialog) else {
            return asked.reply(env, 481, &[]);
        };
        if !within::is_of(&asked.request, dialog) {
            return asked.reply(env, 481, &[]);
        }
        if dialog.accept_request(&asked.request).is_err() {
            return asked.reply(env, 500, &[(HeaderName::RetryAfter, "1".into())]);
        }
        let busy = matches!(live.asked, Some((_, Question::Change(_)))) || live.unacknowledged.is_some();
        match asked.request.method() {
            Method::Bye => {
                asked.reply(env, 200, &[]);
                self.lose_recorder(env, tables, "released-by-recorder");
            }
            Method::Options => asked.reply(env, 200, &[(HeaderName::Allow, ALLOW.into())]),
            Method::Update | Method::Info if is_snapshot(&asked.request) => {
                live.told = None;
                asked.reply(env, 200, &[]);
            }
            Method::Invite | Method::Update if busy => asked.reply(env, 491, &[]),
            Method::Invite | Method::Update => self.recorder_changes(env, tables, asked),
            _ => asked.reply(env, 405, &[(HeaderName::Allow, ALLOW.into())]),
        }
    }

    /// A re-INVITE or UPDATE of the recorder. What is recorded is the node's to say: what does not fit it leaves the session as it is.
    fn recorder_changes(&mut self, env: &mut Env<'_>, tables: &mut Tables, asked: &Asked) {
        let Some(recorded) = &mut self.recorded else { return };
        let (Some(live), Some(dialog)) = (&mut recorded.live, &mut recorded.dialog) else { return };
        let (invite, was_paused) = (asked.request.method() == Method::Invite, live.audio.is_paused());
        let offered = progress::sdp_of(&asked.request);
        let body = match offered {
            Some(sdp) => live.audio.receive_offer(sdp, &mut *env.cx.entropy).map(Some),
            None => Ok(invite.then(|| live.audio.repeat_offer(&mut *env.cx.entropy))),
        };
        let body = match body {
            Ok(body) => body,
            Err(error) => {
                let warning = write::warning(env.cx, &error);
                return asked.reply(env, refusal(&error), &[(HeaderName::Warning, warning)]);
            }
        };
        // A malformed Contact leaves the target as it was.
        let _ = dialog.refresh_target(&asked.request);
        let answers = offered.is_some();
        accept(env, asked, (dialog, live.hop), body);
        if invite {
            let cseq = asked.request.cseq().map_or(0, |(number, _)| number);
            live.unacknowledged = Some(Unacknowledged { id: asked.id, cseq, offers: !answers });
            tables.invites.insert(asked.id, self.id);
        }
        if answers {
            self.recorders_audio_changed(env, was_paused);
        }
        self.write_down(env);
    }

    /// The recorder takes its audio elsewhere, or another way: the relay is told.
    pub(super) fn recorders_audio_changed(&mut self, env: &mut Env<'_>, was_paused: bool) {
        let Some(live) = self.recorded.as_ref().and_then(|recorded| recorded.live.as_ref()) else { return };
        live.plan(env.cx);
        let state = match (was_paused, live.audio.is_paused()) {
            _ if live.began.is_none() => None,
            (false, true) => Some("paused"),
            (true, false) => Some("resumed"),
            _ => None,
        };
        if let Some(state) = state {
            let (recorder, cause) = (live.recorder.clone(), String::new());
            env.cx.event(Event::Recording { call: self.id, recorder, state: state.into(), cause });
        }
        self.replan(env);
    }

    /// The ACK of a re-INVITE of the recorder.
    pub(in crate::b2bua) fn recorder_acknowledged(&mut self, env: &mut Env<'_>, tables: &mut Tables, ack: &Message) {
        let Some(live) = self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut()) else { return };
        let number = ack.cseq().map_or(0, |(number, _)| number);
        let Some(awaited) = live.unacknowledged.take_if(|awaited| awaited.cseq == number) else { return };
        env.cx.transactions.ack_received(env.cx.now.mono, awaited.id);
        tables.invites.remove(&awaited.id);
        if awaited.offers
            && let Err(cause) = self.take_recorders_answer(env, ack)
        {
            self.refuse_recorder(env, tables, cause);
        }
    }

    /// The recorder's re-INVITE was answered, and no ACK came. False: it was not the recorder's.
    pub(in crate::b2bua) fn recorder_unacknowledged(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        id: TransactionId,
    ) -> bool {
        let live = self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut());
        let known = live.is_some_and(|live| live.unacknowledged.take_if(|awaited| awaited.id == id).is_some());
        if known {
            self.next_recorder(env, tables, "no-ack", false);
        }
        known
    }
}

/// 200, with a description or without.
fn accept(env: &mut Env<'_>, asked: &Asked, (dialog, hop): (&Dialog, Hop), body: Option<Vec<u8>>) {
    let reply = Builder::reply(&asked.request, 200, None, Some(&dialog.id.local_tag))
        .copy(&asked.request, HeaderName::RecordRoute)
        .header(HeaderName::Contact, contact(env.cx, &hop))
        .header(HeaderName::Allow, ALLOW);
    let octets = match body {
        Some(body) => reply.body("application/sdp", body).build(),
        None => reply.build(),
    };
    env.cx.respond(asked.id, octets);
}

/// What cannot be taken is refused; the session goes on by the descriptions before (RFC 3261 14.2).
fn refusal(error: &MediaError) -> u16 {
    match error.status() {
        400 => 400,
        _ => 488,
    }
}

fn is_snapshot(request: &Message) -> bool {
    let kind = request.header(HeaderName::ContentType).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(SNAPSHOT)
}
