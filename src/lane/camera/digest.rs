//! Digest access authentication (RFC 7616), both ends of it: what a header says, and what the response must be.

use super::super::coding::{md5, sha256};

/// Longest header that is read; theirs have some 300 characters.
const MAX_HEADER: usize = 2048;

/// Which hash. Cameras of the field know MD5, newer ones SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5: what every camera knows.
    #[default]
    Md5,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// Returns its name in headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Reads its name; `None` for one that is not known (also the `-sess` ones).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => md5(text.as_bytes()),
            Self::Sha256 => sha256(text.as_bytes()),
        }
    }
}

/// What goes into a response.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Which hash.
    pub algorithm: Algorithm,
    /// Method of the request.
    pub method: &'a str,
    /// Path and query of the request.
    pub uri: &'a str,
    /// Realm of the challenge.
    pub realm: &'a str,
    /// Nonce of the challenge.
    pub nonce: &'a str,
    /// `nc` and `cnonce` where the challenge had `qop="auth"`; without it the older form of RFC 2069.
    pub count: Option<(&'a str, &'a str)>,
}

/// Returns the response.
pub fn response(question: &Question<'_>, user: &str, password: &str) -> String {
    let Question { algorithm, method, uri, realm, nonce, count } = *question;
    let one = algorithm.hash(&format!("{user}:{realm}:{password}"));
    let two = algorithm.hash(&format!("{method}:{uri}"));
    match count {
        Some((nc, cnonce)) => algorithm.hash(&format!("{one}:{nonce}:{nc}:{cnonce}:auth:{two}")),
        None => algorithm.hash(&format!("{one}:{nonce}:{two}")),
    }
}

/// Reads the fields of a `Digest …` header, names in lower case; `None` when it is none.
pub fn fields(header: &str) -> Option<Vec<(String, String)>> {
    let (scheme, mut rest) = header.trim().split_once(' ')?;
    if header.len() > MAX_HEADER || !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        if rest.is_empty() {
            return Some(found);
        }
        let (name, after) = rest.split_once('=')?;
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let (value, next) = after.split_once(',').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        found.push((name.trim().to_ascii_lowercase(), value));
        rest = next;
    }
}

/// Splits after the closing quote; a backslash takes the next character as it is.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.chars());
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

/// Returns a field's value.
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 7616 §3.9.1.
    #[test]
    fn the_examples_of_the_rfc_are_ours() {
        let question = |algorithm| Question {
            algorithm,
            method: "GET",
            uri: "/dir/index.html",
            realm: "http-auth@example.org",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            count: Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
        };
        let md5 = response(&question(Algorithm::Md5), "Mufasa", "Circle of Life");
        assert_eq!(md5, "8ca523f5e9506fed4657c9700eebdbec");
        let sha = response(&question(Algorithm::Sha256), "Mufasa", "Circle of Life");
        assert_eq!(sha, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }

    #[test]
    fn a_header_is_read_as_cameras_write_it() {
        let found =
            fields(r#"Digest qop="auth", realm="IP Camera(C1234)", nonce="4e:5,\"x", stale=FALSE,algorithm=MD5"#);
        let found = found.unwrap();
        assert_eq!(field(&found, "realm"), Some("IP Camera(C1234)"));
        assert_eq!(field(&found, "nonce"), Some("4e:5,\"x"));
        assert_eq!((field(&found, "stale"), field(&found, "algorithm")), (Some("FALSE"), Some("MD5")));
        assert_eq!(fields("Basic YWRtaW46MTIzNDU="), None);
        assert_eq!(fields("Digest realm=\"never closed"), None);
    }

    proptest! {
        #[test]
        fn whatever_the_header_it_is_read_or_refused(text in ".{0,120}") {
            let _any = fields(&format!("Digest {text}"));
        }
    }
}
