//! Why a connection to a broker ended.

use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

/// Returns whether a connection ended because a packet was larger than it takes.
pub fn is_oversized(error: &ConnectionError) -> bool {
    matches!(
        error,
        ConnectionError::MqttState(StateError::Deserialization(rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded(_)))
    )
}

/// Returns why a connection ended, for people.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest speaks for itself")]
pub fn words_of(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword,
        ) => "the broker refuses the login: check user, password_file and what the broker allows us".to_owned(),
        ConnectionError::ConnectionRefused(code) => format!("the broker refuses us: {code:?}"),
        ConnectionError::MqttState(StateError::Io(error)) | ConnectionError::Io(error) => tls_words(&error.to_string()),
        ConnectionError::MqttState(StateError::AwaitPingResp) => "the broker did not answer a ping".to_owned(),
        other => tls_words(&other.to_string()),
    }
}

/// TLS faults come wrapped several times over, an alert of the broker even as a fault of MQTT; says them once, and what to
/// look at.
fn tls_words(text: &str) -> String {
    const ALERT: &str = "received fatal alert: ";
    const PEER: &str = "invalid peer certificate: ";
    if let Some((_, alert)) = text.split_once(ALERT) {
        return format!("the broker refuses our TLS ({alert}): check cert_file and key_file");
    }
    match text.split_once(PEER) {
        Some((_, why)) => format!("the broker's certificate is not accepted ({why}): check ca_file and host"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_tls_say_what_to_look_at() {
        assert_eq!(
            tls_words("TLS: I/O: invalid peer certificate: UnknownIssuer"),
            "the broker's certificate is not accepted (UnknownIssuer): check ca_file and host"
        );
        let wrapped =
            "Mqtt state: Mqtt serialization/deserialization error: IO: received fatal alert: CertificateRequired";
        assert_eq!(
            tls_words(wrapped),
            "the broker refuses our TLS (CertificateRequired): check cert_file and key_file"
        );
        assert_eq!(tls_words("Connection closed by peer"), "Connection closed by peer");
    }
}
