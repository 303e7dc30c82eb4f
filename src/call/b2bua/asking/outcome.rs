//! What became of a stage, and what the caller is told when none is left: the best of the responses (RFC 3261 16.7 step 6).

use crate::b2bua::call::Failure;
use crate::route::{self, Outcome, Stage};
use ringfort_sip::message::HeaderName;

impl Failure {
    /// Of a target that could not be asked, or said nothing.
    pub(crate) fn new(status: u16, reason: &str) -> Failure {
        Failure { status, reason: reason.into(), headers: Vec::new(), of_device: false, outcome: Outcome::Unreachable }
    }

    /// It rang for as long as it may.
    pub(in crate::b2bua) fn rang_out() -> Failure {
        Failure { outcome: Outcome::RangOut, ..Failure::new(480, "No Answer") }
    }

    /// The stage that follows the one at `place`. What a living target says of the callee is final where a plan has nothing for it; but a
    /// device that does not know its own user, or says that it is not there, could not do it.
    pub(crate) fn leads_to(&self, plan: &[Stage], place: usize) -> Option<usize> {
        let is_gone = self.of_device && matches!(self.outcome, Outcome::Status(404 | 410 | 480));
        let next = route::next_stage(plan, place, self.outcome);
        next.or_else(|| route::next_stage(plan, place, Outcome::Unreachable).filter(|_| is_gone))
    }

    /// Lower is better: 6xx, then the lowest class; in 4xx what the caller can act upon, then what tells of the callee.
    fn rank(&self) -> (u16, u8) {
        let class = if self.status >= 600 { 0 } else { self.status / 100 };
        let within = match self.status {
            401 | 407 | 415 | 420 | 484 => 0,
            486 => 1,
            408 | 503 => 3,
            _ => 2,
        };
        (class, within)
    }
}

/// The best of the failures of one stage. Challenges are gathered, for each may be of another realm; 503 is told as 500 unless
/// nobody said anything else, for the caller would take it for a statement about the node.
pub(crate) fn best(failures: Vec<Failure>) -> Option<Failure> {
    let several = failures.len() > 1;
    let of_device = failures.iter().all(|failure| failure.of_device);
    let is_challenge = |status| matches!(status, 401 | 407);
    let name = |name: &HeaderName| matches!(name, HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate);
    let challenges: Vec<_> = failures
        .iter()
        .filter(|failure| is_challenge(failure.status))
        .flat_map(|failure| failure.headers.iter().filter(|(header, _)| name(header)).cloned())
        .collect();
    let mut best = failures.into_iter().min_by_key(Failure::rank)?;
    if is_challenge(best.status) {
        best.headers.retain(|(header, _)| !name(header));
        best.headers.extend(challenges);
    }
    if best.status == 503 && several {
        best = Failure { headers: Vec::new(), status: 500, reason: "Server Internal Error".into(), ..best };
    }
    Some(Failure { of_device, ..best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Service, Target};

    fn best_of(statuses: &[u16]) -> u16 {
        best(statuses.iter().map(|status| Failure::new(*status, "")).collect()).expect("one").status
    }

    #[test]
    fn the_best_response_is_told() {
        let rows: [(&[u16], u16); 7] = [
            (&[486, 603, 404], 603),
            (&[503, 486], 486),
            (&[408, 480, 486], 486),
            (&[404, 407], 407),
            (&[503], 503),
            (&[503, 503], 500),
            (&[503, 504], 504),
        ];
        for (statuses, wanted) in rows {
            assert_eq!(best_of(statuses), wanted, "{statuses:?}");
        }
    }

    #[test]
    fn every_challenge_is_passed_on() {
        let challenge = |realm: &str| Failure {
            headers: vec![(HeaderName::ProxyAuthenticate, format!("Digest realm=\"{realm}\""))],
            ..Failure::new(407, "")
        };
        assert_eq!(best(vec![challenge("a"), Failure::new(408, ""), challenge("b")]).expect("one").headers.len(), 2);
    }

    #[test]
    fn a_device_that_is_gone_makes_room() {
        let plan =
            [Stage::of(Target::Service(Service::Echo)), Stage { behind: Some(0), ..Stage::of(Target::Service(Service::Echo)) }];
        let said = |status, of_device| Failure { of_device, outcome: Outcome::Status(status), ..Failure::new(status, "") };
        assert_eq!(said(480, true).leads_to(&plan, 0), Some(1));
        assert_eq!(said(486, true).leads_to(&plan, 0), None);
        assert_eq!((said(480, false).leads_to(&plan, 0), said(503, false).leads_to(&plan, 0)), (None, Some(1)));
        assert_eq!(Failure::rang_out().leads_to(&plan, 0), None);
    }
}
