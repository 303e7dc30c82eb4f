//! Programs that search for open nodes, by the name that they give themselves.

/// Parts of a User-Agent that only such programs bear, lower case.
const SCANNERS: [&str; 16] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sip-scan",
    "sipscan",
    "sundayddr",
    "sipcli",
    "pplsip",
    "vaxsipuseragent",
    "vaxasip",
    "siparmyknife",
    "sipsak",
    "iwar",
    "smap ",
    "custom siptools",
    "gulp",
];

/// Whether the sender names himself as such a program.
pub(crate) fn is_scanner(user_agent: &str) -> bool {
    let name = user_agent.as_bytes();
    SCANNERS.iter().any(|scanner| name.windows(scanner.len()).any(|part| part.eq_ignore_ascii_case(scanner.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scanners_are_told_from_phones() {
        for name in ["friendly-scanner", "SIPVicious v0.3", "sundayddr", "pplsip", "VaxSIPUserAgent/3.1", "sipcli/v1.8"] {
            assert!(is_scanner(name), "{name}");
        }
        for name in ["", "Yealink SIP-T46S 66.85", "snomD785/10.1", "Ringfort", "Linphone/5.2", "baresip v1.1.0"] {
            assert!(!is_scanner(name), "{name}");
        }
    }
}
