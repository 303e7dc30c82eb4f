//! A fax as data: the `m=image` line of ITU-T T.38 annex D over UDPTL. The node passes it and reads nothing of it.

use crate::hiding::Secrets;
use crate::sdp::{MediaLine, Section};
use ringfort_base::limits::FAX_ATTRIBUTES_MAX;
use serde::{Deserialize, Serialize};

/// Attributes that pass (T.38 annex D.2.3), in the spelling of the standard; peers write them in any case. Not `T38VendorInfo`: it tells
/// whose machine it is.
const ATTRIBUTES: [&str; 13] = [
    "T38FaxVersion",
    "T38MaxBitRate",
    "T38FaxFillBitRemoval",
    "T38FaxTranscodingMMR",
    "T38FaxTranscodingJBIG",
    "T38FaxRateManagement",
    "T38FaxMaxBuffer",
    "T38FaxMaxDatagram",
    "T38FaxMaxIFP",
    "T38FaxUdpEC",
    "T38FaxUdpECDepth",
    "T38FaxUdpFECMaxSpan",
    "T38ModemType",
];

/// What a peer says of its fax, as the other leg may know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fax {
    /// Attributes as text behind `a=`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// The description has no audio line at all: the fax took its place (RFC 3264 8.3.3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
}

impl Fax {
    /// Reads a section. `alone`: there is no audio line.
    pub(crate) fn read(section: Section<'_>, secrets: &Secrets, alone: bool) -> Fax {
        let known = |name: &str| ATTRIBUTES.iter().any(|known| known.eq_ignore_ascii_case(name));
        let wanted = section.attributes().filter(|attribute| known(attribute.name)).map(|attribute| attribute.text());
        let attributes = wanted.filter(|text| passes(text) && !secrets.show_in(text)).take(FAX_ATTRIBUTES_MAX).collect();
        Fax { attributes, alone }
    }

    /// A description from elsewhere is held to what a peer's is.
    pub(crate) fn cleaned(&self) -> Fax {
        let attributes = self.attributes.iter().filter(|text| passes(text)).cloned().collect();
        Fax { attributes, alone: self.alone }
    }
}

/// Numbers and short words only.
fn passes(text: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b':' | b' ' | b'-' | b'_');
    text.len() <= 80 && text.bytes().all(plain)
}

/// A live line of a fax that the node passes.
pub(crate) fn is_fax(line: &MediaLine) -> bool {
    let t38 = line.formats.first().is_some_and(|format| format.eq_ignore_ascii_case("t38"));
    line.kind == "image" && line.port != 0 && line.proto.eq_ignore_ascii_case("udptl") && t38
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Sdp;

    #[test]
    fn what_is_not_on_the_list_stays() {
        let body = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nm=image 4000 udptl t38\r\na=T38FaxVersion:0\r\na=T38maxbitrate:14400\r\n\
                    a=T38FaxUdpECDepth:minred: 2 maxred: 3\r\na=T38VendorInfo:0 0 37\r\na=T38FaxUdpEC:at 10.0.0.1\r\na=label:9\r\n";
        let sdp = Sdp::parse(body.as_bytes()).unwrap();
        let fax = Fax::read(sdp.media_section(0).unwrap(), &Secrets::of(&sdp), true);
        assert_eq!(fax.attributes, ["T38FaxVersion:0", "T38maxbitrate:14400", "T38FaxUdpECDepth:minred: 2 maxred: 3"]);
        assert!(is_fax(sdp.media[0].line()) && fax.cleaned() == fax);
    }
}
