//! Alarms: told when they begin and when they end, and in the status in between.

use crate::fixture::Desk;
use crate::talk::CONFIG;
use ringfort_base::{Event, limits};
use ringfort_call::Input;
use ringfort_call::alarms::Alarm;
use std::time::Duration;

fn alarm(name: &str, reason: &str) -> Alarm {
    Alarm { name: name.into(), reason: reason.into() }
}

fn told(desk: &Desk) -> Vec<(String, bool)> {
    let told = |event: &Event| match event {
        Event::Alarm { alarm, raised, .. } => Some((alarm.clone(), *raised)),
        _ => None,
    };
    desk.events.iter().filter_map(told).collect()
}

#[test]
fn an_alarm_begins_once_stays_and_ends_once() {
    let mut desk = Desk::new(CONFIG);
    desk.input(Input::Alarms(Vec::new()));
    assert_eq!((told(&desk), desk.status().alarms), (vec![], vec![]));
    desk.input(Input::Alarms(vec![alarm("kernel eth0", "refused")]));
    let since = desk.status().alarms[0].since;
    desk.pass(Duration::from_secs(60));
    desk.input(Input::Alarms(vec![alarm("af_xdp eth1", "the interface is gone"), alarm("kernel eth0", "refused otherwise")]));
    let [first, second] = &desk.status().alarms[..] else { panic!("two alarms") };
    assert_eq!((first.name.as_str(), first.reason.as_str()), ("af_xdp eth1", "the interface is gone"));
    assert_eq!((second.name.as_str(), second.reason.as_str(), second.since), ("kernel eth0", "refused otherwise", since));
    assert!(first.since > since);
    desk.input(Input::Alarms(vec![alarm("af_xdp eth1", "the interface is gone")]));
    assert_eq!(desk.status().alarms.len(), 1);
    let order = [("kernel eth0", true), ("af_xdp eth1", true), ("kernel eth0", false)];
    assert_eq!(told(&desk), order.map(|(name, raised)| (name.to_owned(), raised)));
}

#[test]
fn alarms_are_bounded() {
    let mut desk = Desk::new(CONFIG);
    let many = (0..2 * limits::ALARMS_MAX).map(|n| alarm(&format!("kernel eth{n}"), "refused")).collect();
    desk.input(Input::Alarms(many));
    assert_eq!((desk.status().alarms.len(), told(&desk).len()), (limits::ALARMS_MAX, limits::ALARMS_MAX));
}
