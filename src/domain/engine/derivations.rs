//! Which derived points follow from which readings, and in which order they are computed.

use std::collections::{BTreeMap, BTreeSet};

use super::super::derived::Work;
use super::super::id::PointUid;
use super::super::reading::{Reading, Readings};
use super::super::registry::Registry;
use super::super::time::Mono;

/// Index of a device, ordinal of a point.
type Place = (usize, u16);

/// All derived points of a revision, each after those it is made of.
#[derive(Debug, Default)]
pub(super) struct Derivations {
    nodes: Vec<Node>,
    /// By device and ordinal, the nodes made of it; nothing behind the last that is an input.
    by_input: Vec<Vec<Vec<usize>>>,
}

/// Nodes to be computed.
pub(super) type Due = BTreeSet<usize>;

#[derive(Debug)]
struct Node {
    place: Place,
    inputs: Vec<Place>,
    work: Work,
}

impl Derivations {
    /// Finds them. What refers to a point that is not there, or to itself, is left out: the configuration has refused it.
    pub(super) fn new(registry: &Registry) -> Self {
        let places: BTreeMap<&PointUid, Place> = all(registry).map(|(place, point)| (&point.uid, place)).collect();
        let mut waiting: Vec<Node> = Vec::new();
        for (place, point) in all(registry) {
            let Some(derived) = point.instrument.as_ref().and_then(|i| i.derived.as_ref()) else { continue };
            let inputs: Option<Vec<Place>> = derived.inputs.iter().map(|uid| places.get(uid).copied()).collect();
            let work = Work::new(derived.formula, point.decimals);
            waiting.extend(inputs.map(|inputs| Node { place, inputs, work }));
        }
        let mut derived: BTreeSet<Place> = waiting.iter().map(|node| node.place).collect();
        let mut nodes = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let (ready, rest): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|node| !node.inputs.iter().any(|input| derived.contains(input)));
            if ready.is_empty() {
                break;
            }
            let done: BTreeSet<Place> = ready.iter().map(|node| node.place).collect();
            derived.retain(|place| !done.contains(place));
            nodes.extend(ready);
            waiting = rest;
        }
        let mut derivations = Self { nodes, by_input: Vec::new() };
        let inputs = |(index, node): (usize, &Node)| -> Vec<_> { node.inputs.iter().map(|i| (*i, index)).collect() };
        let links: Vec<(Place, usize)> = derivations.nodes.iter().enumerate().flat_map(inputs).collect();
        links.into_iter().for_each(|(input, index)| derivations.link(input, index));
        derivations
    }

    fn link(&mut self, (device, ordinal): Place, index: usize) {
        let ordinal = usize::from(ordinal);
        if self.by_input.len() <= device {
            self.by_input.resize_with(device + 1, Vec::new);
        }
        let Some(of_device) = self.by_input.get_mut(device) else { return };
        if of_device.len() <= ordinal {
            of_device.resize_with(ordinal + 1, Vec::new);
        }
        if let Some(of_point) = of_device.get_mut(ordinal) {
            of_point.push(index);
        }
    }

    /// Returns what must be computed anew after these readings of a device.
    #[inline]
    pub(super) fn fed_by(&self, device: usize, readings: &[(u16, Reading)]) -> Due {
        let Some(of_device) = self.by_input.get(device).filter(|of_device| !of_device.is_empty()) else {
            return Due::new();
        };
        readings.iter().filter_map(|(ordinal, _)| of_device.get(usize::from(*ordinal))).flatten().copied().collect()
    }

    /// Computes what is due, and what follows from that, at `at`: by device, ordinals ascending.
    pub(super) fn follow(
        &mut self,
        mut due: Due,
        at: Mono,
        standing: impl Fn(Place) -> Option<Reading>,
    ) -> BTreeMap<usize, Readings> {
        let mut results: BTreeMap<Place, Reading> = BTreeMap::new();
        // A node stands behind those it is made of, so that one pass is enough.
        while let Some(index) = due.pop_first() {
            let Some(node) = self.nodes.get_mut(index) else { continue };
            let read = |place: &Place| results.get(place).copied().or_else(|| standing(*place));
            let inputs: Vec<Option<Reading>> = node.inputs.iter().map(read).collect();
            if let Some(reading) = node.work.compute(&inputs, at) {
                results.insert(node.place, reading);
                let (device, ordinal) = node.place;
                let of_device = self.by_input.get(device);
                due.extend(of_device.and_then(|of| of.get(usize::from(ordinal))).into_iter().flatten());
            }
        }
        let mut by_device: BTreeMap<usize, Readings> = BTreeMap::new();
        for ((device, ordinal), reading) in results {
            by_device.entry(device).or_default().push((ordinal, reading));
        }
        by_device
    }
}

fn all(registry: &Registry) -> impl Iterator<Item = (Place, &super::super::registry::PointSpec)> {
    let devices = registry.devices.iter().enumerate();
    devices.flat_map(|(d, spec)| (0_u16..).zip(&spec.points).map(move |(o, point)| ((d, o), point)))
}
