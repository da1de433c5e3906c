//! The demo with a gateway that only pretends: whether its account is honest.

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};

use super::*;
use crate::domain::registry::Registry;
use crate::domain::snapshot::Totals;
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// A gateway that has made `made` telemetry records and sends those of `sent`.
struct Fake {
    made: u64,
    _tasks: JoinSet<()>,
}

impl Fake {
    fn start(dir: &Path, made: u64, sent: std::ops::RangeInclusive<u64>) -> Self {
        let uplink: toml::Table = std::fs::read_to_string(dir.join("uplink.toml")).unwrap().parse().unwrap();
        let port = uplink["mqtt"]["port"].as_integer().and_then(|p| u16::try_from(p).ok()).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(send(port, sent));
        Self { made, _tasks: tasks }
    }
}

/// Sends again until acknowledged by the platform, as the real one does.
async fn send(port: u16, sent: std::ops::RangeInclusive<u64>) {
    let record = |s| format!(r#"{{"seq":{s},"t":"2026-11-23T08:00:00Z","values":{{"A":1}}}}"#);
    let records: Vec<String> = sent.map(record).collect();
    let envelope = format!(
        r#"{{"v":1,"gateway":"{GATEWAY}","epoch":"01K","boot":1,"reg":1,"stream":"telemetry","lane":"live","clock":"synced","sent_at":"2026-11-23T08:00:00Z","records":[{}]}}"#,
        records.join(",")
    );
    let base = format!("parkgate/v1/{PARK}/{GATEWAY}");
    let (client, mut events) = AsyncClient::new(MqttOptions::new("fake", "127.0.0.1", port), 10);
    client.subscribe(format!("{base}/ack"), QoS::AtLeastOnce).await.unwrap();
    loop {
        client.try_publish(format!("{base}/telemetry"), QoS::AtLeastOnce, false, envelope.clone()).ok();
        let quiet = Duration::from_millis(300);
        while let Ok(Ok(event)) = tokio::time::timeout(quiet, events.poll()).await {
            if matches!(&event, Event::Incoming(Packet::Publish(p)) if p.topic.ends_with("ack")) {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Running for Fake {
    fn web_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let now = Now { mono: Mono::from_secs(1), wall: Timestamp(0), trust: ClockTrust::Synced };
        Some(Arc::new(Snapshot {
            now,
            boot: 1,
            started: now.mono,
            registry: Arc::new(Registry { rev: 1, devices: Vec::new() }),
            devices: Vec::new(),
            totals: Totals { records: [0, 0, 0, 0, 0, self.made], ..Totals::default() },
            danger: crate::domain::danger::view::DangerView::quiet(now),
        }))
    }

    async fn gates(&self) -> Option<Arc<GatesView>> {
        None
    }

    fn store(&self) -> Arc<StoreStatus> {
        Arc::default()
    }

    fn uplink(&self) -> Arc<UplinkStatus> {
        Arc::default()
    }

    async fn failed(&mut self) -> String {
        std::future::pending().await
    }

    async fn stop(self) -> Result<(), String> {
        Ok(())
    }
}

fn args(run_for: u64, outage: Option<u64>) -> DemoArgs {
    let millis = Duration::from_millis;
    DemoArgs { run_for: Some(millis(run_for)), outage: outage.map(millis), ..DemoArgs::default() }
}

#[tokio::test]
async fn the_account_closes_when_everything_that_was_made_is_there_also_after_an_outage() {
    let start = |dir: PathBuf| async move { Ok(Fake::start(&dir, 5, 1..=5)) };
    assert!(run_with(args(600, Some(200)), start).await.unwrap());
}

#[tokio::test]
async fn the_account_does_not_close_over_a_hole_and_the_folder_goes_in_any_case() {
    let (path_tx, path_rx) = std::sync::mpsc::channel();
    let start = |dir: PathBuf| async move {
        path_tx.send(dir.clone()).unwrap();
        Ok(Fake::start(&dir, 6, 1..=5))
    };
    assert!(!perform(args(100, None), Duration::from_secs(1), start).await.unwrap());
    assert!(!path_rx.recv().unwrap().exists());
}

#[test]
fn durations_are_read_and_what_is_none_is_refused() {
    assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("2min"), Ok(Duration::from_secs(120)));
    for bad in ["", "30", "s", "0s", "-1s", "1.5s", "30 s", "99999999999999999999s", "18446744073709551615h", "10秒x"]
    {
        assert!(duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_outage_stands_in_the_middle_and_must_fit() {
    let secs = Duration::from_secs;
    assert_eq!(outage_of(&args(30_000, Some(10_000))), Ok(Some((secs(10), secs(20)))));
    assert_eq!(outage_of(&args(30_000, None)), Ok(None));
    assert!(outage_of(&args(10_000, Some(10_000))).is_err());
    let endless = DemoArgs { outage: Some(secs(5)), ..DemoArgs::default() };
    assert_eq!(outage_of(&endless), Ok(Some((OUTAGE_AT, OUTAGE_AT + secs(5)))));
}
