//! A table of RFC 3263's cases, a zone that answers, and what holds for any zone.

use super::*;
use crate::uri::Uri;
use proptest::prelude::*;
use ringfort_base::entropy::Seeded;

const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// Lines `name kind data` as a zone file has them.
fn zone(text: &str) -> BTreeMap<Question, Answer> {
    let mut zone: BTreeMap<Question, Answer> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse().unwrap();
        let (kind, data) = match words[1] {
            "NAPTR" => {
                let (flags, service) = (words[4].to_string(), words[5].to_string());
                let replacement = words[6].to_string();
                let has_regexp = words.len() > 7;
                (Kind::Naptr, Data::Naptr { order: number(2), preference: number(3), flags, service, has_regexp, replacement })
            }
            "SRV" => (Kind::Srv, Data::Srv { priority: number(2), weight: number(3), port: number(4), target: words[5].into() }),
            "A" => (Kind::A, Data::Address(words[2].parse().unwrap())),
            _ => (Kind::Aaaa, Data::Address(words[2].parse().unwrap())),
        };
        let entry = zone.entry(Question::new(words[0], kind)).or_insert(Answer::Found { records: Vec::new(), ttl_s: 60 });
        if let Answer::Found { records, .. } = entry {
            records.push(data);
        }
    }
    zone
}

fn run(mut locate: Locate, zone: &BTreeMap<Question, Answer>) -> (Vec<Question>, Result<Vec<Candidate>, Nowhere>) {
    let mut asked = Vec::new();
    loop {
        let questions = locate.questions();
        if questions.is_empty() {
            assert!(locate.is_done());
            return (asked, locate.candidates(&mut Seeded::new(1)));
        }
        for question in questions {
            locate.answer(&question, zone.get(&question).cloned().unwrap_or(Answer::Absent { ttl_s: 30 }));
            asked.push(question);
        }
    }
}

fn target(uri: &str) -> Target {
    Target::of_uri(&Uri::parse(uri).unwrap()).unwrap()
}

fn find(uri: &str, zone_text: &str) -> String {
    let locate = Locate::new(target(uri), Support::new(&ALL, true, true));
    match run(locate, &zone(zone_text)).1 {
        Ok(list) => list.iter().map(|c| format!("{} {}", c.transport, c.address)).collect::<Vec<_>>().join(", "),
        Err(nowhere) => nowhere.to_string(),
    }
}

/// The domain of RFC 3263 4.1 and 4.2.
const EXAMPLE: &str = "
    example.com NAPTR 50 50 s SIPS+D2T _sips._tcp.example.com
    example.com NAPTR 90 50 s SIP+D2T _sip._tcp.example.com
    example.com NAPTR 100 50 s SIP+D2U _sip._udp.example.com
    _sip._tcp.example.com SRV 0 1 5060 server1.example.com
    _sip._tcp.example.com SRV 1 2 5060 server2.example.com
    _sips._tcp.example.com SRV 0 0 5061 server1.example.com
    _sip._udp.example.com SRV 0 0 5070 server2.example.com
    server1.example.com A 192.0.2.1
    server2.example.com A 192.0.2.2
    server2.example.com AAAA 2001:db8::2
    example.com A 192.0.2.9";

#[test]
fn the_table_of_rfc_3263() {
    let (one, two) = ("192.0.2.1", "UDP [2001:db8::2]:5070, UDP 192.0.2.2:5070");
    let tcp = "TCP 192.0.2.1:5060, TCP [2001:db8::2]:5060, TCP 192.0.2.2:5060";
    for (uri, expected) in [
        // 4.1: NAPTR by order; all services of the domain stay for when the first fails.
        ("sip:a@example.com", format!("TLS {one}:5061, {tcp}, {two}")),
        // `sips`: only the secure service.
        ("sips:a@example.com", format!("TLS {one}:5061")),
        // A transport: SRV without NAPTR.
        ("sip:a@example.com;transport=tcp", tcp.to_string()),
        ("sip:a@example.com;transport=udp", two.to_string()),
        ("sip:a@example.com;transport=tls", format!("TLS {one}:5061")),
        ("sips:a@example.com;transport=tcp", format!("TLS {one}:5061")),
        ("sips:a@example.com;transport=udp", Nowhere::Transport.to_string()),
        ("sip:a@example.com;transport=ws", Nowhere::Transport.to_string()),
        // A port: addresses only, UDP or TLS.
        ("sip:a@example.com:5080", "UDP 192.0.2.9:5080".to_string()),
        ("sip:a@example.com:5080;transport=tcp", "TCP 192.0.2.9:5080".to_string()),
        ("sips:a@example.com:5080", "TLS 192.0.2.9:5080".to_string()),
        // Addresses.
        ("sip:a@192.0.2.7", "UDP 192.0.2.7:5060".to_string()),
        ("sip:a@192.0.2.7:5090;transport=tcp", "TCP 192.0.2.7:5090".to_string()),
        ("sips:a@[2001:db8::7]", "TLS [2001:db8::7]:5061".to_string()),
        ("sip:a@example.com;maddr=192.0.2.7", "UDP 192.0.2.7:5060".to_string()),
    ] {
        assert_eq!(find(uri, EXAMPLE), expected, "{uri}");
    }
}

#[test]
fn without_naptr_the_transports_srv_decide_and_without_srv_the_domain_itself() {
    let srv = "_sip._tcp.example.org SRV 0 0 5065 h.example.org\nh.example.org A 192.0.2.3";
    assert_eq!(find("sip:example.org", srv), "TCP 192.0.2.3:5065");
    assert_eq!(find("sip:example.org", "example.org A 192.0.2.4"), "UDP 192.0.2.4:5060");
    assert_eq!(find("sips:example.org", "example.org A 192.0.2.4"), "TLS 192.0.2.4:5061");
    assert_eq!(find("sip:example.org", ""), "the name means no address");
}

#[test]
fn what_a_domain_does_not_offer_is_not_guessed() {
    let none = "_sip._udp.example.org SRV 0 0 0 .\nexample.org A 192.0.2.4";
    assert_eq!(find("sip:example.org;transport=udp", none), "the name means no address");
    // Records that the node cannot use leave the rules without NAPTR in force.
    let odd = "example.org NAPTR 1 1 s SIP+D2W _sip._ws.example.org\nexample.org NAPTR 1 1 u E2U+sip . !^.*$!sip:x@y!\nexample.org A 192.0.2.4";
    assert_eq!(find("sip:example.org", odd), "UDP 192.0.2.4:5060");
}

#[test]
fn a_dead_dns_is_not_an_absent_name() {
    let mut locate = Locate::new(target("sip:example.org:5060"), Support::new(&ALL, true, false));
    let questions = locate.questions();
    assert_eq!(questions, [Question::new("Example.ORG.", Kind::A)]);
    assert!(!locate.is_done());
    locate.answer(&questions[0], Answer::Failed);
    assert!(locate.is_done());
    assert_eq!(locate.candidates(&mut Seeded::new(1)), Err(Nowhere::Unknown));
    assert_eq!(locate.ttl_s(), 0);
}

#[test]
fn the_certificate_bears_the_domain_that_was_looked_for() {
    let locate = Locate::new(target("sips:example.com"), Support::new(&ALL, true, true));
    let found = run(locate, &zone(EXAMPLE)).1.unwrap();
    assert_eq!(found[0].name.as_deref(), Some("example.com"));
    let literal = Locate::new(target("sips:192.0.2.1"), Support::new(&ALL, true, true));
    assert_eq!(run(literal, &BTreeMap::new()).1.unwrap()[0].name, None);
}

#[test]
fn weights_share_the_load() {
    let zone_text =
        "_sip._udp.w.org SRV 1 3 5060 192.0.2.1\n_sip._udp.w.org SRV 1 1 5060 192.0.2.2\n_sip._udp.w.org SRV 1 0 5060 192.0.2.3";
    let mut locate = Locate::new(target("sip:w.org;transport=udp"), Support::new(&ALL, true, false));
    for question in locate.questions() {
        let answer = zone(zone_text).get(&question).cloned();
        locate.answer(&question, answer.unwrap_or(Answer::Failed));
    }
    let mut entropy = Seeded::new(3);
    let mut first = [0_u32; 4];
    for _ in 0..5_000 {
        let found = locate.candidates(&mut entropy).unwrap();
        assert_eq!((found.len(), found[2].rank), (3, 0));
        let IpAddr::V4(ip) = found[0].address.ip() else { panic!("IPv4 was given") };
        first[usize::from(ip.octets()[3])] += 1;
    }
    // RFC 2782: one mark of five falls to weight 0, three to weight 3, one to weight 1.
    assert!((850..1_150).contains(&first[3]), "{first:?}");
    assert!((2_750..3_250).contains(&first[1]), "{first:?}");
}

fn any_data() -> impl Strategy<Value = Data> {
    let name = prop_oneof![Just("a.x"), Just("b.x"), Just("x"), Just("."), Just("_sip._udp.x"), Just("192.0.2.1")];
    let service = prop_oneof![Just("SIP+D2U"), Just("SIPS+D2T"), Just("sip+d2t"), Just("SIP+D2W"), Just("")];
    prop_oneof![
        (any::<u16>(), any::<u16>(), "[saup]?", service, any::<bool>(), name.clone()).prop_map(|(o, p, f, s, r, n)| {
            Data::Naptr { order: o, preference: p, flags: f, service: s.into(), has_regexp: r, replacement: n.into() }
        }),
        (0_u16..3, any::<u16>(), any::<u16>(), name)
            .prop_map(|(priority, weight, port, target)| { Data::Srv { priority, weight, port, target: target.into() } }),
        any::<[u8; 4]>().prop_map(|ip| Data::Address(ip.into())),
        any::<[u8; 16]>().prop_map(|ip| Data::Address(ip.into())),
    ]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => proptest::collection::vec(any_data(), 0..80).prop_map(|records| Answer::Found { records, ttl_s: 1 }),
        1 => Just(Answer::Absent { ttl_s: 1 }),
        1 => Just(Answer::Failed),
    ]
}

proptest! {
    /// Whatever a zone says: an end, bounded questions, bounded candidates without repeats, ranks that only rise.
    #[test]
    fn any_zone_comes_to_an_end(answers in proptest::collection::vec(any_answer(), 1..40), secure: bool, seed: u64) {
        let mut locate = Locate::new(Target::new("x", None, None, secure), Support::new(&ALL, true, true));
        let (mut count, mut answers) = (0, answers.into_iter().cycle());
        loop {
            let questions = locate.questions();
            if questions.is_empty() {
                break;
            }
            for question in questions {
                count += 1;
                locate.answer(&question, answers.next().unwrap());
            }
        }
        prop_assert!(locate.is_done() && count <= limits::DNS_QUESTIONS_MAX);
        if let Ok(found) = locate.candidates(&mut Seeded::new(seed)) {
            prop_assert!(found.len() <= limits::DNS_CANDIDATES_MAX);
            prop_assert!(found.is_sorted_by_key(|c| c.rank));
            prop_assert!(!secure || found.iter().all(|c| c.transport == Transport::Tls));
            for (at, one) in found.iter().enumerate() {
                prop_assert!(!found[at + 1..].iter().any(|c| c.address == one.address && c.transport == one.transport));
            }
        }
    }
}
