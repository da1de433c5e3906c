//! One request, with the table by which its answer becomes readings: built when the plan is, used at each poll.

use std::ops::Range;

use crate::domain::reading::{Quality, Reading, Readings};

use super::super::settings::{Point, Table};
use super::Answer;
use super::decode::Decoder;
use super::plan::Item;

/// What to ask, and which point lies where in the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Table to read.
    pub table: Table,
    /// First address, base 0.
    pub start: u16,
    /// Registers or bits.
    pub count: u16,
    /// The run of items it covers.
    pub items: Range<usize>,
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq)]
struct Field {
    ordinal: u16,
    at: u16,
    width: u16,
    decoder: Decoder,
}

impl Request {
    /// Returns the request for a run of items; `points` is the device's table. `None` for an empty run.
    pub fn new(items: &[Item], run: Range<usize>, points: &[Point]) -> Option<Self> {
        let members = items.get(run.clone())?;
        let first = members.first()?;
        let end = members.iter().map(Item::end).max()?;
        let count = u16::try_from(end - u32::from(first.address)).ok()?;
        let mut fields: Vec<Field> = members.iter().flat_map(|item| fields_of(item, first.address, points)).collect();
        fields.sort_unstable_by_key(|field| field.ordinal);
        Some(Self { table: first.table, start: first.address, count, items: run, fields })
    }

    /// Returns the readings of an answer, ascending by ordinal. An exception, or an answer of the wrong kind or length
    /// (the session refuses these before), gives no values.
    pub fn readings(&self, answer: &Answer) -> Readings {
        match answer {
            Answer::Registers(words) => {
                self.each(|field| words.get(field.span()).map(|words| field.decoder.registers(words)))
            }
            Answer::Bits(bits) => self.each(|field| bits.get(usize::from(field.at)).map(|bit| field.decoder.bit(*bit))),
            Answer::Exception(_) => self.missing(Quality::Sensor),
        }
    }

    /// Returns readings without values for all its points.
    pub fn missing(&self, quality: Quality) -> Readings {
        self.fields.iter().map(|field| (field.ordinal, Reading::missing(quality))).collect()
    }

    fn each(&self, read: impl Fn(&Field) -> Option<Reading>) -> Readings {
        let read = |field| read(field).unwrap_or(Reading::missing(Quality::Comm));
        self.fields.iter().map(|field| (field.ordinal, read(field))).collect()
    }
}

impl Field {
    fn span(&self) -> Range<usize> {
        usize::from(self.at)..usize::from(self.at) + usize::from(self.width)
    }
}

fn fields_of(item: &Item, start: u16, points: &[Point]) -> impl Iterator<Item = Field> {
    let (at, width) = (item.address - start, item.width);
    item.ordinals.iter().filter_map(move |ordinal| {
        let point = points.get(usize::from(*ordinal))?;
        Some(Field { ordinal: *ordinal, at, width, decoder: Decoder::new(point) })
    })
}
