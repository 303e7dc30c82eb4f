//! Effects have their places.

use crate::source::{self, Source};
use crate::{ensure, lines};

/// Members that only compute.
const PURE: [&str; 4] = ["base", "sip", "media", "call"];
/// The files that may use `unsafe`.
const UNSAFE: [&str; 2] = ["src/relay/sys.rs", "src/relay/rings.rs"];
/// Media's clock turns the node's time into what its ICE and DTLS library wants; it needs an origin, once.
const CLOCK: &str = "src/media/clock.rs";

fn pure() -> Vec<Source> {
    source::product().into_iter().filter(|s| PURE.contains(&s.member())).collect()
}

#[test]
fn time_is_an_argument() {
    let clocks = ["Instant::now", "SystemTime::now", "Utc::now", ".elapsed()", "thread::sleep"];
    let reads = |s: &Source, line: &str| s.path != CLOCK && clocks.iter().any(|clock| line.contains(clock));
    ensure(
        "base, sip, media and call read no clock: a simulated hour must take milliseconds, and a seed must replay it.",
        lines(&pure(), reads),
    );
    let origin = source::product().into_iter().filter(|s| s.path == CLOCK).collect::<Vec<_>>();
    assert!(lines(&origin, |_, line| line.contains("Instant::now")).len() <= 1, "{CLOCK} takes one origin and no more");
}

#[test]
fn input_output_and_chance_are_arguments() {
    let effects = [
        "std::fs",
        "File::",
        "std::net::Udp",
        "std::net::Tcp",
        "UdpSocket",
        "TcpStream",
        "std::env",
        "std::process",
        "tokio::",
        "rand::",
        "getrandom",
        "SystemRandom",
    ];
    let acts = |_: &Source, line: &str| effects.iter().any(|effect| line.contains(effect)) && !line.contains("ringfort_");
    ensure(
        "base, sip, media and call touch no file, socket, environment or system randomness: drivers perform, machines decide.",
        lines(&pure(), acts),
    );
}

#[test]
fn unsafe_has_one_place_and_its_proofs() {
    let uses = |line: &str| ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|word| line.contains(word));
    let elsewhere = lines(&source::product(), |s, line| !UNSAFE.contains(&s.path.as_str()) && uses(line));
    ensure(
        "`unsafe` stands in src/relay/sys.rs and src/relay/rings.rs only: what can corrupt memory must be readable in one sitting.",
        elsewhere,
    );
    let mut broken = Vec::new();
    for source in source::product().iter().filter(|s| UNSAFE.contains(&s.path.as_str())) {
        let text: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code().filter(|(_, line)| uses(line)) {
            let before = &text[number.saturating_sub(6)..number - 1];
            if !before.iter().any(|line| line.contains("// SAFETY:")) {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    ensure("Every `unsafe` is preceded by `// SAFETY:` with the proof.", broken);
}

#[test]
fn nothing_panics_for_want_of_a_proof() {
    let unwraps = lines(&source::product(), |_, line| line.contains(".unwrap()") || line.contains(".unwrap_err()"));
    ensure(
        "Product code does not `unwrap()`: network input may be anything; `expect(\"…\")` states why it cannot fail.",
        unwraps,
    );
    let unproven = |_: &Source, line: &str| {
        let proof = line.split(".expect(\"").nth(1).map(|rest| rest.split('"').next().unwrap_or_default().to_string());
        proof.is_some_and(|proof| proof.split_whitespace().count() < 3)
    };
    ensure("`expect(\"…\")` states the proof, in three words or more.", lines(&source::product(), unproven));
}

#[test]
fn only_the_program_prints() {
    let prints = |s: &Source, line: &str| s.member() != "node" && ["println!(", "print!("].iter().any(|word| line.contains(word));
    ensure("Members tell events; only the program writes to the terminal.", lines(&source::product(), prints));
}
