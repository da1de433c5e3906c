//! TLS towards a broker, and a plain or protected connection to whoever speaks HTTP beside it.

use std::sync::Arc;

use rumqttc::tokio_rustls::TlsConnector;
use rumqttc::{TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::settings::Tls;

/// A connection, plain or not.
pub trait Line: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

/// Connects, and proves who is there where that is asked for. Without a limit of its own: the caller has one.
///
/// # Errors
/// Which file is wrong, or what went wrong on the way, for people.
pub async fn connect(host: &str, port: u16, tls: Option<&Tls>) -> Result<Box<dyn Line>, String> {
    let plain = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
    let Some(tls) = tls else { return Ok(Box::new(plain)) };
    let config = client_config(tls).await?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let line = TlsConnector::from(Arc::new(config)).connect(name, plain).await.map_err(|error| error.to_string())?;
    Ok(Box::new(line))
}

/// Returns how a connection is made. The PEM files are read anew for each, so that a renewed certificate is taken without a
/// restart.
///
/// # Errors
/// Which file is wrong, and what with it, for people.
pub async fn transport(tls: &Tls) -> Result<Transport, String> {
    let config = client_config(tls).await?;
    Ok(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config))))
}

/// Returns by what a server proves itself, and we to it.
///
/// # Errors
/// Which file is wrong, and what with it, for people.
pub async fn client_config(tls: &Tls) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(&tls.ca_file).await? {
        roots.add(certificate).map_err(|e| format!("`{}`: {e}", tls.ca_file.display()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots);
    let Some((chain, key)) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(chain).await?;
    let pem = read(key).await?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| format!("`{}`: {e}", key.display()))?;
    builder.with_client_auth_cert(chain, private).map_err(|e| format!("`{}`: {e}", key.display()))
}

async fn certificates(file: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(file).await?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("`{}` holds no certificate", file.display())),
        Err(error) => Err(format!("`{}`: {error}", file.display())),
    }
}

async fn read(file: &std::path::Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(file).await.map_err(|e| format!("`{}`: {e}", file.display()))
}
