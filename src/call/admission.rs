//! Admission: how many calls the node, each realm, each trunk and each user may have at once, how many may begin in a second, and how much
//! bandwidth they may take. An emergency call is counted like every other and never refused.

use crate::config::{LimitsSection, RealmSection, Snapshot, TrunkSection};
use crate::route::Source;
use crate::status::LimitStatus;
use ringfort_base::{Time, limits};
use ringfort_media::description::Description;
use std::collections::BTreeMap;
use std::fmt;

/// Who has places.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// The node as a whole.
    Node,
    /// A realm by name, for the legs in it.
    Realm(String),
    /// A trunk by name, in both directions.
    Trunk(String),
    /// An extension, for the calls that it makes and takes.
    User(String),
}

impl Holder {
    /// Who a caller is, beside the node; the cloud has no limits of its own.
    pub fn of(source: &Source) -> Option<Holder> {
        match source {
            Source::Account(user) => Some(Holder::User(user.clone())),
            Source::Trunk(name) => Some(Holder::Trunk(name.clone())),
            Source::Cloud => None,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Node => f.write_str("node"),
            Holder::Realm(name) => write!(f, "realm:{name}"),
            Holder::Trunk(name) => write!(f, "trunk:{name}"),
            Holder::User(user) => write!(f, "account:{user}"),
        }
    }
}

/// What a holder may have; 0: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Calls at once.
    pub calls: u32,
    /// New calls a second.
    pub per_second: u32,
    /// Bandwidth, kbit/s.
    pub kbit: u32,
}

impl Allowance {
    /// That of the configuration in force.
    pub fn of(snapshot: &Snapshot, holder: &Holder) -> Allowance {
        let LimitsSection { calls_max, calls_per_second, kbit_max, user_calls_max, user_calls_per_second, .. } = snapshot.limits;
        match holder {
            Holder::Node => Allowance { calls: calls_max, per_second: calls_per_second, kbit: kbit_max },
            Holder::User(_) => Allowance { calls: user_calls_max, per_second: user_calls_per_second, kbit: 0 },
            Holder::Realm(name) => snapshot.realm(name).map(Allowance::of_realm).unwrap_or_default(),
            Holder::Trunk(name) => snapshot.trunk(name).map(Allowance::of_trunk).unwrap_or_default(),
        }
    }

    fn of_realm(realm: &RealmSection) -> Allowance {
        Allowance { calls: realm.calls_max, per_second: realm.calls_per_second, kbit: realm.kbit_max }
    }

    fn of_trunk(trunk: &TrunkSection) -> Allowance {
        Allowance { calls: trunk.calls_max, per_second: trunk.calls_per_second, kbit: trunk.kbit_max }
    }

    fn is_none(self) -> bool {
        self == Allowance::default()
    }
}

/// A place that a call takes; to be given back with [`Admission::release`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Place {
    /// Whose.
    pub holder: Holder,
    kbit: u32,
}

/// Which limit is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Calls at once.
    Calls,
    /// New calls a second.
    Rate,
    /// Bandwidth.
    Bandwidth,
}

impl Full {
    /// The key of the configuration that says so.
    pub fn as_str(self) -> &'static str {
        match self {
            Full::Calls => "calls_max",
            Full::Rate => "calls_per_second",
            Full::Bandwidth => "kbit_max",
        }
    }
}

/// What one holder uses.
#[derive(Debug, Default)]
struct Usage {
    calls: u32,
    kbit: u32,
    /// Most calls at once since the start.
    peak: u32,
    refused: u64,
    bucket: Option<Bucket>,
}

/// A token bucket that holds as many calls as may begin in a second.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Millionths of a call.
    tokens: u64,
    filled: Time,
}

const CALL: u64 = 1_000_000;

impl Bucket {
    /// Takes a call out. False: there is none.
    fn take(&mut self, now: Time, per_second: u32) -> bool {
        let per_second = u64::from(per_second);
        let us = u64::try_from(now.since(self.filled).as_micros()).unwrap_or(u64::MAX);
        self.tokens = self.tokens.saturating_add(us.saturating_mul(per_second)).min(per_second * CALL);
        self.filled = now;
        let enough = self.tokens >= CALL;
        self.tokens -= if enough { CALL } else { 0 };
        enough
    }
}

/// All places.
#[derive(Debug, Default)]
pub struct Admission {
    usage: BTreeMap<Holder, Usage>,
}

impl Admission {
    /// A place for a call of about `kbit` kbit/s, or which limit is met. An emergency call always gets one.
    pub fn enter(&mut self, now: Time, holder: Holder, allowance: Allowance, kbit: u32, emergency: bool) -> Result<Place, Full> {
        self.make_room();
        let usage = self.usage.entry(holder.clone()).or_default();
        if let Some(full) = usage.full(now, allowance, kbit).filter(|_| !emergency) {
            usage.refused += 1;
            return Err(full);
        }
        usage.calls += 1;
        usage.kbit = usage.kbit.saturating_add(kbit);
        usage.peak = usage.peak.max(usage.calls);
        Ok(Place { holder, kbit })
    }

    /// The call has left.
    pub fn release(&mut self, place: Place) {
        if let Some(usage) = self.usage.get_mut(&place.holder) {
            usage.calls = usage.calls.saturating_sub(1);
            usage.kbit = usage.kbit.saturating_sub(place.kbit);
        }
    }

    /// Users come and go: those without a call are forgotten when the table is full. Without calls nothing but a second's rate is lost.
    fn make_room(&mut self) {
        if self.usage.len() >= limits::ADMISSION_ENTRIES_MAX {
            self.usage.retain(|holder, usage| usage.calls > 0 || !matches!(holder, Holder::User(_)));
        }
    }

    /// How many calls the holder has now.
    pub fn calls(&self, holder: &Holder) -> u32 {
        self.usage.get(holder).map_or(0, |usage| usage.calls)
    }

    /// For the status: the node, and whoever else has a limit, in order of names.
    pub fn status(&self, snapshot: &Snapshot) -> Vec<LimitStatus> {
        let (node, unused) = (Holder::Node, Usage::default());
        let absent = (!self.usage.contains_key(&node)).then_some((&node, &unused));
        let rows = absent.into_iter().chain(&self.usage).filter_map(|(holder, usage)| {
            let allowance = Allowance::of(snapshot, holder);
            let is_node = *holder == Holder::Node;
            let shown = is_node || (!allowance.is_none() && usage.calls > 0) || usage.refused > 0;
            let found = snapshot.limits.measured;
            shown.then(|| LimitStatus {
                holder: holder.to_string(),
                calls: usage.calls,
                calls_max: allowance.calls,
                per_second_max: allowance.per_second,
                peak: usage.peak,
                kbit: usage.kbit,
                kbit_max: allowance.kbit,
                refused: usage.refused,
                measured: measured(&[("calls_max", is_node && found.calls), ("per_second_max", is_node && found.per_second)]),
            })
        });
        rows.take(limits::STATUS_LIST_MAX).collect()
    }
}

/// The names of those that are so.
fn measured(bounds: &[(&str, bool)]) -> Vec<String> {
    bounds.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned()).collect()
}

impl Usage {
    /// The rate is asked last: a call that is refused for another reason takes nothing from it.
    fn full(&mut self, now: Time, allowance: Allowance, kbit: u32) -> Option<Full> {
        if allowance.calls > 0 && self.calls >= allowance.calls {
            return Some(Full::Calls);
        }
        if allowance.kbit > 0 && self.kbit.saturating_add(kbit) > allowance.kbit {
            return Some(Full::Bandwidth);
        }
        if allowance.per_second == 0 {
            self.bucket = None;
            return None;
        }
        let whole = Bucket { tokens: u64::from(allowance.per_second) * CALL, filled: now };
        let in_time = self.bucket.get_or_insert(whole).take(now, allowance.per_second);
        (!in_time).then_some(Full::Rate)
    }
}

/// Calls whose audio the node decodes and encodes anew, conferences' parties and hearers of sounds among them: a core carries far fewer of
/// these than of those that only pass.
#[derive(Debug, Default)]
pub struct Transcoding {
    calls: u32,
    peak: u32,
    refused: u64,
}

impl Transcoding {
    /// A call begins to be transcoded.
    pub fn begin(&mut self) {
        self.calls += 1;
        self.peak = self.peak.max(self.calls);
    }

    /// A call is over, or its audio passes now.
    pub fn end(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    /// Whether one more leg may need it. False: it gets what its call's other side has, and nothing else.
    pub fn admits(&mut self, max: u32) -> bool {
        let admits = max == 0 || self.calls < max;
        self.refused += u64::from(!admits);
        admits
    }

    /// For the status and the metric.
    pub fn status(&self, limits: &LimitsSection) -> LimitStatus {
        let Transcoding { calls, peak, refused } = *self;
        LimitStatus {
            holder: TRANSCODED.into(),
            calls,
            calls_max: limits.transcoded_calls_max,
            per_second_max: 0,
            peak,
            kbit: 0,
            kbit_max: 0,
            refused,
            measured: measured(&[("calls_max", limits.measured.transcoded)]),
        }
    }
}

/// Who has the places of transcoded calls, in the status.
pub const TRANSCODED: &str = "transcoded";

/// What one direction of a call takes on an Ethernet, kbit/s: the most that its codecs need, in packets of 20 ms with 58 octets of
/// headers (Ethernet 18, IPv4 20, UDP 8, RTP 12).
pub fn kbit_of(description: &Description) -> u32 {
    const HEADERS: u32 = 23;
    let speech = description.formats.iter().map(|format| match format.name().to_ascii_uppercase().as_str() {
        "TELEPHONE-EVENT" | "CN" => 0,
        "G729" | "G723" => 8 + HEADERS,
        "GSM" | "G728" | "ILBC" => 16 + HEADERS,
        "OPUS" => 40 + HEADERS,
        "L16" => 256 + HEADERS,
        _ => 64 + HEADERS,
    });
    speech.max().unwrap_or(64 + HEADERS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn enter(admission: &mut Admission, at_ms: u64, allowance: Allowance, emergency: bool) -> Result<Place, Full> {
        admission.enter(Time::from_millis(at_ms), Holder::Trunk("a".into()), allowance, 87, emergency)
    }

    #[test]
    fn calls_at_once_and_their_peak() {
        let mut admission = Admission::default();
        let two = Allowance { calls: 2, ..Allowance::default() };
        let places: Vec<Place> = (0..2).filter_map(|_| enter(&mut admission, 0, two, false).ok()).collect();
        assert_eq!(enter(&mut admission, 0, two, false), Err(Full::Calls));
        let emergency = enter(&mut admission, 0, two, true).expect("always admitted");
        let holder = emergency.holder.clone();
        assert_eq!(admission.calls(&holder), 3);
        places.into_iter().chain([emergency]).for_each(|place| admission.release(place));
        assert_eq!(admission.calls(&holder), 0);
        assert!(enter(&mut admission, 0, two, false).is_ok());
        let text = "[[trunk]]\nname=\"a\"\naddress=\"192.0.2.1:5060\"\ncalls_max=2\n";
        let snapshot = Snapshot::load("t", text, &mut |_| None).expect("sound");
        let row = admission.status(&snapshot).remove(1);
        assert_eq!((row.holder.as_str(), row.calls, row.calls_max, row.peak, row.refused), ("trunk:a", 1, 2, 3, 1));
    }

    /// What was measured is a limit where none is configured, and says that it was.
    #[test]
    fn measured_limits_are_told_as_such() {
        let mut snapshot = Arc::unwrap_or_clone(Snapshot::load("t", "[limits]\ncalls_per_second=7\n", &mut |_| None).unwrap());
        snapshot.limits.fill(100, 50, 0);
        let rows = Admission::default().status(&snapshot);
        let told = |row: &LimitStatus| (row.holder.clone(), row.calls_max, row.per_second_max, row.measured.clone());
        assert_eq!(
            rows.iter().map(told).collect::<Vec<_>>(),
            [("node".into(), 100, 7, vec!["calls_max".into()])],
            "before any call"
        );
        assert!(Transcoding::default().status(&snapshot.limits).measured.is_empty());
        let mut limits = LimitsSection::default();
        limits.fill(0, 0, 30);
        let row = Transcoding::default().status(&limits);
        assert_eq!((row.calls_max, row.measured), (30, vec!["calls_max".into()]));
    }

    #[test]
    fn a_second_has_room_for_so_many() {
        let mut admission = Admission::default();
        let rate = Allowance { per_second: 5, ..Allowance::default() };
        let begun = |admission: &mut Admission, at| (0..20).filter(|_| enter(admission, at, rate, false).is_ok()).count();
        assert_eq!(begun(&mut admission, 0), 5);
        assert_eq!(begun(&mut admission, 199), 0);
        assert_eq!(begun(&mut admission, 200), 1);
        assert_eq!(begun(&mut admission, 60_000), 5, "it holds no more than a second's");
    }

    #[test]
    fn bandwidth_is_that_of_the_largest_codec() {
        let mut admission = Admission::default();
        let narrow = Allowance { kbit: 200, ..Allowance::default() };
        let entered = (0..5).filter(|_| enter(&mut admission, 0, narrow, false).is_ok()).count();
        assert_eq!(entered, 2);
        assert_eq!(kbit_of(&Description::g711()), 87);
        assert_eq!(kbit_of(&Description::default()), 87, "nothing is known of it");
    }
}
