//! Waiting for a state, never for a time: a deadline here is how long a hung test may take, not a promise of speed.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// Deadline for whatever takes a second on a healthy machine; a loaded one may take its time.
pub const SOON: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `seen` returns something; panics with `what` after `deadline`.
pub fn until<T>(deadline: Duration, what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let began = now();
    loop {
        if let Some(value) = seen() {
            return value;
        }
        assert!(began.elapsed() < deadline, "within {deadline:?} never came: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Looks until `condition` holds; panics with `what` after `deadline`.
pub fn eventually(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    until(deadline, what, || condition().then_some(()));
}

/// Lets the field live for `span`: the length of an outage or of a measurement, on which nothing is asserted.
pub fn live(span: Duration) {
    std::thread::sleep(span);
}

/// A port that was free just now, for a program that cannot be told to take any.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The time, for figures that are printed.
#[expect(clippy::disallowed_methods, reason = "a test measures from outside the gateway")]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall time in milliseconds since 1970, as the feed's `t` counts.
#[expect(clippy::disallowed_methods, reason = "a test measures from outside the gateway")]
pub fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// An environment variable as a number of seconds, else `default`.
pub fn secs_from_env(name: &str, default: u64) -> Duration {
    Duration::from_secs(std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default))
}
