//! The call flows of RFC 3665 through the node, as another stack's test suite keeps them beside the repository: Alice and Bob say what
//! they say there, and Alice has to hear what she hears there. The node stands in the place of the proxies: of the last one where Alice
//! herself turns to another (3.4, 3.6), of the gateway that relays media too (3.5). Registrations are in `registration_flows.rs`.

use crate::fixture::Desk;
use crate::talk;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::path::{Path, PathBuf};
use std::time::Duration;

const ALICE: &str = "203.0.113.5:5060";
const BOB: &str = "203.0.113.6:5060";
/// The flow in which nobody answers at all: its proxy tells Alice 480, the node 408 (RFC 3261 16.8).
const SILENCE: &str = "3.10";

pub fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata/php-sip-flows/misc/rfc3665");
    folder.is_dir().then_some(folder)
}

/// A message of a flow, with the fields that this test reads.
pub struct Step {
    pub message: Message,
    /// Host at the bottom of the Vias: whose transaction it is.
    owner: String,
    vias: usize,
}

pub fn steps(text: &str) -> Vec<Step> {
    let read = |block: &str| {
        let mut text: String = block.lines().map(|line| format!("{}\r\n", line.strip_prefix("  ").unwrap_or(line))).collect();
        if !text.contains("\r\n\r\n") {
            text.push_str("\r\n");
        }
        let message = Message::parse(text.into_bytes().into()).ok()?;
        let vias: Vec<String> = message.values(HeaderName::Via).map(str::to_string).collect();
        let owner = vias.last()?.split([' ', ';', ':']).nth(1)?.to_string();
        // Between proxies, which the node is.
        Some(Step { message, owner, vias: vias.len() }).filter(|step| !step.owner.starts_with("ss"))
    };
    text.split("- |+\n").skip(1).filter_map(read).collect()
}

fn key(message: &Message) -> (Option<u16>, u32, Method) {
    let (number, method) = message.cseq().expect("one");
    (message.status(), number, method)
}

fn is_alices(step: &Step) -> bool {
    step.owner.contains("atlanta")
}

/// The request without what was meant for proxies, inside the dialog as the node named it.
fn worded(message: &Message, founded: Option<&Message>) -> String {
    let mut text = String::from_utf8_lossy(message.octets()).into_owned();
    let named = ["Route:", "Proxy-Authorization:", "To:", "Content-Length:"];
    let mut lines: Vec<String> = Vec::new();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut left_out = false;
    for line in head.split("\r\n") {
        let goes_on = line.starts_with([' ', '\t']);
        left_out = if goes_on { left_out } else { named.iter().any(|name| line.starts_with(name)) };
        if !left_out {
            lines.push(line.to_string());
        }
    }
    let own = message.to().is_ok_and(|to| to.tag().is_some()).then_some(founded).flatten();
    let to = own.unwrap_or(message).header(HeaderName::To).unwrap_or_default();
    // One of them has lost the first line of its description.
    let body = if body.starts_with("o=") { format!("v=0\r\n{body}") } else { body.to_string() };
    lines.extend([format!("To: {to}"), format!("Content-Length: {}", body.len())]);
    // The node is reached by datagrams here.
    text = lines.join("\r\n").replace("SIP/2.0/TCP", "SIP/2.0/UDP") + "\r\n\r\n" + &body;
    text
}

struct Flow {
    desk: Desk,
    heard: Vec<(Option<u16>, u32, Method)>,
    seen: usize,
    founded: Option<Message>,
}

impl Flow {
    fn new() -> Flow {
        let mut desk = Desk::new("[[account]]\nuser = \"alice\"\n[[account]]\nuser = \"bob\"\n");
        for (phone, user) in [(ALICE, "alice"), (BOB, "bob")] {
            assert_eq!(desk.register(phone, user, &talk::contact(user, phone)), 200);
        }
        let seen = desk.sent.len();
        Flow { desk, heard: Vec::new(), seen, founded: None }
    }

    /// What Alice hears; and Bob answers CANCEL, as every stack does.
    fn listen(&mut self) {
        while self.seen < self.desk.sent.len() {
            let (to, message) = self.desk.sent[self.seen].clone();
            self.seen += 1;
            if to.to_string() == ALICE && message.status() != Some(100) && message.method() != Method::Ack {
                let said = key(&message);
                let own = message.is_request();
                if message.to().is_ok_and(|to| to.tag().is_some()) && !own {
                    self.founded = Some(message);
                }
                // Numbers of the node's requests are its own.
                self.heard.push(if own { (None, 0, said.2) } else { said });
            } else if message.method() == Method::Cancel && message.is_request() {
                self.desk.receive(BOB, &talk::reply(&message, "200 OK", "", ""));
            }
        }
        self.heard.dedup();
    }

    fn answer(&mut self, at: &str, said: &Message) {
        let method = said.cseq().expect("one").1;
        let heard = &self.heard;
        let request = self.desk.requests(at, method).pop().unwrap_or_else(|| panic!("nothing to answer; Alice heard {heard:?}"));
        let status = format!("{} {}", said.status().unwrap_or_default(), said.reason());
        let contact = said.header(HeaderName::Contact).map(|contact| format!("Contact: {contact}\r\n")).unwrap_or_default();
        let body = String::from_utf8_lossy(said.body()).into_owned();
        let tag = said.to().ok().and_then(|to| to.tag().map(str::to_string)).unwrap_or_default();
        let tagged = request.to().is_ok_and(|to| to.tag().is_some());
        match tagged {
            true => self.desk.receive(at, &talk::reply(&request, &status, &contact, &body)),
            false => self.desk.reply_to(at, &request, &status, &tag, &contact, &body),
        }
    }

    /// Bob's own request, in the dialog that the node's INVITE and his tag name.
    fn ask(&mut self, said: &Message) {
        let invite = self.desk.requests(BOB, Method::Invite).remove(0);
        let field = |name| invite.header(name).unwrap_or_default().to_string();
        let tag = said.from().ok().and_then(|from| from.tag().map(str::to_string)).unwrap_or_default();
        let (number, method) = said.cseq().expect("one");
        let mut bob = talk::End {
            address: BOB,
            call_id: field(HeaderName::CallId),
            local: format!("{};tag={tag}", field(HeaderName::To)),
            remote: field(HeaderName::From),
            cseq: number - 1,
        };
        bob.send(&mut self.desk, method.as_str(), "", &String::from_utf8_lossy(said.body()));
    }
}

/// Plays a flow. What Alice heard, and what she should have.
fn play(text: &str, silent: bool) -> [Vec<(Option<u16>, u32, Method)>; 2] {
    let steps = steps(text);
    // What went to a proxy that challenges or to a server that redirects is not for the node, which knows Alice, nor what went to the
    // proxy that has failed (3.4).
    let elsewhere = |step: &&Step| matches!(step.message.status(), Some(302 | 407));
    let challenged: Vec<u32> = steps.iter().filter(elsewhere).map(|step| key(&step.message).1).collect();
    let is_challenged = |message: &Message| {
        let (_, number, method) = key(message);
        matches!(method, Method::Invite | Method::Ack) && challenged.contains(&number)
    };
    let (mut flow, mut said, mut wanted) = (Flow::new(), Vec::new(), Vec::new());
    for step in &steps {
        let message = &step.message;
        let name = (key(message), is_alices(step));
        if message.status() == Some(100) || (is_challenged(message) && is_alices(step)) {
            continue;
        }
        if is_alices(step) && step.vias == 1 && !message.is_request() {
            let (status, number, method) = key(message);
            wanted.push((status.map(|status| if silent && status == 480 { 408 } else { status }), number, method));
        } else if !is_alices(step) && message.is_request() && message.method() != Method::Ack && !said.contains(&name) {
            wanted.push((None, 0, message.method()));
        }
        let first = !said.contains(&name);
        said.push(name);
        let by_transaction = message.method() == Method::Cancel && !message.is_request();
        if !first || by_transaction {
            continue;
        }
        match (message.is_request(), is_alices(step)) {
            (true, true) => {
                let refused = message.method() == Method::Ack
                    && flow
                        .heard
                        .iter()
                        .any(|(status, number, _)| status.is_some_and(|status| status >= 300) && *number == key(message).1);
                let text = worded(message, flow.founded.as_ref());
                if !refused || step.vias == 1 {
                    flow.desk.receive(ALICE, &text);
                }
            }
            (true, false) => flow.ask(message),
            (false, true) if silent => flow.desk.pass(Duration::from_secs(35)),
            (false, true) => flow.answer(BOB, message),
            (false, false) => flow.answer(ALICE, message),
        }
        flow.listen();
    }
    flow.desk.pass(Duration::from_secs(2));
    flow.listen();
    // Some flows are told no further than the answer.
    for call in flow.desk.status().calls {
        flow.desk.input(ringfort_call::Input::HangUp(call.call));
    }
    flow.desk.pass(Duration::from_secs(40));
    assert_eq!(flow.desk.residue()[..2], [0, 0], "something is left");
    wanted.dedup();
    [flow.heard, wanted]
}

#[test]
fn rfc_3665_sessions() {
    let Some(folder) = folder() else { return println!("skipped: corpus not present") };
    let mut played = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("a readable corpus").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("3.") || !name.ends_with(".yaml") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).expect("a readable corpus");
        let [heard, wanted] = play(&text, name.starts_with(SILENCE));
        assert_eq!(heard, wanted, "{name}");
        played.push(name);
    }
    println!("played: {}", played.join(", "));
    assert_eq!(played.len(), 11, "{played:?}");
}
