//! What can only be judged of all lanes together: a device speaks for one lane, and what moves an arm is in one hand.

use std::collections::BTreeMap;

use super::super::problem::{Findings, Spot, Words, Wrong, say};
use super::{Contact, Devices, Gates, Wiring};
use crate::domain::gate::lane::spec::GUARDS;
use crate::domain::gate::word::LaneId;

/// Judges lanes that were read, with where each of them stands.
pub(super) fn check(gates: &Gates, spots: &[Spot], out: &mut Findings) {
    let mut seen: BTreeMap<&str, &Spot> = BTreeMap::new();
    for (wiring, spot) in gates.wiring.iter().zip(spots) {
        for device in speakers(wiring) {
            if let Some(first) = seen.insert(device, spot) {
                let first = first.short();
                let what = say!("设备 `{device}` 已属于 {first}", "device `{device}` belongs to {first} already");
                let instead =
                    say!("它只能替一条车道说话，请另装一台", "it speaks for one lane; the other needs its own");
                out.error(spot.clone(), Wrong::new(what, instead));
            }
        }
        let mut refuse = |(what, instead): (Words, Words)| out.error(spot.clone(), Wrong::new(what, instead));
        strange_inputs(wiring, &gates.devices).map(&mut refuse);
        parted_outputs(wiring).map(&mut refuse);
        blind_close(wiring).map(&mut refuse);
    }
}

/// What a lane was said to have, and what no lane has: a camera that nobody listens to looks like one that works.
pub(super) fn check_use(gates: &Gates, places: &BTreeMap<String, Spot>, file: &Spot, out: &mut Findings) {
    let Devices { cameras, modules, barriers, readers, boards, scales, pushers } = &gates.devices;
    let at = |id: &str| places.get(id).unwrap_or(file).clone();
    let used = |id: &str| {
        let wired = |wiring: &Wiring| {
            speakers(wiring).any(|device| device == id)
                || wiring.inputs.iter().any(|wire| wire.at.device == id)
                || wiring.outputs.iter().any(|wire| wire.device == id)
        };
        gates.wiring.iter().any(wired)
    };
    let ids = cameras.iter().map(|one| &one.id).chain(modules.iter().map(|one| &one.id));
    let ids = ids.chain(barriers.iter().map(|one| &one.id)).chain(readers.iter().map(|one| &one.id));
    let ids = ids.chain(boards.iter().map(|one| &one.id)).chain(scales.iter().map(|one| &one.id));
    for id in ids.filter(|id| !used(id)) {
        let what = say!("没有车道用到设备 `{id}`", "no lane has device `{id}`");
        let instead =
            say!("请写进它所在的 [[lane]]，或删去", "name it in the [[lane]] that it stands at, or remove it");
        out.warn(at(id), Wrong::new(what, instead));
    }
    for (id, lane) in pushers.iter().flat_map(|one| one.queues.iter().map(move |lane| (&one.id, lane))) {
        counted(gates, (id, lane), at(id), out);
    }
}

/// Lanes before which somebody counts the queue must be there, and have room to be watched.
fn counted(gates: &Gates, (id, lane): (&str, &LaneId), spot: Spot, out: &mut Findings) {
    if !gates.lanes.iter().any(|spec| spec.id == *lane) {
        let what = say!("`{id}` 数的车道 `{lane}` 不存在", "`{id}` counts before lane `{lane}`, which is not there");
        let instead = say!("请改 queues，或写出这条车道", "change `queues`, or write that lane");
        out.error(spot, Wrong::new(what, instead));
    } else if gates.desk.lanes.get(lane).is_none_or(|rule| rule.room.is_none()) {
        let what = say!("车道 `{lane}` 没有写 room，排队不报警", "lane `{lane}` has no `room`: its queue never alarms");
        let instead = say!("请给车道写 room = 6", "write room = 6 for the lane");
        out.warn(spot, Wrong::new(what, instead));
    }
}

/// Devices that say which lane something is at by being there. Modules are not among them: each channel is given once.
fn speakers(wiring: &Wiring) -> impl Iterator<Item = &str> {
    let Wiring { cameras, readers_in, readers_out, barrier, board, scale, .. } = wiring;
    let many = cameras.iter().chain(readers_in).chain(readers_out);
    many.chain([barrier, board, scale].into_iter().flatten()).map(String::as_str)
}

/// Inputs of a camera that looks at another lane, or that has none (ISAPI pushes say nothing of inputs).
fn strange_inputs(wiring: &Wiring, devices: &Devices) -> Option<(Words, Words)> {
    let is_camera = |id: &str| devices.cameras.iter().any(|camera| camera.id == id);
    let strange =
        wiring.inputs.iter().map(|wire| &wire.at.device).find(|id| is_camera(id) && !wiring.cameras.contains(id));
    strange.map(|id| {
        let what =
            say!("输入接在别的车道的相机 `{id}` 上", "an input is wired to camera `{id}`, which is not of this lane");
        (what, say!("请接到本车道的相机或模块上", "wire it to a camera of this lane, or to a module"))
    })
}

/// One machine alone can see to it that two contacts are never on together.
fn parted_outputs(wiring: &Wiring) -> Option<(Words, Words)> {
    let first = &wiring.outputs.first()?.device;
    let other = wiring.outputs.iter().map(|wire| &wire.device).find(|device| *device != first)?;
    let what = say!(
        "开、关触点分在模块 `{first}` 和 `{other}` 上，不能互锁",
        "contacts are on modules `{first}` and `{other}`: nothing keeps them from being on together"
    );
    Some((what, say!("请把本车道的输出接到同一个模块", "wire all outputs of the lane to one module")))
}

/// Right before it closes, the module looks under the arm once more: it must be the one that sees it.
fn blind_close(wiring: &Wiring) -> Option<(Words, Words)> {
    let close = wiring.outputs.iter().find(|wire| wire.contact == Contact::Close)?;
    let seen = |guard| wiring.inputs.iter().any(|wire| wire.input == guard && wire.at.device == close.device);
    if GUARDS.iter().all(|guard| seen(*guard)) {
        return None;
    }
    let module = &close.device;
    let what = say!(
        "模块 `{module}` 会落杆，却看不到杆下",
        "module `{module}` closes, and does not see what is under the arm"
    );
    let instead = say!(
        "请把 under_arm 和 beam 也接到它上面，或不写 close",
        "wire under_arm and beam to it as well, or leave `close` out"
    );
    Some((what, instead))
}
