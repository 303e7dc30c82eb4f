//! What a recorder asks within its dialog (RFC 7866 9.2): the end, the whole metadata once more, whether the node is there.

use super::Question;
use super::answered::changes;
use super::begin::ALLOW;
use crate::b2bua::call::Call;
use crate::b2bua::within::{self, Asked};
use crate::b2bua::{Env, Tables};
use ringfort_sip::message::{HeaderName, Message, Method};

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
        let busy = matches!(live.asked, Some((_, Question::Change(_))));
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
            _ if changes(&asked.request) && busy => asked.reply(env, 491, &[]),
            // What is recorded is the node's to say; the session stands as it is.
            _ if changes(&asked.request) => asked.reply(env, 488, &[]),
            _ => asked.reply(env, 405, &[(HeaderName::Allow, ALLOW.into())]),
        }
    }
}

fn is_snapshot(request: &Message) -> bool {
    let kind = request.header(HeaderName::ContentType).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(SNAPSHOT)
}
