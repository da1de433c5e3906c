//! Certificates on the disk: the gateway's own, made at the first start, and those of servers, trusted or rejected.
//!
//! ```text
//! pki/own/cert.der  own/key.pem (0600)  own/uri     the gateway's own; the URI is in the certificate
//! pki/rejected/*.der                                 seen and not trusted: listed, and never connected to
//! pki/trusted/*.der                                  trusted by an engineer: exactly this certificate, no chain
//! ```
//!
//! Trusting is moving a file, so a running gateway sees it at its next attempt.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ::opcua::crypto::{CertificateStore, X509, X509Data};
use ::opcua::types::ApplicationDescription;

use crate::domain::snapshot::Certificate;
use crate::domain::time::Timestamp;

/// The own certificate is valid for ten years: nobody renews it, and a closed park has no authority that could.
const VALID_DAYS: u32 = 3650;
/// RSA key of the own certificate; all three policies take 2048 to 4096, and 2048 is what old servers take.
const KEY_BITS: u32 = 2048;
/// Rejected certificates kept: whoever shows a new one each time shall not fill the disk.
const MAX_REJECTED: usize = 100;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file or folder.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The own certificate could not be made.
    #[error("the gateway's own certificate cannot be made: {0}")]
    Own(String),
    /// No certificate has this fingerprint.
    #[error("no rejected certificate has the fingerprint {0}")]
    Unknown(String),
    /// Several have fingerprints that begin so.
    #[error("several certificates have fingerprints that begin with {0}; give more of it")]
    Ambiguous(String),
}

/// What the gateway thinks of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Trusted and valid.
    Trusted,
    /// Not trusted; now among the rejected.
    Rejected(Certificate),
    /// Trusted, but it is not its time.
    OutOfTime(Certificate),
    /// Not a certificate at all.
    Unreadable,
}

/// The folder of certificates.
#[derive(Clone, Debug)]
pub struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// Names the folder; nothing is touched.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Returns the folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the folders and, if there is none, the own certificate. Blocking: making a key takes up to some seconds.
    ///
    /// # Errors
    ///
    /// [`PkiError`] when the disk refuses.
    pub fn prepare(&self) -> Result<Own, PkiError> {
        for name in ["own", "trusted", "rejected"] {
            let path = self.dir.join(name);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|source| PkiError::File { path, source })?;
        }
        let (own, uri) = (self.own(), self.dir.join("own/uri"));
        let known = fs::read_to_string(&uri).ok().filter(|_| own.cert.is_file() && own.key.is_file());
        match known {
            Some(text) => Ok(Own { uri: text.trim().to_owned(), ..own }),
            None => self.make(own, &uri),
        }
    }

    /// Makes key and certificate beside their places and then moves them there: half of a pair is never left.
    fn make(&self, own: Own, uri: &Path) -> Result<Own, PkiError> {
        let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
        // Unique: two gateways with one name for their certificates could not be told apart in a server's trust list.
        let name = format!("urn:{host}:parkgate:{}", ulid::Ulid::from(fastrand::u128(..)));
        let about = ApplicationDescription { application_uri: name.as_str().into(), ..Default::default() };
        let data = X509Data {
            key_size: KEY_BITS,
            common_name: format!("parkgate@{host}"),
            organization: "parkgate".to_owned(),
            organizational_unit: "parkgate".to_owned(),
            country: "CN".to_owned(),
            state: "-".to_owned(),
            certificate_duration_days: VALID_DAYS,
            ..X509Data::from((about, Some(vec![host.to_owned()])))
        };
        let (cert, key) = (own.cert.with_extension("new.der"), own.key.with_extension("new.pem"));
        CertificateStore::create_certificate_and_key(&data, true, &cert, &key).map_err(PkiError::Own)?;
        let rights = fs::set_permissions(&key, fs::Permissions::from_mode(0o600));
        let moved = rights
            .and_then(|()| fs::rename(&key, &own.key))
            .and_then(|()| fs::rename(&cert, &own.cert))
            .and_then(|()| fs::write(uri, &name));
        moved.map_err(|source| PkiError::File { path: self.dir.join("own"), source })?;
        Ok(Own { uri: name, ..own })
    }

    fn own(&self) -> Own {
        Own { cert: self.dir.join("own/cert.der"), key: self.dir.join("own/key.pem"), uri: String::new() }
    }

    /// Judges a server's certificate (DER) at `now`; one that is not known goes to the rejected.
    ///
    /// # Errors
    ///
    /// [`PkiError`] when the folder cannot be read or written.
    pub fn judge(&self, der: &[u8], now: Timestamp) -> Result<Judgement, PkiError> {
        let Ok(cert) = X509::from_der(der) else { return Ok(Judgement::Unreadable) };
        let name = CertificateStore::cert_file_name(&cert);
        let trusted = self.dir.join("trusted").join(&name);
        let is_trusted = fs::read(&trusted).is_ok_and(|known| known == der);
        let described = describe(&cert, der, is_trusted);
        if !is_trusted {
            self.reject(&name, der)?;
            return Ok(Judgement::Rejected(described));
        }
        let in_time = described.from <= now && now <= described.to;
        Ok(if in_time { Judgement::Trusted } else { Judgement::OutOfTime(described) })
    }

    fn reject(&self, name: &str, der: &[u8]) -> Result<(), PkiError> {
        let folder = self.dir.join("rejected");
        let path = folder.join(name);
        let full = fs::read_dir(&folder).map(|entries| entries.count() >= MAX_REJECTED).unwrap_or(false);
        if path.exists() || full {
            return Ok(());
        }
        fs::write(&path, der).map_err(|source| PkiError::File { path, source })
    }

    /// Lists rejected and trusted certificates, the rejected first. Files that are none are left out.
    pub fn list(&self) -> Vec<Certificate> {
        let of = |folder: &str, trusted| {
            self.files(folder).into_iter().map(move |(_, der, cert)| describe(&cert, &der, trusted))
        };
        of("rejected", false).chain(of("trusted", true)).collect()
    }

    fn files(&self, folder: &str) -> Vec<(PathBuf, Vec<u8>, X509)> {
        let entries = fs::read_dir(self.dir.join(folder)).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        let read = |path: PathBuf| {
            let der = fs::read(&path).ok()?;
            let cert = X509::from_der(&der).ok()?;
            Some((path, der, cert))
        };
        paths.into_iter().filter_map(read).collect()
    }

    /// Moves the rejected certificate whose SHA-1 or SHA-256 fingerprint begins with `fingerprint` (colons and case do not
    /// matter) to the trusted ones.
    ///
    /// # Errors
    ///
    /// [`PkiError`] when there is none, when there are several, or when the disk refuses.
    pub fn trust(&self, fingerprint: &str) -> Result<Certificate, PkiError> {
        let wanted: String = fingerprint.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
        let fits = |cert: &Certificate| {
            wanted.len() >= 8 && (cert.sha1.starts_with(&wanted) || cert.sha256.starts_with(&wanted))
        };
        let rejected = self.files("rejected").into_iter().map(|(path, der, cert)| (path, describe(&cert, &der, true)));
        let mut found: Vec<_> = rejected.filter(|(_, cert)| fits(cert)).collect();
        let (Some((path, cert)), true) = (found.pop(), found.is_empty()) else {
            let said = fingerprint.to_owned();
            return Err(if found.is_empty() { PkiError::Unknown(said) } else { PkiError::Ambiguous(said) });
        };
        let folder = self.dir.join("trusted");
        let moved = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        let moved = moved.and_then(|()| fs::rename(&path, folder.join(path.file_name().unwrap_or_default())));
        match moved {
            Ok(()) => Ok(cert),
            Err(source) if source.kind() == ErrorKind::NotFound => Err(PkiError::Unknown(fingerprint.to_owned())),
            Err(source) => Err(PkiError::File { path, source }),
        }
    }
}

/// The gateway's own certificate.
#[derive(Clone, Debug)]
pub struct Own {
    /// The certificate, DER.
    pub cert: PathBuf,
    /// Its key, PEM, readable by the gateway alone.
    pub key: PathBuf,
    /// The application URI in it.
    pub uri: String,
}

fn describe(cert: &X509, der: &[u8], trusted: bool) -> Certificate {
    let sha256 = ring::digest::digest(&ring::digest::SHA256, der);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Certificate {
        sha1: cert.thumbprint().as_hex_string().to_lowercase(),
        sha256: hex(sha256.as_ref()),
        subject: cert.subject_name(),
        from: Timestamp(cert.not_before().map_or(i64::MAX, |t| t.timestamp_millis())),
        to: Timestamp(cert.not_after().map_or(i64::MIN, |t| t.timestamp_millis())),
        trusted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_rejected_until_an_engineer_trusts_it_and_refused_when_its_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path().join("pki"));
        let own = pki.prepare().unwrap();
        assert_eq!(fs::metadata(&own.key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(pki.prepare().unwrap().uri, own.uri, "made once");

        let der = fs::read(&own.cert).unwrap(); // as good a server's certificate as any
        let now = Timestamp(i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap());
        let Judgement::Rejected(cert) = pki.judge(&der, now).unwrap() else { panic!("trusted by itself") };
        assert_eq!(pki.list().iter().filter(|c| !c.trusted).count(), 1);
        assert!(matches!(pki.trust("00:11:22:33:44"), Err(PkiError::Unknown(_))));
        assert!(matches!(pki.trust(""), Err(PkiError::Unknown(_))), "nothing is no fingerprint");
        let shouted = cert.sha256.to_uppercase();
        assert_eq!(pki.trust(&shouted).unwrap().sha1, cert.sha1);
        assert_eq!(pki.judge(&der, now).unwrap(), Judgement::Trusted);
        assert_eq!(pki.list().iter().map(|c| c.trusted).collect::<Vec<_>>(), [true]);
        assert!(matches!(
            pki.judge(&der, cert.to.after(std::time::Duration::from_secs(1))).unwrap(),
            Judgement::OutOfTime(_)
        ));
        assert_eq!(pki.judge(b"no certificate", now).unwrap(), Judgement::Unreadable);
    }

    #[test]
    fn a_deleted_folder_of_certificates_is_made_anew_and_trusts_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path().join("pki"));
        let own = pki.prepare().unwrap();
        let der = fs::read(&own.cert).unwrap();
        let now = describe(&X509::from_der(&der).unwrap(), &der, false).from;
        pki.judge(&der, now).unwrap();
        pki.trust(&pki.list()[0].sha256).unwrap();
        assert_eq!(pki.judge(&der, now).unwrap(), Judgement::Trusted);
        fs::remove_dir_all(pki.dir()).unwrap();
        let anew = pki.prepare().unwrap();
        assert!(anew.uri != own.uri && anew.cert.is_file() && anew.key.is_file());
        assert!(matches!(pki.judge(&der, now).unwrap(), Judgement::Rejected(_)), "trust is not remembered elsewhere");
    }
}
