//! One request to an HTTP gateway.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::Trouble;
use super::super::http::{MAX_ANSWER, judge, request};
use super::super::settings::Http;
use crate::domain::danger::ChannelState;
use crate::domain::phone::Phone;

/// Time for a connection within the local net.
const CONNECT: Duration = Duration::from_secs(3);

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
        (&mut stream).take(MAX_ANSWER as u64).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(within, exchange).await {
        Ok(Ok(answer)) => judge(gateway, phone, &answer),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => {
            let s = within.as_secs();
            Err(Trouble::new(
                format!("短信网关 {s} 秒内无应答，可能已发"),
                format!("no answer of the gateway within {s} s; it may have been sent"),
            ))
        }
    }
}

async fn connect(gateway: &Http) -> Result<TcpStream, Trouble> {
    match timeout(CONNECT, TcpStream::connect(&gateway.host)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => Err(Trouble::new("短信网关连接超时", format!("no connection to the gateway within {CONNECT:?}"))),
    }
}

fn broken(error: &std::io::Error) -> Trouble {
    Trouble::new(format!("短信网关连接失败：{error}"), format!("the gateway cannot be reached: {error}"))
}
