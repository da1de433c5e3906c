//! Callers without a role who want something done: that belongs into the audit, and a loop of it must not fill the store. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::time::Mono;

/// How often the refusal of one caller is entered; what he asks in between is counted and told with the next one.
pub const ENTERED_EVERY: Duration = Duration::from_secs(60);
/// Callers remembered: more than a machine of a park has users. The one whose entry is the oldest is forgotten.
pub const MAX_REMEMBERED: usize = 64;

/// Who was refused lately.
#[derive(Debug, Default)]
pub struct Strangers(BTreeMap<String, Refusals>);

/// Of one caller.
#[derive(Debug)]
struct Refusals {
    entered: Mono,
    /// Refused since then.
    more: u32,
}

impl Strangers {
    /// Notes that this caller is refused. Returns how many of his refusals were not entered since the last one that was, where
    /// this one is to be entered.
    pub fn note(&mut self, caller: &str, now: Mono) -> Option<u32> {
        if let Some(known) = self.0.get_mut(caller) {
            if now.since(known.entered) < ENTERED_EVERY {
                known.more = known.more.saturating_add(1);
                return None;
            }
            known.entered = now;
            return Some(std::mem::take(&mut known.more));
        }
        if self.0.len() >= MAX_REMEMBERED {
            let oldest = self.0.iter().min_by_key(|(_, known)| known.entered).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(caller.to_owned(), Refusals { entered: now, more: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_of_one_caller_is_one_entry_a_minute_and_the_rest_is_counted() {
        let mut strangers = Strangers::default();
        let entered: Vec<_> = (0..180).filter_map(|second| strangers.note("zhao", Mono::from_secs(second))).collect();
        assert_eq!(entered, [0, 59, 59]);
        assert_eq!(strangers.note("qian", Mono::from_secs(10)), Some(0), "another one has entries of his own");
    }

    #[test]
    fn so_many_callers_are_remembered_and_no_more() {
        let mut strangers = Strangers::default();
        for n in 0..1_000 {
            assert_eq!(strangers.note(&format!("user-{n}"), Mono::from_secs(n)), Some(0));
        }
        assert_eq!(strangers.0.len(), MAX_REMEMBERED);
        assert_eq!(strangers.note("user-999", Mono::from_secs(1_000)), None);
    }
}
