//! Which member may depend on which, as docs/architecture.md draws it.

use crate::ensure;
use crate::source::{self, Source};
use std::collections::{BTreeMap, BTreeSet};

/// What a member may name under `[dependencies]`. `web` asks the node's brain and the store; `node` puts all together.
const MAY: [(&str, &[&str]); 9] = [
    ("base", &[]),
    ("sip", &["base"]),
    ("media", &["base"]),
    ("call", &["base", "sip", "media"]),
    ("relay", &["base", "media"]),
    ("store", &["base"]),
    ("observe", &["base"]),
    ("web", &["base", "call", "store", "observe"]),
    ("node", &["base", "sip", "media", "call", "relay", "store", "observe", "web"]),
];

/// Own members under `[dependencies]` of a manifest.
fn dependencies(manifest: &Source) -> BTreeSet<String> {
    let section = manifest.text.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let name = |line: &str| {
        line.strip_prefix("ringfort-").map(|rest| rest.split(['.', ' ', '=']).next().unwrap_or_default().to_string())
    };
    section.lines().filter_map(name).collect()
}

#[test]
fn dependencies_point_one_way() {
    let manifests: Vec<Source> =
        source::all().into_iter().filter(|s| s.path.starts_with("src/") && s.path.ends_with("/Cargo.toml")).collect();
    let table: BTreeMap<&str, &[&str]> = MAY.into();
    let mut broken = Vec::new();
    for manifest in &manifests {
        match table.get(manifest.member()) {
            None => broken.push(format!("{}: member `{}` is not in the table", manifest.path, manifest.member())),
            Some(may) => {
                let more = dependencies(manifest).into_iter().filter(|name| !may.contains(&name.as_str()));
                broken.extend(more.map(|name| format!("{}: {} may not depend on {name}", manifest.path, manifest.member())));
            }
        }
    }
    assert_eq!(manifests.len(), MAY.len(), "every member has a manifest");
    ensure(
        "Members depend in one direction: where layers meet both ways, SIP stacks rot, and the pure ones cannot be simulated.",
        broken,
    );
}

#[test]
fn a_rule_that_is_broken_is_seen() {
    let manifest = Source {
        path: "src/base/Cargo.toml".into(),
        text: "[package]\nname = \"ringfort-base\"\n\n[dependencies]\nringfort-node.workspace = true\nserde = \"1\"\n\n[dev-dependencies]\nringfort-sip = \"1\"\n".into(),
    };
    assert_eq!(dependencies(&manifest), BTreeSet::from(["node".to_string()]));
}
