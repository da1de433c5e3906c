//! A small reader of Rust source for the architecture test: takes away what is not product code, keeps every line number.
//!
//! Not a parser. [`bare`] blanks comments and the contents of string and character literals; [`without_tests`] blanks items
//! under `#[cfg(test)]`. What is blanked becomes spaces, line breaks stay, so that a position in the result is the same
//! position in the file.

/// Returns the source with comments and the contents of literals blanked.
pub(crate) fn bare(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let rest = &chars[at..];
        let hidden = match c {
            '/' if rest.starts_with(&['/', '/']) => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            '/' if rest.starts_with(&['/', '*']) => block_comment(rest),
            '"' => quoted(rest),
            'r' if !ends_in_word(&out) || out.ends_with('b') || out.ends_with('c') => raw_string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if hidden == 0 {
            out.push(c);
            at += 1;
        } else {
            out.extend(rest[..hidden].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at += hidden;
        }
    }
    out
}

/// Returns [`bare`] source with every item under `#[cfg(test)]` blanked.
pub(crate) fn without_tests(bare: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = bare.to_owned();
    while let Some(start) = out.find(MARK) {
        let end = start + MARK.len() + item_length(&out[start + MARK.len()..]);
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// The length of the item at the start of `text`: to its `;`, or to the brace that closes its first one.
fn item_length(text: &str) -> usize {
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' | '(' | '[' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

/// A place in the code: 1-based line, and what was found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    /// 1-based.
    pub(crate) line: usize,
    /// The text looked for, or the path found.
    pub(crate) what: String,
}

/// Finds `word` where it stands by itself: next to a letter, digit or `_` of its own kind it is part of another word.
pub(crate) fn find_word(text: &str, word: &str) -> Vec<Hit> {
    let is_whole = |at: usize| {
        let before = text[..at].chars().next_back().filter(|_| word.starts_with(is_word));
        let after = text[at + word.len()..].chars().next().filter(|_| word.ends_with(is_word));
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    };
    let found = text.match_indices(word).filter(|(at, _)| is_whole(*at));
    found.map(|(at, _)| Hit { line: line_of(text, at), what: word.to_owned() }).collect()
}

/// Finds the paths of our own crate in use: `room::next` for each `crate::room::next`, also within `use crate::{…}`, and for
/// a chain of `super::` that reaches the root. `depth` is how many modules deep the file is (`field/mod.rs` is 1).
pub(crate) fn own_paths(text: &str, depth: usize) -> Vec<Hit> {
    let mut hits = paths_under(text, "crate::");
    if depth > 0 {
        hits.extend(paths_under(text, &"super::".repeat(depth)));
    }
    hits
}

/// Finds what is used below `root` (as `std::`): the next two names of each path, also within `use root::{…}`.
pub(crate) fn paths_under(text: &str, root: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    for start in find_starts(text, root) {
        push_tree(text, start + root.len(), &mut hits);
    }
    hits
}

fn find_starts(text: &str, word: &str) -> Vec<usize> {
    // After a `:` it would be the tail of a longer path (`super::super::`, `::std::` aside).
    let whole = |at: &usize| !text[..*at].chars().next_back().is_some_and(|c| is_word(c) || c == '$' || c == ':');
    text.match_indices(word).map(|(at, _)| at).filter(whole).collect()
}

/// Adds the first two names of the path at `at`, or of each path of a `{…}` group there.
fn push_tree(text: &str, at: usize, hits: &mut Vec<Hit>) {
    let rest = &text[at..];
    if !rest.starts_with('{') {
        let what = first_two_names(rest);
        hits.push(Hit { line: line_of(text, at), what });
        return;
    }
    let (mut depth, mut fresh) = (0, false);
    for (offset, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
        if fresh && is_word(c) {
            hits.push(Hit { line: line_of(text, at + offset), what: first_two_names(&rest[offset..]) });
            fresh = false;
        }
        fresh |= depth == 1 && (c == ',' || c == '{');
    }
}

fn first_two_names(text: &str) -> String {
    let end = text.find(|c: char| !is_word(c) && c != ':').unwrap_or(text.len());
    let names: Vec<&str> = text[..end].split("::").filter(|name| !name.is_empty()).take(2).collect();
    names.join("::")
}

/// The 1-based line of a position.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(is_word)
}

/// The length of a block comment, those within it counted.
fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0_u32);
    while at < rest.len() {
        if rest[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of a `"…"` literal.
fn quoted(rest: &[char]) -> usize {
    let mut at = 1;
    while let Some(c) = rest.get(at) {
        match c {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of an `r#"…"#` literal; 0 when the `r` is something else.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    let body = &rest[2 + hashes..];
    let length = body.windows(close.len()).position(|window| window == close);
    length.map_or(rest.len(), |length| 2 + hashes + length + close.len())
}

/// The length of a character literal; 0 for a lifetime.
fn character(rest: &[char]) -> usize {
    match (rest.get(1), rest.get(2)) {
        (Some('\\'), _) => rest.iter().skip(3).position(|c| *c == '\'').map_or(0, |at| at + 4),
        (Some(_), Some('\'')) => 3,
        _ => 0,
    }
}
