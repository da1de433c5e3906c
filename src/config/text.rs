//! Text as people's tools write it: encodings with and without BOM, line and column of a byte, full-width letters, and
//! the word that was probably meant.

use std::borrow::Cow;

use encoding_rs::{Encoding, GB18030, UTF_8};

/// Longest key or word compared for a suggestion; longer ones are never typing errors of ours.
const MAX_SUGGEST: usize = 40;

/// Decodes a table as Excel and editors save it: any Unicode BOM, else UTF-8 when it is valid, else GB18030 (the
/// "ANSI" of a Chinese Windows; GBK and GB2312 are part of it). `Err` is the line of the first byte that is none of it.
pub(super) fn decode(bytes: &[u8]) -> Result<String, u32> {
    if let Some((encoding, bom)) = Encoding::for_bom(bytes) {
        return decode_as(encoding, bytes.get(bom..).unwrap_or_default());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => decode_as(GB18030, bytes),
    }
}

/// Decodes TOML, which is UTF-8 by its specification; a BOM is tolerated. `Err` is the line of the first wrong byte.
pub(super) fn decode_utf8(bytes: &[u8]) -> Result<String, u32> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    decode_as(UTF_8, bytes)
}

fn decode_as(encoding: &'static Encoding, bytes: &[u8]) -> Result<String, u32> {
    let (text, wrong) = encoding.decode_without_bom_handling(bytes);
    if wrong {
        let before = text.split('\u{FFFD}').next().unwrap_or_default();
        return Err(line_count(before));
    }
    Ok(text.into_owned())
}

fn line_count(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX).saturating_add(1)
}

/// Byte offsets to line and column.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Indexes `text`.
    pub(super) fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Self { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// Returns line and column (in characters), both from 1.
    pub(super) fn at(&self, offset: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|s| *s <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let chars = self.text.get(start..offset).map_or(0, |t| t.chars().count());
        let whole = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (whole(line), whole(chars + 1))
    }
}

/// Returns `text` with full-width letters, digits and signs as ASCII and without spaces (of any width) around it. For
/// cells that hold codes and numbers; names keep their full-width signs.
pub(super) fn narrow(text: &str) -> Cow<'_, str> {
    let trimmed = trim(text);
    if trimmed.is_ascii() {
        return Cow::Borrowed(trimmed);
    }
    let narrow: String = trimmed.chars().map(narrow_char).collect();
    Cow::Owned(trim(&narrow).to_owned())
}

/// Returns `text` without spaces of any width, and without the invisible marks that copying from web pages leaves.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{FEFF}' | '\u{200B}'))
}

fn narrow_char(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '\u{3000}' | '\u{00A0}' => ' ',
        '\u{2212}' | '\u{2013}' => '-', // the minus and the dash that word processors put for a hyphen
        other => other,
    }
}

/// Returns the candidate that was probably meant: at most a third of its letters differ.
pub(super) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() > MAX_SUGGEST {
        return None;
    }
    let word = word.to_lowercase();
    let (differing, near) = candidates.into_iter().map(|c| (distance(&word, c), c)).min_by_key(|(d, _)| *d)?;
    let allowed = near.chars().count().max(word.chars().count()) / 3;
    (differing <= allowed.max(1)).then_some(near)
}

/// Edit distance with swaps of neighbours counted once (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let cell = |r: &[usize], k: usize| r.get(k).copied().unwrap_or(usize::MAX - 1);
            let replace = cell(&row, j) + usize::from(ca != cb);
            let mut best = replace.min(cell(&row, j + 1) + 1).min(cell(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                best = best.min(cell(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_saving_of_the_same_table_is_the_same_text() {
        let text = "位号,名称\nTT101,一号罐温度℃\n";
        let (gb, _, _) = GB18030.encode(text);
        let utf16: Vec<u8> = std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let bom = [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat();
        for bytes in [text.as_bytes(), &bom, &gb, &utf16] {
            assert_eq!(decode(bytes).as_deref(), Ok(text));
        }
    }

    #[test]
    fn bytes_of_no_encoding_name_their_line() {
        assert_eq!(decode(b"a\nb\n\xff\xff\n"), Err(3));
        assert_eq!(decode_utf8("a = \"东\"".as_bytes()).as_deref(), Ok("a = \"东\""));
        assert_eq!(decode_utf8(b"a\n\xb6\xab"), Err(2));
    }

    #[test]
    fn line_and_column_count_characters() {
        let lines = Lines::new("a\n东区 = 1\n");
        assert_eq!(lines.at(0), (1, 1));
        assert_eq!(lines.at(2), (2, 1));
        assert_eq!(lines.at(8), (2, 3));
        assert_eq!(lines.at(999), (3, 1));
    }

    #[test]
    fn full_width_becomes_ascii_and_spaces_go() {
        assert_eq!(narrow("　ＴＴ１０１ "), "TT101");
        assert_eq!(narrow("－１．５"), "-1.5");
        assert_eq!(narrow("\u{FEFF}40001"), "40001");
    }

    #[test]
    fn the_word_that_was_meant_is_found() {
        assert_eq!(suggest("qouta", ["quota", "dir"]), Some("quota"));
        assert_eq!(suggest("max_regster", ["max_registers", "max_bits"]), Some("max_registers"));
        assert_eq!(suggest("colour", ["quota", "dir"]), None);
        assert_eq!(distance("ca", "ac"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
