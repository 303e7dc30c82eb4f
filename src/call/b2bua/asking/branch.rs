//! Targets that are being asked, all those of a stage at the same time: one INVITE each, and the early dialogs behind it. This lives
//! until the call is answered; then the leg of the target that took it becomes the callee, and the rest is given up.

use crate::b2bua::attempt::Wanted;
use crate::b2bua::call::{Failure, Leg};
use crate::b2bua::early::Early;
use crate::b2bua::{Env, Tables, media, write};
use crate::config::Extension;
use crate::context::Context;
use crate::route::{self, Diversion, Outcome, Stage, Target};
use ringfort_base::{Hop, Time, limits};
use ringfort_sip::dialog::{Dialog, DialogState};
use ringfort_sip::message::{Builder, Message, Method};
use ringfort_sip::transaction::TransactionId;

/// Reason of the CANCEL to those who rang while somebody else answered (RFC 3326 2).
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// A call before its answer.
#[derive(Default)]
pub(crate) struct Asking {
    /// Targets that have an INVITE without final response.
    pub branches: Vec<Branch>,
    /// Where the call may go.
    pub plan: Vec<Stage>,
    /// The stage that is being tried, or was last.
    pub place: Option<usize>,
    /// Targets of this stage that ring when the others are through (RFC 5393 5.3.3).
    pub rest: Vec<Target>,
    /// How targets of this stage failed.
    pub failures: Vec<Failure>,
    /// How the stage before this one ended.
    pub last: Option<Failure>,
    /// Early dialogs towards the caller; the first stands from the INVITE.
    pub earlies: Vec<Early>,
    /// The branch whose early media the caller hears.
    pub heard: Option<u32>,
    /// The answer of the target that took the call, while a PRACK has to come first: the early dialog, and the body.
    pub held: Option<(usize, Option<Vec<u8>>)>,
    /// The caller's INVITE had no offer: the node makes its own to the target, and offers the caller what the target answered.
    pub delayed: bool,
    /// Reliable responses to the caller, as the profile of who called says.
    pub reliable: Extension,
    /// How many branches may still be alive at once (RFC 5393 5.3).
    pub breadth: u32,
    /// Redirections followed, and where they led.
    pub redirects: u32,
    pub numbers: Vec<String>,
    /// Media ports of this call that could not be opened.
    pub ports_lost: u32,
    /// The caller said anew who it is, since the targets were asked.
    pub renamed: bool,
    pub next: u32,
}

/// One target with its INVITE.
pub(crate) struct Branch {
    /// Its number within the call.
    pub no: u32,
    pub target: Target,
    pub leg: Leg,
    /// Early dialogs: more than one where a proxy forked behind it.
    pub forks: Vec<Fork>,
    /// It said something, be it only 100.
    pub spoke: bool,
    /// Its early media is not passed on.
    pub mute: bool,
    /// It was asked for a longer session.
    pub longer: bool,
    /// Forwards that led to it.
    pub diversions: Vec<Diversion>,
    /// Its share of the branches that may be alive at once.
    pub breadth: u32,
    /// When its silence is too long.
    pub deadline: Time,
    /// Servers of the peer that got the INVITE.
    pub tried: Vec<Hop>,
    /// Until then one of them has to say something.
    pub until: Time,
}

/// One early dialog of a target.
pub(crate) struct Fork {
    pub dialog: Dialog,
    /// RSeq of its last reliable response.
    pub rseq: Option<u32>,
    /// The description that it sent last.
    pub sdp: Option<Vec<u8>>,
}

impl Asking {
    /// A number for a new branch.
    pub fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// The branch of this number.
    pub fn branch(&mut self, no: u32) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|branch| branch.no == no)
    }

    /// The branch whose INVITE this transaction is.
    pub fn branch_of(&self, id: TransactionId) -> Option<u32> {
        let is_its = |branch: &&Branch| branch.leg.invite.as_ref().is_some_and(|(invite, _)| *invite == id);
        self.branches.iter().find(is_its).map(|branch| branch.no)
    }

    /// Takes a branch out.
    pub fn take(&mut self, no: u32) -> Option<Branch> {
        let place = self.branches.iter().position(|branch| branch.no == no)?;
        self.heard = self.heard.filter(|heard| *heard != no);
        Some(self.branches.swap_remove(place))
    }

    /// The stage that is being tried, or was last.
    pub fn stage(&self) -> Option<&Stage> {
        self.plan.get(self.place?)
    }

    /// Forwards that led to this target of the stage.
    pub fn diversions(&self, target: &Target) -> Vec<Diversion> {
        self.stage().map(|stage| stage.diversions_of(target).to_vec()).unwrap_or_default()
    }

    /// The place of the stage whose turn comes after how the last one ended.
    pub fn next_place(&self) -> Option<usize> {
        match (self.place, &self.last) {
            (None, _) => (!self.plan.is_empty()).then_some(0),
            (Some(place), Some(failure)) => failure.leads_to(&self.plan, place),
            (Some(place), None) => route::next_stage(&self.plan, place, Outcome::Unreachable),
        }
    }

    /// Whether others are there for targets that could not do it.
    pub fn has_substitute(&self) -> bool {
        let next = self.place.and_then(|place| route::next_stage(&self.plan, place, Outcome::Unreachable));
        next.is_some() || !self.rest.is_empty()
    }

    /// Gives every branch up. `elsewhere`: somebody else answered.
    pub fn give_up_all(&mut self, env: &mut Env<'_>, tables: &mut Tables, reason: Option<&str>) {
        self.heard = None;
        for branch in self.branches.drain(..) {
            branch.give_up(env, tables, reason);
        }
    }

    /// The others rang in vain.
    pub fn completed_elsewhere(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        self.give_up_all(env, tables, Some(ELSEWHERE));
    }
}

impl Branch {
    /// What it takes to ask its target once more.
    pub fn wanted(&self) -> Wanted {
        Wanted { target: self.target.clone(), diversions: self.diversions.clone(), breadth: self.breadth }
    }

    /// Cancels its INVITE, if that is unanswered, and closes its port.
    pub fn give_up(self, env: &mut Env<'_>, tables: &mut Tables, reason: Option<&str>) {
        if let Some((id, invite)) = self.leg.unwanted() {
            tables.abandoned.give_up(env.cx, id, invite, reason);
        }
        if let Some(media) = &self.leg.media {
            media::close(env, tables, media);
        }
        tables.forget_leg(&self.leg);
    }

    /// The early dialog that this response belongs to, founded by it if need be. `None`: it founds none, or there are too many.
    pub fn fork(&mut self, hop: Hop, response: &Message) -> Option<&mut Fork> {
        let tag = response.to().ok()?.tag()?.to_string();
        let place = self.forks.iter().position(|fork| fork.dialog.id.remote_tag == tag);
        if place.is_none() && self.forks.len() < limits::EARLY_DIALOGS_MAX {
            let dialog = self.founded(hop, response)?;
            self.forks.push(Fork { dialog, rseq: None, sdp: None });
            return self.forks.last_mut();
        }
        self.forks.get_mut(place?)
    }

    /// The early dialog of this tag.
    pub fn fork_tagged(&mut self, tag: &str) -> Option<&mut Fork> {
        self.forks.iter_mut().find(|fork| fork.dialog.id.remote_tag == tag)
    }

    /// A request inside this early dialog, and where it goes.
    pub fn inside(&mut self, cx: &mut Context, tag: &str, method: &Method) -> Option<(Hop, Builder)> {
        let fork = self.forks.iter_mut().find(|fork| fork.dialog.id.remote_tag == tag)?;
        self.leg.dialog = Some(fork.dialog.clone());
        let hop = self.leg.next_hop();
        self.leg.dialog = None;
        let request = write::inside(cx, &mut fork.dialog, method);
        let fields = self.leg.proving.fields(cx, method, &fork.dialog.remote_target);
        Some((hop, fields.iter().fold(request, |request, (name, value)| request.header(*name, value))))
    }

    /// The dialog that a 2xx confirms, early until now or new. `None`: it founds none.
    pub fn confirmed(&mut self, hop: Hop, response: &Message) -> Option<Dialog> {
        let tag = response.to().ok()?.tag().unwrap_or_default().to_string();
        let early = self.fork_tagged(&tag).map(|fork| fork.dialog.clone());
        let known = early.and_then(|mut dialog| dialog.accept_success(response).ok().map(|()| dialog));
        known.or_else(|| self.founded(hop, response)).filter(|dialog| dialog.state == DialogState::Confirmed)
    }

    fn founded(&self, hop: Hop, response: &Message) -> Option<Dialog> {
        let (_, octets) = self.leg.invite.as_ref()?;
        Dialog::uac(&Message::parse(octets.clone()).ok()?, response, hop).ok()
    }
}
