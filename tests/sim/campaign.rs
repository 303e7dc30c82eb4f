//! A random run: phones, trunks and a cloud that live their lives on a bad network while the node is restarted and reloaded and
//! the cloud dies and comes back. Then everybody goes home, and nothing may be left.

use crate::actor::{Actor, Temper};
use crate::checks::Checks;
use crate::cloud::Cloud;
use crate::network::Faults;
use crate::settings::{Settings, Watch};
use crate::ua::{End, Habits, State, Ua};
use crate::wire::Secret;
use crate::world::{NODE, World, password};
use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
use ringfort_base::event::Mode;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a run came to.
pub struct Outcome {
    /// Digest of everything that happened.
    pub digest: u64,
    /// Virtual time.
    pub time: Time,
    /// Ended calls by cause.
    pub causes: BTreeMap<String, u32>,
    /// What the node sent: methods, and statuses with methods.
    pub spoken: BTreeMap<String, u32>,
    /// Violations and trace; `None`: all is well.
    pub failure: Option<String>,
}

/// Runs one seed.
pub fn run(seed: u64) -> Outcome {
    let mut campaign = Campaign::new(seed);
    let minutes = 2 + campaign.dice.below(5);
    campaign.live(minutes);
    campaign.night();
    let minutes = 1 + campaign.dice.below(2);
    campaign.live(minutes);
    campaign.go_home();
    campaign.judge();
    let checks = &campaign.world.checks;
    Outcome {
        digest: checks.digest(),
        time: campaign.world.now,
        causes: checks.causes.clone(),
        spoken: checks.spoken.clone(),
        failure: checks.failed().then(|| checks.report()),
    }
}

/// Who takes part, by word: phones, then trunks.
const PHONES: [(&str, &str, &str); 5] = [
    ("kestrel9", "101", "10.1.0.101:5060"),
    ("osprey9", "102", "10.1.0.102:5060"),
    ("harrier9", "103", "10.1.0.103:5060"),
    ("goshawk9", "104", "10.1.0.104:5060"),
    // A second device of 104.
    ("merlin9", "104", "10.1.0.105:5062"),
];
/// The phone that speaks TCP.
const TCP: &str = "harrier9";
const TRUNKS: [(&str, &str, &str); 4] = [
    ("curlew9", "carrier", "10.2.0.101:5060"),
    ("plover9", "backup", "10.2.0.102:5060"),
    // Two servers of one carrier, which the DNS names; the first of them is often silent.
    ("avocet9", "twin", "10.2.0.103:5060"),
    ("dunlin9", "twin", "10.2.0.104:5060"),
];

/// A life.
pub struct Campaign {
    /// Where it is lived.
    pub world: World,
    /// What happens when.
    pub dice: Seeded,
    /// The node's configuration.
    pub settings: Settings,
    restarts: u32,
    /// Peers that fell silent.
    pub deaths: u32,
    crashes: u32,
    /// The network loses nothing and delays little, so that bounds of time hold.
    pub clean: bool,
    cloud_died: Option<Time>,
}

impl Campaign {
    fn new(seed: u64) -> Campaign {
        let mut dice = Seeded::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
        let clean = dice.chance(300);
        let faults = match clean {
            true => Faults { loss_per_mille: 0, twice_per_mille: 50, late_per_mille: 0, delay_us_max: 20_000 },
            false => Faults {
                loss_per_mille: dice.below(120),
                twice_per_mille: dice.below(100),
                late_per_mille: dice.below(100),
                delay_us_max: 1 + dice.below(80_000),
            },
        };
        let settings = Settings::draw(&mut dice);
        let mut world = World::new(seed, &settings.text(), faults);
        world.relay.fail_per_mille = if dice.chance(300) { 20 } else { 0 };
        for (word, user, address) in PHONES {
            let mut ua = ua(word, user, address, seed);
            ua.tcp = word == TCP;
            let algorithm = if dice.chance(500) { "MD5" } else { "SHA-256" };
            ua.secret = Some(Secret { user: user.into(), password: password(user), algorithm });
            let expires = 60 + dice.below(300) as u32;
            ua.habits = habits(&mut dice);
            let device = format!("urn:uuid:00000000-0000-1000-8000-{:012x}", dice.below(1 << 40));
            ua.instance = Some(device).filter(|_| dice.chance(600));
            let temper = phone(&mut dice);
            world.join(Actor::new(ua, temper, expires));
        }
        for (word, user, address) in TRUNKS {
            let mut temper = trunk(&mut dice);
            match word {
                "plover9" if dice.chance(700) => temper.challenge = 1_000,
                "avocet9" if dice.chance(500) => temper.mute = 700,
                _ => {}
            }
            let mut ua = ua(word, user, address, seed);
            ua.habits = habits(&mut dice);
            world.join(Actor::new(ua, temper, 0));
        }
        let secrets = ["101", "102", "103", "104"].map(|user| (user.to_string(), password(user))).into();
        let mut pbx = ua("heron9", "cloud", "10.3.0.100:5060", seed);
        pbx.habits = habits(&mut dice);
        let actor = Actor::new(pbx, cloud(&mut dice), 0);
        world.join_cloud(Cloud::new(actor, secrets));
        Campaign { world, dice, settings, restarts: 0, deaths: 0, crashes: 0, clean, cloud_died: None }
    }

    /// Some minutes of life, with trouble.
    fn live(&mut self, minutes: u64) {
        let end = self.world.now + Duration::from_secs(minutes * 60);
        let (restarts, reloads, deaths) = (self.dice.chance(400), self.dice.chance(400), self.dice.chance(700));
        let (breaks, crashes) = (self.dice.chance(500), self.dice.chance(250));
        while self.world.now < end && !self.world.checks.failed() {
            let pause = self.dice.below(20_000);
            self.world.run(Duration::from_millis(pause));
            self.world.ensure_journal();
            match self.dice.below(10) {
                0 | 1 if restarts => self.restart(),
                2 if reloads => self.reload(),
                3 | 4 if deaths => self.toggle_cloud(),
                5 => self.operator(),
                8 => self.pick_up(),
                9 => self.dial_device(),
                6 if breaks => self.world.break_flow(2),
                7 if crashes => self.crash(),
                _ => {}
            }
        }
    }

    /// The operator changes the configuration while calls are up.
    pub fn reload(&mut self) {
        self.settings = match self.settings.watch {
            Watch::Night => Settings::draw_night(&mut self.dice),
            _ => Settings::draw(&mut self.dice),
        };
        self.world.reload(&self.settings.text());
    }

    /// The process is killed.
    pub fn restart(&mut self) {
        self.restarts += 1;
        self.world.restart();
    }

    /// The cloud dies, or comes back.
    pub fn toggle_cloud(&mut self) {
        let Some(cloud) = &mut self.world.cloud else { return };
        match cloud.dead {
            true => cloud.revive(),
            false => cloud.kill(),
        }
        let dead = cloud.dead;
        self.deaths += 1;
        self.world.checks.trace(|| format!("cloud dead: {dead}"));
        if !self.clean || self.settings.watch != Watch::Day {
            return;
        }
        self.cloud_died = dead.then_some(self.world.now);
        if dead {
            // Whatever else happens, five seconds are enough to notice.
            self.world.run(Duration::from_millis(5_000));
            let mode = self.world.node.status().mode;
            self.world.checks.ensure(mode == Mode::Survivable, || format!("{mode:?} five seconds after the cloud died"));
        }
    }

    /// A phone loses power. Whoever talked to it hangs up sooner or later.
    pub fn crash(&mut self) {
        let index = self.dice.below(PHONES.len() as u64) as usize;
        self.world.checks.trace(|| format!("{} crashes", PHONES[index].0));
        let now = self.world.now;
        self.world.actors[index].crash(now);
        self.crashes += 1;
    }

    /// The second device of a user takes a call over from the first (RFC 3891), or tries with one that has ended.
    fn pick_up(&mut self) {
        let [desk, hand] = [3, 4];
        let ua = &self.world.actors[desk].ua;
        let Some(no) = (0..ua.calls.len()).rfind(|no| ua.calls[*no].state == State::Confirmed || self.clean) else { return };
        let name = if self.dice.chance(800) { "Replaces" } else { "Join" };
        let call = ua.replaces(no);
        let now = self.world.now;
        self.world.actors[hand].take_over(now, "sip:104@ringfort.test", (name, call));
        self.world.collect(hand);
    }

    /// Somebody calls one device of another by its GRUU, be it that the device has registered otherwise since.
    fn dial_device(&mut self) {
        let [caller, callee] = [(); 2].map(|()| self.dice.below(PHONES.len() as u64) as usize);
        let Some(gruu) = self.world.actors[callee].ua.gruu.clone().filter(|_| caller != callee) else { return };
        let now = self.world.now;
        self.world.actors[caller].call(now, &gruu);
        self.world.collect(caller);
    }

    /// The operator ends some call.
    fn operator(&mut self) {
        let calls = self.world.node.status().calls;
        if let Some(row) = calls.first().filter(|_| self.dice.chance(300)) {
            self.world.input(ringfort_call::Input::HangUp(row.call));
        }
    }

    /// Nobody calls any more, calls end, and every memory of them fades.
    fn go_home(&mut self) {
        self.settings.watch = Watch::Night;
        self.world.reload(&self.settings.text());
        let world = &mut self.world;
        for actor in world.actors.iter_mut().chain(world.cloud.iter_mut().map(|c| &mut c.actor)) {
            actor.rest();
            actor.expires_s = actor.expires_s.min(1) * 1_800;
        }
        world.run(Duration::from_secs(45));
        for index in 0..world.actors.len() {
            let now = world.now;
            world.actors[index].hang_up(now);
            world.collect(index);
        }
        if let Some(cloud) = &mut world.cloud {
            cloud.actor.hang_up(world.now);
        }
        world.run(Duration::from_secs(40));
        // A call whose two ends are gone is noticed, if by nothing else, by asking, or because its session runs out; and subscriptions
        // that nobody refreshes last for two hours.
        world.run(Duration::from_secs(7_260));
        // Supervision begins its own transactions; between two probes that were answered none is alive but their lingering ends.
        self.settings.watch = Watch::Off;
        self.world.reload(&self.settings.text());
        for actor in &mut self.world.actors {
            actor.expires_s = 0;
            actor.ua.die_timers();
        }
        self.world.run(Duration::from_secs(80));
    }

    fn judge(&mut self) {
        if self.world.checks.failed() {
            return;
        }
        self.world.ensure_empty();
        self.world.ensure_journal();
        let excused = self.restarts > 0 || self.crashes > 0;
        let actors = self.world.actors.iter().chain(self.world.cloud.iter().map(|c| &c.actor));
        for actor in actors {
            judge_rules(actor, excused || actor.harmed || !self.clean, self.deaths > 0, &mut self.world.checks);
            judge_calls(actor, excused || actor.harmed, self.clean, &mut self.world.checks);
        }
    }
}

/// What no peer may have met on a network that loses nothing.
fn judge_rules(actor: &Actor, excused: bool, died: bool, checks: &mut Checks) {
    let (word, ua) = (actor.ua.word, &actor.ua);
    // What goes through the node is answered by the far end, and by nobody when that is dead (RFC 4320).
    let passed =
        |method: &&String| died && ["MESSAGE", "SUBSCRIBE", "PUBLISH", "INFO", "REFER", "UPDATE"].contains(&method.as_str());
    let ignored: Vec<&String> = ua.ignored.iter().filter(|method| !passed(method)).collect();
    checks.ensure(excused || ignored.is_empty(), || format!("{word} got no answer to {ignored:?}"));
    let missed = ua.unacknowledged;
    checks.ensure(excused || missed == 0, || format!("{missed} 2xx of {word} got no ACK"));
    let expired = actor.expired;
    checks.ensure(excused || expired == 0, || format!("{expired} sessions of {word} ran out that the node was to refresh"));
}

/// What a peer's calls must have come to.
fn judge_calls(actor: &Actor, restarted: bool, clean: bool, checks: &mut Checks) {
    let word = actor.ua.word;
    for (no, call) in actor.ua.calls.iter().enumerate() {
        let name = format!("{word}'s call {no} ({})", call.invite.get("Call-ID"));
        checks.ensure(call.state == State::Over, || format!("{name} is {:?} to the end", call.state));
        let answers = call.finals.len();
        checks.ensure(answers <= 1, || format!("{name} got final responses {:?}", call.finals));
        if call.outgoing && !restarted && clean {
            checks.ensure(answers == 1, || format!("{name} got no final response"));
        }
        let Some(_) = call.confirmed else { continue };
        match call.end {
            Some((_, End::Released | End::Bye(200))) => {}
            // Both hung up at once; or the node died meanwhile, or nothing came through.
            Some((_, end)) => checks.ensure(restarted || call.released || !clean, || format!("{name} ended by {end:?}")),
            None => checks.ensure(restarted, || format!("{name} was confirmed and never ended")),
        }
    }
}

fn ua(word: &'static str, user: &str, address: &str, seed: u64) -> Ua {
    let parse = |text: &str| text.parse().expect("constant");
    let domain = if user.starts_with("10") { "ringfort.test".to_string() } else { format!("{word}.test") };
    Ua::new(word, user, parse(address), &domain, seed)
}

fn habits(dice: &mut Seeded) -> Habits {
    Habits {
        reliable: dice.below(1_000),
        timer: dice.below(1_000),
        empty: dice.below(300),
        update: dice.chance(700),
        branches: dice.below(300),
        session_s: 90,
        watch_s: 120,
    }
}

fn phone(dice: &mut Seeded) -> Temper {
    let numbers = ["101", "102", "103", "104", "0123456", "0987654", "112", "*43", "555", "900"];
    Temper {
        answer_ms: (100, 5_000),
        talk_ms: (1_000, 40_000),
        dial_ms: 8_000 + dice.below(40_000),
        dials: numbers.map(|n| format!("sip:{n}@ringfort.test")).into(),
        patience_ms: 20_000,
        speak_ms: 5_000 + dice.below(30_000),
        reject: dice.below(200),
        deaf: dice.below(100),
        mute: dice.below(30),
        early: dice.below(200),
        late: dice.below(500),
        fork: 0,
        change: dice.below(700),
        change_ms: Temper::CALM.change_ms,
        sharp: dice.below(400),
        glare: dice.below(600),
        update: dice.below(600),
        tell: dice.below(300),
        refer: dice.below(300),
        challenge: 0,
        fickle: dice.below(200),
    }
}

fn trunk(dice: &mut Seeded) -> Temper {
    let numbers = ["101", "102", "104", "555"];
    Temper {
        dial_ms: 30_000 + dice.below(60_000),
        dials: numbers.map(|n| format!("sip:{n}@{NODE}")).into(),
        mute: dice.below(200),
        fork: dice.below(150),
        early: dice.below(600),
        ..phone(dice)
    }
}

fn cloud(dice: &mut Seeded) -> Temper {
    Temper { mute: 0, deaf: 0, ..trunk(dice) }
}
