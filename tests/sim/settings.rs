//! The configuration of a random run, which another draw replaces in mid-call: forwards, groups, limits, profiles, session timers,
//! and what the node proves itself with to carriers.

use ringfort_base::entropy::Seeded;
use std::fmt::Write;

/// Name and password of the node at a carrier that challenges it.
pub const NODE_AT_CARRIER: (&str, &str) = ("branch7", "open sesame");

/// What every draw has.
const ALWAYS: &str = r#"
[node]
domain = "ringfort.test"
[media]
port_first = 20000
port_last = 20999
[emergency]
numbers = ["112"]
to = ["trunk:backup", "trunk:carrier"]
[[route]]
name = "mailbox"
number = "9*"
to = ["cloud"]
[[route]]
name = "twin"
number = "07*"
to = ["trunk:twin"]
"#;

/// One draw.
#[derive(Clone, Debug)]
pub struct Settings {
    session_expires_s: u64,
    forwards: [Option<&'static str>; 4],
    also_ring: bool,
    group: bool,
    calls_max: u64,
    proves: bool,
    registers: bool,
    bulk: bool,
    profile: String,
    /// How often peers are asked whether they live.
    pub watch: Watch,
}

/// How often peers are asked whether they live, and how long registrations and sessions last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Every two seconds: much happens within minutes.
    Day,
    /// Every few minutes, as an operator has it: hours pass.
    Night,
    /// Hardly ever, and the node registers nowhere.
    Off,
}

impl Watch {
    /// Time between two OPTIONS to the cloud and to a trunk, milliseconds; 0: none.
    fn intervals_ms(self) -> (u64, u64) {
        match self {
            Watch::Day => (2_000, 2_000),
            Watch::Night => (60_000, 300_000),
            Watch::Off => (600_000, 0),
        }
    }
}

fn pick<T: Copy>(dice: &mut Seeded, among: &[T]) -> T {
    among[dice.below(among.len() as u64) as usize]
}

impl Settings {
    /// Another draw.
    pub fn draw(dice: &mut Seeded) -> Settings {
        let numbers = [None, None, Some("101"), Some("103"), Some("104"), Some("0555123"), Some("0755"), Some("900")];
        Settings {
            session_expires_s: pick(dice, &[0, 90, 90, 120, 400]),
            forwards: [(); 4].map(|()| pick(dice, &numbers)),
            also_ring: dice.chance(400),
            group: dice.chance(400),
            calls_max: if dice.chance(200) { 1 + dice.below(3) } else { 0 },
            proves: dice.chance(700),
            registers: dice.chance(500),
            bulk: dice.chance(400),
            profile: profile(dice),
            watch: Watch::Day,
        }
    }

    /// Another draw, for hours in which little happens.
    pub fn draw_night(dice: &mut Seeded) -> Settings {
        let session_expires_s = pick(dice, &[0, 600, 1_800]);
        Settings { session_expires_s, watch: Watch::Night, ..Settings::draw(dice) }
    }

    /// As the node reads it.
    pub fn text(&self) -> String {
        let mut text = ALWAYS.to_string();
        self.peers(&mut text);
        self.accounts(&mut text);
        let outside = if self.group { "\"group:both\"" } else { "\"trunk:carrier\", \"trunk:backup\"" };
        let _ = write!(text, "[[route]]\nname = \"outside\"\nnumber = \"0*\"\nto = [{outside}]\n{}", self.profile);
        text
    }

    fn peers(&self, text: &mut String) {
        let (cloud_ms, trunk_ms) = self.watch.intervals_ms();
        let expires = self.session_expires_s;
        let _ = writeln!(text, "[sip]\nlisten = [\"udp:192.0.2.10:5060\"]\nsession_expires_s = {expires}");
        let _ =
            writeln!(text, "[cloud]\naddress = \"10.3.0.100:5060\"\ndomain = \"cloud.test\"\noptions_interval_ms = {cloud_ms}");
        let (user, password) = NODE_AT_CARRIER;
        for (name, address) in [("carrier", "10.2.0.101:5060"), ("backup", "10.2.0.102:5060"), ("twin", "twin.test")] {
            let _ = writeln!(text, "[[trunk]]\nname = \"{name}\"\naddress = \"{address}\"\noptions_interval_ms = {trunk_ms}");
            if name == "carrier" {
                let _ = writeln!(text, "calls_max = {}", self.calls_max);
            }
            if name == "backup" && self.proves {
                let _ = writeln!(text, "auth = {{ user = \"{user}\", password = \"{password}\" }}");
            }
            if name == "backup" && self.registers && self.watch != Watch::Off {
                let (expires_s, bulk) = (if self.watch == Watch::Day { 120 } else { 3_600 }, self.bulk);
                let account = format!("user = \"{user}\", password = \"{password}\"");
                let _ = writeln!(text, "register = {{ {account}, expires_s = {expires_s}, bulk = {bulk} }}");
            }
            if name != "twin" {
                text.push_str("profile = \"drawn\"\n");
            }
        }
        if self.group {
            text.push_str(
                "[[group]]\nname = \"both\"\nfailover = [\"4xx\", \"5xx\"]\npatience_ms = 2000\n\
                 members = [{ trunk = \"carrier\", weight = 2 }, { trunk = \"backup\" }, { trunk = \"twin\", priority = 2 }]\n",
            );
        }
    }

    fn accounts(&self, text: &mut String) {
        let [busy, no_answer, unreachable, always] = self.forwards;
        for user in ["101", "102", "103", "104"] {
            let _ = writeln!(text, "[[account]]\nuser = \"{user}\"");
            if user == "101" {
                text.push_str("display_name = \"Anna\"\n");
            }
            if user == "103" && self.also_ring {
                text.push_str("also_ring = [\"0777777\", \"102\"]\n");
            }
            let forwards: &[(&str, Option<&str>)] = match user {
                "102" => &[("busy", busy), ("no_answer", no_answer), ("unreachable", unreachable)],
                "103" => &[("always", always.filter(|_| !self.also_ring))],
                _ => &[],
            };
            let list: Vec<String> = forwards.iter().filter_map(|(when, to)| to.map(|to| format!("{when} = \"{to}\""))).collect();
            if !list.is_empty() {
                let wait = if user == "102" { ", no_answer_s = 5" } else { "" };
                let _ = writeln!(text, "forward = {{ {}{wait} }}", list.join(", "));
            }
        }
    }
}

/// How far extensions are used with trunks and devices.
fn profile(dice: &mut Seeded) -> String {
    let extension = |dice: &mut Seeded| pick(dice, &["never", "supported", "supported", "supported", "required"]);
    let handling = |dice: &mut Seeded| pick(dice, &["node", "node", "pass", "refuse"]);
    let mut text = String::new();
    for name in ["drawn", "desk"] {
        let (reliable, timer) = (extension(dice), extension(dice));
        let (refer, early) = (handling(dice), dice.chance(800));
        let _ = write!(
            text,
            "[[profile]]\nname = \"{name}\"\nreliable_provisional = \"{reliable}\"\nsession_timer = \"{timer}\"\n\
             refer = \"{refer}\"\nearly_media = {early}\n"
        );
    }
    text + "[[device]]\nuser_agent = \"*\"\nprofile = \"desk\"\n"
}
