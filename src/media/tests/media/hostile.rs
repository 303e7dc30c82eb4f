//! Datagrams that no browser sends: nothing panics, nothing is answered, nothing changes.

use crate::handshake::Net;
use crate::peers::{T0, rtp};
use proptest::prelude::*;
use ringfort_base::PortId;
use ringfort_media::demux::{Kind, classify};
use ringfort_media::plan::Destination;
use std::path::Path;

const TO: Destination = Destination::Port(PortId(9));

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata").join(folder);
    let Ok(entries) = std::fs::read_dir(path) else {
        println!("skipped: {folder} is not there");
        return Vec::new();
    };
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).ok()?))
    };
    entries.filter_map(read).collect()
}

#[test]
fn stun_vectors_are_stun() {
    for (name, datagram) in files("rfc-vectors").into_iter().filter(|(name, _)| name.ends_with(".bin")) {
        assert_eq!(classify(&datagram), Kind::Stun, "{name}");
    }
}

#[test]
fn strangers_get_no_answer() {
    let mut net = Net::answering(21, 0);
    net.run_until_ready();
    let plan = net.node.plan(TO);
    let folders =
        ["rfc-vectors", "pion-stun/testdata", "pion-stun/testdata/fuzz/FuzzMessage", "pion-stun/testdata/fuzz/FuzzSetters"];
    for (name, datagram) in folders.into_iter().flat_map(files) {
        net.node.handle_datagram(net.now, "203.0.113.66:666".parse().unwrap(), &datagram);
        assert_eq!(net.node.poll_output(), None, "{name}");
    }
    assert_eq!(net.node.plan(TO), plan);
}

#[test]
fn a_plain_leg_ignores_control_datagrams() {
    let mut leg = rtp(4000);
    leg.handle_datagram(T0, "203.0.113.66:666".parse().unwrap(), &[0; 64]);
    leg.handle_timeout(T0);
    assert_eq!(leg.poll_output(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Even from the address of the pair in use, forged records end nothing.
    #[test]
    fn garbage_does_not_disturb(datagrams in prop::collection::vec((0..64u8, prop::collection::vec(any::<u8>(), 0..200)), 1..20), seed in 0..4u64) {
        let mut net = Net::answering(100 + seed, 0);
        let from = net.browser.addresses[0];
        for (first, rest) in &datagrams {
            let mut datagram = vec![*first];
            datagram.extend_from_slice(rest);
            net.node.handle_datagram(net.now, from, &datagram);
        }
        net.run_until_ready();
        let plan = net.node.plan(TO);
        for (first, rest) in &datagrams {
            let mut datagram = vec![*first];
            datagram.extend_from_slice(rest);
            net.node.handle_datagram(net.now, from, &datagram);
        }
        prop_assert_eq!(net.node.plan(TO), plan);
    }
}
