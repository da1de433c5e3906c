//! Opening a session: which endpoint, whether its certificate is trusted, who we are. One attempt, at most one CreateSession.
//!
//! The client library's own back-off is not used: it starts anew with each connection, so a server that takes a session and
//! drops it at once would be asked without end. Of its certificate checks the one that counts stays on: the very certificate
//! that an engineer trusted, and no other. Validity and application URI are checked here, before the first message of a session and
//! with words for people: the library takes a URI only as the first of the certificate's names, where node-opcua has a host. Host
//! names are not compared: behind forwarded ports and bare addresses they rarely fit, and add nothing to an exact match.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::opcua::client::{
    Client, ClientBuilder, IdentityToken, MonitoredItemMap, OnSubscriptionNotificationCore, Session,
    SessionConnectMode, SessionPollResult,
};
use ::opcua::crypto::SecurityPolicy;
use ::opcua::types::{
    DataChangeNotification, DataValue, EndpointDescription, MessageSecurityMode, NotificationMessage,
    StatusChangeNotification, StatusCode, UserTokenType,
};
use futures_core::Stream;
use tokio::sync::mpsc;

use super::super::super::settings::opcua::{Identity, Protection, Security, Server};
use super::pki::{Judgement, Own, Pki};
use crate::domain::snapshot::Certificate;
use crate::domain::time::Timestamp;

/// Notifications that wait for the task: with [`super::ask::MAX_PER_NOTIFICATION`] values in each some 256,000 values, which is
/// half a minute of the largest server that was measured, and some 20 MB. Beyond it they are dropped, counted, and a gap.
pub const N_QUEUED_NOTICES: usize = 256;
/// A session that nobody uses is kept by the server for this long: a connection that is back within it goes on where it was,
/// with what the server had queued.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(60);
/// Empty reads of the server's state that may fail before the library drops the connection.
const FAILED_KEEP_ALIVES: u64 = 2;
/// Bounds of what a server may send at once; a server of 100,000 points needs some MB.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
const MAX_CHUNKS: usize = 4096;
const MAX_ARRAY: usize = 1 << 20;

/// Why there is no session. For people.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The server did not answer, or answered with an error.
    #[error("{0}")]
    Server(String),
    /// It offers other security.
    #[error("the server does not offer {wanted}; it offers {offered}")]
    NoEndpoint {
        /// As configured.
        wanted: String,
        /// What it offers.
        offered: String,
    },
    /// It does not take such a login.
    #[error("the server takes no {0} at this security")]
    NoLogin(&'static str),
    /// Its certificate is not trusted.
    #[error("the server's certificate is not trusted (SHA-1 {}, {}): `parkgate trust`", .0.sha1, .0.subject)]
    Untrusted(Box<Certificate>),
    /// Its certificate is trusted and not valid now.
    #[error("the server's certificate is valid from {} to {} only", .0.from, .0.to)]
    OutOfTime(Box<Certificate>),
    /// Its certificate, or ours, or the way it was shown.
    #[error("{0}")]
    Certificate(String),
}

impl Fault {
    /// Returns whether the session may still be resumed: not where the certificate of one end is another one now. What the server
    /// has instead, and whether it is trusted, is asked anew.
    pub fn keeps_session(&self) -> bool {
        !matches!(self, Self::Certificate(_))
    }
}

/// A notification as it came.
#[derive(Debug)]
pub struct Notice {
    /// Its number.
    pub number: u32,
    /// Client handles and values; empty in a keep-alive.
    pub values: Vec<(u32, DataValue)>,
    /// The server's word on the subscription, where it has one: it is over.
    pub over: Option<StatusCode>,
}

/// Takes notifications from the client library; runs inside its event loop, so it never waits.
#[derive(Clone, Debug)]
pub struct Tap {
    notices: mpsc::Sender<Notice>,
    dropped: Arc<AtomicU64>,
}

impl Tap {
    /// Returns a tap, what comes out of it, and the count of what did not.
    pub fn new() -> (Self, mpsc::Receiver<Notice>, Arc<AtomicU64>) {
        let (notices, received) = mpsc::channel(N_QUEUED_NOTICES);
        let dropped = Arc::<AtomicU64>::default();
        (Self { notices, dropped: Arc::clone(&dropped) }, received, dropped)
    }
}

impl OnSubscriptionNotificationCore for Tap {
    fn on_subscription_notification(&mut self, notification: NotificationMessage, _: MonitoredItemMap<'_>) {
        let notice = Notice::from(notification);
        if self.notices.try_send(notice).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl From<NotificationMessage> for Notice {
    fn from(notification: NotificationMessage) -> Self {
        let mut notice = Self { number: notification.sequence_number, values: Vec::new(), over: None };
        for data in notification.notification_data.into_iter().flatten() {
            if data.inner_is::<DataChangeNotification>() {
                let changes = data.into_inner_as::<DataChangeNotification>().and_then(|c| c.monitored_items);
                notice.values.extend(changes.into_iter().flatten().map(|item| (item.client_handle, item.value)));
            } else if let Some(change) = data.inner_as::<StatusChangeNotification>() {
                notice.over = Some(change.status);
            }
        }
        notice
    }
}

/// A session and what drives it: nothing happens in it but while [`Connection::next`] is polled.
pub struct Connection {
    /// The session.
    pub session: Arc<Session>,
    events: Pin<Box<dyn Stream<Item = Result<SessionPollResult, StatusCode>> + Send>>,
}

impl Connection {
    /// Drives the session to its next event; `None` when it is over. Safe to be dropped and called again.
    pub async fn next(&mut self) -> Option<Result<SessionPollResult, StatusCode>> {
        poll_fn(|cx| self.events.as_mut().poll_next(cx)).await
    }

    /// Drives it until it is connected (again) or the attempt has failed.
    ///
    /// # Errors
    ///
    /// [`Fault`] when it failed, or took longer than `limit`; the library may still hold a connection then: drop it.
    pub async fn connect(&mut self, limit: Duration) -> Result<SessionConnectMode, Fault> {
        let attempt = async {
            loop {
                match self.next().await {
                    Some(Ok(SessionPollResult::Reconnected(mode))) => return Ok(mode),
                    Some(Ok(SessionPollResult::ReconnectFailed(status)) | Err(status)) => return Err(fault_of(status)),
                    Some(Ok(_)) => {}
                    None => return Err(Fault::Server("the session is over".to_owned())),
                }
            }
        };
        tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| Err(no_answer(limit)))
    }

    /// Drives it while `work` is done with it.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Fault> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                event = self.next() => match event {
                    Some(Ok(SessionPollResult::ConnectionLost(status)) | Err(status)) => return Err(fault_of(status)),
                    Some(Ok(_)) => {}
                    None => return Err(Fault::Server("the session is over".to_owned())),
                }
            }
        }
    }

    /// Says goodbye, so that the server need not wait for the session's end; within `limit`.
    pub async fn close(mut self, limit: Duration) {
        let session = Arc::clone(&self.session);
        let closing = self.during(async move { session.disconnect().await });
        drop(tokio::time::timeout(limit, closing).await);
    }
}

/// Opens a session; `asked` counts the sessions that the server is asked for.
///
/// # Errors
///
/// [`Fault`], after at most four times the server's timeout.
pub async fn open(
    server: &Server,
    pki: &Pki,
    own: &Own,
    now: Timestamp,
    asked: &AtomicU64,
) -> Result<Connection, Fault> {
    let endpoints = endpoints(server, pki, own).await?;
    let endpoint = choose(server, &endpoints)?;
    judge(server, pki, &endpoint, now)?;
    let identity = identity(&server.identity, &endpoint)?;
    // The library may try again for ever, but only while it is polled: the task polls it once per back-off step.
    let mut client = client(server, pki, own, -1)?;
    let (session, events) =
        client.connect_to_endpoint_directly(endpoint, identity).map_err(|error| fault_of(error.status()))?;
    let mut connection = Connection { session, events: Box::pin(events.enter()) };
    asked.fetch_add(1, Ordering::Relaxed);
    connection.connect(server.timeout * 3).await?;
    Ok(connection)
}

/// Asks the server what it offers, over a connection of its own and without any security: nothing in it is believed before
/// the certificate is.
async fn endpoints(server: &Server, pki: &Pki, own: &Own) -> Result<Vec<EndpointDescription>, Fault> {
    let client = client(server, pki, own, 0)?;
    let asked = client.get_server_endpoints_from_url(server.url.as_str());
    let answer = tokio::time::timeout(server.timeout, asked).await.map_err(|_| no_answer(server.timeout))?;
    answer.map_err(|error| fault_of(error.status()))
}

fn client(server: &Server, pki: &Pki, own: &Own, retries: i32) -> Result<Client, Fault> {
    let builder = ClientBuilder::new()
        .application_name("parkgate")
        .application_uri(own.uri.as_str())
        .product_uri("urn:parkgate")
        .session_name(format!("parkgate {}", server.id))
        .pki_dir(pki.dir())
        .certificate_path(absolute(&own.cert))
        .private_key_path(absolute(&own.key))
        .create_sample_keypair(false)
        .trust_server_certs(false)
        .verify_server_certs(false)
        .session_retry_limit(retries)
        .session_retry_initial(Duration::from_millis(1))
        .session_retry_max(Duration::from_millis(1))
        .keep_alive_interval(server.keep_alive)
        .max_failed_keep_alive_count(FAILED_KEEP_ALIVES)
        .request_timeout(server.timeout)
        .publish_timeout((server.keep_alive + server.publishing) * 4)
        .session_timeout(u32::try_from(SESSION_TIMEOUT.as_millis()).unwrap_or(u32::MAX))
        .recreate_subscriptions(false)
        .ignore_clock_skew(true)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_chunk_count(MAX_CHUNKS)
        .max_array_length(MAX_ARRAY);
    builder.client().map_err(|problems| Fault::Server(problems.join("; ")))
}

/// The library joins paths to the folder of certificates; an absolute one stays as it is.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn choose(server: &Server, endpoints: &[EndpointDescription]) -> Result<EndpointDescription, Fault> {
    let (policy, mode) = match server.security {
        Security::None => (SecurityPolicy::None, MessageSecurityMode::None),
        Security::By(policy, protection) => (
            SecurityPolicy::from_str(policy.as_str()).unwrap_or(SecurityPolicy::Unknown),
            match protection {
                Protection::Sign => MessageSecurityMode::Sign,
                Protection::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
            },
        ),
    };
    let fits = |e: &&EndpointDescription| {
        e.security_mode == mode && SecurityPolicy::from_uri(e.security_policy_uri.as_ref()) == policy
    };
    let Some(found) = endpoints.iter().find(fits) else {
        let offered = |e: &EndpointDescription| {
            let uri = e.security_policy_uri.as_ref();
            format!("{} {:?}", uri.rsplit('#').next().unwrap_or(uri), e.security_mode)
        };
        let mut offered: Vec<String> = endpoints.iter().map(offered).collect();
        offered.sort();
        offered.dedup();
        return Err(Fault::NoEndpoint { wanted: server.security.to_string(), offered: offered.join(", ") });
    };
    // Behind a forwarded port the server's idea of its address is not ours.
    Ok(EndpointDescription { endpoint_url: server.url.as_str().into(), ..found.clone() })
}

fn judge(server: &Server, pki: &Pki, endpoint: &EndpointDescription, now: Timestamp) -> Result<(), Fault> {
    if server.security == Security::None {
        return Ok(());
    }
    let der = endpoint.server_certificate.as_ref();
    let uri = endpoint.server.application_uri.as_ref();
    match pki.judge(der, now) {
        Ok(Judgement::Trusted) if !names_application(der, uri) => {
            Err(Fault::Certificate(format!("the server calls itself {uri}, and its certificate does not")))
        }
        Ok(Judgement::Trusted) => Ok(()),
        Ok(Judgement::Rejected(cert)) => Err(Fault::Untrusted(Box::new(cert))),
        Ok(Judgement::OutOfTime(cert)) => Err(Fault::OutOfTime(Box::new(cert))),
        Ok(Judgement::Unreadable) => Err(Fault::Certificate("the server shows no certificate".to_owned())),
        Err(error) => Err(Fault::Certificate(error.to_string())),
    }
}

/// Whether a certificate has this URI among its names (GeneralName, tag 6).
fn names_application(der: &[u8], uri: &str) -> bool {
    let Ok(len) = u8::try_from(uri.len()) else { return false };
    let head: &[u8] = if len < 128 { &[0x86, len] } else { &[0x86, 0x81, len] };
    let name = [head, uri.as_bytes()].concat();
    !uri.is_empty() && der.windows(name.len()).any(|window| window == name)
}

fn identity(identity: &Identity, endpoint: &EndpointDescription) -> Result<IdentityToken, Fault> {
    let takes = |kind: UserTokenType| endpoint.user_identity_tokens.iter().flatten().any(|p| p.token_type == kind);
    match identity {
        Identity::Anonymous if takes(UserTokenType::Anonymous) => Ok(IdentityToken::new_anonymous()),
        Identity::Anonymous => Err(Fault::NoLogin("anonymous session")),
        Identity::User { name, password } if takes(UserTokenType::UserName) => {
            Ok(IdentityToken::new_user_name(name, password.0.as_str()))
        }
        Identity::User { .. } => Err(Fault::NoLogin("user name")),
        Identity::Certificate { cert_file, key_file } if takes(UserTokenType::Certificate) => {
            IdentityToken::new_x509_path(cert_file, key_file).map_err(|error| Fault::Certificate(error.to_string()))
        }
        Identity::Certificate { .. } => Err(Fault::NoLogin("certificate")),
    }
}

fn no_answer(limit: Duration) -> Fault {
    Fault::Server(format!("no answer within {} s", limit.as_secs_f32()))
}

/// Says what a status code means here, in the words of the field where there are any.
pub fn fault_of(status: StatusCode) -> Fault {
    let text = match status {
        StatusCode::BadNotConnected | StatusCode::BadCommunicationError => "connection refused or host not found",
        StatusCode::BadConnectionClosed | StatusCode::BadSecureChannelClosed => "connection closed by the server",
        StatusCode::BadTimeout => "no answer in time",
        StatusCode::BadIdentityTokenRejected
        | StatusCode::BadIdentityTokenInvalid
        | StatusCode::BadUserAccessDenied => "the server rejects this user, password or certificate",
        StatusCode::BadTooManySessions => "the server has too many sessions",
        StatusCode::BadCertificateHostNameInvalid => {
            return Fault::Certificate(
                "the server's certificate names another host than the configured url".to_owned(),
            );
        }
        StatusCode::BadCertificateUriInvalid => {
            return Fault::Certificate("the server's certificate names another application than the server".to_owned());
        }
        StatusCode::BadNoValidCertificates => {
            return Fault::Certificate(
                "the server does not have the certificate any more that it was trusted by".to_owned(),
            );
        }
        StatusCode::BadSecurityChecksFailed | StatusCode::BadCertificateUntrusted => {
            return Fault::Certificate(
                "the server does not trust this gateway's certificate (pki/own/cert.der)".to_owned(),
            );
        }
        other => return Fault::Server(other.to_string()),
    };
    Fault::Server(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_not_resumed_at_a_server_that_has_another_certificate_now() {
        assert!(!fault_of(StatusCode::BadNoValidCertificates).keeps_session());
        for away in [StatusCode::BadNotConnected, StatusCode::BadConnectionClosed, StatusCode::BadTimeout] {
            assert!(fault_of(away).keeps_session(), "{away}");
        }
    }

    #[test]
    fn a_certificate_names_its_application_wherever_the_uri_stands_among_its_names() {
        let der = [&[0x30, 0x10, 0x82, 0x02][..], b"vm", &[0x86, 0x07], b"urn:dcs", &[0x05]].concat();
        assert!(names_application(&der, "urn:dcs"));
        assert!(
            !names_application(&der, "urn:dc") && !names_application(&der, "urn:other") && !names_application(&der, "")
        );
    }
}
