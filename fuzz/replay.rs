//! Every file of the corpus through its target, as it is and mutated. What the fuzzer found once stays found.

use ringfort_fuzz::TARGETS;
use std::fs;
use std::path::{Path, PathBuf};

/// Mutations of one file: enough to notice what a change broke at once, few enough for every `cargo test`.
const MUTATIONS: u64 = 300;
/// The same of a program that moves a whole node.
const MUTATIONS_OF_NODE: u64 = 40;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).expect("a corpus").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Small changes: an octet, a piece doubled, a piece cut out, two pieces exchanged.
fn mutated(octets: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut out = octets.to_vec();
    for _ in 0..=draw(4) {
        let (from, len) = (draw(out.len()), draw(16));
        let to = (from + len).min(out.len());
        match draw(5) {
            0 if !out.is_empty() => out[from] = draw(256) as u8,
            1 => out.splice(from..from, octets[from.min(octets.len())..to.min(octets.len())].to_vec()).for_each(drop),
            2 => out.drain(from..to).for_each(drop),
            3 => out.insert(from, b"\r\n\",;<>% :=\0"[draw(12)]),
            _ => {
                let other = draw(out.len());
                if !out.is_empty() {
                    out.swap(from, other);
                }
            }
        }
    }
    out
}

#[test]
fn the_corpus_and_its_mutations_break_no_invariant() {
    for (name, target) in TARGETS {
        let files = corpus(name);
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let octets = fs::read(&file).expect("a file of the corpus");
            target(&octets);
            let mutations = if name == "node" { MUTATIONS_OF_NODE } else { MUTATIONS };
            (0..mutations).for_each(|seed| target(&mutated(&octets, seed)));
        }
        target(&[]);
    }
}
