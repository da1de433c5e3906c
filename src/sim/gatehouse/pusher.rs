//! A simulated system of the park that pushes to the gateway: it counts a queue, or says where persons are and who calls for
//! help. It signs what it says, as the gateway's configuration has it.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lane::coding::{Key, hex, sha256};
use crate::lane::isapi::http::{Answer, read};

/// See the module.
#[derive(Debug)]
pub struct SimPusher {
    to: SocketAddr,
    path: String,
    key: Key,
    nonce: u64,
}

impl SimPusher {
    /// One that pushes under this id.
    pub fn new(to: SocketAddr, id: &str, key: &[u8]) -> Self {
        Self { to, path: format!("/push/{id}"), key: Key::new(key), nonce: 0 }
    }

    /// Signs and pushes a body at `wall_ms`, milliseconds since 1970; `None`: nobody answers.
    pub async fn push(&mut self, body: &Value, wall_ms: i64) -> Option<Answer> {
        self.nonce += 1;
        let (path, nonce, body) = (&self.path, self.nonce, body.to_string());
        let message = format!("POST\n{path}\n{wall_ms}\nn{nonce}\n{}", sha256(body.as_bytes()));
        let signature = hex(&self.key.sign(message.as_bytes()));
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nX-Parkgate-Time: {wall_ms}\r\n\
             X-Parkgate-Nonce: n{nonce}\r\nX-Parkgate-Signature: {signature}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.to).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        read(&bytes, true).ok().flatten()
    }
}
