//! Which derived points follow from which readings, and in which order they are computed.

use std::collections::{BTreeMap, BTreeSet};

use super::super::derived::Work;
use super::super::id::PointUid;
use super::super::reading::Reading;
use super::super::registry::Registry;
use super::super::time::Mono;

/// Index of a device, ordinal of a point.
type Place = (usize, u16);

/// All derived points of a revision, each after those it is made of.
#[derive(Debug, Default)]
pub(super) struct Derivations {
    nodes: Vec<Node>,
    by_input: BTreeMap<Place, Vec<usize>>,
}

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
        let mut by_input: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| by_input.entry(*input).or_default().push(index));
        }
        Self { nodes, by_input }
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Computes what follows from new readings of one device at `at`: by device, ordinals ascending.
    pub(super) fn follow(
        &mut self,
        device: usize,
        ordinals: impl Iterator<Item = u16>,
        at: Mono,
        standing: impl Fn(Place) -> Option<Reading>,
    ) -> BTreeMap<usize, Vec<(u16, Reading)>> {
        let mut due: BTreeSet<usize> =
            ordinals.filter_map(|o| self.by_input.get(&(device, o))).flatten().copied().collect();
        let mut results: BTreeMap<Place, Reading> = BTreeMap::new();
        // A node stands behind those it is made of, so that one pass is enough.
        while let Some(index) = due.pop_first() {
            let Some(node) = self.nodes.get_mut(index) else { continue };
            let read = |place: &Place| results.get(place).copied().or_else(|| standing(*place));
            let inputs: Vec<Option<Reading>> = node.inputs.iter().map(read).collect();
            if let Some(reading) = node.work.compute(&inputs, at) {
                results.insert(node.place, reading);
                due.extend(self.by_input.get(&node.place).into_iter().flatten());
            }
        }
        let mut by_device: BTreeMap<usize, Vec<(u16, Reading)>> = BTreeMap::new();
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
