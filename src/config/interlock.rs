//! Outputs among one another (`excludes`, `priority` in `outputs.toml`), and orders on a bus: whether they can be sent in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::devices::DevicesFile;
use super::problem::{Findings, Spot, Wrong, say};
use super::section::Got;
use super::text::suggest;
use super::value::show_duration;
use crate::domain::id::OutputId;
use crate::field::settings::{Bus, BusPlan, Endpoint};
use crate::output::settings::{Allowed, Cell, Feedback, Idle, Output, Pulse};

/// What an output says of others, and where.
#[derive(Debug)]
pub(super) struct Excluding {
    /// The ids that it excludes.
    pub(super) others: Option<Got<Vec<String>>>,
    /// Where the output stands.
    pub(super) spot: Spot,
}

/// Returns how an output is seen to do nothing: as its `rest` says, or where 0 is written. A pulse that the device ends
/// itself is over when its feedback shows 0. `None` where nothing says it.
pub(super) fn idle(
    cell: Cell,
    values: &[Allowed],
    rest: Option<&str>,
    pulse: Pulse,
    feedback: Feedback,
) -> Option<Idle> {
    if pulse == Pulse::Device {
        return Some(Idle { raw: None, at: feedback, seen: 0 });
    }
    let rest = match rest {
        Some(name) => values.iter().find(|value| value.name == name),
        None => values.iter().find(|value| value.raw == 0),
    };
    rest.map(|rest| Idle { raw: Some(rest.raw), at: Feedback::from(cell), seen: rest.raw })
}

/// Gives the values their ranks.
pub(super) fn rank(values: &mut [Allowed], ranks: Vec<(String, Got<Option<i64>>)>, out: &mut Findings) {
    for (name, got) in ranks {
        match values.iter_mut().find(|value| value.name == name) {
            Some(value) => value.rank = got.value.and_then(|rank| u8::try_from(rank).ok()).unwrap_or_default(),
            None => {
                let what = say!("`{name}` 不在 values 中", "`{name}` is not among the values");
                out.error(got.spot, Wrong::new(what, say!("请删去或改名", "remove or rename it")));
            }
        }
    }
}

/// Makes exclusions mutual, and refuses those that could not be kept. `ids` are all ids in the file, also of outputs that are wrong.
pub(super) fn exclude(outputs: Vec<(Output, Excluding)>, ids: &[String], out: &mut Findings) -> Vec<Arc<Output>> {
    let mut excludes: BTreeMap<OutputId, Vec<OutputId>> = BTreeMap::new();
    for (output, excluding) in &outputs {
        let Some(got) = &excluding.others else { continue };
        for other in &got.value {
            match outputs.iter().find(|(candidate, _)| candidate.id.as_str() == other) {
                Some((candidate, _)) if candidate.id == output.id => {
                    let what = say!("`{other}` 不能与自己互斥", "`{other}` cannot exclude itself");
                    out.error(got.spot.clone(), Wrong::new(what, say!("请删去", "remove it")));
                }
                Some((candidate, _)) => {
                    excludes.entry(output.id.clone()).or_default().push(candidate.id.clone());
                    excludes.entry(candidate.id.clone()).or_default().push(output.id.clone());
                }
                None if ids.contains(other) => {}
                None => {
                    let what = say!("没有输出 `{other}`", "there is no output `{other}`");
                    let instead = match suggest(other, ids.iter().map(String::as_str)) {
                        Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
                        None => say!("请写 outputs.toml 中的 id", "write an id of outputs.toml"),
                    };
                    out.error(got.spot.clone(), Wrong::new(what, instead));
                }
            }
        }
    }
    let mutual = |(mut output, excluding): (Output, Excluding)| {
        let mut others = excludes.remove(&output.id).unwrap_or_default();
        others.sort_unstable();
        others.dedup();
        if !others.is_empty() && output.idle.is_none() {
            let id = &output.id;
            let what = say!(
                "输出 `{id}` 有互斥，却没有不动作的值",
                "output `{id}` is excluded by others and has no value at which it does nothing"
            );
            let instead =
                say!("请在 values 写 off = 0，或用 rest 指明", "write off = 0 among the values, or name one by `rest`");
            out.error(excluding.spot, Wrong::new(what, instead));
        }
        output.excludes = others;
        Arc::new(output)
    };
    outputs.into_iter().map(mutual).collect()
}

/// An order on a bus waits for the poll under way, at worst that of a slave that does not answer. One whose deadline is
/// shorter could come too late; nothing else is reserved, because orders are rare and go before the polls.
pub(super) fn check_wait(
    deadline: Duration,
    bus: &Arc<Bus>,
    spot: &Spot,
    devices: Option<&DevicesFile>,
    out: &mut Findings,
) {
    let rows = devices.into_iter().flat_map(|file| &file.devices);
    let on_it = rows.filter(|row| matches!(&row.device.endpoint, Endpoint::Bus(other) if other == bus));
    let longest = on_it.map(|row| (BusPlan::longest_exchange(bus, &row.device), &row.device.id)).max();
    let Some((longest, slowest)) = longest.filter(|(longest, _)| *longest > deadline) else { return };
    let (id, shown) = (&bus.id, show_duration(deadline));
    let least = show_duration(Duration::from_millis(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX) + 1));
    let what = say!(
        "deadline {shown} 太短：总线 `{id}` 上 `{slowest}` 不应答时会占用到 {least}，命令可能过期",
        "deadline {shown} is too short: on bus `{id}` a silent `{slowest}` takes up to {least}, and an order could expire"
    );
    let instead = say!(
        "请写 deadline = \"{least}\" 以上，或减小 `{slowest}` 的 timeout",
        "write deadline = \"{least}\" or more, or a shorter timeout of `{slowest}`"
    );
    out.error(spot.clone(), Wrong::new(what, instead));
}
