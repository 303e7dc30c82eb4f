//! Other projects' test descriptions: what parses is written back octet for octet, modulo line ends.

use crate::peers::{T0, rtp, webrtc};
use ringfort_media::sdp::{Rule, Sdp};
use std::path::{Path, PathBuf};

/// Files that no parser of RFC 8866 takes, with the line and the rule.
const REFUSED: &[(&str, usize, Rule)] = &[
    // They begin with comment lines for the project's own example reader.
    ("sdps/03.sdp", 1, Rule::LineSyntax),
    ("sdps/08.sdp", 1, Rule::LineSyntax),
    ("sdps/11.sdp", 1, Rule::LineSyntax),
];

fn corpus(folder: &str) -> Option<Vec<PathBuf>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata").join(folder);
    let entries = std::fs::read_dir(&path).ok()?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sdp"));
    files.sort();
    Some(files)
}

fn normal(body: &[u8]) -> Vec<u8> {
    let lf: Vec<u8> = body.iter().copied().filter(|&octet| octet != b'\r').collect();
    let mut text: Vec<u8> = lf.trim_ascii_end().to_vec();
    // Trailing blanks belong to the last line.
    let trimmed = &lf[text.len()..];
    text.extend(trimmed.iter().take_while(|&&octet| octet == b' '));
    text
}

fn check(file: &Path) {
    let body = std::fs::read(file).unwrap();
    for mut leg in [rtp(4000), webrtc(4002)] {
        if let Ok(description) = leg.receive_offer(T0, &body) {
            let answer = leg.make_answer(T0, &description);
            answer.map(|answer| Sdp::parse(&answer).unwrap()).ok();
        }
    }
    let refused = REFUSED.iter().find(|(name, ..)| file.ends_with(name));
    match (Sdp::parse(&body), refused) {
        (Ok(sdp), None) => assert_eq!(normal(&sdp.write()), normal(&body), "{}", file.display()),
        (Err(error), Some((_, line, rule))) => assert_eq!((error.line, error.rule), (*line, *rule), "{}", file.display()),
        (result, expected) => panic!("{}: {result:?}, expected {expected:?}", file.display()),
    }
}

#[test]
fn other_projects_descriptions_are_kept() {
    for folder in ["mozilla-webrtc-sdp/examples/sdps", "sdp-transform/test"] {
        let Some(files) = corpus(folder) else {
            println!("skipped: corpus {folder} is not there");
            continue;
        };
        assert!(!files.is_empty(), "{folder}");
        files.iter().for_each(|file| check(file));
    }
}
