//! Exchanges that the node begins itself towards one leg.

use crate::b2bua::call::{Call, Phase, Side};
use crate::b2bua::exchange::{Exchange, Offer};
use crate::b2bua::{Env, Tables};

impl Call {
    /// Tells this leg's peer again what was agreed: it accepted a change that nobody wants any more.
    pub(in crate::b2bua) fn resync(&mut self, env: &mut Env<'_>, _tables: &mut Tables, side: Side) {
        self.begin_own(env, side, Offer::Resync);
    }

    /// Begins an exchange of the node's own. False: another one is under way.
    pub(in crate::b2bua) fn begin_own(&mut self, env: &mut Env<'_>, toward: Side, offer: Offer) -> bool {
        if self.phase != Phase::Connected || self.exchange.is_some() {
            return false;
        }
        self.exchange =
            Some(Exchange { from: toward.other(), asked: None, sent: None, answered: false, offer, glares: 0, then: None });
        self.send_again(env);
        true
    }

    /// The leg answered.
    pub(in crate::b2bua) fn own_exchange_over(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        env.cx.timers.stop(crate::wake::Wake::ExchangeOverdue(self.id));
        let then = self.exchange.take().and_then(|exchange| exchange.then);
        self.agreed(env, tables);
        self.next_own(env, then);
    }

    /// What the node tells a leg as soon as the exchange before is over.
    pub(in crate::b2bua) fn next_own(&mut self, env: &mut Env<'_>, then: Option<Side>) {
        match then {
            Some(side) => drop(self.begin_own(env, side, Offer::Resync)),
            None => self.share_keys(env),
        }
    }
}
