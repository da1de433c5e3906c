//! One request to an HTTP gateway and what its answer means. HTTP/1.0 (RFC 9112): the answer ends with the connection,
//! and is never in chunks; no more is needed for a line of text.

use std::fmt::Write as _;

use super::Trouble;
use super::settings::{Content, Http};
use crate::domain::gate::identity::mask_number;
use crate::domain::phone::Phone;

/// Longest answer read: a line of JSON; what is beyond it decides nothing.
pub const MAX_ANSWER: usize = 64 << 10;

/// Returns the request for one text.
pub fn request(gateway: &Http, phone: &Phone, text: &str) -> Vec<u8> {
    let secret = gateway.secret.as_ref().map_or("", |secret| secret.0.as_str());
    let values = [("{phone}", phone.number()), ("{text}", text), ("{secret}", secret)];
    let path = filled(&gateway.path, &values, percent);
    let body = match gateway.content {
        Content::Json => filled(&gateway.body, &values, json),
        Content::Form => filled(&gateway.body, &values, percent),
    };
    let host = if gateway.host.contains(':') { format!("[{}]", gateway.host) } else { gateway.host.clone() };
    let (method, port) = (gateway.method, gateway.port);
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n");
    if !body.is_empty() {
        let kind = match gateway.content {
            Content::Json => "application/json; charset=utf-8",
            Content::Form => "application/x-www-form-urlencoded; charset=utf-8",
        };
        let _infallible = write!(head, "Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    }
    for (name, value) in &gateway.headers {
        let value = filled(value, &[("{secret}", secret)], str::to_owned);
        let _infallible = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    head.push_str(&body);
    head.into_bytes()
}

/// Judges an answer as far as it came before the connection ended.
///
/// # Errors
///
/// Why the text was not taken. A status of 400 to 499 (but 408 and 429) will not be another one at the next try.
pub fn judge(gateway: &Http, phone: &Phone, answer: &[u8]) -> Result<String, Trouble> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let first = head.lines().next().unwrap_or_default();
    let status: Option<u16> = first.strip_prefix("HTTP/1.").and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let Some(status) = status else {
        return Err(Trouble::new("短信网关的应答不是 HTTP", "the gateway's answer is no HTTP"));
    };
    // A gateway may repeat the number, and what it says is recorded.
    let digits = phone.number().trim_start_matches('+');
    let shown = body.trim().replace(digits, &mask_number(digits));
    let said: String = shown.chars().filter(|c| !c.is_control()).take(80).collect();
    let right = gateway.status.map_or((200..300).contains(&status), |wanted| status == wanted);
    if !right {
        let lasting = (400..500).contains(&status) && ![408, 429].contains(&status);
        let why = Trouble::new(format!("短信网关答 {status}：{said}"), format!("the gateway answers {status}: {said}"));
        return Err(Trouble { lasting, ..why });
    }
    match &gateway.answer {
        Some(wanted) if !body.contains(wanted.as_str()) => Err(Trouble::new(
            format!("短信网关的应答没有“{wanted}”：{said}"),
            format!("the gateway's answer has no `{wanted}`: {said}"),
        )),
        _ => Ok(format!("HTTP {status}")),
    }
}

/// Puts values in place of their names, in one pass: what a value holds is not looked through again.
fn filled(template: &str, values: &[(&str, &str)], escape: fn(&str) -> String) -> String {
    let (mut out, mut rest) = (String::new(), template);
    loop {
        let found = values.iter().filter_map(|(name, value)| Some((rest.split_once(name)?, *value)));
        let Some(((before, after), value)) = found.min_by_key(|((before, _), _)| before.len()) else {
            out.push_str(rest);
            return out;
        };
        out.push_str(before);
        out.push_str(&escape(value));
        rest = after;
    }
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

/// Without the quotes, which the template has.
fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::settings::Secret;
    use super::*;

    fn gateway() -> Http {
        Http {
            host: "10.0.0.9".into(),
            port: 8080,
            tls: None,
            path: "/send?to={phone}".into(),
            method: "POST",
            headers: vec![("Authorization".into(), "Bearer {secret}".into())],
            body: r#"{"text":"{text}","to":["{phone}"]}"#.into(),
            content: Content::Json,
            secret: Some(Secret("s3".into())),
            status: None,
            answer: None,
        }
    }

    fn judged(gateway: &Http, answer: &[u8]) -> Result<String, Trouble> {
        judge(gateway, &Phone::parse("+8613800138000").unwrap(), answer)
    }

    fn sent(gateway: &Http, text: &str) -> String {
        String::from_utf8(request(gateway, &Phone::parse("+8613800138000").unwrap(), text)).unwrap()
    }

    #[test]
    fn values_are_escaped_by_where_they_stand_and_not_looked_through_again() {
        let told = sent(&gateway(), "一号罐 \"高\"\n{phone}");
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "{\"text\":\"一号罐 \\\"高\\\"\\n{phone}\",\"to\":[\"+8613800138000\"]}");
        assert!(head.starts_with("POST /send?to=%2B8613800138000 HTTP/1.0\r\nHost: 10.0.0.9:8080\r\n"), "{head}");
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())) && head.ends_with("Authorization: Bearer s3")
        );
        let form = Http { content: Content::Form, body: "m={text}&k={secret}".into(), ..gateway() };
        assert!(sent(&form, "气 &=").ends_with("\r\n\r\nm=%E6%B0%94%20%26%3D&k=s3"));
    }

    #[test]
    fn success_is_the_status_and_what_the_answer_must_say() {
        let answer = |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nServer: x\r\n\r\n{body}").into_bytes();
        let strict = Http { answer: Some("\"code\":0".into()), ..gateway() };
        assert_eq!(judged(&gateway(), &answer("202 Accepted", "")), Ok("HTTP 202".into()));
        assert_eq!(judged(&strict, &answer("200 OK", "{\"code\":0}")), Ok("HTTP 200".into()));
        let short = judged(&strict, &answer("200 OK", "{\"code\":7,\"msg\":\"8613800138000 余额不足\"}")).unwrap_err();
        assert!(short.zh.contains("861******8000 余额不足") && !short.lasting, "{short}");
        assert!(judged(&gateway(), &answer("401 Unauthorized", "")).unwrap_err().lasting);
        assert!(!judged(&gateway(), &answer("503 Busy", "")).unwrap_err().lasting);
        assert!(judged(&Http { status: Some(201), ..gateway() }, &answer("200 OK", "")).is_err());
        assert!(judged(&gateway(), b"").is_err() && judged(&gateway(), b"SSH-2.0\r\n").is_err());
    }
}
