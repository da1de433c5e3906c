//! The sender against a server that speaks HTTP as others do (warp), over a cut, an outage and a platform that forgets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::http::StatusCode;

use super::super::{PART, Settings};
use super::*;
use crate::clock::Clock;
use crate::domain::snapshot::{SessionStatus, UplinkStatus};

/// Generous: a test beside a hundred others.
const SOON: Duration = Duration::from_secs(60);

/// What the platform has.
#[derive(Default)]
struct Held {
    whole: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<String, Vec<u8>>,
    /// What it answers to the next requests about one, where it is not 0: then it does its work. 409: it has lost the parts.
    script: BTreeMap<&'static str, VecDeque<u16>>,
    requests: Vec<String>,
}

impl Held {
    fn take(&mut self, path: &str, range: Option<&str>, bytes: &[u8]) -> u16 {
        let name = path.rsplit('/').next().unwrap().to_owned();
        self.requests.push(format!("{path} {}", range.unwrap_or("whole")));
        let scripted = self.script.get_mut(name.as_str()).and_then(VecDeque::pop_front);
        if let Some(status) = scripted.filter(|status| *status > 0) {
            if status == 409 {
                self.parts.clear();
            }
            return status;
        }
        let Some(range) = range else {
            self.whole.insert(name, bytes.to_vec());
            return 201;
        };
        let (from, rest) = range.strip_prefix("bytes ").unwrap().split_once('-').unwrap();
        let whole: usize = rest.split_once('/').unwrap().1.parse().unwrap();
        let part = self.parts.entry(name.clone()).or_default();
        if from == "0" {
            part.clear();
        }
        if from.parse() != Ok(part.len()) {
            return 409;
        }
        part.extend(bytes);
        if part.len() == whole {
            let whole = std::mem::take(part);
            self.whole.insert(name, whole);
        }
        200
    }
}

async fn serve(listener: TcpListener, held: Arc<Mutex<Held>>) {
    let taken = warp::put()
        .and(warp::path::full())
        .and(warp::header::optional::<String>("content-range"))
        .and(warp::header::<String>("authorization"))
        .and(warp::body::bytes())
        .map(move |path: warp::path::FullPath, range: Option<String>, token: String, bytes: Bytes| {
            let known = token == "Bearer s3";
            let mut held = held.lock().unwrap();
            let status = if known { held.take(path.as_str(), range.as_deref(), &bytes) } else { 401 };
            StatusCode::from_u16(status).unwrap()
        });
    warp::serve(taken).incoming(listener).run().await;
}

/// Attachments that wait, and what became of them.
#[derive(Clone, Default)]
struct Wait(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: VecDeque<Attachment>,
    ended: Vec<(String, Ended)>,
}

impl Shelf for Wait {
    async fn next(&self) -> Option<Attachment> {
        self.0.lock().unwrap().next.front().cloned()
    }

    async fn ended(&self, sha256: String, how: Ended) {
        let mut all = self.0.lock().unwrap();
        if how == Ended::Aside {
            all.next.rotate_left(1);
        } else {
            all.next.retain(|attachment| attachment.sha256 != sha256);
        }
        all.ended.push((sha256, how));
    }
}

fn attachment(name: &str, length: usize) -> Attachment {
    let bytes = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
    Attachment { sha256: name.to_owned(), bytes }
}

fn stands(passages: u64) -> Arc<UplinkStatus> {
    let urgent = SessionStatus { name: "urgent", up: true, ..SessionStatus::default() };
    let mut status = UplinkStatus { sessions: vec![urgent], ..UplinkStatus::default() };
    status.streams[crate::domain::record::Stream::Passage.rank()].waiting = passages;
    Arc::new(status)
}

fn settings(to: SocketAddr) -> Settings {
    Settings {
        host: to.ip().to_string(),
        port: to.port(),
        path: "/files".into(),
        tls: None,
        token: Some("s3".into()),
        rate: 16 << 20,
        pictures: BTreeSet::new(),
    }
}

#[tokio::test]
async fn each_comes_whole_and_in_order_over_a_cut_an_outage_and_a_platform_that_forgets() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let to = listener.local_addr().unwrap();
    let (small, large, unwanted, last) =
        (attachment("a1", 7), attachment("b2", 2 * PART + 5), attachment("c3", 9), attachment("d4", PART));
    let choking = attachment("c9", 11);
    let shelf = Wait::default();
    let all = [small.clone(), large.clone(), unwanted, choking.clone(), last.clone()];
    shelf.0.lock().unwrap().next.extend(all);
    let (status, stop) = (watch::Sender::new(stands(1)), CancellationToken::new());
    let of = ("p".to_owned(), "gw".to_owned());
    let (shelved, said) = (shelf.clone(), status.subscribe());
    let inputs =
        Inputs { settings: settings(to), of, shelf: shelved, status: said, clock: Clock::system(), stop: stop.clone() };
    let held = Arc::new(Mutex::new(Held::default()));
    // Busy once; the second part of the large one meets an outage, and then a platform that has lost the first one; one makes the
    // platform stumble each time, and others come before it.
    let choke = VecDeque::from([500, 500, 500]);
    held.lock().unwrap().script =
        [("a1", [503].into()), ("b2", [0, 500, 409].into()), ("c3", [413].into()), ("c9", choke)].into();
    let story = async {
        status.send_replace(stands(0));
        // The first connection is cut.
        drop(listener.accept().await.unwrap());
        let all_told = async {
            while shelf.0.lock().unwrap().ended.len() < 6 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = serve(listener, Arc::clone(&held)) => {}
            () = all_told => {}
        }
        stop.cancel();
    };
    let both = async { tokio::join!(run(inputs), story) };
    tokio::time::timeout(SOON, both).await.expect("all is told");
    let held = held.lock().unwrap();
    let got = |name: &str| held.whole.get(name).cloned();
    assert_eq!(
        (got("a1"), got("b2"), got("c3"), got("c9"), got("d4")),
        (Some(small.bytes), Some(large.bytes), None, Some(choking.bytes), Some(last.bytes))
    );
    let part = |n: usize| {
        format!("/files/p/gw/b2 bytes {}-{}/{}", n * PART, ((n + 1) * PART).min(2 * PART + 5) - 1, 2 * PART + 5)
    };
    let whole = |name: &str| format!("/files/p/gw/{name} whole");
    let first = [whole("a1"), whole("a1"), part(0), part(1), part(1), part(0), part(1), part(2), whole("c3")];
    let then = ["c9", "c9", "c9", "d4", "c9"].map(whole);
    assert_eq!(held.requests, [&first[..], &then[..]].concat());
    let ended: Vec<_> = shelf.0.lock().unwrap().ended.clone();
    let ended: Vec<_> = ended.iter().map(|(name, how)| (name.as_str(), *how)).collect();
    use Ended::{Aside, Held as There, Refused};
    let asides = [("c9", Aside), ("d4", There), ("c9", There)];
    assert_eq!(ended, [&[("a1", There), ("b2", There), ("c3", Refused)][..], &asides[..]].concat());
}
