//! Certificates for a test, made by openssl: PEM files `{name}.pem` and `{name}.key` in a folder.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::process::{Command, Stdio};

fn openssl(dir: &Path, args: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(args.split_whitespace()).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(openssl.status().unwrap().success(), "openssl {args}");
}

/// Makes a certificate `subject` for 127.0.0.1 that `authority` has signed, and the authority where it is not there yet.
pub(crate) fn certificates(dir: &Path, authority: &str, subject: &str) {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    std::fs::write(dir.join("san.txt"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    if !dir.join(format!("{authority}.pem")).exists() {
        let own = format!("-keyout {authority}.key -out {authority}.pem -days 2 -subj /CN={authority}");
        openssl(dir, &format!("req -x509 {KEY} {own}"));
    }
    openssl(dir, &format!("req {KEY} -keyout {subject}.key -out {subject}.csr -subj /CN={subject}"));
    let by = format!("-CA {authority}.pem -CAkey {authority}.key -CAcreateserial");
    openssl(dir, &format!("x509 -req -in {subject}.csr {by} -out {subject}.pem -days 2 -extfile san.txt"));
}
