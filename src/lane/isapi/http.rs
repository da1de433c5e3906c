//! Requests to a device and its answers, as bytes: one request a connection, and an answer of bounded length. The device is
//! a small one and is asked twice a second: no more of HTTP than that is needed.

use super::super::camera::digest::{Algorithm, Question, field, fields, response};
use super::super::coding::Password;

/// Longest answer that is read: theirs have some hundred bytes.
pub const MAX_ANSWER: usize = 64 << 10;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET` or `PUT`.
    pub method: &'a str,
    /// Path.
    pub path: &'a str,
    /// Host and port.
    pub host: &'a str,
    /// Body; empty for `GET`.
    pub body: &'a str,
}

/// What a device asked to be proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    algorithm: Algorithm,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    counted: bool,
    count: u32,
}

impl Challenge {
    /// Reads the header; `None` when it asks for nothing that is known here.
    pub fn parse(header: &str) -> Option<Self> {
        let fields = fields(header)?;
        let of = |name| field(&fields, name);
        let algorithm = of("algorithm").map_or(Some(Algorithm::Md5), Algorithm::from_name)?;
        let counted = match of("qop") {
            Some(qop) if qop.split(',').any(|one| one.trim() == "auth") => true,
            Some(_) => return None,
            None => false,
        };
        let [realm, nonce] = ["realm", "nonce"].map(of);
        let plain = |text: &str| !text.contains(['"', '\\', '\r', '\n']);
        let (realm, nonce) = (realm?.to_owned(), nonce?.to_owned());
        let opaque = of("opaque").map(str::to_owned);
        let clean = plain(&realm) && plain(&nonce) && opaque.as_deref().is_none_or(plain);
        clean.then_some(Self { algorithm, realm, nonce, opaque, counted, count: 0 })
    }

    /// Returns the proof for a request; each counts.
    pub fn answer(&mut self, request: &Request<'_>, user: &str, password: &Password, cnonce: &str) -> String {
        self.count += 1;
        let nc = format!("{:08x}", self.count);
        let question = Question {
            algorithm: self.algorithm,
            method: request.method,
            uri: request.path,
            realm: &self.realm,
            nonce: &self.nonce,
            count: self.counted.then_some((nc.as_str(), cnonce)),
        };
        let response = response(&question, user, password.expose());
        let mut header = format!(
            "Digest username=\"{user}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", algorithm={}, response=\"{response}\"",
            self.realm,
            self.nonce,
            request.path,
            self.algorithm.name()
        );
        if self.counted {
            header.push_str(&format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            header.push_str(&format!(", opaque=\"{opaque}\""));
        }
        header
    }
}

/// Writes a request; the connection ends with its answer.
pub fn written(request: &Request<'_>, proof: Option<&str>) -> Vec<u8> {
    let Request { method, path, host, body } = request;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    if let Some(proof) = proof {
        text.push_str(&format!("Authorization: {proof}\r\n"));
    }
    if !body.is_empty() {
        text.push_str("Content-Type: application/xml\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The challenge, where there is one that can be answered.
    pub challenge: Option<Challenge>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Reads an answer: `None` while it is not whole. `ended`: nothing more will come.
///
/// # Errors
/// What it is instead of an answer.
pub fn read(bytes: &[u8], ended: bool) -> Result<Option<Answer>, String> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        return if ended || bytes.len() > MAX_ANSWER { Err("no header of an answer".to_owned()) } else { Ok(None) };
    };
    let head = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok()).ok_or("a header that is no text")?;
    let rest = bytes.get(end + 4..).unwrap_or_default();
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.").and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status: u16 = status.ok_or_else(|| "no status line".to_owned())?;
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
        .collect();
    let all = |name: &'static str| headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| *value);
    let challenge = all("www-authenticate").find_map(Challenge::parse);
    let body = if all("transfer-encoding").any(|coding| coding.eq_ignore_ascii_case("chunked")) {
        unchunked(rest)
    } else {
        match all("content-length").next().map(str::parse::<usize>) {
            Some(Ok(length)) if length <= MAX_ANSWER => rest.get(..length).map(<[u8]>::to_vec),
            Some(_) => return Err("a length that is none, or too long".to_owned()),
            None => ended.then(|| rest.to_vec()),
        }
    };
    match body {
        Some(body) => Ok(Some(Answer { status, challenge, body })),
        None if ended => Err("it ended within its body".to_owned()),
        None if bytes.len() > MAX_ANSWER => Err("longer than an answer is".to_owned()),
        None => Ok(None),
    }
}

/// Joins chunks; `None` while the last is not there, or when they are none.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let at = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..at)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok().filter(|size| *size <= MAX_ANSWER)?;
        rest = rest.get(at + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_written_as_the_device_takes_it() {
        let request = Request { method: "PUT", path: "/ISAPI/x", host: "10.0.0.7:80", body: "<a/>" };
        let bytes = written(&request, Some("Digest x"));
        let text = "PUT /ISAPI/x HTTP/1.1\r\nHost: 10.0.0.7:80\r\nConnection: close\r\nAuthorization: Digest x\r\n\
            Content-Type: application/xml\r\nContent-Length: 4\r\n\r\n<a/>";
        assert_eq!(bytes, text.as_bytes());
    }

    #[test]
    fn a_challenge_is_answered_as_the_rfc_has_it() {
        let mut challenge = Challenge::parse(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, opaque=\"o\", \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\"",
        )
        .unwrap();
        let request = Request { method: "GET", path: "/dir/index.html", host: "h", body: "" };
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let header = challenge.answer(&request, "Mufasa", &Password::new("Circle of Life"), cnonce);
        assert!(header.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\"") && header.contains("nc=00000001"));
        assert!(challenge.answer(&request, "Mufasa", &Password::new("x"), cnonce).contains("nc=00000002"));
        assert_eq!(Challenge::parse("Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\""), None);
        assert_eq!(Challenge::parse("Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256"), None);
        assert_eq!(Challenge::parse("Digest realm=\"r\r\nX: y\", nonce=\"n\""), None);
    }

    #[test]
    fn answers_are_read_by_length_by_chunks_and_by_the_end() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd";
        assert_eq!(read(whole, false).unwrap().unwrap().body, b"abc");
        assert_eq!(read(&whole[..whole.len() - 2], false), Ok(None));
        assert!(read(&whole[..whole.len() - 2], true).is_err());
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n";
        assert_eq!(read(chunked, false).unwrap().unwrap().body, b"abc");
        let open = b"HTTP/1.1 200 OK\r\n\r\nabc";
        assert_eq!((read(open, false), read(open, true).unwrap().unwrap().body), (Ok(None), b"abc".to_vec()));
        let refused =
            b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nContent-Length: 0\r\n\r\n";
        let answer = read(refused, false).unwrap().unwrap();
        assert_eq!((answer.status, answer.challenge.is_some()), (401, true));
        assert!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", false).is_err());
        assert!(read(&vec![b'x'; MAX_ANSWER + 1], false).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_the_reader_stands(bytes in prop::collection::vec(any::<u8>(), 0..200), ended in any::<bool>()) {
            let _any = read(&bytes, ended);
            let _any = read(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(), &bytes].concat(), ended);
        }
    }
}
