//! An `[[alarm]]` may stand instead of one that is there without being asked. Where gas, fire or a major hazard is watched, it
//! must not ask for less: that would take the alarm away, and nobody would be told.

use super::build::Builder;
use crate::config::problem::{Findings, Wrong, say};
use crate::domain::alarm::severity::Class;
use crate::domain::alarm::spec::AlarmSpec;

impl Builder<'_> {
    /// Tells of each alarm that stands instead of a stricter one.
    pub(super) fn check_stand_ins(&self, out: &mut Findings) {
        for unasked in &self.displaced {
            // Two that nobody has asked for are not a person's mistake.
            let Some((asked, spot)) = self.asked_at.get(&unasked.id) else { continue };
            if !may_stand(unasked, *asked) {
                out.error(spot.clone(), laxer(unasked, *asked));
            }
        }
    }
}

/// Returns whether an alarm of this class may stand instead.
fn may_stand(unasked: &AlarmSpec, asked: Class) -> bool {
    match unasked.class {
        // Value, controller's bits and faults together: no single alarm judges all of them.
        Class::Gas => false,
        Class::Fire => asked == Class::Fire,
        Class::MajorHazard => matches!(asked, Class::Gas | Class::Fire | Class::MajorHazard),
        Class::Process | Class::Utility | Class::Equipment | Class::System => true,
    }
}

fn laxer(unasked: &AlarmSpec, asked: Class) -> Wrong {
    let (id, of, by) = (&unasked.id, unasked.class.as_str(), asked.as_str());
    let what = say!(
        "这一个（{by}）会取代自动的报警 `{id}`（{of}），后者更严，不能少",
        "this one ({by}) would stand instead of the alarm `{id}` ({of}), which is there without being asked and is stricter"
    );
    let instead = match unasked.class {
        Class::Gas => say!("请写 id = \"…\" 另起名字", "write id = \"…\" to give it another name"),
        Class::Fire | Class::MajorHazard | Class::Process | Class::Utility | Class::Equipment | Class::System => say!(
            "请写 id = \"…\" 另起名字，或写 class = \"{of}\"",
            "write id = \"…\" to give it another name, or class = \"{of}\""
        ),
    };
    Wrong::new(what, instead)
}
