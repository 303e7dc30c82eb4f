//! The whole node under a simulated clock, on a network that loses, delays, repeats and reorders, among peers that share no code
//! with it. The same seed does the same, octet for octet: `RINGFORT_SEED=n` replays a run, `RINGFORT_SIM_SEEDS=n` runs more of
//! them, `RINGFORT_TRACE=n` shows more of the trace.
//!
//! Read [`world`] first, then [`campaign`].

mod actor;
mod calls;
mod campaign;
mod carrier;
mod checks;
mod cloud;
mod descriptions;
mod network;
mod night;
mod registrations;
mod relay;
mod requests;
mod script;
mod settings;
mod survival;
mod ua;
mod wire;
mod world;

use campaign::Outcome;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of a usual run.
const SEEDS: u64 = 200;

/// What the node must have said in so many lives: a life that never gets so far shows nothing.
const SPOKEN: [&str; 16] = [
    "PRACK",
    "UPDATE",
    "REFER",
    "NOTIFY",
    "INFO",
    "MESSAGE",
    "SUBSCRIBE",
    "PUBLISH",
    "REGISTER",
    "CANCEL",
    "200 PRACK",
    "200 UPDATE",
    "202 REFER",
    "422 INVITE",
    "491 INVITE",
    "183 INVITE",
];

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What each seed came to, in order; `None`: it panicked. Two lives at a time: more processors are rare where this runs.
fn lived(seeds: Range<u64>) -> BTreeMap<u64, Option<Outcome>> {
    let next = AtomicU64::new(seeds.start);
    let live = || {
        let claim = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end);
        let run = |seed| (seed, catch_unwind(AssertUnwindSafe(|| campaign::run(seed))).ok());
        std::iter::from_fn(claim).map(run).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..2).map(|_| scope.spawn(live)).collect();
        hands.into_iter().flat_map(|hand| hand.join().expect("a life's panic is caught")).collect()
    })
}

#[test]
fn random_lives_break_no_rule() {
    let seeds = match variable("RINGFORT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("RINGFORT_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let (mut failures, mut seconds, mut causes) = (Vec::new(), 0, BTreeMap::<String, u32>::new());
    let mut spoken = BTreeMap::<String, u32>::new();
    let enough = seeds.clone().count() as u64 >= SEEDS;
    for (seed, outcome) in lived(seeds) {
        let Some(outcome) = outcome else {
            failures.push((seed, "panicked".into()));
            continue;
        };
        seconds += outcome.time.as_micros() / 1_000_000;
        outcome.causes.into_iter().for_each(|(cause, n)| *causes.entry(cause).or_default() += n);
        outcome.spoken.into_iter().for_each(|(word, n)| *spoken.entry(word).or_default() += n);
        failures.extend(outcome.failure.map(|failure| (seed, failure)));
    }
    println!("{} virtual hours; ended calls: {causes:?}", seconds / 3600);
    if let Some((seed, failure)) = failures.first() {
        let first = |(seed, failure): &(u64, String)| format!("{seed}:{}", failure.lines().nth(1).unwrap_or("panicked"));
        let list: Vec<String> = failures.iter().map(first).collect();
        panic!("{} runs break a rule\n{}\nreplay with RINGFORT_SEED={seed}\n{failure}", failures.len(), list.join("\n"));
    }
    println!("said: {spoken:?}");
    let unsaid: Vec<&str> = SPOKEN.into_iter().filter(|word| !spoken.contains_key(*word)).collect();
    assert!(!enough || unsaid.is_empty(), "nobody came so far as {unsaid:?}");
}

#[test]
fn the_same_seed_does_the_same() {
    for seed in [3, 14, 15] {
        assert_eq!(campaign::run(seed).digest, campaign::run(seed).digest, "RINGFORT_SEED={seed}");
    }
}
