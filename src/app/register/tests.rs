//! The task that owns the register's store, beside an engine that does what the engine's task would do.

use super::*;
use crate::domain::actor::Via;
use crate::domain::gate::register::Register;
use crate::domain::gate::register::change::{ChangeSet, Origin};
use crate::domain::gate::register::permit::Approver;
use crate::domain::gate::register::row::{Company, Row};
use crate::domain::gate::word::{CompanyId, PermitId};
use crate::domain::time::Timestamp;

const COMPANIES: &str = "uscc,name\n91440300755691882F,东园化工\n";

fn who(name: &str) -> Actor {
    Actor { name: name.into(), via: Via::Machine, roles: BTreeSet::new() }
}

fn files(text: &str) -> Box<Files> {
    let files = vec![SentFile { name: "c.csv".into(), bytes: text.len() as u64 }];
    let by = who("wang");
    Box::new(Files { files, bytes: text.into(), table: None, dry_run: false, partial: false, by })
}

fn message(version: u64, base: Option<u64>, name: &str) -> Box<Message> {
    let company = Company { id: CompanyId::new("C9"), name: name.into(), platform_code: None, carrier: None };
    let rows = vec![crate::domain::gate::register::draft::Draft::Company(company)];
    let as_of = Timestamp(1_795_651_200_000);
    Box::new(Message { table: Table::Companies, version, base, as_of, rows, removed: Vec::new() })
}

/// A use of a permit, as far as the register cares: the gateway's own change of a row.
fn counted(register: &Register, clock: &Clock) -> Prepared {
    let company = Company { id: CompanyId::new("C1"), name: "计次".into(), platform_code: None, carrier: None };
    let changes = vec![crate::domain::gate::register::change::Change::Put(Row::Company(std::sync::Arc::new(company)))];
    let (by, why) = (Actor::gateway(), "entry p1".into());
    let set = ChangeSet { by, origin: Origin::Gateway, why, changes, named: Vec::new(), version: None };
    register.prepare(set, &clock.now()).unwrap()
}

/// What the engine would do: its register, what it was told for the audit and of the register's health.
#[derive(Default)]
struct Engine {
    register: Register,
    held: bool,
    deeds: Vec<Deed>,
    good: Vec<bool>,
    /// How often the register came as a whole.
    whole: usize,
}

impl Engine {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) -> Self {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Gates(gates::Ask::HoldRegister(answer)) => {
                    self.held = true;
                    answer.send(self.register.rev()).ok();
                }
                Request::Gates(gates::Ask::Register(next, answer)) => {
                    assert!(self.held);
                    let fits = match &next {
                        gates::Next::Rows(prepared) => self.register.commit(prepared),
                        gates::Next::Whole(next) => {
                            self.whole += 1;
                            self.register = (**next).clone();
                            true
                        }
                    };
                    answer.send((fits, next)).ok();
                }
                Request::Gates(gates::Ask::ReleaseRegister) => self.held = false,
                Request::Deed(deed) => self.deeds.push(*deed),
                Request::Entered(deed, answer) => {
                    self.deeds.push(*deed);
                    answer.send(OnDisk(true)).ok();
                }
                Request::RegisterGood(good) => self.good.push(good),
                Request::Gates(_)
                | Request::Snapshot(_)
                | Request::Plan(..)
                | Request::Live(_)
                | Request::Refresh
                | Request::Answer(_)
                | Request::Write(_)
                | Request::LoopTest(_)
                | Request::Registry(_)
                | Request::Act(..)
                | Request::Refuse(..)
                | Request::Audited(_)
                | Request::City(..)
                | Request::Receipt(..)
                | Request::Channel(..)
                | Request::Store(_)
                | Request::Account(..)
                | Request::Report(..)
                | Request::ActiveSet
                | Request::Saved(_) => {}
            }
        }
        self
    }
}

/// Runs the task over a folder; `story` asks it, and the engine's end of everything comes back.
async fn told<T>(
    store: Option<RegisterStore>,
    engine: Engine,
    uses: Vec<Prepared>,
    story: impl AsyncFnOnce(mpsc::Sender<Asked>) -> T,
) -> (T, Engine) {
    let (asked_tx, asked) = mpsc::channel(4);
    let (requests, requests_rx) = mpsc::channel(16);
    let (changes_tx, changes) = mpsc::channel(16);
    uses.into_iter().for_each(|one| changes_tx.try_send(one).unwrap());
    let parts = Parts { store, changes, asked, requests, rules: Rules::default(), clock: Clock::system() };
    let asking = async {
        let told = story(asked_tx).await;
        drop(changes_tx);
        told
    };
    let (ran, told, engine) = tokio::join!(run(parts), asking, engine.run(requests_rx));
    ran.unwrap();
    assert!(!engine.held, "whatever came, uses are counted again");
    (told, engine)
}

async fn ask<T>(to: &mpsc::Sender<Asked>, asked: impl FnOnce(oneshot::Sender<T>) -> Asked) -> T {
    let (answer, done) = oneshot::channel();
    to.send(asked(answer)).await.ok().unwrap();
    done.await.unwrap()
}

#[tokio::test]
async fn a_file_is_stored_audited_and_in_force_and_a_use_counted_before_it_is_stored_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, clock) = (RegisterStore::open(dir.path()).unwrap(), Clock::system());
    let mut engine = Engine::default();
    let used = counted(&engine.register, &clock);
    assert!(engine.register.commit(&used));
    let (line, engine) = told(Some(store), engine, vec![used], async |to| {
        ask(&to, |answer| Asked::Files(files(COMPANIES), answer)).await
    })
    .await;
    let line = line.unwrap();
    assert_eq!((line.rows, line.taken, line.added, line.rev), (1, 1, 1, Some(2)));
    assert_eq!((engine.register.rev(), engine.register.count(Table::Companies)), (2, 2));
    assert_eq!(
        engine.deeds.iter().map(|deed| (deed.actor.name.as_str(), deed.result)).collect::<Vec<_>>(),
        [("wang", AuditResult::Done)]
    );
    assert!(engine.good.is_empty(), "all was well all the time");
    let stored = RegisterStore::open(dir.path()).unwrap();
    assert_eq!((stored.register().rev(), stored.register().count(Table::Companies)), (2, 2));
}

#[tokio::test]
async fn a_refused_row_imports_nothing_and_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = RegisterStore::open(dir.path()).unwrap();
    let text = format!("{COMPANIES}91440300755691882G,西园\n");
    let story = async |to: mpsc::Sender<Asked>| ask(&to, |answer| Asked::Files(files(&text), answer)).await;
    let (line, engine) = told(Some(store), Engine::default(), Vec::new(), story).await;
    let line = line.unwrap();
    assert_eq!((line.rows, line.taken, line.rev, engine.register.rev()), (2, 1, None, 0));
    assert!(line.told.contains("c.csv:3"), "{}", line.told);
}

#[tokio::test]
async fn a_list_of_the_platform_never_goes_back_and_a_delta_that_does_not_fit_asks_for_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = RegisterStore::open(dir.path()).unwrap();
    let story = async |to: mpsc::Sender<Asked>| {
        let mut all = Vec::new();
        for (version, base, name) in
            [(3, None, "一"), (4, Some(3), "二"), (4, Some(3), "二"), (6, Some(5), "三"), (2, None, "四")]
        {
            all.push(ask(&to, |answer| Asked::Message(message(version, base, name), answer)).await);
        }
        all
    };
    let (all, engine) = told(Some(store), Engine::default(), Vec::new(), story).await;
    assert_eq!(all[0], Ok(Told::InForce { rev: 1, rows: 1 }));
    assert_eq!(all[1], Ok(Told::InForce { rev: 2, rows: 1 }));
    assert_eq!(all[2], Ok(Told::Held));
    assert_eq!(all[3], Ok(Told::AskWhole { table: Table::Companies, have: 4 }));
    assert!(all[4].clone().unwrap_err().contains("it never goes back"), "{:?}", all[4]);
    assert_eq!(engine.register.versions()[&Table::Companies].version, 4);
}

#[tokio::test]
async fn a_register_that_cannot_be_opened_refuses_in_words_and_alarms() {
    let story = async |to: mpsc::Sender<Asked>| ask(&to, |answer| Asked::Files(files(COMPANIES), answer)).await;
    let (line, engine) = told(None, Engine::default(), Vec::new(), story).await;
    assert!(line.unwrap_err().contains("there is no register"));
    assert_eq!(engine.good, [false]);
    assert_eq!(engine.deeds.iter().map(|deed| deed.result).collect::<Vec<_>>(), [AuditResult::Refused]);
}

#[tokio::test]
async fn a_long_file_reaches_the_gates_in_one_step_and_a_use_is_counted_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = RegisterStore::open(dir.path()).unwrap();
    let mut text = "plate,colour,class\n".to_owned();
    (0..300).for_each(|n| text.push_str(&format!("鲁B{n:05},yellow,goods\n")));
    let story = async |to: mpsc::Sender<Asked>| {
        let one = ask(&to, |answer| Asked::Files(files(&text), answer)).await.unwrap();
        let two = ask(&to, |answer| Asked::Files(files(COMPANIES), answer)).await.unwrap();
        (one, two)
    };
    let ((one, two), engine) = told(Some(store), Engine::default(), Vec::new(), story).await;
    assert_eq!((one.added, one.rev, two.rev), (300, Some(1), Some(2)), "{}", one.told);
    assert_eq!((engine.whole, engine.register.rev()), (1, 2), "the few rows after it come one by one");
    assert_eq!((engine.register.count(Table::Vehicles), engine.register.count(Table::Companies)), (300, 1));
}

#[tokio::test]
async fn a_permit_takes_two_persons_and_what_each_of_them_did_is_in_the_audit_and_in_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let store = RegisterStore::open(dir.path()).unwrap();
    let permits = "id,kind,plate,colour,stage,from,until\n\
                   P1,vehicle,皖R12345,blue,waiting_enterprise,2026-11-01,2026-12-31\n";
    let decide = |stage, by: &str| {
        let asked = Approve { permit: PermitId::new("P1"), stage, passed: true, why: "已核对".into() };
        let by = who(by);
        |answer| Asked::Approve(Box::new(asked), by, answer)
    };
    let look = |look| |answer| Asked::Look(look, answer);
    let story = async |to: mpsc::Sender<Asked>| {
        let line = ask(&to, |answer| Asked::Files(files(permits), answer)).await.unwrap();
        assert_eq!(line.added, 1, "{}", line.told);
        let waiting = ask(&to, look(Look::Permits { stage: None })).await.unwrap();
        assert_eq!(waiting.lines().count(), 1);
        assert!(ask(&to, decide(Approver::Park, "sun")).await.unwrap_err().contains("not the turn"));
        assert_eq!(ask(&to, decide(Approver::Enterprise, "qian")).await, Ok((PermitStage::WaitingPark, OnDisk(true))));
        assert!(ask(&to, decide(Approver::Park, "qian")).await.unwrap_err().contains("two persons"));
        assert_eq!(ask(&to, decide(Approver::Park, "sun")).await, Ok((PermitStage::ParkPassed, OnDisk(true))));
        let row = ask(&to, look(Look::Row { table: Table::Permits, id: "P1".into() })).await.unwrap();
        row.lines().next().unwrap().unwrap()
    };
    let (row, engine) = told(Some(store), Engine::default(), Vec::new(), story).await;
    let by: Vec<&str> = row["history"].as_array().unwrap().iter().map(|step| step["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["sun", "qian", "wang"], "{row}");
    let deeds = engine.deeds.iter().map(|deed| (deed.actor.name.as_str(), deed.action.as_str(), deed.result));
    let (done, refused) = (AuditResult::Done, AuditResult::Refused);
    assert_eq!(
        deeds.collect::<Vec<_>>(),
        [
            ("wang", "register", done),
            ("sun", "permit", refused),
            ("qian", "register", done),
            ("qian", "permit", refused),
            ("sun", "register", done)
        ]
    );
    assert!(engine.deeds[4].detail.contains("permit P1: park passes; 已核对"), "{}", engine.deeds[4].detail);
}
