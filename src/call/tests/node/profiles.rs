//! Every shipped profile against its golden traces: what a message was and what its rules make of it.

use ringfort_call::config::{Direction, PeerProfile, SHIPPED, Snapshot};
use ringfort_call::rules::{Scene, apply, trial};
use ringfort_sip::message::Message;
use std::path::PathBuf;

fn traces() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/peers/traces")
}

fn scene() -> Scene {
    Scene { host: "192.0.2.10".into(), domain: "sbc.example.com".into(), peer: "203.0.113.1".into() }
}

fn message(text: &str) -> Message {
    Message::parse(text.replace('\n', "\r\n").into()).expect("a message")
}

fn shipped(name: &str) -> PeerProfile {
    let (_, text) = SHIPPED.iter().find(|(n, _)| *n == name).expect("shipped");
    PeerProfile::parse(name, name, text).unwrap_or_else(|refused| panic!("{refused}"))
}

/// Direction, rules that fire, message before and after.
fn read(text: &str) -> (Direction, Vec<String>, Message, String) {
    let (head, rest) = text.split_once("--- before\n").expect("a message before");
    let (before, after) = rest.split_once("--- after\n").expect("a message after");
    let value = |key: &str| head.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().to_string();
    let direction = if value("direction:") == "send" { Direction::Send } else { Direction::Receive };
    let fired = value("fired:").split(", ").filter(|name| !name.is_empty()).map(str::to_string).collect();
    (direction, fired, message(before), after.to_string())
}

#[test]
fn every_shipped_profile_does_what_its_traces_say() {
    for (name, _) in SHIPPED {
        let profile = shipped(name);
        let (mut fired_ever, mut cases) = (Vec::new(), 0);
        for entry in std::fs::read_dir(traces().join(name)).unwrap_or_else(|_| panic!("{name} has no traces")).flatten() {
            let path = entry.path();
            let (direction, fired, before, after) = read(&std::fs::read_to_string(&path).expect("readable"));
            let applied = apply(&profile, direction, &before, &scene());
            assert_eq!(applied.skipped, Vec::<&str>::new(), "{}", path.display());
            // Rules without conditions always fire; the trace names those that matter to it.
            let quiet: Vec<&str> = applied.fired.iter().copied().filter(|rule| !fired.iter().any(|f| f == rule)).collect();
            assert!(fired.iter().all(|f| applied.fired.contains(&f.as_str())), "{}: {:?}", path.display(), applied.fired);
            let result = applied.message.unwrap_or(before);
            let shown = String::from_utf8_lossy(result.octets()).replace("\r\n", "\n");
            assert_eq!(shown, after, "{} ({quiet:?} fired too)", path.display());
            let again = apply(&profile, direction, &result, &scene()).message.unwrap_or(result.clone());
            assert_eq!(again.octets().len(), result.octets().len(), "{}: a second time changes nothing", path.display());
            fired_ever.extend(fired);
            cases += 1;
        }
        assert!(cases > 0, "{name} has no traces");
        for rule in &profile.rule {
            assert!(fired_ever.contains(&rule.name), "{name}: no trace shows rule `{}`", rule.name);
        }
    }
}

/// What the page shows can be copied.
#[test]
fn the_examples_of_the_page_are_sound() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/peers.md");
    let text = std::fs::read_to_string(page).expect("the page");
    let examples: Vec<&str> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 2);
    for example in examples {
        Snapshot::load("peers.md", example, &mut |_| None).unwrap_or_else(|refused| panic!("{refused}\n{example}"));
    }
    for (name, _) in SHIPPED {
        assert!(text.contains(&format!("`{name}`")), "{name} is not on the page");
    }
}

#[test]
fn what_transactions_stand_on_is_refused_with_its_line() {
    let refused = |action: &str| {
        let text = format!("description = \"\"\n\n[[rule]]\nname = \"r\"\ndirection = \"send\"\ndo = [\n  {action},\n]\n");
        PeerProfile::parse("p", "p.toml", &text).map(|_| ()).expect_err("must be refused").to_string()
    };
    for field in ["Via", "v", "Call-ID", "CSeq", "Content-Length", "Max-Forwards", "Record-Route", "Route", "Route.host"] {
        let text = refused(&format!("{{ remove = \"{field}\" }}"));
        assert!(text.starts_with("p.toml:7: ") && text.contains("is protected"), "{field}: {text}");
    }
    assert!(refused("{ set = \"From\", value = \"<sip:a@b>\" }").contains("by its parts"));
    assert!(refused("{ set = \"From.tag\", value = \"x\" }").contains("is no place"));
    assert!(refused("{ set = \"X-A\", value = \"a\\nVia: x\" }").contains("line ends"));
    assert!(refused("{ set = \"X-A\", value = \"${nothing}\" }").contains("nothing gives `${nothing}`"));
    assert!(refused("{ rewrite = \"X-A\", pattern = \"(\", with = \"\" }").contains("is no pattern"));
    assert!(refused("{ set = \"X-A\" }").contains("an action is"));
    assert!(refused("{ sett = \"X-A\", value = \"\" }").contains("did you mean `set`?"));
}

#[test]
fn a_rule_that_breaks_a_message_is_left_out_and_the_others_are_not() {
    let text = "[[rule]]\nname = \"bad\"\ndirection = \"send\"\ndo = [{ set = \"Contact.uri\", value = \"no uri at all\" }]\n\
                [[rule]]\nname = \"long\"\ndirection = \"send\"\ndo = [{ rewrite = \"Subject\", pattern = \"^(.*)$\", with = \"${1}${1}${1}\" }]\n\
                [[rule]]\nname = \"good\"\ndirection = \"send\"\ndo = [{ set = \"X-A\", value = \"1\" }]\n";
    let profile = PeerProfile::parse("p", "p.toml", text).unwrap_or_else(|refused| panic!("{refused}"));
    let before = message(&format!(
        "OPTIONS sip:a@b SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\nTo: <sip:a@b>\nCall-ID: 1\n\
         CSeq: 1 OPTIONS\nMax-Forwards: 70\nContact: <sip:a@b>\nSubject: {}\nContent-Length: 0\n\n",
        "x".repeat(1_000)
    ));
    let applied = apply(&profile, Direction::Send, &before, &scene());
    assert_eq!((applied.fired, applied.skipped), (vec!["good"], vec!["bad", "long"]));
    let shown = trial(&profile, Direction::Send, &before, &scene()).text();
    assert!(
        shown.contains("left out, since they would break the message: bad, long") && shown.ends_with("+ X-A: 1\n\n"),
        "{shown}"
    );
}
