//! Files as people have them: every mistake told, in both languages, in any encoding; the good rows as they are meant.

use encoding_rs::GB18030;

use super::*;
use crate::config::problem::report;
use crate::domain::actor::Via;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::register::change::Version;
use crate::domain::gate::register::permit::{Hours, PermitKind, PermitStage};
use crate::domain::gate::register::row::{Holder, Row, Vehicle};
use crate::domain::gate::word::{PaperKind, PermitId, PersonKind, Skill, VehicleClass};
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/register").join(name)
}

fn now() -> Now {
    Now { mono: Mono::from_secs(1), wall: Timestamp(1_795_651_200_000), trust: ClockTrust::Synced }
}

fn by() -> Actor {
    Actor { name: "wang".into(), via: Via::Machine, roles: BTreeSet::new() }
}

fn key() -> LookUpKey {
    LookUpKey::new(&[9; 32])
}

fn fit_to(roster: &mut Roster, register: &Register) -> Fitted {
    let mut n = 0;
    let mut make_ref = || {
        n += 1;
        PersonRef::new(format!("p{n}"))
    };
    fit(roster, register, &key(), &mut make_ref, by())
}

fn read_text(text: &str) -> Roster {
    read(Path::new("file.csv"), text.as_bytes(), None, &Rules::default())
}

fn lines(roster: &Roster) -> Vec<String> {
    roster.problems.iter().map(|p| format!("{}: {}; {}", p.at, p.what.en, p.instead.en)).collect()
}

/// A register in which the platform has one permit.
fn with_platforms_permit() -> Register {
    let text = "id,kind,plate,stage,from,until\nPLATFORM-1,vehicle,皖R00038,4,2026-11-01,2026-11-02\n";
    let mut roster = read_text(text);
    let mut register = Register::default();
    let mut set = fit_to(&mut roster, &register).set;
    let version = Version { version: 1, as_of: None, digest: Default::default() };
    (set.origin, set.version) = (Origin::Platform, Some((Table::Permits, version)));
    let prepared = register.prepare(set, &now()).unwrap();
    assert!(register.commit(&prepared));
    register
}

#[test]
fn a_permit_file_with_every_mistake_gives_exactly_its_list_and_its_good_rows() {
    let mut roster = read_files(&[fixture("permits-mistakes.csv")], None, &Rules::default());
    let fitted = fit_to(&mut roster, &with_platforms_permit());
    roster.problems.sort_by_key(|problem| problem.at.line);
    let root = fixture("");
    let told = report(&roster.problems).replace(root.to_str().unwrap(), "");
    let golden = fixture("permits-mistakes.txt");
    if std::env::var_os("PARKGATE_BLESS").is_some() {
        std::fs::write(&golden, &told).unwrap();
    }
    assert_eq!(
        told,
        std::fs::read_to_string(&golden).unwrap(),
        "bless with PARKGATE_BLESS=1 after reading the difference"
    );
    for secret in ["110105194912310021", "1101051949123100", "12345678901", "11010519491331002X"] {
        assert!(!told.contains(secret), "{secret} is shown");
    }
    let taken: BTreeSet<String> = fitted.set.changes.iter().map(|change| change.key().to_string()).collect();
    assert_eq!((roster.n_rows, fitted.n_taken), (42, 5));
    assert_eq!(taken.into_iter().collect::<Vec<_>>(), ["OK-1", "OK-2", "OK-3", "OK-4", "P-9"]);
}

#[test]
fn what_a_permit_file_says_is_what_the_register_holds() {
    let mut roster = read_files(&[fixture("permits-mistakes.csv")], None, &Rules::default());
    let mut register = Register::default();
    let fitted = fit_to(&mut roster, &register);
    let prepared = register.prepare(fitted.set, &now()).unwrap();
    assert!(register.commit(&prepared));
    let permit = |id: &str| register.permit(&PermitId::new(id)).unwrap();
    let one = permit("OK-1");
    assert_eq!(one.holder, Holder::Vehicle(Plate::new("皖R12345", PlateColour::Blue)));
    assert_eq!((one.stage, one.uses_allowed, one.approvals.len()), (PermitStage::ParkPassed, None, 2));
    // The park's midnight is 16:00 UTC of the day before, and the last day is within.
    assert_eq!(
        (one.from.to_string(), one.until.to_string()),
        ("2026-10-31T16:00:00.000Z".into(), "2027-10-31T16:00:00.000Z".into())
    );
    let visit = permit("OK-2");
    assert_eq!((visit.kind, visit.uses_allowed), (PermitKind::Person, Some(1)), "one visit, one report");
    assert_eq!(visit.hours, Some(Hours { from: 480, to: 1080 }));
    let Holder::Person(person) = &visit.holder else { panic!("{visit:?}") };
    assert_eq!(fitted.private[person].masked().name, "张*");
    let goods = permit("OK-3");
    assert_eq!((goods.persons.len(), goods.gates_in.len(), goods.uses_allowed), (2, 2, None));
    assert!(goods.persons.contains(person), "the visitor of OK-2 is the driver of OK-3");
}

#[test]
fn the_same_file_is_read_whatever_excel_saved_it_as() {
    let text = "统一社会信用代码,企业名称\n91440300755691882F,东园化工\n";
    let (gb, _, _) = GB18030.encode(text);
    let bom = [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat();
    let semicolons = text.replace(',', ";");
    let english = text.replace("统一社会信用代码", "USCC").replace("企业名称", "name").replace('\n', "\r\n");
    for bytes in [text.as_bytes(), &gb, &bom, semicolons.as_bytes(), english.as_bytes()] {
        let roster = read(Path::new("a.csv"), bytes, None, &Rules::default());
        assert_eq!((lines(&roster), roster.rows.len()), (Vec::new(), 1));
    }
    let torn = read(Path::new("a.csv"), b"uscc,name\n\xff\xff,x\n", None, &Rules::default());
    assert_eq!(torn.problems[0].at.line, Some(2));
}

#[test]
fn an_empty_table_made_by_us_is_one_that_we_read() {
    for table in Table::ALL {
        let roster = read_text(&template(*table));
        assert_eq!((lines(&roster), roster.n_rows), (Vec::new(), 0), "{table}");
    }
}

#[test]
fn persons_and_vehicles_are_read_with_their_papers() {
    let persons = "姓名,证件号码,人员类型,手机号,卡号,培训有效期,驾驶员资格有效期,驾驶员资格类别\n\
                   张伟,11010519491231002X,驾驶员,13800138000,0001193046;018,2026-12-31,2027-01-31,2;3\n";
    let persons = persons.replace("0001193046;018", "\"0001193046;0x99\"");
    let vehicles = "车牌号,车牌颜色,车辆类别,行驶证有效期,罐体检验有效期,经营范围,罐体介质,最大总质量,自重\n\
                    皖R2222挂,黄,危化车,2026-12-31,2027-06-30,3类;8类,UN1203;甲醇,49000,8000\n";
    let mut roster = read_text(&persons);
    roster.rows.extend(read_text(vehicles).rows);
    assert_eq!(lines(&roster), [""; 0]);
    let rows = fit_to(&mut roster, &Register::default()).set.changes;
    let [Change::Put(Row::Person(person)), Change::Put(Row::Vehicle(vehicle))] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!((person.kind, person.credentials.len()), (PersonKind::Driver, 3), "two cards and the document");
    assert_eq!(person.skills[&Skill::HazmatDriver].classes.len(), 2);
    let Vehicle { class, tank, scope, media, gross_max_kg, tare_kg, papers, .. } = &**vehicle;
    assert_eq!((*class, *tank, scope.len(), media.len()), (VehicleClass::Hazmat, true, 2, 2));
    assert_eq!(
        (gross_max_kg, tare_kg, papers[&PaperKind::Licence].to_string()),
        (&Some(49_000), &Some(8_000), "2026-12-31T16:00:00.000Z".into())
    );
}

#[test]
fn a_card_that_two_persons_have_is_told_at_the_second() {
    let head = "name,id_no,kind,cards\n";
    let mut roster =
        read_text(&format!("{head}张伟,11010519491231002X,staff,100\n李娜,440524188001010014,staff,100\n"));
    let fitted = fit_to(&mut roster, &Register::default());
    assert_eq!((fitted.n_taken, roster.problems.len()), (1, 1));
    assert!(lines(&roster)[0].starts_with("file.csv:3: column 卡号 (cards)"), "{:?}", lines(&roster));
}

#[test]
fn a_header_that_is_none_or_half_of_one_is_told() {
    assert!(lines(&read_text("a,b\n1,2\n"))[0].contains("that of no table"));
    let as_permits =
        read(Path::new("file.csv"), "预约号,预约类形\n1,2\n".as_bytes(), Some(Table::Permits), &Rules::default());
    let told = lines(&as_permits).join("\n");
    assert!(told.contains("unknown column `预约类形`; did you mean `预约类型`?"), "{told}");
    assert!(told.contains("column 审核状态 (stage) is missing"), "{told}");
    assert!(lines(&read_text(""))[0].contains("empty"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Rubbish is refused with a place, never taken, never a panic.
    #[test]
    fn rubbish_in_cells_is_told_or_taken_but_never_lost(cells in proptest::collection::vec(".{0,12}", 24)) {
        let head = "id,kind,plate,colour,trailer,id_no,id_kind,name,phone,driver_id,driver_name,escort_id,escort_name,company,stage,enterprise_by,park_by,from,until,hours,plan_in,gates_in,uses,purpose";
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace(['"', ',', '\n', '\r', '#', '\0'], "x")).collect();
        let mut roster = read_text(&format!("{head}\n{}\n", cells.join(",")));
        let taken = fit_to(&mut roster, &Register::default()).n_taken;
        proptest::prop_assert_eq!(taken == 0 && roster.n_rows > 0, roster.is_refused());
    }
}

#[test]
fn a_carrier_has_its_licence_with_end_and_scope_or_none() {
    let good = "uscc,name,carrier_until,carrier_scope\n91440300755691882F,示范运输,2027-03-31,3;8;2.1\n";
    let roster = read_text(good);
    assert_eq!(lines(&roster), [""; 0]);
    let Draft::Company(company) = &roster.rows[0].draft else { panic!("{roster:?}") };
    let licence = company.carrier.as_ref().unwrap();
    // 2027-03-31 is the last day: valid until the park's midnight after it.
    assert_eq!(licence.until, Timestamp(1_806_508_800_000));
    assert_eq!(licence.scope, ["2.1", "3", "8"].map(String::from).into());
    let json = serde_json::to_string(&roster.rows[0].draft).unwrap();
    assert!(json.contains(r#""carrier":{"until":"#), "as the platform sends it: {json}");
    assert_eq!(serde_json::from_str::<Draft>(&json).unwrap(), roster.rows[0].draft);
    let half = "统一社会信用代码,企业名称,道路危险货物运输许可有效期,道路危险货物运输许可范围\n\
                91440300755691882F,示范运输,2027-03-31,\n91440300755691882F,示范运输,,3\n\
                91440300755691882F,示范运输,2027-03-31,易燃液体\n";
    let told = lines(&read_text(half)).join("\n");
    assert!(told.contains("file.csv:2: column 道路危险货物运输许可范围 (carrier_scope): empty"), "{told}");
    assert!(told.contains("file.csv:3: column 道路危险货物运输许可有效期 (carrier_until): empty"), "{told}");
    assert!(told.contains("file.csv:4: column 道路危险货物运输许可范围 (carrier_scope): `易燃液体`"), "{told}");
}
