//! The events of who is inside, one line of JSON each: appended and synced, read whole at a start, written anew when most of them
//! are folded into what is saved beside it.
//!
//! A line that is not whole is the last one before a cut; it is on the passage stream as well. The file is never changed in
//! place: it grows, or another one takes its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::domain::gate::inside::Event;
use crate::sys::disk;

const FILE: &str = "events.jsonl";
/// Lines written since the last look beyond which it is looked for folded ones: a week of a large park.
const LOOK_AFTER: usize = 50_000;

/// The open log. One owner: the keeper of the memory.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    /// Lines since the last look.
    fresh: usize,
}

impl EventLog {
    /// Opens the log in `dir`, making both where they are missing, and returns the events in it.
    ///
    /// # Errors
    /// The file system refuses. Lines that are not understood are passed over, and counted in the log.
    pub fn open(dir: &Path) -> io::Result<(Self, Vec<Event>)> {
        fs::create_dir_all(dir)?;
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(whole as u64)?;
        file.sync_all()?;
        disk::sync_dir(dir)?;
        let events = parsed(bytes.get(..whole).unwrap_or_default());
        Ok((Self { path, file, len: whole as u64, fresh: events.len() }, events))
    }

    /// Appends events; they are durable when this returns.
    ///
    /// # Errors
    /// The file system refuses. What was written in part is cut off by the next attempt, or the next start.
    pub fn append<'a>(&mut self, events: impl Iterator<Item = &'a Event>) -> io::Result<()> {
        let (mut lines, mut n) = (Vec::new(), 0);
        for event in events {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
            n += 1;
        }
        if lines.is_empty() {
            return Ok(());
        }
        // What an attempt that failed has left of a line goes first.
        self.file.set_len(self.len)?;
        self.file.write_all(&lines)?;
        self.file.sync_data()?;
        (self.len, self.fresh) = (self.len + lines.len() as u64, self.fresh + n);
        Ok(())
    }

    /// Writes the log anew with what is to be kept, when enough was written since the last time.
    ///
    /// # Errors
    /// The file system refuses; the log then is as it was.
    pub fn compact(&mut self, keep: impl Fn(&Event) -> bool) -> io::Result<()> {
        if self.fresh < LOOK_AFTER {
            return Ok(());
        }
        let mut lines = Vec::new();
        for event in parsed(&fs::read(&self.path)?).iter().filter(|event| keep(event)) {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
        }
        disk::write_atomic(&self.path, &lines)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        (self.len, self.fresh) = (lines.len() as u64, 0);
        Ok(())
    }
}

fn parsed(bytes: &[u8]) -> Vec<Event> {
    let mut strange = 0_usize;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events = lines.filter_map(|line| serde_json::from_slice(line).map_err(|_| strange += 1).ok()).collect();
    if strange > 0 {
        tracing::error!(strange, "Events of who is inside are not understood: a count is due.");
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Actor;
    use crate::domain::gate::inside::event::Body;
    use crate::domain::gate::inside::{EventId, Source, Subject};
    use crate::domain::gate::word::{GatewayId, PersonRef};
    use crate::domain::time::{ClockTrust, Timestamp};

    fn event(n: u64) -> Event {
        let source = Source { gateway: GatewayId::new("gw-east"), boot: 1 };
        let subject = Subject::Person(PersonRef::new("p-1"));
        Event {
            seq: n,
            id: EventId { source: source.clone(), n },
            source,
            version: 1,
            at: Timestamp(1_795_507_200_000),
            clock: ClockTrust::Synced,
            body: Body::Reviewed { subject, actor: Actor::gateway(), reason: "看过".into() },
        }
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart_and_half_a_line_costs_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, events) = EventLog::open(dir.path()).unwrap();
        assert_eq!(events, []);
        log.append([event(1), event(2)].iter()).unwrap();
        drop(log);
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"source\":");
        fs::write(&path, bytes).unwrap();
        let (mut log, events) = EventLog::open(dir.path()).unwrap();
        assert_eq!(events, [event(1), event(2)]);
        log.append([event(3)].iter()).unwrap();
        assert_eq!(numbers(&EventLog::open(dir.path()).unwrap().1), [1, 2, 3]);
    }

    #[test]
    fn what_is_folded_goes_when_enough_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = EventLog::open(dir.path()).unwrap();
        let events: Vec<Event> = (1..=10).map(event).collect();
        log.append(events.iter()).unwrap();
        log.compact(|event| event.seq > 8).unwrap();
        assert_eq!(EventLog::open(dir.path()).unwrap().1.len(), 10, "it is not worth it yet");
        log.fresh = LOOK_AFTER;
        log.compact(|event| event.seq > 8).unwrap();
        log.append([event(11)].iter()).unwrap();
        assert_eq!(numbers(&EventLog::open(dir.path()).unwrap().1), [9, 10, 11]);
    }
}
