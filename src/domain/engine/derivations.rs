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
    /// By device and ordinal, the nodes made of it; nothing behind the last that is an input.
    by_input: Vec<Vec<Vec<usize>>>,
    /// By node, whether it is to be computed.
    due: Vec<bool>,
    /// What was computed in this pass, and the inputs of the one under way: kept for their room.
    results: Vec<(Place, Reading)>,
    inputs: Vec<Option<Reading>>,
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
        let due = vec![false; nodes.len()];
        let mut derivations = Self { nodes, due, ..Self::default() };
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

    /// Takes note of what must be computed anew after these readings of a device; returns whether anything must.
    #[inline]
    pub(super) fn feed(&mut self, device: usize, readings: &[(u16, Reading)]) -> bool {
        let Some(of_device) = self.by_input.get(device).filter(|of_device| !of_device.is_empty()) else { return false };
        let fed = readings.iter().filter_map(|(ordinal, _)| of_device.get(usize::from(*ordinal))).flatten();
        let mut any = false;
        for index in fed {
            if let Some(due) = self.due.get_mut(*index) {
                (*due, any) = (true, true);
            }
        }
        any
    }

    /// Computes what is due, and what follows from that, at `at`: by device, ordinals ascending.
    pub(super) fn follow(
        &mut self,
        at: Mono,
        standing: impl Fn(Place) -> Option<Reading>,
    ) -> Vec<(usize, Vec<(u16, Reading)>)> {
        self.results.clear();
        // A node stands behind those it is made of, so that one pass is enough.
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if !self.due.get_mut(index).is_some_and(std::mem::take) {
                continue;
            }
            let results = &self.results;
            let computed = |place: &Place| results.iter().find(|(of, _)| of == place).map(|(_, reading)| *reading);
            self.inputs.clear();
            self.inputs.extend(node.inputs.iter().map(|place| computed(place).or_else(|| standing(*place))));
            let Some(reading) = node.work.compute(&self.inputs, at) else { continue };
            self.results.push((node.place, reading));
            let (device, ordinal) = node.place;
            let of_device = self.by_input.get(device);
            for next in of_device.and_then(|of| of.get(usize::from(ordinal))).into_iter().flatten() {
                if let Some(due) = self.due.get_mut(*next) {
                    *due = true;
                }
            }
        }
        self.results.sort_unstable_by_key(|(place, _)| *place);
        let of_one_device = self.results.chunk_by(|((one, _), _), ((other, _), _)| one == other);
        let cells = |results: &[(Place, Reading)]| {
            let device = results.first().map_or(0, |((device, _), _)| *device);
            (device, results.iter().map(|((_, ordinal), reading)| (*ordinal, *reading)).collect())
        };
        of_one_device.map(cells).collect()
    }
}

fn all(registry: &Registry) -> impl Iterator<Item = (Place, &super::super::registry::PointSpec)> {
    let devices = registry.devices.iter().enumerate();
    devices.flat_map(|(d, spec)| (0_u16..).zip(&spec.points).map(move |(o, point)| ((d, o), point)))
}
