//! The leaves of an XML document: local names and texts in order. Bounded, and of one's own making in nothing but that.

use std::borrow::Cow;

use encoding_rs::GB18030;
use quick_xml::Reader;
use quick_xml::events::Event;

/// Most leaves that are read; an event of a camera has some 60.
const MAX_LEAVES: usize = 512;
/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 32;

/// Returns the leaves as pairs of local name and text; `None` when it is no XML, or beyond the bounds.
pub fn leaves(document: &[u8]) -> Option<Vec<(String, String)>> {
    let text = match std::str::from_utf8(document) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => GB18030.decode_without_bom_handling(document).0,
    };
    let mut reader = Reader::from_str(&text);
    let (mut found, mut open, mut content, mut leaf) = (Vec::new(), Vec::new(), String::new(), false);
    let mut roots = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                roots += usize::from(open.is_empty());
                open.push(start.local_name().as_ref().to_owned());
                content.clear();
                leaf = true;
            }
            Event::Empty(start) => {
                roots += usize::from(open.is_empty());
                found.push((start.local_name().as_ref().to_owned(), String::new()));
                leaf = false;
            }
            Event::Text(text) => content.push_str(&text),
            Event::CData(text) => content.push_str(&text),
            Event::GeneralRef(name) => content.push(reference(&name)?),
            Event::End(_) => {
                let name = open.pop()?;
                if leaf {
                    found.push((name, content.trim().to_owned()));
                }
                leaf = false;
            }
            Event::Eof => return (open.is_empty() && roots == 1).then_some(found),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
        }
        if found.len() > MAX_LEAVES || open.len() > MAX_DEPTH {
            return None;
        }
    }
}

/// The predefined entities and numbers; others would have to be declared, and are not followed.
fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Returns the text of the first leaf of this name.
pub fn text_of<'a>(leaves: &'a [(String, String)], name: &str) -> Option<&'a str> {
    leaves.iter().find(|(leaf, text)| leaf == name && !text.is_empty()).map(|(_, text)| text.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_leaves_are_read_and_nothing_else_is_followed() {
        let xml =
            b"<?xml version=\"1.0\"?><a xmlns:x=\"u\"><x:b>1 &amp; &#x32;</x:b><c><d/></c><e><![CDATA[<3>]]></e></a>";
        let found = leaves(xml).unwrap();
        assert_eq!(text_of(&found, "b"), Some("1 & 2"));
        assert_eq!(text_of(&found, "e"), Some("<3>"));
        assert_eq!((text_of(&found, "c"), text_of(&found, "d")), (None, None));
        assert_eq!(leaves(b"<a><b>&evil;</b></a>"), None);
        assert_eq!(leaves(b"<a><b></a>"), None);
        assert_eq!(leaves(b""), None);
        assert_eq!(leaves("<a>".repeat(1000).as_bytes()), None);
        assert_eq!(leaves(format!("<a>{}</a>", "<b/>".repeat(1000)).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn whatever_the_text_the_reader_stands(text in "[<>/a-c&;!\\[\\]\"= #x0-9-]{0,80}") {
            let _any = leaves(text.as_bytes());
        }
    }
}
