//! Parts of a multipart body by type (RFC 2046 5.1, RFC 5621).

use super::draft::Draft;
use ringfort_base::limits;
use ringfort_sip::message::{ContentType, HeaderName};

/// Fields that describe a body.
const OF_BODY: [HeaderName; 5] = [
    HeaderName::ContentType,
    HeaderName::ContentDisposition,
    HeaderName::ContentEncoding,
    HeaderName::ContentLanguage,
    HeaderName::MimeVersion,
];

/// Keeps the parts whose type is wanted. One part that is left becomes the body itself.
pub(super) fn filter(draft: &mut Draft<'_>, wanted: impl Fn(&str) -> bool) {
    let Some(value) = draft.value(HeaderName::ContentType).map(str::to_string) else { return };
    let Ok(kind) = ContentType::parse(&value) else { return };
    if !kind.media_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
        if !wanted(kind.media_type) {
            replace(draft, None);
        }
        return;
    }
    let Some(boundary) = kind.params.value("boundary").map(|b| format!("--{b}")) else { return };
    let body = draft.body().to_vec();
    let parts = split(&body, boundary.as_bytes());
    if parts.len() > limits::BODY_PARTS_MAX {
        return;
    }
    let kept: Vec<&Part<'_>> = parts.iter().filter(|part| wanted(part.media_type())).collect();
    if kept.len() == parts.len() {
        return;
    }
    match kept.as_slice() {
        [] => replace(draft, None),
        [one] => replace(draft, Some(one)),
        several => {
            let mut joined = Vec::new();
            for part in several {
                joined.extend_from_slice(boundary.as_bytes());
                joined.extend_from_slice(b"\r\n");
                joined.extend_from_slice(part.raw);
                joined.extend_from_slice(b"\r\n");
            }
            joined.extend_from_slice(boundary.as_bytes());
            joined.extend_from_slice(b"--\r\n");
            draft.body = Some(joined);
            draft.changed = true;
        }
    }
}

fn replace(draft: &mut Draft<'_>, part: Option<&Part<'_>>) {
    OF_BODY.into_iter().for_each(|name| draft.drop_field(name));
    for (name, value) in part.into_iter().flat_map(Part::fields) {
        let known = HeaderName::parse(name.as_bytes());
        if OF_BODY.contains(&known) {
            draft.push(known, known.as_str(), value);
        }
    }
    draft.body = Some(part.map(|part| part.content().to_vec()).unwrap_or_default());
    draft.changed = true;
}

/// One part, its header fields included.
struct Part<'b> {
    raw: &'b [u8],
}

impl<'b> Part<'b> {
    fn head_len(&self) -> usize {
        if self.raw.starts_with(b"\r\n") { 0 } else { find(self.raw, b"\r\n\r\n").map_or(self.raw.len(), |at| at + 2) }
    }

    fn fields(&self) -> impl Iterator<Item = (&'b str, &'b str)> {
        let head = std::str::from_utf8(&self.raw[..self.head_len()]).unwrap_or_default();
        head.split("\r\n").filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim()))
    }

    fn media_type(&self) -> &'b str {
        let value = self.fields().find(|(name, _)| HeaderName::parse(name.as_bytes()) == HeaderName::ContentType);
        value.and_then(|(_, value)| ContentType::parse(value).ok()).map_or("text/plain", |kind| kind.media_type)
    }

    fn content(&self) -> &'b [u8] {
        self.raw.get(self.head_len() + 2..).unwrap_or_default()
    }
}

/// The parts between delimiters, each without the line end that belongs to the delimiter.
fn split<'b>(body: &'b [u8], delimiter: &[u8]) -> Vec<Part<'b>> {
    let mut parts = Vec::new();
    let Some(mut at) = find(body, delimiter).map(|at| at + delimiter.len()) else { return parts };
    let next = [b"\r\n", delimiter].concat();
    while parts.len() <= limits::BODY_PARTS_MAX {
        let rest = body.get(at..).unwrap_or_default();
        let Some(rest) = rest.strip_prefix(b"\r\n") else { break };
        // The empty head of a part begins where the delimiter's line ends.
        let Some(end) = find(rest, &next) else { break };
        parts.push(Part { raw: &rest[..end] });
        at = body.len() - rest.len() + end + next.len();
    }
    parts
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len().max(1)).position(|window| window == wanted)
}
