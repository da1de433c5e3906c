//! What can only be judged of all lanes together: a device speaks for one lane, and what moves an arm is in one hand.

use std::collections::BTreeMap;

use super::super::problem::{Findings, Spot, Words, Wrong, say};
use super::{Contact, Devices, Gates, Wiring};
use crate::domain::gate::lane::spec::GUARDS;

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
