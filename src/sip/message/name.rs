//! Header names: the IANA registry's, as far as Ringfort looks at them, with their compact forms.

use std::fmt;

macro_rules! header_names {
    ($($variant:ident $text:literal $($compact:literal)?,)*) => {
        /// The name of a header field. Names are compared without regard to case; compact forms are the same name
        /// (RFC 3261 7.3.3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $text, "`" $(, ", compact `", $compact, "`")?, ".")] $variant,)*
            /// A name that is not in this list.
            Other,
        }

        const TABLE: &[(HeaderName, &str, &str)] =
            &[$((HeaderName::$variant, $text, concat!($($compact)?)),)*];
    };
}

header_names! {
    Accept "Accept",
    AcceptContact "Accept-Contact" "a",
    AcceptEncoding "Accept-Encoding",
    AcceptLanguage "Accept-Language",
    AlertInfo "Alert-Info",
    Allow "Allow",
    AllowEvents "Allow-Events" "u",
    AuthenticationInfo "Authentication-Info",
    Authorization "Authorization",
    CallId "Call-ID" "i",
    CallInfo "Call-Info",
    Contact "Contact" "m",
    ContentDisposition "Content-Disposition",
    ContentEncoding "Content-Encoding" "e",
    ContentLanguage "Content-Language",
    ContentLength "Content-Length" "l",
    ContentType "Content-Type" "c",
    CSeq "CSeq",
    Date "Date",
    Diversion "Diversion",
    ErrorInfo "Error-Info",
    Event "Event" "o",
    Expires "Expires",
    FlowTimer "Flow-Timer",
    From "From" "f",
    Geolocation "Geolocation",
    GeolocationRouting "Geolocation-Routing",
    HistoryInfo "History-Info",
    Identity "Identity" "y",
    InfoPackage "Info-Package",
    InReplyTo "In-Reply-To",
    Join "Join",
    MaxForwards "Max-Forwards",
    MimeVersion "MIME-Version",
    MinExpires "Min-Expires",
    MinSe "Min-SE",
    Organization "Organization",
    PAccessNetworkInfo "P-Access-Network-Info",
    PAssertedIdentity "P-Asserted-Identity",
    PAssociatedUri "P-Associated-URI",
    Path "Path",
    PEarlyMedia "P-Early-Media",
    PPreferredIdentity "P-Preferred-Identity",
    Priority "Priority",
    Privacy "Privacy",
    ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthorization "Proxy-Authorization",
    ProxyRequire "Proxy-Require",
    RAck "RAck",
    Reason "Reason",
    RecordRoute "Record-Route",
    RecvInfo "Recv-Info",
    ReferredBy "Referred-By" "b",
    ReferSub "Refer-Sub",
    ReferTo "Refer-To" "r",
    RejectContact "Reject-Contact" "j",
    RemotePartyId "Remote-Party-ID",
    Replaces "Replaces",
    ReplyTo "Reply-To",
    RequestDisposition "Request-Disposition" "d",
    Require "Require",
    RetryAfter "Retry-After",
    Route "Route",
    RSeq "RSeq",
    Server "Server",
    ServiceRoute "Service-Route",
    SessionExpires "Session-Expires" "x",
    SessionId "Session-ID",
    SipETag "SIP-ETag",
    SipIfMatch "SIP-If-Match",
    Subject "Subject" "s",
    SubscriptionState "Subscription-State",
    Supported "Supported" "k",
    TargetDialog "Target-Dialog",
    Timestamp "Timestamp",
    To "To" "t",
    Unsupported "Unsupported",
    UserAgent "User-Agent",
    UserToUser "User-to-User",
    Via "Via" "v",
    Warning "Warning",
    WwwAuthenticate "WWW-Authenticate",
}

/// Number of names, [`HeaderName::Other`] included.
pub(crate) const NAMES: usize = TABLE.len() + 1;

const LONGEST: usize = 24;
const BUCKET: usize = 16;

/// Indices into [`TABLE`] of the names of each length; `u8::MAX` ends a bucket. Index 1 holds nothing: compact forms
/// have their own table.
const BY_LENGTH: [[u8; BUCKET]; LONGEST] = {
    let mut buckets = [[u8::MAX; BUCKET]; LONGEST];
    let mut used = [0usize; LONGEST];
    let mut i = 0;
    while i < TABLE.len() {
        let len = TABLE[i].1.len();
        buckets[len][used[len]] = i as u8;
        used[len] += 1;
        i += 1;
    }
    buckets
};

/// The name that each compact letter stands for.
const BY_LETTER: [HeaderName; 26] = {
    let mut letters = [HeaderName::Other; 26];
    let mut i = 0;
    while i < TABLE.len() {
        if !TABLE[i].2.is_empty() {
            letters[(TABLE[i].2.as_bytes()[0] - b'a') as usize] = TABLE[i].0;
        }
        i += 1;
    }
    letters
};

impl HeaderName {
    /// Reads a name in its long or compact form, in any case.
    pub fn parse(name: &[u8]) -> HeaderName {
        match name {
            [letter] if letter.is_ascii_alphabetic() => BY_LETTER[usize::from(letter.to_ascii_lowercase() - b'a')],
            _ if name.len() < LONGEST => BY_LENGTH[name.len()]
                .iter()
                .map_while(|&i| TABLE.get(usize::from(i)))
                .find(|entry| entry.1.as_bytes().eq_ignore_ascii_case(name))
                .map_or(HeaderName::Other, |entry| entry.0),
            _ => HeaderName::Other,
        }
    }

    /// The long form. Empty for [`HeaderName::Other`], whose text stands in the message.
    pub fn as_str(self) -> &'static str {
        TABLE.get(self as usize).map_or("", |entry| entry.1)
    }

    /// Every known name, in the order of the enum.
    pub fn all() -> impl Iterator<Item = HeaderName> {
        TABLE.iter().map(|entry| entry.0)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_in_any_case() {
        for name in HeaderName::all() {
            assert_eq!(HeaderName::parse(name.as_str().as_bytes()), name);
            assert_eq!(HeaderName::parse(name.as_str().to_ascii_uppercase().as_bytes()), name);
            assert_eq!(TABLE[name as usize].0, name);
        }
        assert_eq!(HeaderName::parse(b"C%6Fntact"), HeaderName::Other);
        assert_eq!(HeaderName::parse(b""), HeaderName::Other);
        assert_eq!(HeaderName::parse(&[b'x'; 300]), HeaderName::Other);
    }

    #[test]
    fn compact_forms() {
        for (compact, name) in [("v", HeaderName::Via), ("L", HeaderName::ContentLength), ("k", HeaderName::Supported)] {
            assert_eq!(HeaderName::parse(compact.as_bytes()), name);
        }
        assert_eq!(HeaderName::parse(b"z"), HeaderName::Other);
        assert_eq!(HeaderName::parse(b"1"), HeaderName::Other);
    }
}
