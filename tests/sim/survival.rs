//! The main job: register by the cloud, call, lose the cloud, go on calling, get it back.

use crate::actor::{Actor, Temper};
use crate::checks::Checks;
use crate::cloud::Cloud;
use crate::network::Faults;
use crate::script::{Party, Script};
use crate::ua::{State, Ua};
use crate::wire::Secret;
use crate::world::{World, password};
use ringfort_base::entropy::Seeded;
use ringfort_base::event::Mode;
use ringfort_base::{Event, Time};
use std::time::Duration;

/// A cloud, two carriers, four accounts.
const CONFIG: &str = r#"
[node]
domain = "ringfort.test"
[sip]
listen = ["udp:192.0.2.10:5060"]
[media]
port_first = 20000
port_last = 20999
[cloud]
address = "10.3.0.100:5060"
domain = "cloud.test"
[[trunk]]
name = "carrier"
address = "10.2.0.101:5060"
[[trunk]]
name = "backup"
address = "10.2.0.102:5060"
[[account]]
user = "101"
display_name = "Anna"
[[account]]
user = "102"
[[account]]
user = "103"
[[account]]
user = "104"
[[route]]
name = "outside"
number = "0*"
to = ["trunk:carrier", "trunk:backup"]
[[route]]
name = "mailbox"
number = "9*"
to = ["cloud"]
[emergency]
numbers = ["112"]
to = ["trunk:backup", "trunk:carrier"]
"#;

/// The hold-down of the configuration that is used here.
const HOLD_DOWN: Duration = Duration::from_secs(10);

fn ua(word: &'static str, user: &str, address: &str, seed: u64) -> Ua {
    let parse = |text: &str| text.parse().expect("constant");
    let mut ua = Ua::new(word, user, parse(address), "ringfort.test", seed);
    ua.secret = Some(Secret { user: user.into(), password: password(user), algorithm: "SHA-256" });
    ua
}

/// Two phones, two trunks and the cloud, all of a calm temper: they answer at once and hang up only when told.
fn town(seed: u64) -> World {
    let faults = Faults { delay_us_max: 10_000, ..Faults::NONE };
    let mut world = World::new(seed, CONFIG, faults);
    world.join(Actor::new(ua("kestrel9", "101", "10.1.0.101:5060", seed), Temper::CALM, 300));
    world.join(Actor::new(ua("osprey9", "102", "10.1.0.102:5060", seed), Temper::CALM, 300));
    world.join(Actor::new(ua("curlew9", "carrier", "10.2.0.101:5060", seed), Temper::CALM, 0));
    world.join(Actor::new(ua("plover9", "backup", "10.2.0.102:5060", seed), Temper::CALM, 0));
    let secrets = ["101", "102"].map(|user| (user.to_string(), password(user))).into();
    let actor = Actor::new(ua("heron9", "cloud", "10.3.0.100:5060", seed), Temper::CALM, 0);
    world.join_cloud(Cloud::new(actor, secrets));
    world.run(Duration::from_secs(4));
    world
}

fn cloud(world: &mut World) -> &mut Cloud {
    world.cloud.as_mut().expect("the town has a cloud")
}

fn mode(world: &World) -> Mode {
    world.node.status().mode
}

/// The first phone dials; how long until it is connected, within six seconds.
fn dial(world: &mut World, number: &str) -> Option<Duration> {
    let (begin, uri) = (world.now, format!("sip:{number}@ringfort.test"));
    let no = world.actors[0].call(begin, &uri);
    world.collect(0);
    while world.now.since(begin) < Duration::from_secs(6) {
        if let Some(at) = world.actors[0].ua.calls[no].confirmed {
            return Some(at.since(begin));
        }
        world.step();
        assert!(!world.checks.failed(), "{}", world.checks.report());
    }
    None
}

fn sound(world: &World) {
    assert!(!world.checks.failed(), "{}", world.checks.report());
}

#[test]
fn the_main_job() {
    let mut world = town(7);
    assert!(world.actors[0].registered && world.actors[1].registered, "registered by the cloud");
    assert_eq!(cloud(&mut world).registered.len(), 2);
    assert!(world.node.status().registrations.iter().all(|r| r.by_cloud));
    // A call outside and one inside; the inside one goes by the cloud, so it is two calls for the node.
    dial(&mut world, "0123456").expect("the trunk answers");
    dial(&mut world, "102").expect("the other phone answers");
    assert_eq!(world.node.status().calls.len(), 3);
    // The cloud dies.
    cloud(&mut world).kill();
    world.run(Duration::from_secs(5));
    assert_eq!(mode(&world), Mode::Survivable);
    // What was established lives on.
    assert_eq!(world.actors[0].ua.alive().count(), 2);
    let quick = dial(&mut world, "102").expect("straight to the phone");
    assert!(quick < Duration::from_millis(200), "{quick:?}");
    dial(&mut world, "0555").expect("the trunk is as good as ever");
    // Registrations go on, granted here.
    world.run(Duration::from_secs(300));
    assert_eq!(mode(&world), Mode::Survivable);
    assert_eq!(world.node.status().registrations.iter().filter(|r| !r.by_cloud).count(), 2);
    // The cloud comes back, and is trusted after the hold-down.
    let back = world.now;
    cloud(&mut world).revive();
    world.run(HOLD_DOWN - Duration::from_millis(100));
    assert_eq!(mode(&world), Mode::Survivable);
    world.run(Duration::from_secs(5));
    assert_eq!(mode(&world), Mode::Normal);
    let (turned, _) = *world.checks.modes.last().expect("modes");
    assert!(turned.since(back) >= HOLD_DOWN, "{turned:?}");
    assert!(world.actors[0].ua.alive().count() >= 3, "established calls live through the return");
    // Everybody hangs up; nothing is left.
    for index in 0..world.actors.len() {
        let now = world.now;
        world.actors[index].hang_up(now);
        world.collect(index);
    }
    world.run(Duration::from_secs(70));
    assert_eq!(world.node.residue()[..2], [0, 0]);
    world.ensure_journal();
    sound(&world);
}

/// Whatever the moment at which the cloud dies and the moment at which somebody calls: the first call to a registered extension
/// is connected within two seconds, and the node has noticed within five.
#[test]
fn the_first_call_after_the_cloud_s_death_is_not_lost() {
    for seed in 0..60 {
        let mut world = town(seed);
        let mut dice = Seeded::new(seed);
        world.run(Duration::from_millis(dice.below(4_000)));
        let died = world.now;
        cloud(&mut world).kill();
        world.run(Duration::from_millis(dice.below(5_000)));
        let time = dial(&mut world, "102").unwrap_or_else(|| panic!("RINGFORT_SEED={seed}: lost"));
        assert!(time <= Duration::from_millis(2_100), "RINGFORT_SEED={seed}: connected after {time:?}");
        world.run_until(died + Duration::from_secs(5));
        assert_eq!(mode(&world), Mode::Survivable, "RINGFORT_SEED={seed}");
        sound(&world);
    }
}

/// A call that nobody makes must not be needed to notice.
#[test]
fn five_seconds_are_enough_to_notice() {
    for seed in 0..60 {
        let mut world = town(seed);
        world.run(Duration::from_millis(seed * 67));
        let died = world.now;
        cloud(&mut world).kill();
        world.run(Duration::from_secs(6));
        let (at, turned) = *world.checks.modes.last().expect("modes");
        assert_eq!(turned, Mode::Survivable);
        assert!(at.since(died) <= Duration::from_secs(5), "RINGFORT_SEED={seed}: noticed after {:?}", at.since(died));
    }
}

/// One lost OPTIONS is no outage, and a cloud that comes and goes is not trusted.
#[test]
fn a_flapping_cloud_is_not_trusted() {
    let mut world = town(3);
    cloud(&mut world).kill();
    world.run(Duration::from_millis(1_500));
    cloud(&mut world).revive();
    world.run(Duration::from_secs(20));
    assert_eq!(mode(&world), Mode::Normal, "one probe lost");
    for _ in 0..5 {
        cloud(&mut world).kill();
        world.run(Duration::from_secs(6));
        assert_eq!(mode(&world), Mode::Survivable);
        cloud(&mut world).revive();
        world.run(Duration::from_secs(8));
        assert_eq!(mode(&world), Mode::Survivable, "within the hold-down");
    }
    world.run(Duration::from_secs(15));
    assert_eq!(mode(&world), Mode::Normal);
    let changes = |checks: &Checks| checks.modes.len();
    assert_eq!(changes(&world.checks), 3, "normal, survivable, normal: {:?}", world.checks.modes);
}

#[test]
fn a_restart_in_the_outage_does_not_trust_the_cloud_again() {
    let mut world = town(5);
    dial(&mut world, "0123456").expect("the trunk answers");
    world.run(Duration::from_secs(3));
    cloud(&mut world).kill();
    world.run(Duration::from_secs(6));
    world.restart();
    assert_eq!(mode(&world), Mode::Survivable);
    assert_eq!(world.node.status().calls.len(), 1, "the call lives");
    let time = dial(&mut world, "102").expect("the phone is still known");
    assert!(time < Duration::from_millis(200), "{time:?}");
    // The restored call can be ended by either side.
    let now = world.now;
    world.actors[2].hang_up(now);
    world.collect(2);
    world.run(Duration::from_secs(3));
    assert_eq!(world.actors[0].ua.calls[0].state, State::Over);
    sound(&world);
}

/// The REGISTER that meets the dead cloud is granted here.
#[test]
fn a_registration_that_meets_the_dead_cloud_is_granted_here() {
    let mut s = Script::new(CONFIG);
    let (phone, cloud): (Party, Party) = (s.party("101", "10.1.0.101:5060"), s.party("cloud", "10.3.0.100:5060"));
    s.run(Duration::from_millis(100));
    s.silence(&cloud);
    let begin = s.world.now;
    let mut leg = s.registering(&phone);
    s.send(&phone, &leg.register(&phone, Some(300)));
    let challenge = s.expect(&phone, "401");
    assert!(s.world.now.since(begin) <= Duration::from_millis(1_100));
    s.send(&phone, &leg.register(&phone, Some(300)).with("Authorization", phone.answer(&challenge, 1)));
    s.expect(&phone, "200");
    assert!(s.world.now.since(begin) <= Duration::from_millis(2_200));
    let local = |e: &Event| matches!(e, Event::Registered { local: true, .. });
    assert!(s.world.checks.events.iter().any(local));
}

/// Emergency calls do not wait for the cloud, and go on to the next target.
#[test]
fn an_emergency_call_finds_its_way() {
    let mut world = town(9);
    cloud(&mut world).kill();
    world.actors[3].temper.mute = 1000;
    let time = dial(&mut world, "112").expect("the second trunk answers");
    assert!(time <= Duration::from_millis(1_200), "{time:?}");
    assert!(world.now > Time::ZERO);
}
