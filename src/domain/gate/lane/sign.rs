//! What the board at the lane shows and says (rule 71): who, what, why, in Chinese; and what to do next.

use super::Lane;
use super::told::Ruling;
use crate::domain::gate::hardware::{Act, Sign};
use crate::domain::gate::verdict::Verdict;
use crate::domain::time::Now;
use std::time::Duration;

/// A text that is older than this helps nobody at the lane.
const LIFE: Duration = Duration::from_secs(5);
/// Reasons that are shown: boards have four lines.
const REASONS: usize = 2;

impl Lane {
    /// Shows what was decided. At a lane that refuses, a way back is always named.
    pub(super) fn show(&mut self, ruling: &Ruling, verdict: Verdict, now: Now) {
        let plate =
            self.current.as_ref().and_then(|passage| passage.plate.as_ref()).and_then(|read| read.plate.as_ref());
        let mut lines: Vec<String> = plate.map(|plate| plate.text.clone()).into_iter().collect();
        let what = match verdict {
            Verdict::Allow => "请通行",
            Verdict::Refer => "请稍候，人工确认",
            Verdict::Hold => "请停车等候检查",
            Verdict::Deny => "不能通行，请掉头",
        };
        lines.push(what.to_owned());
        if verdict != Verdict::Allow {
            let weighty = ruling.reasons.iter().filter(|reason| reason.verdict != Verdict::Allow);
            lines.extend(weighty.take(REASONS).map(|reason| reason.zh.clone()));
        }
        let voice = plate.map_or_else(|| what.to_owned(), |plate| format!("{}，{what}", plate.text));
        let key = self.name("s");
        self.command(key, Act::Show(Sign { lines, voice }), now.mono + LIFE);
    }

    /// Shows and says something else to who stands there: whom he waits for, which way leads back.
    pub fn say(&mut self, lines: Vec<String>, voice: String, now: Now) {
        let key = self.name("s");
        self.command(key, Act::Show(Sign { lines, voice }), now.mono + LIFE);
    }
}
