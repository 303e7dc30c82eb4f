//! Times of the week at which a route applies, and the zone that they are meant in.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use ringfort_base::Wall;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::fmt;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: u16 = 24 * 60;
/// Wednesday, 2025-01-01 00:00: the week that a time without date is meant in begins two days earlier.
const SAMPLE_WEEK: (i16, i8, i8) = (2024, 12, 30);

/// A time zone of the IANA data base, which is built in: no file of the system is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Zone(TimeZone::UTC)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let zone = TimeZoneDatabase::bundled().get(&text);
        zone.map(Zone).map_err(|_| de::Error::custom(format!("`{text}` is no time zone such as Europe/Berlin or UTC")))
    }
}

/// A moment as the wall clock at the node's place shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Day of the week, Monday is 0.
    pub day: u8,
    /// Minutes since midnight.
    pub minute: u16,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = DAYS.get(usize::from(self.day)).copied().unwrap_or_default();
        write!(f, "{day} {:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

impl Zone {
    /// What the clock on the wall shows.
    pub fn local(&self, wall: Wall) -> Local {
        let timestamp = Timestamp::from_millisecond(i64::try_from(wall.0).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
        let at = self.0.to_datetime(timestamp);
        let day = at.weekday().to_monday_zero_offset();
        Local {
            day: day.unsigned_abs(),
            minute: u16::from(at.hour().unsigned_abs()) * 60 + u16::from(at.minute().unsigned_abs()),
        }
    }

    /// The moment that a text means here: `2026-12-24 14:30`, or `wed 14:30` of some week in winter. `None`: it is neither.
    pub fn moment(&self, text: &str) -> Option<Wall> {
        let (date, time) = text.split_once([' ', 'T'])?;
        let minute = minute_of(time).filter(|minute| *minute < DAY_MINUTES)?;
        let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
        let at = match DAYS.iter().position(|day| *day == date) {
            Some(day) => {
                let (year, month, first) = SAMPLE_WEEK;
                let monday = DateTime::new(year, month, first, hour, minute, 0, 0).ok()?;
                monday.checked_add(jiff::Span::new().days(i64::try_from(day).ok()?)).ok()?
            }
            None => date.parse::<jiff::civil::Date>().ok()?.at(hour, minute, 0, 0),
        };
        let timestamp = self.0.to_ambiguous_timestamp(at).compatible().ok()?;
        u64::try_from(timestamp.as_millisecond()).ok().map(Wall)
    }
}

/// `mon-fri 08:00-17:00`, `sat,sun`, `22:00-06:00`: days, hours, or both. Hours that end before they begin reach into the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    text: String,
    days: [bool; 7],
    /// Minutes since midnight; the end is not in it.
    hours: (u16, u16),
}

impl When {
    /// Whether the moment lies in it. The days are those on which the hours begin.
    pub fn holds(&self, at: Local) -> bool {
        let on = |day: u8| self.days.get(usize::from(day % 7)).copied().unwrap_or(false);
        let (from, to) = self.hours;
        if from < to {
            return on(at.day) && (from..to).contains(&at.minute);
        }
        (on(at.day) && at.minute >= from) || (on(at.day + 6) && at.minute < to)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        parse(&text).ok_or_else(|| {
            de::Error::custom(format!("`{text}` is no time such as `mon-fri 08:00-17:00`, `sat,sun` or `22:00-06:00`"))
        })
    }
}

fn parse(text: &str) -> Option<When> {
    let mut when = When { text: text.into(), days: [true; 7], hours: (0, DAY_MINUTES) };
    let mut words = text.split_whitespace().peekable();
    if words.peek()?.starts_with(|c: char| c.is_ascii_alphabetic()) {
        when.days = days(words.next()?)?;
    }
    if let Some(hours) = words.next() {
        let (from, to) = hours.split_once('-')?;
        when.hours = (minute_of(from).filter(|from| *from < DAY_MINUTES)?, minute_of(to)?);
    }
    (words.next().is_none() && when.hours.0 != when.hours.1).then_some(when)
}

fn days(text: &str) -> Option<[bool; 7]> {
    let mut on = [false; 7];
    let place = |day: &str| DAYS.iter().position(|d| *d == day);
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (place(first)?, place(last)?);
        let count = (last + 7 - first) % 7;
        (0..=count).for_each(|n| on.get_mut((first + n) % 7).into_iter().for_each(|day| *day = true));
    }
    Some(on)
}

/// `14:30` in minutes; `24:00` is the end of the day.
fn minute_of(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |t: &str| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit());
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok().filter(|_| digits(minute))?);
    (minute < 60 && hour * 60 + minute <= DAY_MINUTES).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Local {
        let zone = Zone::default();
        zone.local(zone.moment(text).expect("a moment"))
    }

    #[test]
    fn days_and_hours() {
        let office = parse("mon-fri 08:00-17:00").expect("sound");
        assert!(office.holds(at("mon 08:00")) && office.holds(at("fri 16:59")));
        assert!(!office.holds(at("fri 17:00")) && !office.holds(at("sat 12:00")) && !office.holds(at("mon 07:59")));
        let weekend = parse("sat,sun").expect("sound");
        assert!(weekend.holds(at("sun 23:59")) && !weekend.holds(at("mon 00:00")));
        let around = parse("sat-mon 10:00-24:00").expect("sound");
        assert!(around.holds(at("mon 23:59")) && !around.holds(at("tue 12:00")));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = parse("fri 22:00-06:00").expect("sound");
        assert!(night.holds(at("fri 23:00")) && night.holds(at("sat 05:59")));
        assert!(!night.holds(at("fri 05:00")) && !night.holds(at("sat 22:30")));
    }

    #[test]
    fn what_is_no_time() {
        for text in ["", "mon-fry", "08:00", "08:00-08:00", "25:00-26:00", "8:0-9:00", "mon 08:00-17:00 x", "24:00-25:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_knows_summer() {
        let text = toml::from_str::<std::collections::BTreeMap<String, Zone>>("zone = \"Europe/Berlin\"").expect("known");
        let zone = &text["zone"];
        let (winter, summer) = (zone.moment("2026-01-07 12:00"), zone.moment("2026-07-08 12:00"));
        assert_eq!(winter.map(Wall::rfc3339).as_deref(), Some("2026-01-07T11:00:00.000Z"));
        assert_eq!(summer.map(Wall::rfc3339).as_deref(), Some("2026-07-08T10:00:00.000Z"));
        assert_eq!(zone.local(summer.unwrap_or_default()).to_string(), "wed 12:00");
        assert_eq!(zone.moment("wed 14:30").map(Wall::rfc3339).as_deref(), Some("2025-01-01T13:30:00.000Z"));
        assert_eq!((zone.moment("2026-13-01 12:00"), zone.moment("12:00"), zone.moment("wed 24:00")), (None, None, None));
        assert!(toml::from_str::<std::collections::BTreeMap<String, Zone>>("zone = \"Mars/Base\"").is_err());
    }
}
