//! Puts points to their devices: the reader's settings and the registry's description, in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::address::Counting;
use super::alarms::cells::Cells;
use super::devices::{DeviceRow, DevicesFile};
use super::instrument;
use super::opcua::OpcUaRow;
use super::points::{Known, KnownDevice, PointRow, Read};
use super::problem::{Findings, Spot, Wrong, say};
use super::profiles::Became;
use super::sheet::Made;
use crate::domain::id::DeviceId;
use crate::domain::registry::DeviceSpec;
use crate::field::settings::opcua::OpcUaDevice;
use crate::field::settings::{PollClass, Source};
use crate::output::settings::Output;

/// Poll classes one device may use: its points name them by one byte.
const MAX_CLASSES: usize = 256;
/// Devices of a gateway, and points of a device: records name either by two bytes.
const MAX_INDEXED: usize = 65_536;

/// Returns what the point table may refer to.
pub(super) fn known(file: &DevicesFile) -> Known {
    let device = |(index, row): (usize, &DeviceRow)| {
        let (counting, max_registers) = (row.counting, row.device.max_registers);
        let known = KnownDevice { index, counting, max_registers, nodes: None };
        (row.device.id.as_str().to_owned(), Some(known))
    };
    let unsound = file.ids.iter().map(|id| (id.clone(), None));
    let node = |(index, row): (usize, &OpcUaRow)| {
        let counting = Counting { base: 0, notation: None };
        let nodes = Some(row.server.sign_of_life());
        (row.id.clone(), Some(KnownDevice { index, counting, max_registers: u16::MAX, nodes }))
    };
    let devices = file.devices.iter().enumerate().map(device);
    let behind = (file.devices.len()..).zip(&file.opcua).map(node);
    let devices = unsound.chain(devices).chain(behind).collect();
    Known { devices: Some(devices), classes: Some(file.classes.clone()) }
}

/// Returns the rows that profiles make of devices.
pub(super) fn made(file: &DevicesFile) -> Vec<Made> {
    let rows = file.devices.iter().filter_map(|row| Some((row.device.id.as_str(), row.profile.as_ref()?)));
    rows.flat_map(|(id, (name, used))| used.expand(id, name.as_deref())).collect()
}

/// Returns what devices became by their profiles.
pub(super) fn became(file: &DevicesFile) -> Vec<Became> {
    let rows = file.devices.iter().filter_map(|row| Some((row.device.id.as_str(), row.profile.as_ref()?)));
    rows.map(|(id, (_, used))| used.became(id)).collect()
}

/// Devices with their points, in the order of the registry.
pub(super) struct Joined {
    /// For the readers.
    pub(super) sources: Vec<Source>,
    /// For the registry.
    pub(super) specs: Vec<Arc<DeviceSpec>>,
    /// What the limit columns say, by device and ordinal.
    pub(super) limits: Vec<Vec<Option<Box<Cells>>>>,
}

/// Joins both files. A device that is only `written` may have no points. Points that were wrong are already gone, so a device
/// may seem empty only where no problem was found.
pub(super) fn join(file: DevicesFile, points: Vec<PointRow>, written: &[Arc<Output>], out: &mut Findings) -> Joined {
    let mut by_device: BTreeMap<usize, Vec<PointRow>> = BTreeMap::new();
    for point in points {
        by_device.entry(point.device).or_default().push(point);
    }
    let DevicesFile { classes, devices, opcua, buses, .. } = file;
    let first_behind = devices.len();
    if let Some(row) = devices.get(MAX_INDEXED) {
        let count = devices.len();
        let what = say!("共有 {count} 台设备", "there are {count} devices");
        let instead = say!("一个网关最多 {MAX_INDEXED} 台", "one gateway has at most {MAX_INDEXED}");
        out.error(row.spot.clone(), Wrong::new(what, instead));
    }
    let joined = devices.into_iter().enumerate().map(|(index, row)| {
        let points = by_device.remove(&index).unwrap_or_default();
        let is_written = written.iter().any(|output| output.device == row.device.id);
        check(row.device.id.as_str(), &row.spot, &points, is_written, out);
        one(row, points, &classes, out)
    });
    let mut all: Vec<_> = joined.collect();
    all.extend((first_behind..).zip(opcua).map(|(index, row)| {
        let points = by_device.remove(&index).unwrap_or_default();
        check(&row.id, &row.spot, &points, false, out);
        one_behind(row, points, &classes, out)
    }));
    let mut joined = Joined { sources: Vec::new(), specs: Vec::new(), limits: Vec::new() };
    for (source, spec, limits) in all {
        joined.sources.push(source);
        joined.specs.push(spec);
        joined.limits.push(limits);
    }
    buses.check_plans(&joined.sources, out);
    joined
}

/// One device: for the readers, for the registry, for the alarms.
type One = (Source, Arc<DeviceSpec>, Vec<Option<Box<Cells>>>);

fn check(id: &str, spot: &Spot, points: &[PointRow], is_written: bool, out: &mut Findings) {
    if points.is_empty() && !is_written && out.errors() == 0 {
        let what = say!("设备 `{id}` 没有测点，不会被读取", "device `{id}` has no points and is not read");
        let instead = say!("请在 points.csv 加上测点，或删去此设备", "add points in points.csv, or remove the device");
        out.warn(spot.clone(), Wrong::new(what, instead));
    }
    if points.len() > MAX_INDEXED {
        let count = points.len();
        let what = say!("一台设备有 {count} 个测点", "one device has {count} points");
        let instead = say!("最多 {MAX_INDEXED} 个", "use at most {MAX_INDEXED}");
        out.error(spot.clone(), Wrong::new(what, instead));
    }
    let classes: std::collections::BTreeSet<_> = points.iter().map(|p| p.class.as_str()).collect();
    if classes.len() > MAX_CLASSES {
        let count = classes.len();
        let what = say!("一台设备用了 {count} 个轮询类", "one device uses {count} poll classes");
        let instead = say!("最多 {MAX_CLASSES} 个", "use at most {MAX_CLASSES}");
        out.error(spot.clone(), Wrong::new(what, instead));
    }
}

fn one(row: DeviceRow, points: Vec<PointRow>, classes: &BTreeMap<String, Duration>, out: &mut Findings) -> One {
    let used = used(&points, classes);
    let class_of = |name: &str| used.iter().position(|c| c.name == name).and_then(|i| u8::try_from(i).ok());
    let mut all_limits = Vec::with_capacity(points.len());
    let mut device = row.device;
    let mut spec = DeviceSpec { id: device.id.clone(), name: row.name, points: Vec::with_capacity(points.len()) };
    let instruments = instrument::resolve(&points, out);
    for (PointRow { class, point, spec: mut point_spec, limits, .. }, instrument) in points.into_iter().zip(instruments)
    {
        let Read::Modbus(mut point) = point else { continue };
        point.class = class_of(&class).unwrap_or_default();
        point_spec.instrument = instrument;
        device.points.push(point);
        spec.points.push(point_spec);
        all_limits.push(limits);
    }
    device.classes = used;
    (Source::Modbus(Arc::new(device)), Arc::new(spec), all_limits)
}

fn one_behind(row: OpcUaRow, points: Vec<PointRow>, classes: &BTreeMap<String, Duration>, out: &mut Findings) -> One {
    let used = used(&points, classes);
    let class_of = |name: &str| used.iter().position(|c| c.name == name).and_then(|i| u8::try_from(i).ok());
    let mut all_limits = Vec::with_capacity(points.len());
    let id = DeviceId::new(row.id);
    let mut spec = DeviceSpec { id: id.clone(), name: row.name, points: Vec::with_capacity(points.len()) };
    let mut nodes = Vec::with_capacity(points.len());
    let instruments = instrument::resolve(&points, out);
    for (PointRow { class, point, spec: mut point_spec, limits, .. }, instrument) in points.into_iter().zip(instruments)
    {
        let Read::OpcUa(mut point) = point else { continue };
        point.class = class_of(&class).unwrap_or_default();
        point_spec.instrument = instrument;
        nodes.push(point);
        spec.points.push(point_spec);
        all_limits.push(limits);
    }
    let device = OpcUaDevice { id, server: row.server, classes: used, points: nodes };
    (Source::OpcUa(Arc::new(device)), Arc::new(spec), all_limits)
}

/// The classes a device's points use, fastest first, by name where equally fast.
fn used(points: &[PointRow], classes: &BTreeMap<String, Duration>) -> Vec<PollClass> {
    let names: std::collections::BTreeSet<_> = points.iter().map(|p| p.class.as_str()).collect();
    let class = |name: &str| Some(PollClass { name: name.to_owned(), interval: classes.get(name).copied()? });
    let mut used: Vec<_> = names.into_iter().filter_map(class).collect();
    used.sort_by(|a, b| (a.interval, &a.name).cmp(&(b.interval, &b.name)));
    used
}
