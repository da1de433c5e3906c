//! Points to few requests.
//!
//! Points of one class become [`Item`]s: one per place (table, address, width), in ascending order; the sixteen bits of a
//! register are one item. A request is a run of items: of one table, never longer than the device's limit, bridging no
//! hole wider than configured, never containing a barred item, never running over a cut. A value is one item, so it is
//! never split over two requests.
//!
//! Greedy from the lowest address is minimal among runs: ending a run early never saves one later.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::settings::{Device, Point, Table};

/// One place in the device's memory, and the points read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Table.
    pub table: Table,
    /// First register or bit, base 0.
    pub address: u16,
    /// Registers or bits.
    pub width: u16,
    /// Ordinals of the points read from it, ascending.
    pub ordinals: Vec<u16>,
}

impl Item {
    /// Returns the address after its last.
    pub fn end(&self) -> u32 {
        u32::from(self.address) + u32::from(self.width)
    }
}

/// What a device takes in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Registers per request.
    pub max_registers: u16,
    /// Bits per request.
    pub max_bits: u16,
    /// Unwanted registers bridged between two items.
    pub max_register_hole: u16,
    /// Unwanted bits bridged between two items.
    pub max_bit_hole: u16,
}

impl Limits {
    /// What the protocol allows, bridging nothing.
    pub const ANY: Self = Self { max_registers: 125, max_bits: 2000, max_register_hole: 0, max_bit_hole: 0 };

    /// Returns the limits of a device, never above those of the protocol.
    pub fn of(device: &Device) -> Self {
        Self {
            max_registers: device.max_registers.clamp(1, 125),
            max_bits: device.max_bits.clamp(1, 2000),
            max_register_hole: device.max_register_hole,
            max_bit_hole: device.max_bit_hole,
        }
    }

    /// Returns the most registers or bits of this table that one request may ask for.
    pub fn max(&self, table: Table) -> u32 {
        u32::from(if table.is_bits() { self.max_bits } else { self.max_registers })
    }

    fn hole(&self, table: Table) -> u32 {
        u32::from(if table.is_bits() { self.max_bit_hole } else { self.max_register_hole })
    }
}

/// Returns the places of the points of one class, ascending by table, address and width.
pub fn items(points: &[Point], class: u8) -> Vec<Item> {
    let mut places: Vec<(Table, u16, u16, u16)> = points
        .iter()
        .zip(0..=u16::MAX)
        .filter(|(point, _)| point.class == class)
        .map(|(point, ordinal)| (point.table, point.address, point.encoding.width(), ordinal))
        .collect();
    places.sort_unstable();
    let mut items: Vec<Item> = Vec::new();
    for (table, address, width, ordinal) in places {
        match items.last_mut() {
            Some(last) if (last.table, last.address, last.width) == (table, address, width) => {
                last.ordinals.push(ordinal);
            }
            _ => items.push(Item { table, address, width, ordinals: vec![ordinal] }),
        }
    }
    items
}

/// Returns the runs of items to ask for, ascending. `barred` items are in none; no run crosses from before a cut (the
/// index of the first item after it) to behind it. Items wider than the limit must be barred by the caller.
pub fn plan(
    items: &[Item],
    limits: &Limits,
    barred: impl Fn(usize) -> bool,
    cuts: &BTreeSet<usize>,
) -> Vec<Range<usize>> {
    let mut runs: Vec<Run> = Vec::new();
    let mut open = false;
    for (index, item) in items.iter().enumerate() {
        if barred(index) {
            open = false;
            continue;
        }
        match runs.last_mut() {
            Some(run) if open && !cuts.contains(&index) && run.takes(item, limits) => run.extend(item),
            _ => runs.push(Run::new(index, item)),
        }
        open = true;
    }
    runs.into_iter().map(|run| run.items).collect()
}

/// Returns where to cut a refused run in two: at a bridged hole if there is one, because a hole is the likelier culprit
/// and costs no point; at the one nearest to the middle. `None` for a single item.
pub fn split(items: &[Item], run: &Range<usize>) -> Option<usize> {
    let members = items.get(run.clone())?;
    if members.len() < 2 {
        return None;
    }
    let middle = run.start + members.len() / 2;
    let mut end = 0;
    let mut holes = Vec::new();
    for (item, index) in members.iter().zip(run.start..) {
        if index > run.start && u32::from(item.address) > end {
            holes.push(index);
        }
        end = end.max(item.end());
    }
    Some(holes.into_iter().min_by_key(|hole| hole.abs_diff(middle)).unwrap_or(middle))
}

struct Run {
    items: Range<usize>,
    table: Table,
    start: u16,
    end: u32,
}

impl Run {
    fn new(index: usize, item: &Item) -> Self {
        Self { items: index..index + 1, table: item.table, start: item.address, end: item.end() }
    }

    fn takes(&self, item: &Item, limits: &Limits) -> bool {
        let hole = u32::from(item.address).saturating_sub(self.end);
        let length = self.end.max(item.end()) - u32::from(self.start);
        item.table == self.table && hole <= limits.hole(self.table) && length <= limits.max(self.table)
    }

    fn extend(&mut self, item: &Item) {
        self.items.end += 1;
        self.end = self.end.max(item.end());
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::settings::Encoding;
    use super::super::super::settings::testing::point;
    use super::*;
    use proptest::prelude::*;

    fn limits(max_registers: u16, max_register_hole: u16) -> Limits {
        Limits { max_registers, max_bits: 16, max_register_hole, max_bit_hole: 2 }
    }

    fn spans(points: &[Point], limits: &Limits) -> Vec<(u16, u32)> {
        let items = items(points, 0);
        plan(&items, limits, |_| false, &BTreeSet::new())
            .into_iter()
            .map(|run| (items[run.start].address, items[run].iter().map(Item::end).max().unwrap()))
            .collect()
    }

    fn holding(places: &[(u16, Encoding)]) -> Vec<Point> {
        places.iter().map(|(address, encoding)| point(Table::Holding, *address, *encoding)).collect()
    }

    #[test]
    fn five_hundred_registers_are_four_requests() {
        let points: Vec<Point> = (0..500).map(|a| point(Table::Holding, a, Encoding::U16)).collect();
        assert_eq!(spans(&points, &limits(125, 8)), [(0, 125), (125, 250), (250, 375), (375, 500)]);
    }

    #[test]
    fn a_hole_is_bridged_up_to_its_limit() {
        let points = holding(&[(0, Encoding::U16), (9, Encoding::U16), (19, Encoding::U16)]);
        assert_eq!(spans(&points, &limits(125, 8)), [(0, 10), (19, 20)]);
    }

    #[test]
    fn a_value_of_four_registers_is_not_split() {
        let points = holding(&[(0, Encoding::U16), (122, Encoding::F64)]);
        assert_eq!(spans(&points, &limits(125, 125)), [(0, 1), (122, 126)]);
    }

    #[test]
    fn sixteen_bits_of_one_register_are_one_item() {
        let points: Vec<Point> = (0..16).map(|n| point(Table::Input, 7, Encoding::Bit(n))).collect();
        let items = items(&points, 0);
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].ordinals, (0..16).collect::<Vec<u16>>());
    }

    #[test]
    fn the_last_address_of_a_table_can_be_read() {
        assert_eq!(spans(&holding(&[(65532, Encoding::U64)]), &limits(125, 0)), [(65532, 65536)]);
    }

    #[test]
    fn a_barred_item_is_a_wall() {
        let points = holding(&[(0, Encoding::U16), (1, Encoding::U16), (2, Encoding::U16)]);
        let items = items(&points, 0);
        assert_eq!(plan(&items, &limits(125, 8), |i| i == 1, &BTreeSet::new()), [0..1, 2..3]);
    }

    #[test]
    fn a_refused_run_is_cut_at_the_hole_nearest_to_its_middle() {
        let places = [0, 1, 2, 3, 5, 6, 7, 9].map(|a| (a, Encoding::U16));
        let items = items(&holding(&places), 0);
        assert_eq!(split(&items, &(0..8)), Some(4));
        assert_eq!(split(&items, &(4..8)), Some(7));
        assert_eq!(split(&items, &(0..4)), Some(2), "no hole: the middle");
        assert_eq!(split(&items, &(0..1)), None);
    }

    fn any_points() -> impl Strategy<Value = Vec<Point>> {
        let tables = prop_oneof![Just(Table::Coil), Just(Table::Discrete), Just(Table::Holding), Just(Table::Input)];
        let encodings =
            prop_oneof![Just(Encoding::U16), Just(Encoding::F32), Just(Encoding::U64), Just(Encoding::Bit(3))];
        let one = (tables, 0_u16..120, encodings)
            .prop_map(|(t, a, e)| point(t, a, if t.is_bits() { Encoding::Bool } else { e }));
        prop::collection::vec(one, 0..60)
    }

    /// The fewest runs by trying every end of the first one.
    fn fewest(items: &[Item], limits: &Limits) -> usize {
        let mut best = vec![usize::MAX; items.len() + 1];
        best[items.len()] = 0;
        for first in (0..items.len()).rev() {
            let mut run = Run::new(first, &items[first]);
            for next in first + 1..=items.len() {
                best[first] = best[first].min(1 + best[next]);
                match items.get(next) {
                    Some(item) if run.takes(item, limits) => run.extend(item),
                    _ => break,
                }
            }
        }
        best[0]
    }

    proptest! {
        #[test]
        fn every_point_is_read_exactly_once_within_the_limits_by_the_fewest_requests(
            points in any_points(), max in 4_u16..126, hole in 0_u16..20,
        ) {
            let limits = limits(max, hole);
            let items = items(&points, 0);
            let runs = plan(&items, &limits, |_| false, &BTreeSet::new());
            let mut seen: Vec<u16> = runs.iter().flat_map(|r| items[r.clone()].iter().flat_map(|i| i.ordinals.clone())).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..u16::try_from(points.len()).unwrap()).collect::<Vec<_>>());
            for run in &runs {
                let members = &items[run.clone()];
                let table = members[0].table;
                prop_assert!(members.iter().all(|i| i.table == table && i.address >= members[0].address));
                let end = members.iter().map(Item::end).max().unwrap();
                prop_assert!(end - u32::from(members[0].address) <= limits.max(table));
                let mut reached = members[0].end();
                for item in members {
                    prop_assert!(u32::from(item.address).saturating_sub(reached) <= limits.hole(table));
                    reached = reached.max(item.end());
                }
            }
            prop_assert_eq!(runs.len(), fewest(&items, &limits));
        }

        #[test]
        fn splitting_goes_on_until_each_item_is_alone(points in any_points()) {
            let items = items(&points, 0);
            let mut work = plan(&items, &limits(125, 8), |_| false, &BTreeSet::new());
            let mut alone = 0;
            while let Some(run) = work.pop() {
                match split(&items, &run) {
                    Some(cut) => {
                        prop_assert!(run.start < cut && cut < run.end);
                        work.extend([run.start..cut, cut..run.end]);
                    }
                    None => alone += 1,
                }
            }
            prop_assert_eq!(alone, items.len());
        }
    }
}
