//! Documents about people (message-summary, dialog-info, PIDF) name them by SIP URIs. What the one side calls its hosts is not for the
//! other: each reads its own domain.

/// The body with `hosts`, in lower case, renamed to `own`. What is no text stays as it is.
pub(crate) fn renamed(body: &[u8], hosts: &[String], own: &str) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(body) else { return body.to_vec() };
    let others = hosts.iter().filter(|host| !host.is_empty() && !host.eq_ignore_ascii_case(own));
    others.fold(text.to_string(), |text, host| renamed_one(&text, host, own)).into_bytes()
}

fn renamed_one(text: &str, host: &str, own: &str) -> String {
    // Of ASCII letters only, so that places in both are the same.
    let lower = text.to_ascii_lowercase();
    let (mut written, mut rest) = (String::with_capacity(text.len()), 0);
    for (place, _) in lower.match_indices(host) {
        let end = place + host.len();
        if place >= rest && is_host(&lower, place, end) {
            written.push_str(text.get(rest..place).unwrap_or_default());
            written.push_str(own);
            rest = end;
        }
    }
    written.push_str(text.get(rest..).unwrap_or_default());
    written
}

/// Whether what stands there is a host as a whole. One without dots is one only behind an `@`: it may be a word.
fn is_host(text: &str, start: usize, end: usize) -> bool {
    let before = text.get(..start).and_then(|text| text.bytes().next_back());
    let mut after = text.get(end..).unwrap_or_default().bytes();
    let is_part = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    let (next, second) = (after.next(), after.next());
    let goes_on = next.is_some_and(is_part) || (next == Some(b'.') && second.is_some_and(is_part));
    let begins_before = before.is_some_and(|octet| is_part(octet) || octet == b'.');
    let dotted = text.get(start..end).is_some_and(|host| host.contains(['.', ':']));
    !goes_on && !begins_before && (dotted || before == Some(b'@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_renamed_and_nothing_else() {
        let hosts = ["pbx.inside".to_string(), "10.0.0.1".into(), "cloud".into()];
        for (text, wanted) in [
            ("Message-Account: sip:101@PBX.inside\r\n", "Message-Account: sip:101@ringfort.local\r\n"),
            ("<target uri=\"sip:1@10.0.0.1:5060\"/>", "<target uri=\"sip:1@ringfort.local:5060\"/>"),
            (
                "sip:1@10.0.0.11 sip:1@110.0.0.1 a.pbx.inside pbx.inside.org",
                "sip:1@10.0.0.11 sip:1@110.0.0.1 a.pbx.inside pbx.inside.org",
            ),
            ("from pbx.inside.", "from ringfort.local."),
            ("in the cloud, sip:2@cloud", "in the cloud, sip:2@ringfort.local"),
            ("é pbx.inside é", "é ringfort.local é"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(renamed(text.as_bytes(), &hosts, "ringfort.local")), Ok(wanted.into()));
        }
        assert_eq!(renamed(&[0xff, b'a'], &hosts, "x"), [0xff, b'a']);
    }
}
