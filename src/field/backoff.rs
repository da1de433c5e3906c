//! Delays after failures: doubling, bounded, with jitter, so that two hundred devices behind a switch that restarts do
//! not come back in one instant.

use std::time::Duration;

/// Each delay lies between 80 % and 120 % of its step.
const JITTER: f64 = 0.2;

/// A delay that grows with each failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Returns a back-off whose steps go from `initial` by doubling to `max`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max, next: initial.min(max) }
    }

    /// Notes a failure and returns how long to wait: the step ± 20 %.
    pub fn fail(&mut self, rng: &mut fastrand::Rng) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.max);
        step.mul_f64(1.0 - JITTER + 2.0 * JITTER * rng.f64())
    }

    /// Notes a success: the next failure waits the first step again.
    pub fn reset(&mut self) {
        self.next = self.initial.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(seed: u64, n: usize) -> Vec<Duration> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        (0..n).map(|_| backoff.fail(&mut rng)).collect()
    }

    #[test]
    fn delays_double_from_the_first_to_the_longest_within_a_fifth() {
        for seed in 0..50 {
            for (i, delay) in delays(seed, 10).into_iter().enumerate() {
                let step = Duration::from_millis(500).saturating_mul(1 << i).min(Duration::from_secs(30));
                assert!(delay >= step.mul_f64(0.799) && delay <= step.mul_f64(1.201), "step {step:?}: {delay:?}");
            }
        }
    }

    #[test]
    fn one_seed_gives_one_sequence_and_another_seed_another() {
        assert_eq!(delays(7, 8), delays(7, 8));
        assert_ne!(delays(7, 8), delays(8, 8));
    }

    #[test]
    fn a_success_starts_it_anew() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
        for _ in 0..5 {
            backoff.fail(&mut rng);
        }
        backoff.reset();
        assert!(backoff.fail(&mut rng) <= Duration::from_millis(1200));
    }

    #[test]
    fn a_first_step_beyond_the_longest_is_cut() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(2));
        assert!(backoff.fail(&mut rng) <= Duration::from_millis(2400));
    }
}
