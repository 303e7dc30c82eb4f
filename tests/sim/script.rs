//! Directed scenarios read as dialogue: parties send and expect, the world runs in between, and what nobody expected fails the test.

use crate::network::Faults;
use crate::ua::mirror;
use crate::wire::{Secret, Wire, user_of};
use crate::world::{NODE, World, password};
use ringfort_base::Event;
use ringfort_base::event::CallRecord;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// A party that speaks from one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// User part.
    pub user: String,
    /// Address.
    pub address: SocketAddr,
    /// Domain of its address of record.
    pub domain: String,
}

/// One party's side of one dialog.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Call-ID.
    pub call_id: String,
    /// Own From or To value with tag.
    pub local: String,
    /// The other's; its tag is added when known.
    pub remote: String,
    /// Request-URI of requests.
    pub target: String,
    /// Number of the last own request.
    pub cseq: u32,
    /// Own address.
    pub address: SocketAddr,
    serial: u32,
}

/// A world with scripted parties.
pub struct Script {
    /// The world.
    pub world: World,
    inbox: BTreeMap<SocketAddr, VecDeque<Wire>>,
    seen: BTreeSet<(SocketAddr, Vec<u8>)>,
    silent: BTreeSet<SocketAddr>,
    serial: u32,
    patience: Duration,
}

impl Script {
    /// A node with this configuration on a perfect network.
    pub fn new(config: &str) -> Script {
        let world = World::new(1, config, Faults::NONE);
        let patience = Duration::from_secs(5);
        Script { world, inbox: BTreeMap::new(), seen: BTreeSet::new(), silent: BTreeSet::new(), serial: 0, patience }
    }

    /// A party; it answers OPTIONS unless it is silenced.
    pub fn party(&mut self, user: &str, address: &str) -> Party {
        let address: SocketAddr = address.parse().expect("constant");
        self.world.mail.insert(address, VecDeque::new());
        self.inbox.insert(address, VecDeque::new());
        Party { user: user.into(), address, domain: "ringfort.test".into() }
    }

    /// The party dies: it answers nothing and hears nothing.
    pub fn silence(&mut self, party: &Party) {
        self.silent.insert(party.address);
        self.world.silenced.insert(party.address);
    }

    /// A party sends.
    pub fn send(&mut self, party: &Party, wire: &Wire) {
        self.world.send(party.address, wire.octets());
    }

    fn sort(&mut self) {
        let addresses: Vec<SocketAddr> = self.world.mail.keys().copied().collect();
        for address in addresses {
            let mail = std::mem::take(self.world.mail.get_mut(&address).expect("listed"));
            for wire in mail.into_iter().filter(|_| !self.silent.contains(&address)) {
                if wire.method() == "OPTIONS" && wire.status().is_none() && wire.to_tag().is_empty() {
                    self.world.send(address, wire.reply(200, "alive").octets());
                } else if self.seen.insert((address, wire.octets())) {
                    self.inbox.entry(address).or_default().push_back(wire);
                }
            }
        }
    }

    /// Runs for so long.
    pub fn run(&mut self, time: Duration) {
        let until = self.world.now + time;
        while self.world.next() <= until {
            self.world.step();
            self.sort();
            self.sound();
        }
        self.world.run_until(until);
        self.sort();
    }

    fn sound(&self) {
        assert!(!self.world.checks.failed(), "{}", self.world.checks.report());
    }

    /// The next message for a party, within five seconds: a status or a method. Repetitions and 100 are passed over.
    pub fn expect(&mut self, party: &Party, what: &str) -> Wire {
        self.expect_within(party, what, self.patience)
    }

    /// The same within so long.
    pub fn expect_within(&mut self, party: &Party, what: &str, time: Duration) -> Wire {
        let until = self.world.now + time;
        loop {
            self.sort();
            while let Some(wire) = self.inbox.get_mut(&party.address).and_then(VecDeque::pop_front) {
                let name = wire.status().map_or(wire.method().to_string(), |status| status.to_string());
                if name == what {
                    return wire;
                }
                let report = self.world.checks.report();
                assert!(name == "100", "{} expected {what}, got {}\n{report}", party.user, wire.start);
            }
            let next = self.world.next();
            assert!(next <= until, "{} expected {what}, got nothing\n{}", party.user, self.world.checks.report());
            self.world.step();
            self.sound();
        }
    }

    /// Nothing may come for a party for so long.
    pub fn expect_nothing(&mut self, party: &Party, time: Duration) {
        self.run(time);
        let left: Vec<String> =
            self.inbox[&party.address].iter().filter(|w| w.status() != Some(100)).map(|w| w.start.clone()).collect();
        assert!(left.is_empty(), "{} expected nothing, got {left:?}", party.user);
    }

    /// The message of this status, if one came.
    pub fn take(&mut self, party: &Party, status: u16) -> Option<Wire> {
        self.inbox.get_mut(&party.address)?.iter().find(|wire| wire.status() == Some(status)).cloned()
    }

    /// Forgets everything that came so far.
    pub fn sift(&mut self) {
        self.sort();
        self.inbox.values_mut().for_each(VecDeque::clear);
    }

    /// A fresh number for tags and the like.
    pub fn number(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// Registers a party with its right password; the node's or the scripted cloud's challenge is answered.
    pub fn register(&mut self, party: &Party) -> Leg {
        let mut leg = self.registering(party);
        self.send(party, &leg.register(party, Some(300)));
        let challenge = self.expect(party, "401");
        let answer = party.answer(&challenge, 1);
        self.send(party, &leg.register(party, Some(300)).with("Authorization", answer));
        self.expect(party, "200");
        leg
    }

    /// The Call-ID and CSeq of a device's registrations.
    pub fn registering(&mut self, party: &Party) -> Leg {
        self.leg(party, &format!("sip:{}", party.domain), &format!("<sip:{}@{}>", party.user, party.domain))
    }

    /// A leg that a party founds.
    pub fn leg(&mut self, party: &Party, target: &str, remote: &str) -> Leg {
        let serial = self.number();
        Leg {
            call_id: format!("script-{serial}@{}", party.address.ip()),
            local: format!("<sip:{}@{}>;tag=script{serial}", party.user, party.domain),
            remote: remote.into(),
            target: target.into(),
            cseq: 0,
            address: party.address,
            serial: serial * 1000,
        }
    }

    /// A party dials; its leg and INVITE.
    pub fn dial(&mut self, party: &Party, number: &str) -> (Leg, Wire) {
        let uri = format!("sip:{number}@ringfort.test");
        let mut leg = self.leg(party, &uri, &format!("<{uri}>"));
        let invite = leg.request("INVITE").with("Contact", party.contact()).sdp(&party.sdp(1, "sendrecv"));
        self.send(party, &invite);
        (leg, invite)
    }

    /// The callee's side of an INVITE.
    pub fn called(&mut self, party: &Party, invite: &Wire) -> Leg {
        let serial = self.number();
        Leg {
            call_id: invite.get("Call-ID").into(),
            local: format!("{};tag=callee{serial}", invite.get("To")),
            remote: invite.get("From").into(),
            target: invite.contact().into(),
            cseq: 0,
            address: party.address,
            serial: serial * 1000,
        }
    }

    /// The callee answers with 200 and SDP, and gets its ACK.
    pub fn answer(&mut self, party: &Party, invite: &Wire) -> Leg {
        let leg = self.called(party, invite);
        self.send(party, &party.accept(invite, &leg));
        self.expect(party, "ACK");
        leg
    }

    /// A whole call from dialling to ACK on both sides.
    pub fn connect(&mut self, caller: &Party, callee: &Party, number: &str) -> (Leg, Leg) {
        let (mut caller_leg, _) = self.dial(caller, number);
        let invite = self.expect(callee, "INVITE");
        let callee_leg = self.answer(callee, &invite);
        let ok = self.expect(caller, "200");
        caller_leg.learn(&ok);
        self.send(caller, &caller_leg.ack(1));
        self.run(Duration::from_millis(10));
        (caller_leg, callee_leg)
    }

    /// One side hangs up, the other is told.
    pub fn hang_up(&mut self, party: &Party, leg: &mut Leg, other: &Party) {
        self.send(party, &leg.request("BYE"));
        self.expect(party, "200");
        let bye = self.expect(other, "BYE");
        self.send(other, &bye.reply(200, ""));
    }

    /// The records of ended calls, oldest first.
    pub fn records(&mut self) -> Vec<CallRecord> {
        self.run(Duration::from_millis(1_500));
        let record = |event: &Event| if let Event::CallEnded(record) = event { Some(record.clone()) } else { None };
        self.world.checks.events.iter().filter_map(record).collect()
    }

    /// Causes of ended calls.
    pub fn causes(&mut self) -> Vec<String> {
        self.records().into_iter().map(|record| record.cause).collect()
    }

    /// Long after the last call: nothing is left.
    pub fn ensure_empty(&mut self) {
        self.run(Duration::from_secs(70));
        let [calls, ports, _] = self.world.node.residue();
        assert_eq!((calls, ports, self.world.relay.open()), (0, 0, 0), "calls, ports, ports of the relay");
        self.world.ensure_journal();
        self.sound();
    }
}

impl Party {
    /// Contact value.
    pub fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.user, self.address)
    }

    /// A description of G.711 at this address.
    pub fn sdp(&self, version: u32, direction: &str) -> String {
        let ip = self.address.ip();
        format!(
            "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na={direction}\r\n"
        )
    }

    /// The Authorization that answers a challenge.
    pub fn answer(&self, challenge: &Wire, nc: u32) -> String {
        self.answer_as(challenge, nc, &self.user, &password(&self.user))
    }

    /// The same with other credentials.
    pub fn answer_as(&self, challenge: &Wire, nc: u32, user: &str, password: &str) -> String {
        let secret = Secret { user: user.into(), password: password.into(), algorithm: "SHA-256" };
        let value = secret.challenge(challenge).expect("a SHA-256 challenge");
        secret.answer(&value, challenge.method(), &format!("sip:{}", self.domain), nc)
    }

    /// 200 with SDP to an INVITE.
    pub fn accept(&self, invite: &Wire, leg: &Leg) -> Wire {
        self.reply(invite, 200, leg).sdp(&self.sdp(1, mirror(invite.direction())))
    }

    /// A response of a callee.
    pub fn reply(&self, invite: &Wire, status: u16, leg: &Leg) -> Wire {
        let tag = leg.local.rsplit(";tag=").next().unwrap_or_default();
        invite.reply(status, tag).with("Contact", self.contact())
    }

    /// A re-INVITE with this direction.
    pub fn reinvite(&self, leg: &mut Leg, direction: &str) -> Wire {
        let version = leg.cseq + 2;
        leg.request("INVITE").with("Contact", self.contact()).sdp(&self.sdp(version, direction))
    }
}

impl Leg {
    /// What a response tells.
    pub fn learn(&mut self, response: &Wire) {
        self.remote = response.get("To").into();
        self.target = response.contact().into();
    }

    /// The next request.
    pub fn request(&mut self, method: &str) -> Wire {
        self.cseq += 1;
        self.numbered(method, self.cseq)
    }

    /// ACK of a 2xx to the INVITE of this number.
    pub fn ack(&mut self, cseq: u32) -> Wire {
        self.numbered("ACK", cseq)
    }

    fn numbered(&mut self, method: &str, cseq: u32) -> Wire {
        self.serial += 1;
        Wire::request(method, &self.target)
            .with("Via", format!("SIP/2.0/UDP {};branch=z9hG4bK-s{};rport", self.address, self.serial))
            .with("Max-Forwards", 70)
            .with("From", &self.local)
            .with("To", &self.remote)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{cseq} {method}"))
    }

    /// CANCEL of an INVITE.
    pub fn cancel(&self, invite: &Wire) -> Wire {
        let cancel = Wire::request("CANCEL", invite.uri());
        let cancel = ["Via", "Max-Forwards", "From", "To", "Call-ID"].into_iter().fold(cancel, |c, n| c.with(n, invite.get(n)));
        cancel.with("CSeq", format!("{} CANCEL", invite.cseq()))
    }

    /// ACK of a final response that refused an INVITE.
    pub fn ack_refusal(&self, invite: &Wire, response: &Wire) -> Wire {
        let ack = Wire::request("ACK", invite.uri());
        let ack = ["Via", "Max-Forwards", "From", "Call-ID"].into_iter().fold(ack, |a, n| a.with(n, invite.get(n)));
        ack.with("To", response.get("To")).with("CSeq", format!("{} ACK", invite.cseq()))
    }

    /// The next REGISTER; `None`: without expires.
    pub fn register(&mut self, party: &Party, expires_s: Option<u32>) -> Wire {
        let own = self.local.clone();
        self.remote = own.split(";tag=").next().unwrap_or_default().into();
        let expires = expires_s.map(|s| format!(";expires={s}")).unwrap_or_default();
        self.request("REGISTER").with("Contact", format!("{}{expires}", party.contact()))
    }
}

/// The node's own URI for a user, as a trunk dials it.
pub fn at_node(user: &str) -> String {
    format!("sip:{}@{NODE}", user_of(&format!("sip:{user}@x")))
}
