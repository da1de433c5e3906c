//! The page in a real browser: the script puts the stream's values into the page, and a page whose stream has stopped no
//! longer looks live. Needs Chromium; the look of the pages is for eyes (`tests/browser/shot.sh`).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod web_support;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parkgate::web::format::Zone;
use parkgate::web::{Park, serve, settings::Settings};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use web_support::FakePark;

/// A browser's first start on a slow machine; nothing waits this long otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// The browser: `CHROMIUM`, else one of its names in `PATH`.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let found =
        std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name))).find(|file| file.is_file());
    named.or(found)
}

fn skip(why: &str) {
    assert!(std::env::var("PARKGATE_NO_SKIP").is_err(), "{why} (PARKGATE_NO_SKIP=1 forbids to skip)");
    eprintln!("SKIPPED: {why}");
}

async fn until(park: &FakePark, looks: u64) {
    let enough = async {
        while park.switches.snapshots.load(Ordering::Relaxed) < looks {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enough).await.expect("the browser loads the page and opens its stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_alive_and_a_page_that_stands_still_says_so() {
    let Some(browser) = browser() else {
        return skip("no chromium: apt-get install chromium");
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (park, stop) = (FakePark::new(), CancellationToken::new());
    let timezone = "Asia/Shanghai".to_owned();
    let settings = Settings { listen: address, max_connections: 16, header_timeout: Duration::from_secs(20), timezone };
    let mut served = JoinSet::new();
    served.spawn(serve(settings, listener, park.clone(), stop.clone()));

    let profile = tempfile::tempdir().unwrap();
    // Virtual time stands still while the stream is open, and runs through its ten seconds once it has ended.
    let run = tokio::process::Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=10000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom".to_owned(), format!("http://{address}/device/plc-tank-1")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until(&park, 1).await;
    let zone = Zone::named("Asia/Shanghai").unwrap();
    let loaded = zone.date_time(park.now().wall);
    until(&park, 5).await;
    stop.cancel();
    served.join_next().await.unwrap().unwrap().unwrap();

    let done = tokio::time::timeout(PATIENCE, run.wait_with_output()).await.expect("the browser ends").unwrap();
    let page = String::from_utf8_lossy(&done.stdout);
    let clock = page.split("data-k=\"0\"").nth(1).and_then(|rest| rest.split(['>', '<']).nth(1)).unwrap_or("");
    assert!(clock > loaded.as_str(), "the clock of the page went on from {loaded} to `{clock}`");
    assert!(page.contains("<body") && page.contains("class=\"lost\""), "the page is marked as lost\n{page}");
    let banner = page.split("id=\"lost\"").nth(1).and_then(|rest| rest.split("</div>").next()).unwrap_or("");
    assert!(!banner.contains("hidden"), "{banner}");
    assert!(banner.contains(&format!("■ 连接中断，画面停留在 {clock}")), "{banner}");
}
