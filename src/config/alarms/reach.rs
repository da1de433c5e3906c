//! Whether a ladder that tells by text message reaches anybody: who is meant must have a telephone.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Alarms, Via};
use crate::config::problem::{Findings, Spot, Wrong, say};
use crate::domain::alarm::severity::Recipient;
use crate::domain::daybook::rules::Rules;
use crate::domain::phone::CONTROL_ROOM;

/// Names shown of those without a number.
const N_SHOWN: usize = 8;

/// Warns of each step by text message whose people have no number: nobody would be told.
pub(in crate::config) fn check(alarms: &Alarms, duty: &Rules, path: &Path, out: &mut Findings) {
    let by_text = |channel: &str| alarms.channels.iter().any(|c| &*c.id == channel && matches!(c.via, Via::Text(_)));
    let steps = alarms.book.escalations.iter().flat_map(|ladder| &ladder.steps);
    let told: BTreeSet<Recipient> = steps.filter(|step| by_text(&step.channel)).map(|step| step.to).collect();
    for to in told {
        let names = without_number(to, alarms, duty);
        let (en, zh) = to.words();
        if names.is_empty() {
            continue;
        }
        let list = names.iter().take(N_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let what = say!("短信发不到{zh}：没有 {list} 的电话", "no text reaches {en}: no telephone is known of {list}");
        let instead = say!(
            "请在 duty.toml 写 [[phone]] of = \"…\" number = \"…\"",
            "write [[phone]] of = \"…\" number = \"…\" in duty.toml"
        );
        out.warn(Spot::file(path), Wrong::new(what, instead));
    }
}

fn without_number(to: Recipient, alarms: &Alarms, duty: &Rules) -> BTreeSet<String> {
    let names: BTreeSet<&str> = match to {
        Recipient::ControlRoom => BTreeSet::from([CONTROL_ROOM]),
        Recipient::ShiftLeader => duty.duty.roster.iter().map(|entry| entry.operator.as_str()).collect(),
        Recipient::DutyLeader => duty.duty.roster.iter().map(|entry| entry.leader.as_str()).collect(),
        Recipient::Main | Recipient::Technical | Recipient::Operating => {
            let sources = alarms.book.hazard_sources.iter();
            let bare = sources.filter_map(|source| source.person(to).filter(|name| source.phones.of(name).is_empty()));
            bare.collect()
        }
    };
    let nobody = names.is_empty() && matches!(to, Recipient::ShiftLeader | Recipient::DutyLeader);
    let names = names.into_iter().filter(|name| duty.phones.of(name).is_empty()).map(str::to_owned);
    names.chain(nobody.then(|| "[[roster]]".to_owned())).collect()
}
