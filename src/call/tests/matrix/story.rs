//! One row played: register, ring, answer, hold and retrieve, digits, transfer, hang up; and what must be true after each step.

use crate::axes::{Carriage, Kit, kits, target, value};
use crate::cover::Row;
use crate::fixture::Desk;
use crate::party::{Party, State};
use ringfort_media::plan::{Destination, DiscardReason, RelayCommand};
use std::time::Duration;

const CONFIG: &str = "[sip]\nlisten = [\"udp:192.0.2.10:5060\", \"udp:[2001:db8::10]:5060\"]\n[[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n[[account]]\nuser = \"103\"\n";

/// Places in the list of parties.
pub const CALLER: usize = 0;
pub const CALLEE: usize = 1;
const TARGET: usize = 2;

/// What happened.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub result: String,
    /// Media of both legs, in the node's words.
    pub media: String,
    pub digits: String,
    /// What should not be so.
    pub findings: Vec<String>,
}

impl Outcome {
    /// Whether each step went as it should, and nothing was found.
    pub fn works(&self) -> bool {
        self.result == "works" && self.findings.is_empty()
    }
}

/// The node and the three parties.
pub struct Scene {
    pub desk: Desk,
    pub parties: [Party; 3],
    /// Commands to the relay that were carried out.
    pub read: usize,
    pub findings: Vec<String>,
}

/// A party and the number of its dialog.
pub type End = (usize, usize);

fn config() -> String {
    let mut text = CONFIG.to_string();
    for srtp in ["off", "required"] {
        for refer in ["node", "pass"] {
            text += &format!("[[device]]\nuser_agent = \"{srtp}-{refer}\"\nprofile = \"{srtp}-{refer}\"\n");
            text += &format!("[[profile]]\nname = \"{srtp}-{refer}\"\nsrtp = \"{srtp}\"\nrefer = \"{refer}\"\n");
        }
    }
    text
}

pub fn play(row: &Row) -> Outcome {
    let [caller, callee] = kits(row);
    let mut scene = Scene::new(row, caller, callee);
    let mut outcome = Outcome { result: String::new(), media: String::new(), digits: String::new(), findings: Vec::new() };
    outcome.result = match scene.live(row, &mut outcome) {
        Ok(()) => "works".into(),
        Err(why) => why,
    };
    scene.leave();
    outcome.findings = scene.findings;
    outcome
}

impl Scene {
    fn new(row: &Row, caller: Kit, callee: Kit) -> Scene {
        let mut desk = Desk::listening(&config());
        let mut parties = [("101", caller, 51), ("102", callee, 52), ("103", target(row).1, 53)]
            .map(|(user, kit, seed)| Party::new(&mut desk, user, kit, seed));
        let refer = if value(8, row[8]) == "passed on" { "pass" } else { "node" };
        for party in &mut parties {
            let srtp = if party.kit.carriage == Carriage::Sdes { "required" } else { "off" };
            assert!(party.register(&mut desk, &format!("{srtp}-{refer}")), "{row:?}");
        }
        parties[TARGET].prompt = true;
        Scene { desk, parties, read: 0, findings: Vec::new() }
    }

    pub fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.findings.push(what.to_string());
        }
    }

    fn live(&mut self, row: &Row, outcome: &mut Outcome) -> Result<(), String> {
        self.set_up()?;
        outcome.media = self.desk.status().calls.first().map(|call| call.media.join(" ↔ ")).unwrap_or_default();
        self.hold(row)?;
        outcome.digits = self.digits();
        let ends = self.transfer(row)?;
        self.hang_up(ends);
        Ok(())
    }

    /// Everybody answers what has come, until nothing more comes.
    pub fn settle(&mut self) {
        loop {
            let desk = &mut self.desk;
            let any = self.parties.iter_mut().map(|party| party.serve(desk)).fold(false, |any, more| any | more);
            if !any {
                break;
            }
        }
        self.shake();
    }

    fn wait(&mut self, time: Duration) {
        self.desk.pass(time);
        self.settle();
    }

    fn set_up(&mut self) -> Result<(), String> {
        self.parties[CALLER].call(&mut self.desk, "102");
        self.settle();
        if self.parties[CALLEE].lines.is_empty() {
            return Err(self.refusal());
        }
        let shared = |codec| self.parties[CALLEE].kit.codecs.contains(codec);
        if self.parties[CALLER].kit.codecs.iter().any(shared) {
            self.ring();
        }
        self.parties[CALLEE].pick_up(&mut self.desk, 0);
        self.settle();
        if self.parties[CALLER].lines[0].state != State::Up {
            return Err(self.refusal());
        }
        self.expect(self.parties[CALLEE].lines[0].acknowledged, "the callee's 200 is acknowledged");
        self.expect(self.state() == "connected", "the call is connected");
        self.talks((CALLER, 0), (CALLEE, 0));
        Ok(())
    }

    fn refusal(&self) -> String {
        match self.parties[CALLER].lines[0].state {
            State::Refused(status) => format!("refused {status}"),
            other => format!("ends as {other:?}"),
        }
    }

    /// PRACK goes only where it was agreed on, on each leg alone.
    fn ring(&mut self) {
        let [caller, callee] = [CALLER, CALLEE].map(|at| self.parties[at].kit.reliable);
        if caller && !callee {
            self.parties[CALLEE].progress(&mut self.desk, 0);
        } else {
            self.parties[CALLEE].ring(&mut self.desk, 0);
        }
        self.settle();
        self.expect(self.parties[CALLER].lines[0].state == State::Ringing, "the caller hears that it rings");
        self.expect(self.state() == "ringing", "the call rings");
        let (pracks, reliable) = (self.parties[CALLEE].lines[0].pracks, self.parties[CALLER].lines[0].reliable);
        self.expect(pracks == usize::from(callee), "the callee gets a PRACK if it asked for one");
        self.expect(reliable == usize::from(caller), "the caller gets audio before the answer reliably if it can");
        let acknowledged = self.parties[CALLER].answers.get("PRACK") == Some(&200);
        self.expect(acknowledged == caller, "the caller's PRACK is answered");
    }

    fn state(&self) -> String {
        self.desk.status().calls.first().map(|call| call.state.clone()).unwrap_or_default()
    }

    fn hold(&mut self, row: &Row) -> Result<(), String> {
        let (style, holder, held) = (value(6, row[6]), row[7], 1 - row[7]);
        let method = if style.ends_with("UPDATE") { "UPDATE" } else { "INVITE" };
        let zero = style == "c=0.0.0.0";
        let direction = if style == "inactive" { "inactive" } else { "sendonly" };
        self.offer(holder, method, if zero { "sendrecv" } else { direction }, zero)?;
        self.expect(self.state() == "held", "the call is held");
        self.expect(self.hears(held) == direction, "the held side is told so");
        let (silent, still) = (self.plan((holder, 0)), self.plan((held, 0)));
        self.expect(silent.is_some_and(|plan| plan.transmit.muted), "nothing is sent to who holds");
        let still = still.map(|plan| plan.destination);
        self.expect(still == Some(Destination::Discard(DiscardReason::OnHold)), "the held side is not heard");
        self.offer(holder, method, "sendrecv", false)?;
        self.expect(self.state() == "connected" && self.hears(held) == "sendrecv", "the call is retrieved");
        self.talks((CALLER, 0), (CALLEE, 0));
        Ok(())
    }

    fn hears(&self, at: usize) -> String {
        self.parties[at].lines[0].voice.peer.as_ref().map(|sdp| sdp.direction.clone()).unwrap_or_default()
    }

    fn offer(&mut self, at: usize, method: &str, direction: &str, zero: bool) -> Result<(), String> {
        let offer = self.parties[at].lines[0].voice.offer(direction, zero);
        self.parties[at].answers.remove(method);
        self.parties[at].send(&mut self.desk, 0, method, "", &offer);
        self.settle();
        match self.parties[at].answers.get(method) {
            Some(200) => Ok(()),
            other => Err(format!("{method} to hold: {other:?}")),
        }
    }

    /// Who talks to whom in the end.
    fn transfer(&mut self, row: &Row) -> Result<[End; 2], String> {
        let (style, referrer, other) = (value(8, row[8]), row[9], 1 - row[9]);
        if style == "none" {
            return Ok([(referrer, 0), (other, 0)]);
        }
        let mut to = "<sip:103@ringfort.local>".to_string();
        if style == "attended" {
            self.parties[referrer].call(&mut self.desk, "103");
            self.settle();
            let line = self.parties[referrer].lines.last().ok_or("no consultation call")?;
            if line.state != State::Up {
                return Err(format!("consultation call: {:?}", line.state));
            }
            let tag = |field: &str| field.split(";tag=").nth(1).unwrap_or_default().to_string();
            let (remote, local) = (tag(&line.remote), tag(&line.local));
            to = format!("<sip:103@ringfort.local?Replaces={}%3Bto-tag%3D{remote}%3Bfrom-tag%3D{local}>", line.call_id);
        }
        self.parties[referrer].send(&mut self.desk, 0, "REFER", &format!("Refer-To: {to}\r\n"), "");
        self.settle();
        if style == "passed on" {
            return self.passed_on(referrer, other);
        }
        self.wait(Duration::from_secs(2));
        let news = self.parties[referrer].news.last().cloned();
        if self.parties[referrer].answers.get("REFER") != Some(&202) || news.as_deref() != Some("SIP/2.0 200 OK") {
            return Err(format!("REFER: {:?}, {news:?}", self.parties[referrer].answers.get("REFER")));
        }
        let left = self.parties[referrer].lines.iter().all(|line| line.state == State::Over);
        self.expect(left, "the referrer's calls are over");
        let stand = self.parties[other].lines[0].state == State::Up && self.parties[TARGET].lines[0].state == State::Up;
        self.expect(stand && self.desk.status().calls.len() == 1, "one call stands");
        self.talks((other, 0), (TARGET, 0));
        Ok([(other, 0), (TARGET, 0)])
    }

    fn passed_on(&mut self, referrer: usize, other: usize) -> Result<[End; 2], String> {
        self.expect(self.parties[other].referred.len() == 1, "the REFER arrives");
        for (news, state) in [("SIP/2.0 100 Trying", "active;expires=60"), ("SIP/2.0 200 OK", "terminated;reason=noresource")] {
            let more = format!("Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n");
            self.parties[other].send(&mut self.desk, 0, "NOTIFY", &more, &format!("{news}\r\n"));
            self.settle();
        }
        let told = self.parties[referrer].news == ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"];
        self.expect(told, "the referrer hears what became of it");
        Ok([(referrer, 0), (other, 0)])
    }

    fn hang_up(&mut self, [one, other]: [End; 2]) {
        self.parties[one.0].send(&mut self.desk, one.1, "BYE", "", "");
        self.settle();
        self.expect(self.parties[one.0].answers.get("BYE") == Some(&200), "BYE is answered");
        self.expect(self.parties[other.0].lines[other.1].state == State::Over, "the other side is released");
    }

    /// Nothing is left, and nobody has read what is not his.
    fn leave(&mut self) {
        self.wait(Duration::from_secs(70));
        self.expect(self.desk.residue() == [0, 0, 0], "calls, ports or transactions are left");
        let count = |opened: bool| {
            let counts = |command: &&RelayCommand| match command {
                RelayCommand::Open { .. } => opened,
                RelayCommand::Close { .. } => !opened,
                _ => false,
            };
            self.desk.relayed.iter().filter(counts).count()
        };
        let (opened, closed) = (count(true), count(false));
        self.expect(opened == closed && self.desk.status().calls.is_empty(), "every media port is closed");
        for party in &mut self.parties {
            let faults = party.lines.iter_mut().flat_map(|line| std::mem::take(&mut line.voice.faults));
            let faults: Vec<String> = std::mem::take(&mut party.faults).into_iter().chain(faults).collect();
            self.findings.extend(faults);
        }
        self.findings.extend(leaks(&self.desk, &self.parties));
        self.findings.sort();
        self.findings.dedup();
    }
}

/// Words of one party in messages to another one.
fn leaks(desk: &Desk, parties: &[Party; 3]) -> Vec<String> {
    let mut found = Vec::new();
    for reader in parties {
        let others = parties.iter().filter(|party| party.user != reader.user);
        let secrets: Vec<String> = others.flat_map(Party::secrets).collect();
        for (_, message) in desk.sent.iter().filter(|(to, _)| to.to_string() == reader.address) {
            let text = String::from_utf8_lossy(message.octets()).into_owned();
            found.extend(
                secrets.iter().filter(|secret| text.contains(*secret)).map(|secret| format!("{} reads {secret}", reader.user)),
            );
        }
    }
    found
}
