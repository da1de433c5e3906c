//! Parts of a multipart body (RFC 7578), as cameras send their heartbeats, and their events with pictures.
//!
//! Tolerant where cameras differ (bare line feeds, no last boundary, lengths left out), and bounded: [`MAX_PARTS`].

/// Most parts that are looked at; what comes after them is not read. Cameras send 7 fields, or one event and 3 pictures.
const MAX_PARTS: usize = 32;
/// Longest boundary by RFC 2046.
const MAX_BOUNDARY: usize = 70;

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Name of the field; empty when it has none.
    pub name: &'a str,
    /// Its content type; empty when it has none.
    pub kind: &'a str,
    /// What it holds.
    pub content: &'a [u8],
}

/// Reads the boundary out of a content type; `None` when it is not multipart.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let (_, value) = named.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim().trim_matches('"');
    (1..=MAX_BOUNDARY).contains(&value.len()).then_some(value)
}

/// Returns the parts of a body.
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<Part<'a>> {
    let mark = [b"--", boundary.as_bytes()].concat();
    let mut found = Vec::new();
    let mut rest = match position(body, &mark) {
        Some(at) => body.get(at + mark.len()..).unwrap_or_default(),
        None => return found,
    };
    while found.len() < MAX_PARTS && !rest.starts_with(b"--") {
        let end = position(rest, &mark);
        let whole = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        found.extend(part(whole));
        match end {
            Some(end) => rest = rest.get(end + mark.len()..).unwrap_or_default(),
            None => break,
        }
    }
    found
}

fn part(whole: &[u8]) -> Option<Part<'_>> {
    let whole = whole.strip_prefix(b"\r\n").or_else(|| whole.strip_prefix(b"\n")).unwrap_or(whole);
    let (head, content) = [&b"\r\n\r\n"[..], b"\n\n"].iter().find_map(|gap| {
        let at = position(whole, gap)?;
        Some((whole.get(..at)?, whole.get(at + gap.len()..)?))
    })?;
    let content = content.strip_suffix(b"\r\n").or_else(|| content.strip_suffix(b"\n")).unwrap_or(content);
    let head = std::str::from_utf8(head).ok()?;
    let mut part = Part { name: "", kind: "", content };
    for line in head.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        if key.trim().eq_ignore_ascii_case("content-type") {
            part.kind = value.trim();
        } else if key.trim().eq_ignore_ascii_case("content-disposition") {
            let named = value.split(';').filter_map(|parameter| parameter.split_once('='));
            let name = named.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("name"));
            part.name = name.map(|(_, value)| value.trim().trim_matches('"')).unwrap_or_default();
        }
    }
    Some(part)
}

/// Where `needle` first stands in `hay`.
fn position(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    // The first byte is searched for by itself: a picture of megabytes is passed in a few milliseconds.
    while let Some(at) = hay.get(from..)?.iter().position(|byte| *byte == first) {
        if hay.get(from + at..)?.starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_heartbeat_are_read() {
        let body = b"--X1\r\nContent-Disposition: form-data; name=\"serialno\"\r\n\r\nabc-1\r\n--X1\r\n\
            Content-Disposition: form-data; name=\"pass_wd\"\r\n\r\nadmin\r\n--X1--\r\n";
        let boundary = boundary("multipart/form-data; boundary=X1").unwrap();
        let found: Vec<_> = parts(body, boundary).iter().map(|part| (part.name, part.content)).collect();
        assert_eq!(found, [("serialno", &b"abc-1"[..]), ("pass_wd", b"admin")]);
    }

    #[test]
    fn a_sloppy_camera_is_read_all_the_same() {
        let body =
            b"--b\nContent-Type: application/xml\n\n<a/>\n--b\nno header\n--b\nContent-Type: image/jpeg\n\n\xFF\xD8";
        let kinds: Vec<_> = parts(body, "b").iter().map(|part| (part.kind, part.content.len())).collect();
        assert_eq!(kinds, [("application/xml", 4), ("image/jpeg", 2)]);
    }

    #[test]
    fn what_is_no_multipart_has_no_boundary() {
        assert_eq!(boundary("application/json"), None);
        assert_eq!(boundary("multipart/form-data; charset=utf-8"), None);
        assert_eq!(boundary(&format!("multipart/mixed; boundary={}", "x".repeat(71))), None);
        assert_eq!(boundary("Multipart/Form-Data;Boundary=\"a b\""), Some("a b"));
        assert_eq!(parts(b"nothing here", "b"), []);
    }

    #[test]
    fn no_body_gives_more_parts_than_are_looked_at() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n".repeat(1000);
        assert_eq!(parts(body.as_bytes(), "b").len(), MAX_PARTS);
    }
}
