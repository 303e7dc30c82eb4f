//! What RFC 7865's schema (section 10) says of the elements that the node writes, in a table, and a reader that holds documents to it. A recorder
//! that validates takes nothing else: there the order of elements counts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, BTreeSet};

/// What an element holds beside others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    /// Nothing.
    None,
    /// Anything.
    Any,
    /// An identifier: base64.
    Id,
    /// A date and time (RFC 3339).
    Time,
    /// How much of the state the document is.
    Mode,
}

/// An element: its name, the attributes that it must have and those that it may have beside them, and what stands in it in this order, with how
/// many of each may.
struct Rule {
    name: &'static str,
    must: &'static [&'static str],
    may: &'static [&'static str],
    holds: &'static [(&'static str, usize, usize)],
    text: Text,
}

const MANY: usize = usize::MAX;
const BOUNDS: &[(&str, usize, usize)] = &[("associate-time", 0, 1), ("disassociate-time", 0, 1)];

const fn leaf(name: &'static str, text: Text) -> Rule {
    Rule { name, must: &[], may: &[], holds: &[], text }
}

const fn whole(name: &'static str, must: &'static [&'static str], holds: &'static [(&'static str, usize, usize)]) -> Rule {
    Rule { name, must, may: &[], holds, text: Text::None }
}

const RULES: &[Rule] = &[
    whole(
        "recording",
        &["xmlns"],
        &[
            ("datamode", 0, 1),
            ("group", 0, MANY),
            ("session", 0, MANY),
            ("participant", 0, MANY),
            ("stream", 0, MANY),
            ("sessionrecordingassoc", 0, MANY),
            ("participantsessionassoc", 0, MANY),
            ("participantstreamassoc", 0, MANY),
        ],
    ),
    whole("group", &["group_id"], BOUNDS),
    whole(
        "session",
        &["session_id"],
        &[("sipSessionID", 0, MANY), ("reason", 0, MANY), ("group-ref", 0, 1), ("start-time", 0, 1), ("stop-time", 0, 1)],
    ),
    whole("participant", &["participant_id"], &[("nameID", 1, MANY)]),
    whole("nameID", &["aor"], &[("name", 0, 1)]),
    Rule { may: &["session_id"], ..whole("stream", &["stream_id"], &[("label", 0, 1), ("content-type", 0, 1)]) },
    whole("sessionrecordingassoc", &["session_id"], BOUNDS),
    whole(
        "participantsessionassoc",
        &["participant_id", "session_id"],
        &[("associate-time", 0, 1), ("disassociate-time", 0, 1), ("param", 0, MANY)],
    ),
    whole(
        "participantstreamassoc",
        &["participant_id"],
        &[("send", 0, MANY), ("recv", 0, MANY), ("associate-time", 0, 1), ("disassociate-time", 0, 1)],
    ),
    leaf("datamode", Text::Mode),
    leaf("sipSessionID", Text::Any),
    leaf("group-ref", Text::Id),
    leaf("start-time", Text::Time),
    leaf("associate-time", Text::Time),
    leaf("disassociate-time", Text::Time),
    leaf("name", Text::Any),
    leaf("label", Text::Any),
    leaf("send", Text::Id),
    leaf("recv", Text::Id),
];

/// An element as it was read.
struct Element<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
    inner: Vec<Element<'a>>,
    text: String,
}

/// Holds a document to the schema, and its references to what it names. An error says what is wrong, and where.
pub(super) fn check(xml: &str) -> Result<(), String> {
    let rest = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").ok_or("no declaration")?;
    let (root, rest) = read(rest.trim_start())?;
    if root.name != "recording" || !rest.trim().is_empty() {
        return Err(format!("<{}>, then {rest:?}", root.name));
    }
    if root.attributes != [("xmlns", "urn:ietf:params:xml:ns:recording:1")] {
        return Err(format!("another namespace: {:?}", root.attributes));
    }
    obeys(&root)?;
    refers(&root)
}

/// The element that begins here, and what is behind it.
fn read(xml: &str) -> Result<(Element<'_>, &str), String> {
    let (tag, mut rest) =
        xml.strip_prefix('<').and_then(|xml| xml.split_once('>')).ok_or_else(|| format!("no tag: {xml:.40}"))?;
    let (name, mut said) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut element = Element { name, attributes: Vec::new(), inner: Vec::new(), text: String::new() };
    while !said.trim().is_empty() {
        let (key, value) = said.split_once("=\"").ok_or_else(|| format!("attributes of <{tag}>"))?;
        let (value, more) = value.split_once('"').ok_or_else(|| format!("attributes of <{tag}>"))?;
        element.attributes.push((key.trim(), value));
        said = more;
    }
    loop {
        let (text, tags) = rest.split_at(rest.find('<').ok_or_else(|| format!("<{name}> does not end"))?);
        element.text += text.trim();
        if let Some(end) = tags.strip_prefix("</") {
            let (ended, behind) = end.split_once('>').ok_or_else(|| format!("the end of <{name}>"))?;
            return if ended == name { Ok((element, behind)) } else { Err(format!("<{name}> ends as </{ended}>")) };
        }
        let (inner, behind) = read(tags)?;
        element.inner.push(inner);
        rest = behind;
    }
}

fn obeys(element: &Element<'_>) -> Result<(), String> {
    let name = element.name;
    let rule = RULES.iter().find(|rule| rule.name == name).ok_or_else(|| format!("<{name}> is not known"))?;
    let has: Vec<_> = element.attributes.iter().map(|(key, _)| *key).collect();
    let unique: BTreeSet<_> = has.iter().collect();
    let known = |key: &&str| rule.must.contains(key) || rule.may.contains(key);
    if !rule.must.iter().all(|key| has.contains(key)) || !has.iter().all(known) || unique.len() != has.len() {
        return Err(format!("<{name}> has {has:?}"));
    }
    for (key, value) in element.attributes.iter().filter(|(key, _)| key.ends_with("_id")) {
        told(&format!("{key} of <{name}>"), Text::Id, value)?;
    }
    told(name, rule.text, &element.text)?;
    let mut inner = element.inner.iter().peekable();
    for (wanted, least, most) in rule.holds {
        let mut count = 0;
        while inner.next_if(|element| element.name == *wanted).is_some() {
            count += 1;
        }
        if !(*least..=*most).contains(&count) {
            return Err(format!("<{name}> holds {count} <{wanted}>"));
        }
    }
    if let Some(left) = inner.next() {
        return Err(format!("<{}> in <{name}> is not where it belongs", left.name));
    }
    element.inner.iter().try_for_each(obeys)
}

fn told(place: &str, kind: Text, text: &str) -> Result<(), String> {
    let digits = |pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(
                |(have, want)| {
                    if want == b'0' { have.is_ascii_digit() } else { have == want }
                },
            )
    };
    let sound = match kind {
        Text::None => text.is_empty(),
        Text::Any => true,
        Text::Id => STANDARD.decode(text).is_ok_and(|octets| !octets.is_empty()),
        Text::Time => digits("0000-00-00T00:00:00.000Z"),
        Text::Mode => text == "complete" || text == "partial",
    };
    if sound { Ok(()) } else { Err(format!("{place} says {text:?}")) }
}

/// Every identifier is of one thing, and whatever is referred to is there.
fn refers(root: &Element<'_>) -> Result<(), String> {
    let mut known = BTreeMap::new();
    for element in &root.inner {
        let own = element.attributes.iter().find(|(key, _)| *key == format!("{}_id", element.name));
        if let Some((key, id)) = own
            && known.insert(*id, *key).is_some()
        {
            return Err(format!("two things are called {id}"));
        }
    }
    let of = |kind: &str, id: &str| match known.get(id).is_some_and(|known| *known == kind) {
        true => Ok(()),
        false => Err(format!("{id} is no {kind} of this document")),
    };
    for element in &root.inner {
        element.attributes.iter().filter(|(key, _)| key.ends_with("_id")).try_for_each(|(key, id)| of(key, id))?;
        for inner in &element.inner {
            match inner.name {
                "send" | "recv" => of("stream_id", &inner.text)?,
                "group-ref" => of("group_id", &inner.text)?,
                _ => {}
            }
        }
    }
    Ok(())
}
