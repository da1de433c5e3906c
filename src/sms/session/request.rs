//! One request to an HTTP gateway.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::super::Trouble;
use super::super::http::{MAX_ANSWER, judge, request};
use super::super::settings::Http;
use crate::domain::danger::ChannelState;
use crate::domain::phone::Phone;
use crate::mqtt::tls::{self, Line};

/// Time for a connection, TLS in it.
const CONNECT: Duration = Duration::from_secs(5);

/// Looks whether the gateway takes connections: more it does not say without a text.
pub(super) async fn look(gateway: &Http) -> Result<ChannelState, Trouble> {
    connect(gateway).await?;
    Ok(ChannelState { up: true, zh: "短信网关可连接".into(), en: "the gateway takes connections".into() })
}

/// Hands a text over.
///
/// # Errors
///
/// Why it was not taken.
pub(super) async fn send(gateway: &Http, phone: &Phone, text: &str, within: Duration) -> Result<String, Trouble> {
    let mut stream = connect(gateway).await?;
    let exchange = async {
        stream.write_all(&request(gateway, phone, text)).await?;
        let mut answer = Vec::new();
        match (&mut stream).take(MAX_ANSWER as u64).read_to_end(&mut answer).await {
            // Over TLS some end without a farewell; what came is judged.
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(answer),
        }
    };
    match timeout(within, exchange).await {
        Ok(Ok(answer)) => judge(gateway, phone, &answer),
        Ok(Err(error)) => Err(broken(&error.to_string())),
        Err(_) => {
            let s = within.as_secs();
            Err(Trouble::new(
                format!("短信网关 {s} 秒内无应答，可能已发"),
                format!("no answer of the gateway within {s} s; it may have been sent"),
            ))
        }
    }
}

async fn connect(gateway: &Http) -> Result<Box<dyn Line>, Trouble> {
    match timeout(CONNECT, tls::connect(&gateway.host, gateway.port, gateway.tls.as_ref())).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(why)) => Err(broken(&why)),
        Err(_) => Err(Trouble::new("短信网关连接超时", format!("no connection to the gateway within {CONNECT:?}"))),
    }
}

fn broken(error: &str) -> Trouble {
    Trouble::new(format!("短信网关连接失败：{error}"), format!("the gateway cannot be reached: {error}"))
}
