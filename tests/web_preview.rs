//! Serves the fake park for eyes and for `tests/browser/shot.sh`; not a test, so it is ignored:
//! `PARKGATE_PREVIEW=127.0.0.1:8099 PARKGATE_PREVIEW_SECONDS=600 cargo test --release --test web_preview -- --ignored`.
#![expect(clippy::unwrap_used, reason = "a harness may")]

mod web_support;

use std::time::Duration;

use parkgate::web::{serve, settings::Settings};
use tokio_util::sync::CancellationToken;
use web_support::FakePark;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves until its time is over"]
async fn preview() {
    let address = std::env::var("PARKGATE_PREVIEW").unwrap_or_else(|_| "127.0.0.1:8099".to_owned());
    let seconds = std::env::var("PARKGATE_PREVIEW_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(600);
    let listener = tokio::net::TcpListener::bind(&address).await.unwrap();
    let settings = Settings {
        listen: listener.local_addr().unwrap(),
        max_connections: 64,
        header_timeout: Duration::from_secs(5),
        timezone: "Asia/Shanghai".to_owned(),
    };
    let stop = CancellationToken::new();
    let timer = stop.clone();
    let after = async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        timer.cancel();
    };
    let (served, ()) = tokio::join!(serve(settings, listener, FakePark::new(), stop), after);
    served.unwrap();
}
