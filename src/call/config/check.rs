//! Rules across the sections that say where calls go: names that must exist, numbers that must be some.

use super::numbers::is_global;
use super::snapshot::Check;
use super::{AccountSection, ConfigError, RouteSection, RouteSource, TargetName};
use crate::route::Service;
use ringfort_base::limits;
use ringfort_media::audio::tones;
use std::collections::HashSet;

impl Check<'_> {
    /// All of them.
    pub(super) fn routing(&self) -> Result<(), ConfigError> {
        self.numbers()?;
        self.groups()?;
        self.forwards()?;
        for (index, route) in self.config.route.iter().enumerate() {
            self.route(index, route)?;
        }
        if self.config.expect.len() > limits::EXPECTATIONS_MAX {
            return self.fail("expect", 0, format!("more than {} expectations", limits::EXPECTATIONS_MAX));
        }
        self.sounds()?;
        self.emergency()
    }

    fn numbers(&self) -> Result<(), ConfigError> {
        if let Some(fault) = self.config.numbers.fault() {
            return self.fail("numbers", 0, fault);
        }
        for (index, did) in self.config.did.iter().enumerate() {
            if let Some(fault) = did.fault() {
                return self.fail("did", index, fault);
            }
            if let Some(other) = self.config.did.iter().take(index).find(|other| other.range.overlaps(&did.range)) {
                return self.fail("did", index, format!("`{}` has numbers of `{}`", did.range, other.range));
            }
        }
        for (index, trunk) in self.config.trunk.iter().enumerate() {
            if let Some(number) = trunk.caller_default.as_ref().filter(|number| !is_global(number)) {
                return self.fail("trunk", index, format!("`caller_default` is `{number}`, not a number such as +4930123400"));
            }
        }
        Ok(())
    }

    fn groups(&self) -> Result<(), ConfigError> {
        let mut names = HashSet::new();
        for (index, group) in self.config.group.iter().enumerate() {
            if group.name.is_empty() || !names.insert(&group.name) {
                return self.fail("group", index, format!("group name `{}` is empty or stands twice", group.name));
            }
            if group.members.is_empty() || group.members.len() > limits::GROUP_MEMBERS_MAX {
                let message = format!("`members` must name 1 to {} trunks", limits::GROUP_MEMBERS_MAX);
                return self.fail("group", index, message);
            }
            if group.patience_ms.is_some_and(|patience| patience < 100) {
                return self.fail("group", index, "`patience_ms` must be at least 100".into());
            }
            for member in &group.members {
                self.known_trunk("group", index, &member.trunk)?;
            }
        }
        Ok(())
    }

    /// A forward is no way to an emergency call centre: nobody there could call back.
    fn forwards(&self) -> Result<(), ConfigError> {
        let emergency = &self.config.emergency.numbers;
        for (index, account) in self.config.account.iter().enumerate() {
            if account.also_ring.len() >= limits::CALL_TARGETS_MAX {
                let message = format!("`also_ring` must name less than {} numbers", limits::CALL_TARGETS_MAX);
                return self.fail("account", index, message);
            }
            if account.parks && account.pickup_group.is_none() {
                let message = "`parks` needs a `pickup_group`: whose accounts take the calls".to_string();
                return self.fail("account", index, message);
            }
            if let Some(message) = self.unfit_alternative(index, account) {
                return self.fail("account", index, message);
            }
            for number in account.forward.numbers().chain(&account.also_ring) {
                if number.is_empty() || emergency.contains(number) {
                    return self.fail("account", index, format!("calls cannot be forwarded to `{number}`"));
                }
            }
            if account.forward.no_answer_s == 0 || u64::from(account.forward.no_answer_s) > limits::RING_MAX.as_secs() {
                let message = format!("`no_answer_s` must lie between 1 and {}", limits::RING_MAX.as_secs());
                return self.fail("account", index, message);
            }
        }
        Ok(())
    }

    /// What is wrong with an account's other number.
    fn unfit_alternative(&self, index: usize, account: &AccountSection) -> Option<String> {
        let number = account.alternative.as_ref()?;
        if !is_global(number) {
            return Some(format!("`alternative` must be an E.164 number such as `+491715550123`, not `{number}`"));
        }
        let mut before = self.config.account.iter().take(index);
        let other = before.find(|other| other.alternative.as_ref() == Some(number))?;
        Some(format!("`{number}` is the other number of account `{}` already", other.user))
    }

    fn route(&self, index: usize, route: &RouteSection) -> Result<(), ConfigError> {
        if let RouteSource::Trunk(name) = &route.source {
            self.known_trunk("route", index, name)?;
        }
        match route.deny {
            None => self.targets("route", index, &route.to),
            Some(_) if !route.to.is_empty() => self.fail("route", index, "`deny` and `to` exclude each other".into()),
            Some(status) if !(400..=699).contains(&status) => {
                self.fail("route", index, format!("`deny` must be a status from 400 to 699, not {status}"))
            }
            Some(_) if route.reason.bytes().any(|b| !(b' '..0x7f).contains(&b)) => {
                self.fail("route", index, "`reason` must be printable ASCII".into())
            }
            Some(_) => Ok(()),
        }
    }

    fn emergency(&self) -> Result<(), ConfigError> {
        let section = &self.config.emergency;
        if section.numbers.is_empty() != section.to.is_empty() {
            return self.fail("emergency", 0, "`numbers` and `to` go together".into());
        }
        if section.numbers.is_empty() { Ok(()) } else { self.targets("emergency", 0, &section.to) }
    }

    fn targets(&self, section: &str, index: usize, targets: &[TargetName]) -> Result<(), ConfigError> {
        if targets.is_empty() || targets.len() > limits::CALL_TARGETS_MAX {
            let message = format!("`to` must name 1 to {} targets", limits::CALL_TARGETS_MAX);
            return self.fail(section, index, message);
        }
        for target in targets {
            match target {
                TargetName::Trunk(name) => self.known_trunk(section, index, name)?,
                TargetName::Cloud if self.config.cloud.is_none() => {
                    return self.fail(section, index, "target `cloud`, but there is no [cloud]".into());
                }
                TargetName::Group(name) if !self.config.group.iter().any(|g| g.name == *name) => {
                    return self.fail(section, index, format!("no group is named `{name}`"));
                }
                TargetName::Service(Service::Sound(name)) => self.known_sound(section, index, name)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn sounds(&self) -> Result<(), ConfigError> {
        let sounds = &self.config.sound;
        if sounds.len() > limits::SOUNDS_MAX {
            return self.fail("sound", limits::SOUNDS_MAX, format!("there may be {} sounds", limits::SOUNDS_MAX));
        }
        if let Some(index) =
            (1..sounds.len()).find(|index| sounds[..*index].iter().any(|other| other.name == sounds[*index].name))
        {
            return self.fail("sound", index, format!("`{}` is the name of another sound already", sounds[index].name));
        }
        let country = &self.config.services.tones;
        if !country.is_empty() && !tones::countries().any(|known| known.eq_ignore_ascii_case(country)) {
            let known: Vec<_> = tones::countries().collect();
            return self.fail("services", 0, format!("the tones of `{country}` are not known; known: {}", known.join(", ")));
        }
        match self.config.services.music_on_hold.as_str() {
            "" => Ok(()),
            name => self.known_sound("services", 0, name),
        }
    }

    pub(super) fn known_sound(&self, section: &str, index: usize, name: &str) -> Result<(), ConfigError> {
        match self.config.sound.iter().any(|sound| sound.name == name) {
            true => Ok(()),
            false => self.fail(section, index, format!("no [[sound]] is named `{name}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Snapshot;

    const TRUNK: &str = "[[trunk]]\nname=\"a\"\naddress=\"10.0.0.1:5060\"\n";

    fn refusal(text: &str) -> String {
        let loaded = Snapshot::load("t", &format!("{TRUNK}{text}"), &mut |_| Some(zeroize::Zeroizing::new("x".into())));
        loaded.map(|_| ()).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_names_nothing_is_refused_with_its_line() {
        assert_eq!(refusal("[[group]]\nname=\"g\"\nmembers=[{trunk=\"b\"}]\n"), "t:4: no trunk is named `b`; known: a");
        assert_eq!(refusal("[[route]]\nname=\"r\"\nnumber=\"*\"\nto=[\"group:g\"]\n"), "t:4: no group is named `g`");
        assert!(refusal("[[group]]\nname=\"g\"\nmembers=[]\n").contains("1 to 32"));
        assert!(refusal("[numbers]\narea_code=\"30\"\n").contains("needs `country_code`"));
        assert!(refusal("[numbers]\ncountry_code=\"+49\"\n").contains("few digits"));
    }

    #[test]
    fn numbers_stand_in_one_range_only() {
        let text = "[[did]]\nrange=\"+4930123400-499\"\nto=\"1\"\n[[did]]\nrange=\"+4930123450\"\nto=\"9\"\n";
        assert_eq!(refusal(text), "t:7: `+4930123450` has numbers of `+4930123400-499`");
    }

    #[test]
    fn a_refusing_route_refuses_and_does_nothing_else() {
        let route = |more: &str| refusal(&format!("[[route]]\nname=\"r\"\nnumber=\"*\"\n{more}"));
        assert!(route("deny=403\nto=[\"trunk:a\"]\n").contains("exclude each other"));
        assert!(route("deny=200\n").contains("400 to 699"));
        assert!(route("").contains("1 to 8 targets"));
        assert!(route("deny=403\nreason=\"a\\nb\"\n").contains("printable"));
    }

    #[test]
    fn nobody_forwards_to_an_emergency_number() {
        let text = "[emergency]\nnumbers=[\"112\"]\nto=[\"trunk:a\"]\n[[account]]\nuser=\"101\"\nforward={busy=\"112\"}\n";
        assert_eq!(refusal(text), "t:7: calls cannot be forwarded to `112`");
        assert!(refusal("[[account]]\nuser=\"101\"\nforward={no_answer_s=0}\n").contains("between 1 and 180"));
    }

    #[test]
    fn calls_are_parked_for_somebody() {
        let text = "[[account]]\nuser = \"700\"\nparks = true\n";
        assert!(refusal(text).contains("`parks` needs a `pickup_group`"));
    }

    #[test]
    fn an_expectation_that_fails_refuses_the_file() {
        let route = "[[account]]\nuser=\"101\"\n[[route]]\nname=\"out\"\nnumber=\"0*\"\nto=[\"trunk:a\"]\n";
        let refused = refusal(&format!("{route}[[expect]]\nfrom=\"101\"\nto=\"0123\"\nexpect=\"deny 403\"\n"));
        assert_eq!(refused, "t:10: 101 to 0123 was expected to reach `deny 403`, but goes by route out: trunk:a 0123");
        let good = format!(
            "{TRUNK}{route}[[expect]]\nfrom=\"101\"\nto=\"0123\"\nexpect=\"trunk:a\"\n[[expect]]\nfrom=\"101\"\nto=\"9\"\nexpect=\"deny 404\"\n"
        );
        Snapshot::load("t", &good, &mut |_| Some(zeroize::Zeroizing::new("x".into()))).expect("as expected");
    }
}
