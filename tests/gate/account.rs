//! What the day came to: the gateway's account, held against what is true. Every difference is named; the account closes when
//! there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use parkgate::domain::audit::{Head, verify};
use parkgate::domain::document::DocumentKind;
use parkgate::domain::gate::facts::Subject as Of;
use parkgate::domain::gate::hardware::{Act, LaneCommand};
use parkgate::domain::gate::hazmat::record::ViolationKind;
use parkgate::domain::gate::inside::{Event, Subject};
use parkgate::domain::gate::muster::Numbers;
use parkgate::domain::gate::verdict::Verdict;
use parkgate::domain::gate::word::{Direction, PermitId, PersonRef, VehicleClass, ZoneId};
use parkgate::domain::time::Timestamp;

use super::super::papers::yellow;
use super::super::park::{MORNING, Park, Word};
use super::{Day, Goer, PASSAGES, TRUCKS, is_car, subjects};

/// What the day came to.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The events of the day, told in a line each.
    pub(super) story: Vec<String>,
    /// Completed passages by way and class, as the reconciliation of the day has them.
    passages: BTreeMap<String, u64>,
    verdicts: BTreeMap<&'static str, u64>,
    /// How often each reason was given against somebody.
    reasons: BTreeMap<String, u64>,
    documents: BTreeMap<DocumentKind, u64>,
    /// Entries of the audit.
    audited: usize,
    /// Commands that moved something, and what of them nobody had decided or ordered.
    commands: u64,
    unbacked: Vec<String>,
    /// Answers of the guard.
    pub(super) answered: u64,
    /// Waybills that were used up and are over.
    waybills: u64,
    /// Uses of permits that began, and that ended.
    uses: (u64, u64),
    pub(super) positions: u64,
    violations: BTreeMap<&'static str, u64>,
    /// The drill's muster, and how many persons were inside in truth.
    pub(super) drill: Option<(Numbers, u32)>,
    /// Passages in doubt, and records that a camera had kept.
    pub(super) doubts: u64,
    late: u64,
    /// What became of everybody and everything that came: left again, inside at midnight, turned away, waiting.
    ends: BTreeMap<&'static str, u64>,
    turned: Vec<String>,
    /// Vehicles and persons in each zone at midnight, by both accounts.
    inside: BTreeMap<ZoneId, (u32, u32)>,
    /// Where what the gateway says differs from what is true.
    pub(crate) differs: Vec<String>,
}

impl Account {
    /// Looks at what moved since the last look: each of it must follow from a decision, an order, or from who leaves.
    pub(super) fn look(&mut self, park: &mut Park) {
        for word in std::mem::take(&mut park.seen.order) {
            let Word::Command(command) = word else { continue };
            self.commands += 1;
            if let Some(wrong) = unbacked(park, &command) {
                self.unbacked.push(wrong);
            }
        }
    }

    /// Returns whether it closes.
    pub(crate) fn closes(&self) -> bool {
        self.differs.is_empty()
    }

    /// Returns how many passages were completed.
    pub(crate) fn completed(&self) -> u64 {
        let ways = self.passages.iter().filter(|(name, _)| name.starts_with("in.") || name.starts_with("out."));
        ways.filter(|(name, _)| !name.ends_with("occupants")).map(|(_, n)| n).sum()
    }

    fn differs(&mut self, what: impl Into<String>) {
        self.differs.push(what.into());
    }

    /// Two numbers that must be the same.
    fn same(&mut self, what: &str, gateway: u64, truth: u64) {
        if gateway != truth {
            self.differs(format!("{what}: 网关 gateway {gateway}, 实际 truth {truth}"));
        }
    }
}

/// Why a command had no right to move anything; `None`: it had one.
fn unbacked(park: &Park, command: &LaneCommand) -> Option<String> {
    let Some((deed, stored)) = park.seen.audits.get(&command.key) else {
        return Some(format!("{}: {:?} 无审计 without an entry of the audit", command.lane, command.act));
    };
    // What is opened again because something is under the arm, and what leaves, follows from no decision.
    let decided = deed.action == "lane.open" && deed.actor.name == "parkgate" && !deed.detail.contains("leaves");
    if !matches!(command.act, Act::Open { .. }) || !decided {
        return None;
    }
    let id = deed.detail.rsplit(' ').next().unwrap_or_default();
    let allowed = park.seen.decisions.get(id).is_some_and(|decision| decision.verdict == Verdict::Allow);
    (!allowed || !stored).then(|| format!("{}: 无判定而开闸 opened without a decision: {}", command.lane, deed.detail))
}

impl Day {
    /// Takes the exit of a car out of what the gateway knows: it starts again without that event. So the account can fail.
    pub(crate) fn withhold_an_exit(&mut self, plate: &str) {
        let own = Subject::Vehicle(yellow(plate));
        let exit = |event: &Event| {
            event
                .crossed()
                .is_some_and(|crossed| crossed.direction == Direction::Out && crossed.subjects().contains(&own))
        };
        let before = self.park.seen.events.len();
        self.park.seen.events.retain(|event| !exit(event));
        assert_eq!(self.park.seen.events.len() + 1, before, "it left once");
        self.park.restart(1_000);
    }

    /// Closes the account of the day.
    pub(crate) fn close(&mut self) -> Account {
        let mut account = std::mem::take(&mut self.account);
        account.look(&mut self.park);
        self.close_passages(&mut account);
        self.close_goers(&mut account);
        self.close_zones(&mut account);
        self.close_goods(&mut account);
        self.close_audit(&mut account);
        account
    }

    fn close_passages(&mut self, account: &mut Account) {
        let park = &mut self.park;
        // The gateway closes the day by itself, when late records of it have had their time.
        park.until_local(0, 10, 1);
        park.run(60_000);
        let Some(made) = park.seen.days.pop() else {
            account.differs("没有日结 the day was not closed".to_owned());
            return;
        };
        let lasts = made.to.0 - made.from.0;
        account.same("日结 the day of 24 h", u64::try_from(lasts / 3_600_000).unwrap_or(0), 24);
        account.passages = made.passages;
        for decision in park.seen.decisions.values() {
            *account.verdicts.entry(decision.verdict.as_str()).or_default() += 1;
            for reason in decision.reasons.iter().filter(|reason| reason.verdict != Verdict::Allow) {
                *account.reasons.entry(reason.code.clone()).or_default() += 1;
            }
        }
        account.late = park.seen.passages.values().filter(|passage| passage.late).count() as u64;
        let completed = account.completed();
        account.same("通行 passages", completed, self.crossed);
        account.same("通行 passages of the plan", self.crossed, PASSAGES);
        let open = park.gates.view(park.now()).inside.in_doubt.len() as u64;
        account.same("去向不明 in doubt", open, 0);
        let unsettled = std::mem::take(&mut park.seen.unsettled);
        account.differs.extend(unsettled.into_iter().map(|one| format!("未计次 not counted: {one}")));
    }

    /// Everybody and everything that came has an end, and the gateway knows it.
    fn close_goers(&self, account: &mut Account) {
        for goer in &self.goers {
            let (truth, gateway) = (self.end_of(goer), self.end_at_gateway(goer));
            *account.ends.entry(truth).or_default() += 1;
            if truth != gateway {
                account.differs(format!("{}: 网关 gateway {gateway}, 实际 truth {truth}", goer.name));
            }
            let (Some(code), Some(said)) = (goer.unwelcome, &goer.turned) else { continue };
            account.turned.push(format!("{} {}", goer.name, said.join(", ")));
            if !said.iter().any(|one| one == code) {
                account.differs(format!("{}: {said:?}, 应为 should be {code}", goer.name));
            }
        }
    }

    /// What became of one, in truth.
    fn end_of(&self, goer: &Goer) -> &'static str {
        let inside = subjects(goer).iter().any(|one| self.truth.contains(one));
        match (inside, goer.turned.is_some(), goer.legs.is_empty()) {
            (true, ..) => "在园 inside",
            (false, true, _) => "拒绝 turned away",
            (false, false, true) => "已离园 left",
            (false, false, false) => "等候 waiting",
        }
    }

    /// What became of it, by what the gateway has.
    fn end_at_gateway(&self, goer: &Goer) -> &'static str {
        let account = self.park.gates.inside().account();
        let of = subjects(goer);
        let inside = |one: &Subject| account.place(one).is_some_and(|place| !place.zones.is_empty());
        if of.iter().any(inside) {
            return "在园 inside";
        }
        let to = self.park.now().wall.after(std::time::Duration::from_secs(1));
        let crossed = account.between(Timestamp(MORNING), to).filter_map(|event| event.crossed());
        if crossed.into_iter().any(|crossed| of.first().is_some_and(|own| crossed.subjects().contains(own))) {
            return "已离园 left";
        }
        let refused = self.park.seen.decisions.values().any(|decision| {
            let it = match &decision.facts.subject {
                Of::Vehicle(vehicle) => vehicle.plate.clone().map(Subject::Vehicle),
                // Whom nobody knows is a stranger.
                Of::Person(person) => {
                    Some(Subject::Person(person.person.clone().unwrap_or(PersonRef::new("stranger"))))
                }
            };
            decision.verdict > Verdict::Refer && it.as_ref() == of.first()
        });
        if refused { "拒绝 turned away" } else { "等候 waiting" }
    }

    fn close_zones(&self, account: &mut Account) {
        let park = (ZoneId::new("park"), &self.truth);
        let works = (ZoneId::new("works"), &self.in_works);
        for (zone, truth) in [park, works] {
            let stocks = self.park.gates.inside().stocks(&zone);
            let vehicles = truth.iter().filter(|one| matches!(one, Subject::Vehicle(_)));
            let (cars, trucks): (Vec<_>, Vec<_>) = vehicles.partition(|one| is_car(one));
            let of = |class| u64::from(stocks.vehicles.get(&class).copied().unwrap_or(0));
            account.same(&format!("{zone} 小型车 cars"), of(VehicleClass::Small), cars.len() as u64);
            account.same(&format!("{zone} 危化车 trucks"), of(VehicleClass::Hazmat), trucks.len() as u64);
            account.same(&format!("{zone} 人 persons"), u64::from(stocks.persons), self.persons_of(truth) as u64);
            let named =
                |(_, place): &(&Subject, &parkgate::domain::gate::inside::Place)| place.zones.contains_key(&zone);
            let places = self.park.gates.inside().account().places().filter(named);
            let names: BTreeSet<Subject> = places.map(|(subject, _)| subject.clone()).collect();
            let differ = names.symmetric_difference(truth).map(|one| format!("{zone}: {one} 两账不符 differs"));
            account.differs.extend(differ);
            account.inside.insert(zone, (stocks.vehicles.values().sum(), stocks.persons));
        }
        if let Some((numbers, truth)) = account.drill {
            account.same("演练名单 the drill's list", u64::from(numbers.listed), u64::from(truth));
            account.same("演练未到 unaccounted for", u64::from(numbers.unaccounted), 0);
        }
    }

    /// Visits, waybills, terminals, and uses of permits.
    fn close_goods(&self, account: &mut Account) {
        let (hazmat, register) = (self.park.gates.hazmat(), self.park.gates.register());
        let over = hazmat.waybills().iter().filter(|entry| entry.used.is_some() && entry.waybill.state.is_over());
        account.waybills = over.count() as u64;
        account.same("运单 waybills used and over", account.waybills, TRUCKS);
        account.differs.extend(hazmat.visits().map(|visit| format!("{} 危货车次未结 a visit is open", visit.plate)));
        account.differs.extend(hazmat.terminals().map(|(id, plate, _)| format!("{id} {plate} 终端未归还 not back")));
        for goer in self.goers.iter().filter(|goer| goer.hazmat || !goer.name.starts_with('皖')) {
            let Some(permit) = register.permit(&PermitId::new(format!("P-{}", goer.name))) else { continue };
            let inside = goer.unwelcome.is_none() && goer.turned.is_none() && self.end_of(goer) == "在园 inside";
            let came = goer.unwelcome.is_none();
            let (ended, began) = (u64::from(permit.uses), permit.begun.len() as u64);
            account.uses = (account.uses.0 + ended + began, account.uses.1 + ended);
            account.same(&format!("{} 次数 uses ended", goer.name), ended, u64::from(came && !inside));
            account.same(&format!("{} 次数 uses begun", goer.name), began, u64::from(inside));
        }
        for violation in &self.park.seen.violations {
            *account.violations.entry(violation.kind.as_str()).or_default() += 1;
        }
        let lost = account.violations.get(ViolationKind::PositionLost.as_str()).copied().unwrap_or(0);
        account.same("定位丢失 positions lost", lost, 0);
    }

    fn close_audit(&self, account: &mut Account) {
        let seen = &self.park.seen;
        account.documents.clone_from(&seen.documents);
        account.audited = seen.chain.len();
        account.differs.extend(std::mem::take(&mut account.unbacked));
        account.same("动作 commands", account.commands, seen.commands);
        if let Err(broken) = verify(Head::default(), &seen.chain) {
            account.differs(format!("审计链断裂 the chain of the audit is broken: {broken}"));
        }
    }
}

/// Names and numbers, the largest first, so many of them a line.
fn list<'a>(of: impl IntoIterator<Item = (&'a str, u64)>) -> String {
    let mut all: Vec<(&str, u64)> = of.into_iter().collect();
    all.sort_by_key(|(name, n)| (std::cmp::Reverse(*n), *name));
    let words: Vec<String> = all.iter().map(|(name, n)| format!("{name} {n}")).collect();
    words.chunks(5).map(|words| words.join(", ")).collect::<Vec<_>>().join(&format!(",\n{:18}", ""))
}

fn of<K: AsRef<str>>(map: &BTreeMap<K, u64>) -> String {
    list(map.iter().map(|(name, n)| (name.as_ref(), *n)))
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "园区一日，虚拟时间 | a day at the gates of a park, in virtual time\n")?;
        self.story.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "\n通行 passages     {}: {}", self.completed(), of(&self.passages))?;
        writeln!(f, "判定 decisions    {}: {}", self.verdicts.values().sum::<u64>(), of(&self.verdicts))?;
        writeln!(f, "理由 reasons      {}", of(&self.reasons))?;
        writeln!(f, "人工 answered     {} 次 by the guard", self.answered)?;
        writeln!(f, "去向 what became  {}", of(&self.ends))?;
        self.turned.iter().try_for_each(|one| writeln!(f, "  拒绝 refused    {one}"))?;
        writeln!(f, "补录 late         {} 条 records; 存疑已核对 in doubt, settled {}", self.late, self.doubts)?;
        writeln!(f, "运单 waybills     {} 份已用并完结 used and over, of {TRUCKS}", self.waybills)?;
        writeln!(f, "次数 permits      {} 次开始 uses began, {} 次结束 ended", self.uses.0, self.uses.1)?;
        writeln!(f, "定位 positions    {}", self.positions)?;
        writeln!(f, "违规 violations   {}", of(&self.violations))?;
        if let Some((drill, _)) = self.drill {
            let Numbers { listed, safe, unaccounted, .. } = drill;
            writeln!(
                f,
                "演练 drill        名单 listed {listed}, 安全 safe {safe}, 未到 unaccounted for {unaccounted}"
            )?;
        }
        let documents: BTreeMap<&str, u64> = self.documents.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
        writeln!(f, "记录 records      {}", of(&documents))?;
        writeln!(
            f,
            "审计 audit        {} 条成链 entries in one chain; {} 次动作 commands",
            self.audited, self.commands
        )?;
        for (zone, (vehicles, persons)) in &self.inside {
            writeln!(f, "零点 at midnight  {zone}: {vehicles} 车 vehicles, {persons} 人 persons")?;
        }
        if self.closes() {
            return writeln!(f, "\n账目相符，一辆不差 | the account closes, to the last vehicle");
        }
        writeln!(f, "\n账目不符 | the account does not close:")?;
        self.differs.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
