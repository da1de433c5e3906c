//! What is wired to a lane: which channel of which device is which input or output, each of them given once.

use std::collections::BTreeMap;

use super::super::problem::{Findings, Spot, Wrong, say};
use super::super::section::{Got, Section};
use super::super::site::missing;
use super::super::value::Scalar;
use super::Devices;
use crate::domain::gate::hardware::Input;
use crate::domain::gate::word::LaneId;

/// Everything at one lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Wiring {
    /// The lane.
    pub lane: LaneId,
    /// Inputs.
    pub inputs: Vec<Wire>,
    /// Contacts that open, close, stop and hold.
    pub outputs: Vec<OutputWire>,
    /// Cameras, by their ids.
    pub cameras: Vec<String>,
    /// Readers that look at who comes in.
    pub readers_in: Vec<String>,
    /// Readers that look at who goes out.
    pub readers_out: Vec<String>,
    /// The barrier's controller.
    pub barrier: Option<String>,
    /// The board.
    pub board: Option<String>,
    /// The weighbridge.
    pub scale: Option<String>,
}

/// An input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// What it stands for.
    pub input: Input,
    /// Where.
    pub at: Wired,
}

/// A channel of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wired {
    /// Id of the module or camera.
    pub device: String,
    /// Channel, from 1 as on its terminals.
    pub channel: u16,
    /// The contact is closed at rest (常闭).
    pub closed_at_rest: bool,
}

/// An output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputWire {
    /// What it does.
    pub contact: Contact,
    /// Id of the module.
    pub device: String,
    /// Relay, from 1.
    pub channel: u16,
}

/// What a contact does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// Opens, by a pulse.
    Open,
    /// Closes, by a pulse.
    Close,
    /// Stops, by a pulse.
    Stop,
    /// Holds open for as long as it is kept.
    Hold,
}

impl Contact {
    pub(super) const ALL: [(&'static str, Contact); 4] =
        [("open", Self::Open), ("close", Self::Close), ("stop", Self::Stop), ("hold", Self::Hold)];
}

/// `io-1:3`, `io-1:3 nc`.
pub(super) fn wired(got: &Got<String>, out: &mut Findings) -> Option<Wired> {
    let (place, closed_at_rest) = match got.value.split_once(char::is_whitespace) {
        None => (got.value.as_str(), Some(false)),
        Some((place, rest)) => (
            place,
            match rest.trim() {
                "nc" | "常闭" => Some(true),
                "no" | "常开" => Some(false),
                _ => None,
            },
        ),
    };
    let split = place.rsplit_once(':');
    let channel = split.and_then(|(_, channel)| channel.parse::<u16>().ok()).filter(|channel| *channel > 0);
    let (Some((device, _)), Some(channel), Some(closed_at_rest)) = (split, channel, closed_at_rest) else {
        let text = super::super::value::clip(&got.value);
        let what = say!("`{text}` 不是设备的通道", "`{text}` is no channel of a device");
        let instead = say!(
            "请写 \"设备:通道\"，通道从 1 起，常闭触点加 nc，例如 \"io-1:5 nc\"",
            "write \"device:channel\", channels from 1, with nc for a contact that is closed at rest, e.g. \"io-1:5 nc\""
        );
        out.error(got.spot.clone(), Wrong::new(what, instead));
        return None;
    };
    Some(Wired { device: device.to_owned(), channel, closed_at_rest })
}

/// Channels that were given already.
#[derive(Default)]
pub(super) struct Given {
    inputs: BTreeMap<(String, u16), Spot>,
    outputs: BTreeMap<(String, u16), Spot>,
}

impl Given {
    fn give(map: &mut BTreeMap<(String, u16), Spot>, device: &str, channel: u16, spot: &Spot, out: &mut Findings) {
        if let Some(first) = map.insert((device.to_owned(), channel), spot.clone()) {
            let first = first.short();
            let what = say!(
                "通道 `{device}:{channel}` 已用于 {first}",
                "channel `{device}:{channel}` is used in {first} already"
            );
            let instead = say!("每个通道只接一个信号，请改通道号", "a channel carries one signal; write another one");
            out.error(spot.clone(), Wrong::new(what, instead));
        }
    }

    pub(super) fn inputs(&mut self, section: Section<'_>, devices: &Devices, out: &mut Findings) -> Vec<(Wire, Spot)> {
        let mut wires = Vec::new();
        for (name, got) in section.all(&Scalar, out) {
            let named = Got { value: name.clone(), spot: got.spot.clone() };
            let Some(input) = Input::ALL.iter().copied().find(|input| input.as_str() == name) else {
                missing("输入", "input", &named, Input::ALL.iter().map(|input| input.as_str()), out);
                continue;
            };
            let Some(value) = got.value else { continue };
            let got = Got { value, spot: got.spot };
            let Some(at) = wired(&got, out) else { continue };
            let most = devices.modules.iter().find(|module| module.id == at.device).map(|module| module.inputs);
            let most = most.or_else(|| devices.cameras.iter().any(|camera| camera.id == at.device).then_some(4));
            if check(&at, most, "输入", "inputs", &got.spot, devices, out) {
                Self::give(&mut self.inputs, &at.device, at.channel, &got.spot, out);
                wires.push((Wire { input, at }, got.spot));
            }
        }
        wires
    }

    pub(super) fn outputs(&mut self, section: Section<'_>, devices: &Devices, out: &mut Findings) -> Vec<OutputWire> {
        let mut wires = Vec::new();
        for (name, got) in section.all(&Scalar, out) {
            let named = Got { value: name.clone(), spot: got.spot.clone() };
            let Some((_, contact)) = Contact::ALL.into_iter().find(|(word, _)| *word == name) else {
                missing("输出", "output", &named, Contact::ALL.into_iter().map(|(word, _)| word), out);
                continue;
            };
            let Some(value) = got.value else { continue };
            let got = Got { value, spot: got.spot };
            let Some(at) = wired(&got, out) else { continue };
            let most = devices.modules.iter().find(|module| module.id == at.device).map(|module| module.relays);
            if check(&at, most, "继电器", "relays", &got.spot, devices, out) {
                Self::give(&mut self.outputs, &at.device, at.channel, &got.spot, out);
                wires.push(OutputWire { contact, device: at.device, channel: at.channel });
            }
        }
        wires
    }
}

fn check(
    at: &Wired,
    most: Option<u16>,
    zh: &str,
    en: &str,
    spot: &Spot,
    devices: &Devices,
    out: &mut Findings,
) -> bool {
    let (device, channel) = (&at.device, at.channel);
    match most {
        Some(most) if channel <= most => true,
        Some(most) => {
            let what = say!("`{device}` 只有 {most} 路{zh}", "`{device}` has only {most} {en}");
            let instead = say!("请写 1 到 {most}，或改设备的路数", "write 1..={most}, or correct the device");
            out.error(spot.clone(), Wrong::new(what, instead));
            false
        }
        None => {
            let known = devices.modules.iter().map(|module| module.id.as_str());
            let known = known.chain(devices.cameras.iter().map(|camera| camera.id.as_str()));
            missing("模块", "module", &Got { value: device.clone(), spot: spot.clone() }, known, out);
            false
        }
    }
}

/// Finds a device by its id, among those of one kind.
pub(super) fn named<'a>(
    got: Option<Got<String>>,
    (zh, en): (&str, &str),
    known: impl Iterator<Item = &'a str> + Clone,
    out: &mut Findings,
) -> Option<String> {
    let got = got?;
    if known.clone().any(|id| id == got.value) {
        return Some(got.value);
    }
    missing(zh, en, &got, known, out);
    None
}
