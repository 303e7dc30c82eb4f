//! Relay threads go first where that is wanted. In a process of its own: threads are found by their names.

use ringfort_base::{CallId, PortId};
use ringfort_media::plan::{RelayCommand, RelayEvent};
use ringfort_relay::namespace::left_out;
use ringfort_relay::{Relay, RelayConfig};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The scheduling class of the first worker, once it has done something (proc(5), /proc/pid/stat: policy; sched(7)).
fn class(realtime: bool) -> String {
    let (told, events) = channel();
    let told = Mutex::new(told);
    let sink = Arc::new(move |event| told.lock().unwrap().send(event).is_ok());
    let relay = Relay::start(RelayConfig { workers: 1, realtime, ..RelayConfig::default() }, sink).unwrap();
    let (port, any) = (PortId(1), "127.0.0.1:0".parse().unwrap());
    relay.command(RelayCommand::Open { port, call: CallId(1), rtp: any, rtcp: None, shared: false });
    relay.command(RelayCommand::Close { port });
    let event = events.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(matches!(event, RelayEvent::Counters { last: true, .. }));

    let stats = std::fs::read_dir("/proc/self/task").unwrap();
    let stats = stats.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).ok());
    let worker = stats.into_iter().find(|stat| stat.contains("(relay-0)")).expect("its thread");
    // The name is the second field, and ends with the last bracket.
    worker.rsplit(')').next().unwrap().split_whitespace().nth(41 - 3).unwrap().to_string()
}

#[test]
fn workers_go_first_where_that_is_wanted() {
    assert_eq!(class(false), "0", "SCHED_OTHER");
    // util-linux's own try says whether this user may.
    let may = Command::new("chrt").args(["--fifo", "1", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        return left_out("real-time priority, which needs CAP_SYS_NICE");
    }
    assert_eq!(class(true), "1", "SCHED_FIFO");
}
