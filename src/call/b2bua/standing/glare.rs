//! Two changes of a call that meet: who comes second is told to come again (RFC 3261 14.2, RFC 3311 5.2), and what the node itself
//! was told so it sends again after the time of RFC 3261 14.1.

use crate::b2bua::Env;
use crate::b2bua::call::{Call, Side};
use crate::b2bua::exchange::Offer;
use crate::b2bua::within::Asked;
use crate::wake::Wake;
use ringfort_sip::message::HeaderName;
use std::time::Duration;

/// So often a request that met 491 is sent again before the 491 goes back to whoever asked.
const GLARES_MAX: u8 = 2;
/// Most seconds of Retry-After (RFC 3261 14.2).
const RETRY_AFTER_S_MAX: u64 = 10;

/// What is in the way of a change.
pub(in crate::b2bua) enum InTheWay {
    /// A request of the node within the same dialog, or one that will soon follow there: 491.
    Ours,
    /// An earlier one of the same peer: 500, to come again after some seconds.
    Theirs,
}

impl InTheWay {
    pub(in crate::b2bua) fn tell(self, env: &mut Env<'_>, asked: &Asked) {
        match self {
            InTheWay::Ours => asked.reply(env, 491, &[]),
            InTheWay::Theirs => {
                let seconds = env.cx.entropy.u64() % (RETRY_AFTER_S_MAX + 1);
                asked.reply(env, 500, &[(HeaderName::RetryAfter, seconds.to_string())]);
            }
        }
    }
}

impl Call {
    /// What is in the way of a change that `side` wants. An exchange that only waits for an ACK, with offer and answer both said, is
    /// over (RFC 5407 3.1.4); one that waits to be sent again gives way to the other leg's, for which its peer made room.
    pub(in crate::b2bua) fn in_the_way(&mut self, env: &mut Env<'_>, side: Side) -> Option<InTheWay> {
        let exchange = self.exchange.as_ref()?;
        if exchange.answered && exchange.offer == Offer::Request {
            self.exchange = None;
            return None;
        }
        if exchange.asked.is_none() || exchange.from != side {
            if exchange.sent.is_none() && !exchange.answered {
                self.reject_exchange(env, 491);
                return None;
            }
            return Some(InTheWay::Ours);
        }
        Some(InTheWay::Theirs)
    }

    /// The other leg said 491: it has a change of its own under way.
    pub(in crate::b2bua) fn met_glare(&mut self, env: &mut Env<'_>) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.sent = None;
        exchange.glares += 1;
        let (asked, glares) = (exchange.from.other(), exchange.glares);
        if glares > GLARES_MAX {
            return self.reject_exchange(env, 491);
        }
        env.cx.timers.stop(Wake::ExchangeOverdue(self.id));
        let wait = pause(env.cx.entropy.u64(), self.is_ours(asked));
        env.cx.timers.set(Wake::ExchangeAgain(self.id), env.cx.now.mono + wait);
    }

    /// Whether the node made this leg's Call-ID.
    pub(in crate::b2bua) fn is_ours(&mut self, side: Side) -> bool {
        self.leg(side).and_then(|leg| leg.outbound).unwrap_or(side == Side::Callee)
    }
}

/// RFC 3261 14.1: 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other, in steps of 10 ms.
fn pause(random: u64, owner: bool) -> Duration {
    let steps = if owner { 210 + random % 191 } else { random % 201 };
    Duration::from_millis(10 * steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_lie_where_the_rfc_wants_them() {
        let ms = |random, owner| pause(random, owner).as_millis();
        assert_eq!((ms(0, true), ms(190, true), ms(191, true)), (2_100, 4_000, 2_100));
        assert_eq!((ms(0, false), ms(200, false), ms(201, false)), (0, 2_000, 0));
    }
}
