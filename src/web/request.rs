//! The little of a request that matters here: query, cookie, percent-encoding. Pure, and never an error: what can not be
//! understood is as if it were not there.

use super::lang::Lang;

/// Longest path with query that is served; a tag of 64 Chinese characters, percent-encoded, is 576.
pub const LONGEST_TARGET: usize = 2048;

/// The language of an answer and where it came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The language.
    pub lang: Lang,
    /// Whether `?lang=` said so: then a cookie is set and the links keep it, so that it lasts without cookies too.
    pub asked: bool,
}

impl Choice {
    /// Returns the language asked for by the query, else by the cookie, else Chinese.
    pub fn of(query: &str, cookie: Option<&str>) -> Self {
        if let Some(lang) = parameter(query, "lang").and_then(|code| Lang::from_code(&code)) {
            return Self { lang, asked: true };
        }
        let lang = cookie.and_then(|header| cookie_value(header, "lang")).and_then(Lang::from_code);
        Self { lang: lang.unwrap_or_default(), asked: false }
    }

    /// Returns `path` with `?lang=` when the language was asked for so.
    pub fn link(self, path: &str) -> String {
        if !self.asked {
            return path.to_owned();
        }
        let joint = if path.contains('?') { '&' } else { '?' };
        format!("{path}{joint}lang={}", self.lang.code())
    }
}

/// Returns the first value of a query parameter, decoded.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| decode(&value.replace('+', " "))).flatten()
    })
}

fn cookie_value<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header
        .split(';')
        .find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// Decodes percent-encoding; `None` when it is broken or not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            plain.push(high * 16 + low);
        } else {
            plain.push(byte);
        }
    }
    String::from_utf8(plain).ok()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Encodes a name as one segment of a path or one value of a query.
pub fn encode(name: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
            _ => {
                // Writing to a String can not fail.
                let _ok = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_query_beats_the_cookie_and_stays_in_the_links() {
        let choice = Choice::of("device=a&lang=en", Some("lang=zh"));
        assert_eq!(choice, Choice { lang: Lang::En, asked: true });
        assert_eq!(choice.link("/point/TT101"), "/point/TT101?lang=en");
        assert_eq!(choice.link("/events?device=a"), "/events?device=a&lang=en");
    }

    #[test]
    fn the_cookie_counts_when_the_query_is_silent_or_nonsense() {
        assert_eq!(Choice::of("lang=xx", Some("a=b; lang=en")), Choice { lang: Lang::En, asked: false });
        assert_eq!(Choice::of("", Some("slang=en")), Choice::default());
        assert_eq!(Choice::of("", None).link("/"), "/");
    }

    #[test]
    fn broken_encoding_is_no_value() {
        assert_eq!(decode("%"), None);
        assert_eq!(decode("%4"), None);
        assert_eq!(decode("%zz"), None);
        assert_eq!(decode("%ff"), None);
        assert_eq!(decode("%E4%BD%8D%20"), Some("位 ".to_owned()));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(name in ".{0,64}") {
            prop_assert_eq!(decode(&encode(&name)), Some(name));
        }

        #[test]
        fn no_query_makes_it_fall_over(query in ".{0,200}", cookie in ".{0,200}") {
            let _choice = Choice::of(&query, Some(&cookie));
        }
    }
}
