//! Whether two URIs mean the same (RFC 3261 19.1.4, RFC 3966 5).

use super::escape::normalised;
use super::{Host, Scheme, Uri};

/// Parameters that must be in both URIs or in neither. `transport` is among them by the RFC's examples: without it
/// another transport may be found.
const SIGNIFICANT: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

pub(super) fn equivalent(a: &Uri, b: &Uri) -> bool {
    if a.scheme != b.scheme {
        return false;
    }
    match a.scheme {
        Scheme::Sip | Scheme::Sips => same_sip(a, b),
        Scheme::Tel => same_tel(a, b),
        Scheme::Other(_) => a.user == b.user,
    }
}

fn same_sip(a: &Uri, b: &Uri) -> bool {
    same_text(a.user.as_deref(), b.user.as_deref())
        && same_text(a.password.as_deref(), b.password.as_deref())
        && same_host(&a.host, &b.host)
        && a.port == b.port
        && same_params(a, b)
        && same_headers(a, b)
}

fn same_text(a: Option<&str>, b: Option<&str>) -> bool {
    a.map(normalised) == b.map(normalised)
}

fn same_host(a: &Host, b: &Host) -> bool {
    match (a, b) {
        (Host::Domain(a), Host::Domain(b)) => a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

/// Parameters in both must match; those in only one do not matter unless they are significant.
fn same_params(a: &Uri, b: &Uri) -> bool {
    let significant = SIGNIFICANT.iter().all(|name| a.param(name).is_some() == b.param(name).is_some());
    let shared = a.params.iter().all(|(name, _)| match (param(a, name), param(b, name)) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(&b),
        _ => true,
    });
    significant && shared
}

/// Names and values are compared with escapes resolved.
fn param(uri: &Uri, name: &str) -> Option<Vec<u8>> {
    let name = normalised(name);
    let found = uri.params.iter().find(|(n, _)| normalised(n).eq_ignore_ascii_case(&name));
    found.map(|(_, value)| normalised(value.as_deref().unwrap_or("")))
}

/// Headers are never ignored.
fn same_headers(a: &Uri, b: &Uri) -> bool {
    let sorted = |uri: &Uri| {
        let mut headers: Vec<_> = uri.headers.iter().map(|(n, v)| (normalised(n).to_ascii_lowercase(), normalised(v))).collect();
        headers.sort();
        headers
    };
    sorted(a) == sorted(b)
}

/// Numbers without their visual separators; parameters in any order, all of them.
fn same_tel(a: &Uri, b: &Uri) -> bool {
    let digits = |uri: &Uri| {
        let user = uri.user.as_deref().unwrap_or_default();
        user.replace(['-', '.', '(', ')'], "").to_ascii_lowercase()
    };
    let params = |uri: &Uri| {
        let mut params: Vec<_> =
            uri.params.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.as_ref().map(|v| v.to_ascii_lowercase()))).collect();
        params.sort();
        params
    };
    digits(a) == digits(b) && params(a) == params(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        let (a, b) = (Uri::parse(a).unwrap(), Uri::parse(b).unwrap());
        assert_eq!(a.equivalent(&b), b.equivalent(&a));
        a.equivalent(&b)
    }

    /// The examples of RFC 3261 19.1.4.
    #[test]
    fn rfc_3261_examples() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(same(a, b), "{a} and {b}");
        }
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ] {
            assert!(!same(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn addresses_and_numbers() {
        assert!(same("sip:[2001:DB8::1]", "sip:[2001:db8:0::1]"));
        assert!(same("tel:+1-201-555-0123", "tel:+12015550123"));
        assert!(!same("tel:7042;phone-context=a", "tel:7042;phone-context=b"));
        assert!(same("urn:service:sos", "URN:service:sos"));
    }
}
