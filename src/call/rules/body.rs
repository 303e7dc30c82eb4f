//! Parts of a multipart body by type.

use super::draft::Draft;
use ringfort_sip::message::{ContentType, HeaderName, Part, parts};

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
    let Some(boundary) = kind.params.value("boundary") else { return };
    let body = draft.body().to_vec();
    let parts = parts(&body, boundary);
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
                joined.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
                joined.extend_from_slice(part.raw());
                joined.extend_from_slice(b"\r\n");
            }
            joined.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
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
