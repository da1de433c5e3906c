//! What every room that speaks to a broker needs: settings, TLS, and words for why a connection ended. Who speaks about what is
//! the rooms' own business (`uplink`, `peers`); they share no session.

pub mod settings;
pub mod tls;
pub mod trouble;

use std::time::Duration;

/// Returns `delay` ±20 %, at most `max`.
pub fn jittered(delay: Duration, max: Duration) -> Duration {
    delay.mul_f64(0.8 + 0.4 * fastrand::f64()).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_jittered_and_never_beyond_the_most() {
        let max = Duration::from_secs(10);
        for _ in 0..1000 {
            let delay = jittered(Duration::from_secs(5), max);
            assert!((4.0..=6.0).contains(&delay.as_secs_f64()));
            assert!(jittered(max, max) <= max);
        }
    }
}
