//! `[[group]]`: trunks that share calls, and the statuses that make a call move on.

use crate::route::Codes;
use ringfort_base::limits;
use serde::de::{self, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// `[[group]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSection {
    /// Name in routes: `group:NAME`.
    pub name: String,
    /// Its trunks.
    pub members: Vec<Member>,
    /// Final statuses after which the next trunk is tried; absent: those of the trunk.
    pub failover: Option<Codes>,
    /// How long a trunk may be silent, milliseconds; absent: as the trunk's own.
    pub patience_ms: Option<u32>,
}

/// One trunk of a group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Trunk by name.
    pub trunk: String,
    /// Lower ones come first.
    #[serde(default = "one")]
    pub priority: u16,
    /// Share among those of the same priority; 0: only after all others.
    #[serde(default = "one")]
    pub weight: u16,
}

fn one() -> u16 {
    1
}

impl GroupSection {
    /// The trunks in the order in which one call tries them: by priority, and among equals by weight as `draw` says.
    pub fn in_order(&self, draw: u64) -> Vec<&Member> {
        let mut left: Vec<&Member> = self.members.iter().take(limits::GROUP_MEMBERS_MAX).collect();
        left.sort_by_key(|member| member.priority);
        let mut ordered = Vec::with_capacity(left.len());
        let mut state = draw;
        while let Some(first) = left.first() {
            let equals = left.iter().take_while(|member| member.priority == first.priority).count();
            let sum: u64 = left.iter().take(equals).map(|member| u64::from(member.weight)).sum();
            let mut point = if sum == 0 { 0 } else { mixed(&mut state) % sum };
            let drawn = left.iter().take(equals).position(|member| {
                let weight = u64::from(member.weight);
                let here = point < weight;
                point = point.saturating_sub(weight);
                here
            });
            ordered.push(left.remove(drawn.unwrap_or(0)));
        }
        ordered
    }
}

/// SplitMix64: one draw yields as many numbers as a group needs.
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One entry of a list of statuses.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Number(u16),
    Class(String),
}

impl Code {
    fn range(&self) -> Option<(u16, u16)> {
        let number = match self {
            Code::Number(number) => Some(*number),
            Code::Class(text) => text.parse().ok(),
        };
        if let Some(number) = number {
            return (300..=699).contains(&number).then_some((number, number));
        }
        let Code::Class(text) = self else { return None };
        let class: u16 = text.strip_suffix("xx")?.parse().ok().filter(|class| (3..=6).contains(class))?;
        Some((class * 100, class * 100 + 99))
    }
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let codes: Vec<Code> = Vec::deserialize(d)?;
        let ranges: Option<Vec<_>> = codes.iter().map(Code::range).collect();
        ranges.map(Codes).ok_or_else(|| de::Error::custom("a list of final statuses is `[408, \"5xx\"]`, from 300 to 699"))
    }
}

impl Serialize for Codes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let text = |(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{}xx", first / 100) };
        s.collect_seq(self.0.iter().map(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "name = \"all\"\nmembers = [{ trunk = \"spare\", priority = 2 }, { trunk = \"a\", weight = 3 }, { trunk = \"b\" }, \
        { trunk = \"never first\", weight = 0 }]\nfailover = [404, \"5xx\"]\n";

    #[test]
    fn priority_first_then_weight() {
        let group: GroupSection = toml::from_str(GROUP).expect("sound");
        let mut firsts = [0_u32; 2];
        for draw in 0..4_000 {
            let names: Vec<&str> = group.in_order(draw).iter().map(|m| m.trunk.as_str()).collect();
            assert_eq!((names.len(), names[2], names[3]), (4, "never first", "spare"), "{names:?}");
            firsts[usize::from(names[0] == "b")] += 1;
        }
        assert!((2_850..3_150).contains(&firsts[0]), "{firsts:?}");
        assert_eq!(group.in_order(7), group.in_order(7));
    }

    #[test]
    fn statuses_as_numbers_and_classes() {
        let group: GroupSection = toml::from_str(GROUP).expect("sound");
        let codes = group.failover.expect("given");
        assert!(codes.contains(404) && codes.contains(599) && !codes.contains(486));
        assert_eq!(serde_json::to_string(&codes).expect("writable"), "[\"404\",\"5xx\"]");
        for wrong in ["[200]", "[\"2xx\"]", "[\"xx\"]", "[700]", "[\"busy\"]", "408"] {
            assert!(toml::from_str::<GroupSection>(&format!("name=\"a\"\nmembers=[]\nfailover={wrong}")).is_err(), "{wrong}");
        }
    }
}
