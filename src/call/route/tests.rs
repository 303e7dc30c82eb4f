use super::*;
use std::sync::Arc;
use zeroize::Zeroizing;

const TEXT: &str = r#"
    [cloud]
    address = "192.0.2.1:5060"
    [[trunk]]
    name = "carrier"
    address = "192.0.2.2:5060"
    [[account]]
    user = "101"
    [[account]]
    user = "102"
    [[route]]
    name = "outside"
    number = "0*"
    strip = 1
    prepend = "+49"
    to = ["trunk:carrier"]
    [[route]]
    name = "survivable only"
    number = "7*"
    mode = ["survivable"]
    to = ["trunk:carrier"]
    [emergency]
    numbers = ["0112"]
    to = ["trunk:carrier", "cloud"]
"#;

/// A site with a number plan, two carriers in a group, forwards, and a reception that has hours.
const SITE: &str = r#"
    [node]
    time_zone = "Europe/Berlin"
    [numbers]
    country_code = "49"
    area_code = "30"
    outside_prefix = "0"
    [[did]]
    range = "+4930123400-99"
    to = "1"
    [[trunk]]
    name = "a"
    address = "192.0.2.2:5060"
    format = "e164"
    caller = "did"
    caller_default = "+4930123400"
    [[trunk]]
    name = "b"
    address = "192.0.2.3:5060"
    format = "national"
    failover = [404]
    [[group]]
    name = "carriers"
    members = [{ trunk = "a" }, { trunk = "b", priority = 2 }]
    patience_ms = 700
    [[account]]
    user = "100"
    [[account]]
    user = "101"
    forward = { busy = "100", no_answer = "0030555666", no_answer_s = 15 }
    also_ring = ["00171555666"]
    [[account]]
    user = "102"
    forward = { always = "103" }
    [[account]]
    user = "103"
    forward = { always = "102", unreachable = "100" }
    [[account]]
    user = "104"
    [[route]]
    name = "night"
    number = "100"
    when = ["mon-fri 17:00-08:00", "sat,sun"]
    to = ["extension:101"]
    [[route]]
    name = "not abroad"
    source = "account:10X"
    caller = ["104"]
    number = "+33*"
    deny = 403
    reason = "No Calls Abroad"
    [[route]]
    name = "outside"
    source = "accounts"
    number = "+*"
    to = ["group:carriers"]
    [emergency]
    numbers = ["112"]
    to = ["group:carriers"]
"#;

fn snapshot(text: &str) -> Arc<Snapshot> {
    Snapshot::load("t", text, &mut |_| Some(Zeroizing::new("x".into()))).expect("good")
}

fn ask(number: &str, mode: Mode, source: Source) -> Decision {
    let question =
        Question { source: &source, caller: "101", number, mode, wall: Wall(0), draw: 0, is_registered: &|user| user == "102" };
    evaluate(&snapshot(TEXT), &question, &mut NoTrace)
}

fn way(number: &str, mode: Mode, source: Source) -> String {
    let decision = ask(number, mode, source);
    match decision.targets {
        Ok(targets) => {
            let names: Vec<String> = targets.iter().map(Stage::to_string).collect();
            format!("{}: {}", decision.rule, names.join(" "))
        }
        Err(reason) => format!("{}: {reason:?}", decision.rule),
    }
}

fn account() -> Source {
    Source::Account("101".into())
}

/// On the site, at this time, with these extensions registered.
fn at_site(source: &str, caller: &str, number: &str, time: &str, registered: &[&str]) -> (Decision, Vec<Note>) {
    let snapshot = snapshot(SITE);
    let source: Source = source.parse().expect("a source");
    let wall = snapshot.node.time_zone.moment(time).expect("a time");
    let is_registered = |user: &str| registered.contains(&user);
    let mode = Mode::Standalone;
    let question = Question { source: &source, caller, number, mode, wall, draw: 0, is_registered: &is_registered };
    let mut notes = Vec::new();
    let decision = evaluate(&snapshot, &question, &mut notes);
    assert_eq!(decision, evaluate(&snapshot, &question, &mut NoTrace), "a trace changes nothing");
    (decision, notes)
}

fn site(source: &str, caller: &str, number: &str) -> String {
    Plain(&at_site(source, caller, number, "wed 12:00", &["100", "101", "104"]).0).to_string()
}

#[test]
fn emergency_comes_before_all_else() {
    assert_eq!(way("0112", Mode::Survivable, account()), "emergency: trunk:carrier cloud");
    assert!(ask("0112", Mode::Normal, account()).emergency);
    for dialled in ["112", "0112", "+49112"] {
        assert_eq!(site("account:104", "104", dialled), "emergency: trunk:a 112, then trunk:b 112", "{dialled}");
    }
}

#[test]
fn an_extension_goes_by_the_cloud_while_it_lives() {
    assert_eq!(way("102", Mode::Normal, account()), "extension: cloud extension:102");
    assert_eq!(way("102", Mode::Survivable, account()), "extension: extension:102");
    assert_eq!(way("102", Mode::Normal, Source::Cloud), "extension: extension:102");
    assert_eq!(way("101", Mode::Survivable, account()), "extension: NotRegistered");
}

#[test]
fn routes_rewrite_and_mind_the_mode() {
    let decision = ask("030123", Mode::Normal, account());
    let wanted = Target::Trunk { name: "carrier".into(), number: "+4930123".into() };
    assert_eq!(decision.targets, Ok(vec![Stage::of(wanted)]));
    assert_eq!(way("700", Mode::Normal, account()), "cloud default: cloud");
    assert_eq!(way("700", Mode::Survivable, account()), "route survivable only: trunk:carrier");
}

#[test]
fn what_fits_nothing() {
    assert_eq!(way("555", Mode::Survivable, account()), "none: UnknownNumber");
    assert_eq!(way("555", Mode::Normal, Source::Trunk("carrier".into())), "none: UnknownNumber");
    assert_eq!(way("*43", Mode::Normal, Source::Cloud), "service: echo");
}

#[test]
fn one_outside_number_however_it_is_dialled_in_the_format_of_each_trunk() {
    let wanted = "route outside: trunk:a 4940555666, then trunk:b 040555666";
    for dialled in ["0040555666", "+4940555666", "+49-40-555.666", "000 4940555666".replace(' ', "").as_str()] {
        assert_eq!(site("account:104", "104", dialled), wanted, "{dialled}");
    }
    assert_eq!(site("account:104", "104", "40555666"), "none: deny 404", "no outside line");
}

#[test]
fn a_group_brings_its_patience_and_a_trunk_its_codes() {
    let (decision, _) = at_site("account:104", "104", "0040555666", "wed 12:00", &[]);
    let plan = decision.targets.expect("a plan");
    assert_eq!((plan[0].patience_ms, plan[1].patience_ms), (Some(700), Some(700)));
    assert!(plan[0].fails_on(503) && !plan[0].fails_on(404));
    assert!(plan[1].fails_on(404) && !plan[1].fails_on(503));
    assert_eq!((plan[0].behind, plan[1].behind), (None, Some(0)));
}

#[test]
fn a_call_from_outside_reaches_the_extension_of_its_did() {
    assert_eq!(site("trunk:a", "+4940555", "4930123404"), "extension: extension:104");
    assert_eq!(site("trunk:b", "040555", "030123404"), "extension: extension:104");
    assert_eq!(site("account:104", "104", "0030123400"), "extension: extension:100", "own numbers stay inside");
    assert_eq!(site("trunk:a", "+4940555", "4930123499"), "none: deny 404");
    assert_eq!(site("trunk:a", "+4940555", "4940555666"), "none: deny 404", "nobody dials out from outside");
}

#[test]
fn hours_are_those_of_the_place() {
    let at = |time| Plain(&at_site("trunk:a", "+4940555", "4930123400", time, &["100", "104"]).0).to_string();
    assert_eq!(at("wed 12:00"), "extension: extension:100");
    assert!(at("wed 17:00").starts_with("route night: "), "{}", at("wed 17:00"));
    assert!(at("thu 07:59").starts_with("route night: "));
    assert!(at("2026-07-04 12:00").starts_with("route night: "), "a Saturday");
}

#[test]
fn a_caller_is_refused_with_status_and_reason() {
    assert_eq!(site("account:104", "104", "00033142"), "route not abroad: deny 403");
    assert_eq!(site("account:101", "101", "00033142"), "route outside: trunk:a 33142, then trunk:b 0033142");
    let (decision, _) = at_site("account:104", "104", "00033142", "wed 12:00", &[]);
    let Err(NoRoute::Denied { status: 403, reason }) = decision.targets else { panic!("{decision:?}") };
    assert_eq!(reason, "No Calls Abroad");
}

#[test]
fn forwards_stand_behind_the_devices() {
    let (decision, _) = at_site("account:104", "104", "101", "wed 12:00", &["100", "101"]);
    let wanted = "extension: extension:101 + trunk:a 49171555666, user-busy of 1 extension:100, \
        no-answer of 1 trunk:a 4930555666, then trunk:b 030555666, then trunk:a 4930555666, then trunk:b 030555666";
    assert_eq!(Plain(&decision).to_string(), wanted);
    let plan = decision.targets.expect("a plan");
    assert_eq!(plan[0].ring_s, Some(15));
    assert_eq!(plan[2].diversions, [Diversion { user: "101".into(), reason: After::NoAnswer }]);
    assert_eq!(next_stage(&plan, 0, Outcome::Status(486)), Some(1));
    assert_eq!(next_stage(&plan, 0, Outcome::RangOut), Some(2));
    assert_eq!(next_stage(&plan, 2, Outcome::Status(503)), Some(3));
    assert_eq!(next_stage(&plan, 1, Outcome::Status(503)), None);
}

#[test]
fn forwards_that_lead_in_a_circle_end() {
    let (decision, notes) = at_site("account:104", "104", "102", "wed 12:00", &["100", "102", "103"]);
    assert_eq!(Plain(&decision).to_string(), "extension: extension:103, then extension:100");
    assert!(notes.iter().any(|note| note.why.contains("leads back")), "{notes:?}");
    let nobody = at_site("account:104", "104", "104", "wed 12:00", &[]).0;
    assert_eq!(nobody.targets, Err(NoRoute::NotRegistered));
}

#[test]
fn an_unregistered_extension_is_forwarded_at_once() {
    let (decision, _) = at_site("trunk:a", "+4940555", "4930123403", "wed 12:00", &["100"]);
    assert_eq!(Plain(&decision).to_string(), "extension: extension:100");
}

#[test]
fn the_cloud_s_call_to_a_device_is_not_forwarded_again() {
    let text = format!("{SITE}[cloud]\naddress = \"192.0.2.1:5060\"\n");
    let ask = |source: Source, mode| {
        let question =
            Question { source: &source, caller: "1", number: "101", mode, wall: Wall(0), draw: 0, is_registered: &|_| true };
        Plain(&evaluate(&snapshot(&text), &question, &mut NoTrace)).to_string()
    };
    assert_eq!(ask(Source::Cloud, Mode::Normal), "extension: extension:101");
    assert!(ask(Source::Account("104".into()), Mode::Normal).starts_with("extension: cloud 101, then extension:101 + "));
    assert!(ask(Source::Account("104".into()), Mode::Survivable).starts_with("extension: extension:101 + "));
}

#[test]
fn each_trunk_is_told_a_caller_s_number_that_it_knows() {
    let snapshot = snapshot(SITE);
    let told = |trunk: &str, source: &str, from: &str| presented(&snapshot, trunk, &source.parse().expect("a source"), from);
    assert_eq!(told("a", "account:104", "104"), "4930123404");
    assert_eq!(told("a", "account:9", "9"), "4930123400", "an extension without number of its own");
    assert_eq!(told("b", "account:104", "104"), "104", "as it is");
    assert_eq!(told("a", "trunk:b", "040555666"), "4940555666", "a forwarded call keeps its caller");
    assert_eq!(told("b", "trunk:a", "33142"), "0033142");
    assert_eq!(told("a", "trunk:b", "anonymous"), "anonymous");
}

#[test]
fn a_trace_names_each_rule_and_why_not() {
    let (_, notes) = at_site("account:101", "101", "00033142", "wed 12:00", &[]);
    let text: Vec<String> = notes.iter().map(|n| format!("{}{}: {}", if n.applied { "+" } else { "-" }, n.rule, n.why)).collect();
    assert_eq!(
        text,
        [
            "+number: 00033142, +33142",
            "-emergency: not an emergency number",
            "-service: not *43",
            "-route night: not on wed 12:00",
            "-route not abroad: not for caller 101",
            "+route outside: `+*` fits +33142: +33142",
            "+group:carriers: a, b",
            "+trunk:a: 33142, caller 4930123401",
            "+trunk:b: 0033142, caller 101",
        ]
    );
}
