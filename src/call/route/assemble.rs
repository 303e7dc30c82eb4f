//! What a rule wants becomes a plan: trunks of a group in their order, devices with the forwards behind them.

use super::rules::{self, Asked, Found, Way};
use super::{After, Codes, Diversion, NoRoute, Note, Source, Stage, Target, Trace};
use crate::config::{Account, ForwardSection, GroupSection, TargetName};
use crate::number::{self, Number};
use ringfort_base::limits;

/// Where in the plan a stage hangs.
#[derive(Clone, Copy)]
struct Link {
    behind: Option<usize>,
    after: After,
}

impl Link {
    const FIRST: Link = Link { behind: None, after: After::Failure };

    fn failure_of(place: usize) -> Link {
        Link { behind: Some(place), after: After::Failure }
    }
}

struct Builder<'a, T> {
    asked: &'a Asked<'a>,
    trace: &'a mut T,
    plan: Vec<Stage>,
    diversions: Vec<Diversion>,
    emergency: bool,
}

/// The plan, or why there is none.
pub(super) fn plan<T: Trace>(asked: &Asked<'_>, found: &Found<'_>, trace: &mut T) -> Result<Vec<Stage>, NoRoute> {
    let mut builder = Builder { asked, trace, plan: Vec::new(), diversions: Vec::new(), emergency: found.emergency };
    builder.way(&found.way, Link::FIRST);
    match &found.way {
        Way::Refuse(refusal) => Err(refusal.clone()),
        _ if builder.plan.is_empty() => Err(NoRoute::NotRegistered),
        _ => Ok(builder.plan),
    }
}

impl<T: Trace> Builder<'_, T> {
    /// Adds what a rule wants; the last stage of its main line, if there is any.
    fn way(&mut self, way: &Way<'_>, link: Link) -> Option<usize> {
        match way {
            Way::Service(service) => self.push(Stage::of(Target::Service(service.clone())), link),
            Way::Cloud(number) => self.push(Stage::of(Target::Cloud { number: number.clone() }), link),
            Way::Targets(names, number) => self.targets(names, number, link),
            Way::Extension { user, by_cloud } => {
                let cloud = by_cloud.then(|| self.push(Stage::of(Target::Cloud { number: user.clone() }), link)).flatten();
                let devices = self.extension(user, cloud.map_or(link, Link::failure_of));
                devices.or(cloud)
            }
            Way::Refuse(_) => None,
        }
    }

    fn push(&mut self, stage: Stage, link: Link) -> Option<usize> {
        let place = self.plan.len();
        if place >= limits::CALL_STAGES_MAX {
            self.trace.note(|| Note::no("plan", format!("{stage} is left out: more than {} stages", limits::CALL_STAGES_MAX)));
            return link.behind;
        }
        let diversions = self.diversions.clone();
        self.plan.push(Stage { behind: link.behind, after: link.after, diversions, ..stage });
        Some(place)
    }

    /// Targets in turn.
    fn targets(&mut self, names: &[TargetName], number: &str, link: Link) -> Option<usize> {
        let (mut last, mut link) = (None, link);
        for name in names {
            let place = match name {
                TargetName::Service(service) => self.push(Stage::of(Target::Service(service.clone())), link),
                TargetName::Cloud => self.push(Stage::of(Target::Cloud { number: number.into() }), link),
                TargetName::Extension => self.extension(number, link),
                TargetName::User(user) => self.extension(user, link),
                TargetName::Trunk(name) => self.trunk(name, number, link, None),
                TargetName::Group(name) => self.group(name, number, link),
            };
            if let Some(place) = place {
                (last, link) = (Some(place), Link::failure_of(place));
            }
        }
        last
    }

    fn trunk(&mut self, name: &str, number: &str, link: Link, group: Option<&GroupSection>) -> Option<usize> {
        let snapshot = self.asked.snapshot;
        let trunk = snapshot.trunk(name)?;
        let written = match self.emergency {
            true => number.to_string(),
            false => number::written(&snapshot.numbers, trunk.format, number),
        };
        self.trace.note(|| {
            let caller = super::presented(snapshot, name, self.asked.question.source, self.asked.question.caller);
            Note::yes(format!("trunk:{name}"), format!("{written}, caller {caller}{}", limited(trunk)))
        });
        let codes: Option<Codes> = group.and_then(|group| group.failover.clone()).or_else(|| trunk.failover.clone());
        let target = Target::Trunk { name: name.into(), number: written };
        let patience_ms = group.and_then(|group| group.patience_ms);
        self.push(Stage { failover: codes, patience_ms, ..Stage::of(target) }, link)
    }

    fn group(&mut self, name: &str, number: &str, link: Link) -> Option<usize> {
        let group = self.asked.snapshot.group(name)?;
        let members = group.in_order(self.asked.question.draw);
        self.trace.note(|| {
            let names: Vec<&str> = members.iter().map(|member| member.trunk.as_str()).collect();
            Note::yes(format!("group:{name}"), names.join(", "))
        });
        let (mut last, mut link) = (None, link);
        for member in members {
            if let Some(place) = self.trunk(&member.trunk, number, link, Some(group)) {
                (last, link) = (Some(place), Link::failure_of(place));
            }
        }
        last
    }

    /// The devices of an extension, and its forwards behind them. The cloud has followed its own forwards when it calls a device.
    fn extension(&mut self, user: &str, link: Link) -> Option<usize> {
        if self.diversions.iter().any(|diversion| diversion.user == user) {
            self.trace.note(|| Note::no(format!("extension:{user}"), "leads back to where the call has been"));
            return None;
        }
        let account = self.asked.snapshot.accounts.get(user).filter(|_| *self.asked.source != Source::Cloud);
        let forward = account.map(|account| account.forward.clone()).unwrap_or_default();
        if let Some(number) = &forward.always
            && let Some(place) = self.forward(user, After::Any, number, link)
        {
            return Some(place);
        }
        let Some(stage) = self.devices(user, account, &forward) else {
            let number = forward.unreachable.as_ref().or(forward.no_answer.as_ref());
            self.trace.note(|| Note::no(format!("extension:{user}"), "no device is registered"));
            return number.and_then(|number| self.forward(user, After::Failure, number, link));
        };
        let place = self.push(stage, link)?;
        let unreachable = forward.unreachable.as_ref().or(forward.no_answer.as_ref());
        let forwards =
            [(After::Busy, forward.busy.as_ref()), (After::NoAnswer, forward.no_answer.as_ref()), (After::Failure, unreachable)];
        for (reason, number) in forwards {
            if let Some(number) = number {
                self.forward(user, reason, number, Link { behind: Some(place), after: reason });
            }
        }
        Some(place)
    }

    /// What rings for the extension itself; `None`: nothing does.
    fn devices(&mut self, user: &str, account: Option<&Account>, forward: &ForwardSection) -> Option<Stage> {
        let (mut targets, mut along) = (Vec::new(), Vec::new());
        if (self.asked.question.is_registered)(user) {
            targets.push(Target::Extension(user.into()));
        }
        for number in account.map(|account| account.also_ring.as_slice()).unwrap_or_default() {
            let Some(stage) = self.aside(user, number).into_iter().next() else { continue };
            let others = stage.targets.iter().filter(|target| !targets.contains(*target));
            along.extend(others.map(|target| (target.clone(), stage.diversions_of(target).to_vec())));
            targets.extend(stage.targets);
        }
        targets.truncate(limits::CALL_TARGETS_MAX);
        let ring_s = forward.no_answer.is_some().then_some(forward.no_answer_s);
        (!targets.is_empty()).then(|| Stage { ring_s, targets, along, ..Stage::default() })
    }

    /// The plan of a number that rings together with the devices of `user`.
    fn aside(&mut self, user: &str, number: &str) -> Vec<Stage> {
        let plan = std::mem::take(&mut self.plan);
        self.forward(user, After::Any, number, Link::FIRST);
        std::mem::replace(&mut self.plan, plan)
    }

    /// The plan of the number that a forward names, asked for as the forwarding account would dial it.
    fn forward(&mut self, user: &str, reason: After, number: &str, link: Link) -> Option<usize> {
        let rule = || format!("forward {user}");
        if self.diversions.len() >= limits::CALL_FORWARDS_MAX {
            self.trace.note(|| Note::no(rule(), "too many forwards"));
            return None;
        }
        self.trace.note(|| Note::yes(rule(), format!("{}: {number}", reason.as_str())));
        let (snapshot, question) = (self.asked.snapshot, self.asked.question);
        let source = Source::Account(user.to_string());
        let number = Number::read(snapshot, number, source.writer(snapshot));
        let asked = Asked { snapshot, question, source: &source, number: &number };
        let found = rules::find(&asked, self.trace);
        if found.emergency {
            self.trace.note(|| Note::no(rule(), "an emergency number is no place to forward to"));
            return None;
        }
        self.diversions.push(Diversion { user: user.into(), reason });
        let mut inner = Builder {
            asked: &asked,
            trace: &mut *self.trace,
            plan: std::mem::take(&mut self.plan),
            diversions: std::mem::take(&mut self.diversions),
            emergency: false,
        };
        let before = inner.plan.len();
        let place = inner.way(&found.way, link);
        (self.plan, self.diversions) = (inner.plan, inner.diversions);
        self.diversions.pop();
        place.filter(|_| self.plan.len() > before)
    }
}

/// Limits of a trunk in words; nothing where it has none.
fn limited(trunk: &crate::config::TrunkSection) -> String {
    let limits = [(trunk.calls_max, "calls"), (trunk.calls_per_second, "calls a second"), (trunk.kbit_max, "kbit/s")];
    limits.iter().filter(|(max, _)| *max > 0).map(|(max, what)| format!(", at most {max} {what}")).collect()
}
