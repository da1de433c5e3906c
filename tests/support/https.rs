//! A stranger's server: Python's http.server and OpenSSL. It lets in only whom the authority `park` vouches for.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::certificates::certificates;
use crate::support::peer::Peer;
use crate::support::require_cmd;

/// Starts the server; it tells its `port`, then each `post` and `put`. In `dir` it leaves the certificates of two authorities,
/// `park`, who vouches for the server and for the `gateway`, and `stranger`. `None` after a skip.
pub(crate) fn https_server(dir: &Path) -> Option<Peer> {
    require_cmd("openssl")?;
    for (authority, subject) in [("park", "files"), ("park", "gateway"), ("stranger", "other")] {
        certificates(dir, authority, subject);
    }
    let at = |name: &str| dir.join(name).display().to_string();
    fs::set_permissions(at("gateway.key"), fs::Permissions::from_mode(0o600)).unwrap();
    Peer::start("https_server.py", &[&at("files.pem"), &at("files.key"), &at("park.pem")])
}
