//! Who is recorded, as a recorder is told (RFC 7865): one session, a stream for each party, and the people, those who left included.
//! The ids stay for as long as the call does, whichever recorder hears them: so the pieces of a call can be put together.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringfort_base::{Entropy, Wall, limits};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Somebody by address and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Who {
    /// Address of record.
    pub aor: String,
    /// Empty: none.
    pub name: String,
}

/// Somebody who is, or was, at one side of the call.
#[derive(Serialize, Deserialize)]
struct Participant {
    id: String,
    side: usize,
    who: Who,
    since: Wall,
    until: Option<Wall>,
    /// Heard that the call is recorded.
    told: bool,
}

/// The ids of a recorded call, and its people.
#[derive(Serialize, Deserialize)]
pub(super) struct Cast {
    session: String,
    streams: [String; 2],
    started: Wall,
    people: Vec<Participant>,
    /// What it belongs to, with others: the conference.
    #[serde(default)]
    group: Option<String>,
}

/// A random UUID (RFC 9562 5.4), in base64 as RFC 7865 6.10 has it.
pub(in crate::b2bua) fn uuid(entropy: &mut dyn Entropy) -> String {
    let mut octets = [0; 16];
    entropy.fill(&mut octets);
    octets[6] = octets[6] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    STANDARD.encode(octets)
}

impl Cast {
    pub fn new(started: Wall, entropy: &mut dyn Entropy) -> Cast {
        Cast { session: uuid(entropy), streams: [uuid(entropy), uuid(entropy)], started, people: Vec::new(), group: None }
    }

    /// It belongs to this group now.
    pub fn join(&mut self, group: Option<String>) {
        self.group = group;
    }

    /// The group that it belongs to.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// These people sit there now, caller's side first.
    pub fn enter(&mut self, now: Wall, people: &[Who; 2], entropy: &mut dyn Entropy) {
        for (side, who) in people.iter().enumerate() {
            if let Some(present) = self.people.iter_mut().find(|p| p.side == side && p.until.is_none()) {
                if present.who == *who {
                    continue;
                }
                present.until = Some(now);
            }
            if self.people.len() >= limits::RECORDED_PEOPLE_MAX {
                let left = self.people.iter().position(|p| p.until.is_some());
                left.map(|place| self.people.remove(place));
            }
            let (id, who) = (uuid(entropy), who.clone());
            self.people.push(Participant { id, side, who, since: now, until: None, told: false });
        }
    }

    /// Whether whoever sits at this side heard that the call is recorded.
    pub fn is_side_told(&self, side: usize) -> bool {
        self.people.iter().all(|p| p.told || p.until.is_some() || p.side != side)
    }

    /// Whoever sits at this side heard it.
    pub fn tell(&mut self, side: usize) {
        self.people.iter_mut().filter(|p| p.side == side && p.until.is_none()).for_each(|p| p.told = true);
    }

    /// The whole of it as XML (RFC 7865 9), with so many streams. Without `flows` nobody sends: the call is on hold. `sip` is how the parties
    /// name the session themselves (RFC 7989), caller first.
    pub fn xml(&self, streams: usize, flows: bool, sip: [Option<u128>; 2]) -> String {
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<recording xmlns=\"urn:ietf:params:xml:ns:recording:1\">\r\n",
        );
        xml.push_str("<datamode>complete</datamode>\r\n");
        let (session, started) = (&self.session, self.started.rfc3339());
        // Writing to a string does not fail.
        let (mut of_group, mut of_parties) = (String::new(), String::new());
        if let Some(group) = &self.group {
            let _ = write!(xml, "<group group_id=\"{group}\"><associate-time>{started}</associate-time></group>\r\n");
            of_group = format!("<group-ref>{group}</group-ref>");
        }
        if let Some(first) = sip[0].or(sip[1]) {
            let other = sip[1].filter(|_| sip[0].is_some()).unwrap_or(0);
            of_parties = format!("<sipSessionID>{first:032x};remote={other:032x}</sipSessionID>");
        }
        let _ = write!(
            xml,
            "<session session_id=\"{session}\">{of_parties}{of_group}<start-time>{started}</start-time></session>\r\n"
        );
        for Participant { id, who: Who { aor, name }, .. } in &self.people {
            let (aor, name) = (escaped(aor), escaped(name));
            let name = if name.is_empty() { name } else { format!("<name>{name}</name>") };
            let _ = write!(xml, "<participant participant_id=\"{id}\"><nameID aor=\"{aor}\">{name}</nameID></participant>\r\n");
        }
        for (label, stream) in (1..).zip(self.streams.iter().take(streams)) {
            let _ = write!(xml, "<stream stream_id=\"{stream}\" session_id=\"{session}\"><label>{label}</label></stream>\r\n");
        }
        let _ = write!(
            xml,
            "<sessionrecordingassoc session_id=\"{session}\"><associate-time>{started}</associate-time></sessionrecordingassoc>\r\n"
        );
        for Participant { id, since, until, .. } in &self.people {
            let until =
                until.map(|until| format!("<disassociate-time>{}</disassociate-time>", until.rfc3339())).unwrap_or_default();
            let _ = write!(
                xml,
                "<participantsessionassoc participant_id=\"{id}\" session_id=\"{session}\">\
                 <associate-time>{}</associate-time>{until}</participantsessionassoc>\r\n",
                since.rfc3339()
            );
        }
        for Participant { id, side, .. } in self.people.iter().filter(|p| flows && p.until.is_none()) {
            let [first, second] = &self.streams;
            let (send, receive) = if *side == 0 { (first, second) } else { (second, first) };
            // What the node answers itself has the caller's stream alone.
            let has = |stream: &&String| streams > 1 || *stream == first;
            let send = Some(send).filter(has).map(|id| format!("<send>{id}</send>")).unwrap_or_default();
            let receive = Some(receive).filter(has).map(|id| format!("<recv>{id}</recv>")).unwrap_or_default();
            let _ = write!(xml, "<participantstreamassoc participant_id=\"{id}\">{send}{receive}</participantstreamassoc>\r\n");
        }
        xml.push_str("</recording>\r\n");
        xml
    }
}

/// Text as XML may hold it (XML 1.0 2.2, 2.4): what people call themselves comes from outside.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A description and what it describes, as one body (RFC 2046 5.1, RFC 7866 9.1), with its type.
pub(super) fn body(boundary: &str, sdp: &[u8], xml: &str) -> (String, Vec<u8>) {
    let mut body = format!("--{boundary}\r\nContent-Type: application/sdp\r\n\r\n").into_bytes();
    body.extend_from_slice(sdp);
    let second = "Content-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session";
    body.extend_from_slice(format!("\r\n--{boundary}\r\n{second}\r\n\r\n{xml}\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/mixed;boundary={boundary}"), body)
}

#[cfg(test)]
mod schema;

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::entropy::Seeded;
    use std::collections::BTreeSet;

    fn who(aor: &str, name: &str) -> Who {
        Who { aor: aor.into(), name: name.into() }
    }

    #[test]
    fn people_come_and_go() {
        let mut dice = Seeded::new(1);
        let mut cast = Cast::new(Wall(0), &mut dice);
        let (a, b, c) = (who("sip:a@x", "A"), who("sip:b@x", ""), who("sip:c@x", ""));
        cast.enter(Wall(0), &[a.clone(), b], &mut dice);
        let before = cast.xml(2, true, [None; 2]);
        cast.enter(Wall(1_000), &[a.clone(), c.clone()], &mut dice);
        let after = cast.xml(2, true, [None; 2]);
        assert_eq!((before.matches("<participant ").count(), after.matches("<participant ").count()), (2, 3));
        assert_eq!(after.matches("<disassociate-time>1970-01-01T00:00:01.000Z</disassociate-time>").count(), 1);
        assert_eq!(after.matches("<participantstreamassoc ").count(), 2, "who left sends nothing");
        assert_eq!(cast.xml(2, false, [None; 2]).matches("<participantstreamassoc ").count(), 0);
        let id = before.split("session_id=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
        let octets = STANDARD.decode(id).expect("base64");
        assert_eq!((octets.len(), octets[6] >> 4, octets[8] >> 6), (16, 4, 2));
        (0..100).for_each(|n| cast.enter(Wall(n), &[a.clone(), who(&format!("sip:{n}@x"), "")], &mut dice));
        assert_eq!(cast.people.len(), limits::RECORDED_PEOPLE_MAX);
        assert!(cast.people.iter().filter(|p| p.until.is_none()).count() == 2);
    }

    #[test]
    fn parties_names_of_the_session_and_its_group_stand_where_the_schema_has_them() {
        let mut dice = Seeded::new(1);
        let mut cast = Cast::new(Wall(0), &mut dice);
        let said = |cast: &Cast, sip| {
            let xml = cast.xml(1, true, sip);
            let from = xml.find("complete</datamode>").map(|at| at + 21).expect("a mode");
            xml[from..xml.find("<start-time>").expect("a time")].to_string()
        };
        let session = format!("<session session_id=\"{}\">", cast.session);
        assert_eq!(said(&cast, [None; 2]), session);
        let (one, nil) = ("000000000000000000000000000000ab", "00000000000000000000000000000000");
        assert_eq!(said(&cast, [Some(0xab), None]), format!("{session}<sipSessionID>{one};remote={nil}</sipSessionID>"));
        assert_eq!(said(&cast, [None, Some(0xab)]), format!("{session}<sipSessionID>{one};remote={nil}</sipSessionID>"));
        assert!(said(&cast, [Some(0xab), Some(1)]).ends_with("ab;remote=00000000000000000000000000000001</sipSessionID>"));
        cast.join(Some("Zw==".into()));
        let group = "<group group_id=\"Zw==\"><associate-time>1970-01-01T00:00:00.000Z</associate-time></group>\r\n";
        assert_eq!(said(&cast, [None; 2]), format!("{group}{session}<group-ref>Zw==</group-ref>"));
    }

    /// Whatever a call becomes, its document is as the schema has it.
    #[test]
    fn documents_obey_the_schema() {
        let mut dice = Seeded::new(1);
        let mut cast = Cast::new(Wall(0), &mut dice);
        let people = ["A & <B>", "", "]]>", "\u{1b}x"].map(|name| who("sip:a@x;y=\"z\"", name));
        let mut documents = BTreeSet::new();
        for round in 0..people.len() {
            let seats = [people[round].clone(), people[(round + 1) % people.len()].clone()];
            cast.enter(Wall(round as u64 * 1_000), &seats, &mut dice);
            cast.join((round > 1).then(|| uuid(&mut dice)));
            for (streams, flows, sip) in [(1, true, [None; 2]), (2, true, [Some(1), None]), (2, false, [Some(1), Some(2)])] {
                let xml = cast.xml(streams, flows, sip);
                assert_eq!(schema::check(&xml), Ok(()), "{xml}");
                documents.insert(xml);
            }
        }
        assert_eq!(documents.len(), 12);
    }

    /// The check sees what a validating recorder would.
    #[test]
    fn what_breaks_the_schema_is_found() {
        let mut dice = Seeded::new(1);
        let mut cast = Cast::new(Wall(0), &mut dice);
        cast.enter(Wall(0), &[who("sip:a@x", "A"), who("sip:b@x", "")], &mut dice);
        cast.join(Some(uuid(&mut dice)));
        let sound = cast.xml(2, true, [Some(1), Some(2)]);
        let line = |begin: &str| sound.lines().find(|line| line.starts_with(begin)).expect("a line").to_owned();
        let (group, session, stream) = (line("<group "), line("<session "), line("<stream "));
        let times = "<start-time>1970-01-01T00:00:00.000Z</start-time>";
        let broken = [
            sound.replace(&format!("{group}\r\n"), "").replace("</recording>", &format!("{group}\r\n</recording>")),
            sound.replace(&format!("{group}\r\n"), ""),
            sound.replace(&session, &session.replace(times, "").replace("<sipSessionID>", &format!("{times}<sipSessionID>"))),
            sound.replace(&stream, &stream.replace("<label>1</label>", "<label>1</label><label>2</label>")),
            sound.replace(&stream, ""),
            sound.replacen("<send>", "<sent>", 1).replacen("</send>", "</sent>", 1),
            sound.replacen("<participant participant_id", "<participant id", 1),
            sound.replacen(" aor=\"sip:a@x\"", "", 1),
            sound.replacen(".000Z", "", 1),
            sound.replacen("complete", "whole", 1),
            sound.replacen("<name>A</name>", "<name>A</name><name>B</name>", 1),
            sound.replacen("session_id=\"", "session_id=\"!", 1),
            sound.replacen("recording:1", "recording:2", 1),
            sound.replacen("</nameID>", "", 1),
        ];
        for (n, xml) in broken.iter().enumerate() {
            assert_ne!(*xml, sound, "{n}");
            assert!(schema::check(xml).is_err(), "{n}: {xml}");
        }
    }

    #[test]
    fn names_cannot_write_xml() {
        let mut dice = Seeded::new(1);
        let mut cast = Cast::new(Wall(0), &mut dice);
        cast.enter(Wall(0), &[who("sip:a@x", "</name>\u{0}<x a='\"'>&"), who("\"/><y", "\u{ffff}\u{1b}")], &mut dice);
        let xml = cast.xml(2, true, [None; 2]);
        assert!(xml.contains("<name>&lt;/name&gt; &lt;x a=&apos;&quot;&apos;&gt;&amp;</name>"), "{xml}");
        assert!(xml.contains("aor=\"&quot;/&gt;&lt;y\"><name> </name>"), "{xml}");
    }
}
