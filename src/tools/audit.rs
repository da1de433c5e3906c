//! `audit verify`: the chain of the audit, proved entry by entry from the running gateway's store, and against the heads that
//! the daily reports carry: who could write the chain anew could not write what the platform holds.

use std::collections::BTreeMap;

use super::gateway::Reach;
use super::table::say;
use crate::control::{Ask, Line};
use crate::domain::audit::{AuditEntry, Broken, Digest, Head, verify};
use crate::domain::time::Timestamp;

/// `audit`.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// 验证审计链：指出第一条不符的记录 / prove the chain of the audit; the first bad entry is named
    ///
    /// Every entry that is kept, in order, and the heads in the daily reports. Exit code 1 where it does not hold. Needs the
    /// role auditor, supervisor or admin; that it was read is an entry itself.
    Verify {
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
}

/// What the entries come to.
#[derive(Debug, Default)]
struct Proof {
    first: Option<Head>,
    head: Head,
    entries: u64,
    /// Every head that there was: numbers may be there twice, where a crash took the newest entries.
    heads: BTreeMap<u64, Vec<Digest>>,
    /// The first place where it does not hold.
    broken: Option<String>,
}

impl Proof {
    /// Takes the next entry; `seq` is its number on the stream.
    fn add(&mut self, seq: u64, json: &str) {
        self.entries += 1;
        let entry = match serde_json::from_str::<AuditEntry>(json) {
            Ok(entry) => entry,
            Err(error) => return self.note(format!("passage {seq}: 不是审计记录 / no entry of the audit: {error}")),
        };
        if self.first.is_none() {
            // What was before it is not kept any more: it is taken at its word, unless it is the very first.
            let before = if entry.seq <= 1 { Digest::default() } else { entry.prev_hash };
            self.head = Head { seq: entry.seq.saturating_sub(1), hash: before };
            self.first = Some(self.head);
        }
        match verify(self.head, [&entry]) {
            Ok(head) => self.head = head,
            Err(broken) => {
                self.note(described(seq, &entry, broken));
                // What follows is judged by itself, so that one bad entry does not hide whether there are more.
                self.head = Head { seq: entry.seq, hash: entry.hash };
            }
        }
        self.heads.entry(entry.seq).or_default().push(entry.hash);
    }

    fn note(&mut self, words: String) {
        self.broken.get_or_insert(words);
    }

    /// Compares a head that a daily report carries with the entry of its number. Returns whether there was one to compare.
    fn compare(&mut self, seq: u64, head: Head, day: &str) -> bool {
        let Some(known) = self.heads.get(&head.seq) else { return false };
        if !known.contains(&head.hash) {
            let n = head.seq;
            self.note(format!(
                "{day} 日报（report {seq}）中第 {n} 条的哈希与链不符 / the head in the report of {day} is not that of entry {n}"
            ));
        }
        true
    }
}

fn described(seq: u64, entry: &AuditEntry, broken: Broken) -> String {
    let AuditEntry { time, actor, action, object, .. } = entry;
    let words = match broken {
        Broken::Number { expected, found } => format!("应为第 {expected} 条，却是第 {found} 条 / {broken}"),
        Broken::Link(n) => format!("第 {n} 条不接前一条 / {broken}"),
        Broken::Changed(n) => format!("第 {n} 条被改动 / {broken}"),
    };
    format!("passage {seq}: {words}（{time} {} {action} {object}）", actor.name)
}

/// Runs the command.
///
/// # Errors
/// Why the entries cannot be had, or the first place where the chain does not hold.
pub fn run(command: &AuditCommand) -> Result<(), String> {
    let AuditCommand::Verify { reach } = command;
    let mut proof = Proof::default();
    documents(reach, "audit", None, |seq, json| proof.add(seq, json))?;
    let mut reports = 0_u64;
    documents(reach, "report", None, |seq, json| {
        let Ok(report) = serde_json::from_str::<serde_json::Value>(json) else { return };
        let head = report.get("audit").and_then(|head| serde_json::from_value::<Head>(head.clone()).ok());
        let day = report.get("day").and_then(serde_json::Value::as_str).unwrap_or("-");
        reports += u64::from(head.is_some_and(|head| proof.compare(seq, head, day)));
    })?;
    let Proof { first, head, entries, broken, .. } = proof;
    if let Some(broken) = broken {
        return Err(format!("审计链不成立 / the chain does not hold\n{broken}"));
    }
    let begins = first.map_or(0, |first| first.seq + 1);
    say(&format!(
        "审计链成立：第 {begins} 到 {} 条，共 {entries} 条，与 {reports} 份日报相符\n\
         the chain holds: entries {begins} to {}, {entries} in all, as in {reports} daily reports\n\
         head {}",
        head.seq, head.seq, head.hash
    ));
    Ok(())
}

/// Hands over the documents of a kind that the running gateway has, with their numbers.
///
/// # Errors
/// Why they cannot be had, in words.
pub(super) fn documents(
    reach: &Reach,
    kind: &str,
    since: Option<Timestamp>,
    mut take: impl FnMut(u64, &str),
) -> Result<(), String> {
    let request = Ask::Documents { kind: kind.to_owned(), since_ms: since.map(|since| since.0) };
    reach.ask(&request, |line| {
        if let Line::Document(document) = line {
            take(document.seq, &document.json);
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::actor::{Actor, Via};
    use crate::domain::audit::{AuditResult, Chain, Deed};

    fn entries(n: u64) -> Vec<AuditEntry> {
        let mut chain = Chain::new(1, Head::default());
        let deed = |n: u64| Deed {
            actor: Actor { name: "li".into(), via: Via::Machine, roles: BTreeSet::new() },
            action: "lane_open".into(),
            object: format!("in-{n}"),
            before: None,
            after: None,
            result: AuditResult::Done,
            detail: "救护车".into(),
        };
        (1..=n).map(|n| chain.add(deed(n), Timestamp(1_795_507_200_000))).collect()
    }

    fn proof(entries: &[AuditEntry]) -> Proof {
        let mut proof = Proof::default();
        for (seq, entry) in (100..).zip(entries) {
            proof.add(seq, &serde_json::to_string(entry).unwrap());
        }
        proof
    }

    #[test]
    fn a_chain_holds_from_whatever_is_kept_of_it_and_the_first_bad_entry_is_named() {
        let whole = entries(9);
        assert_eq!((proof(&whole).broken, proof(&whole).head.seq), (None, 9));
        let kept = proof(&whole[4..]);
        assert_eq!((kept.broken, kept.first.map(|head| head.seq), kept.entries), (None, Some(4), 5));
        let mut changed = entries(9);
        changed[3].object = "in-99".into();
        changed[6].detail.clear();
        let broken = proof(&changed).broken.unwrap();
        assert!(broken.starts_with("passage 103: 第 4 条被改动 / entry 4 was changed"), "{broken}");
        let mut taken_out = entries(9);
        taken_out.remove(5);
        let broken = proof(&taken_out).broken.unwrap();
        assert!(broken.contains("应为第 6 条，却是第 7 条"), "{broken}");
    }

    #[test]
    fn a_chain_written_anew_is_found_by_the_heads_of_the_daily_reports() {
        let (old, mut new) = (entries(6), Chain::new(1, Head::default()));
        let forged: Vec<AuditEntry> = old
            .iter()
            .map(|entry| {
                let AuditEntry { actor, action, result, detail, .. } = entry.clone();
                let deed = Deed { actor, action, object: "out-1".into(), before: None, after: None, result, detail };
                new.add(deed, entry.time)
            })
            .collect();
        let mut proof = proof(&forged);
        assert_eq!(proof.broken, None, "by itself it holds");
        assert!(proof.compare(7, Head { seq: 4, hash: old[3].hash }, "2026-11-26"));
        assert!(proof.broken.clone().unwrap().contains("2026-11-26"), "{:?}", proof.broken);
        assert!(!proof.compare(7, Head { seq: 40, hash: old[3].hash }, "2026-11-26"), "older than what is kept");
    }
}
