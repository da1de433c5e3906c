//! The gates of the demo as the gateway reads them: the configuration is whole, and the papers are taken.

use super::papers::{CardOf, OLD_TANKER, STAFF_CAR, TANKER, VISITOR, plate, tables, waybills};
use super::*;
use crate::domain::gate::hazmat::book::Update;
use crate::domain::gate::hazmat::goods::FireGroup;
use crate::domain::gate::hazmat::waybill::Waybill;
use crate::domain::gate::register::change::Message;
use crate::domain::gate::register::row::Table;
use crate::domain::time::Timestamp;

const NOW: Timestamp = Timestamp(1_795_651_200_000);

#[test]
fn the_papers_of_the_demo_survive_the_way_and_name_what_they_refer_to() {
    let tables = tables(NOW);
    let names: Vec<Table> = tables.iter().map(|message| message.table).collect();
    assert_eq!(names, [Table::Companies, Table::Persons, Table::Vehicles, Table::Lists, Table::Permits]);
    for message in tables {
        assert!(!message.rows.is_empty(), "{:?}", message.table);
        let json = serde_json::to_string(&message).unwrap();
        assert!(json.len() < 16 * 1024, "a table of the demo is one command");
        assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message);
    }
    for text in [STAFF_CAR, VISITOR, TANKER, OLD_TANKER] {
        assert!(plate(text).is_possible(), "{text}");
    }
}

/// But for the persons, who are named by documents: the gateway finds its references to them.
#[test]
fn the_waybills_of_a_trip_are_whole_and_follow_those_of_the_trip_before() {
    for trip in [1, 2, 7] {
        let mut list = waybills(trip);
        for waybill in list["put"].as_array_mut().unwrap() {
            assert_eq!(waybill["driver"]["id"]["kind"], "other");
            (waybill["driver"], waybill["escort"]) = ("p-1".into(), serde_json::Value::Null);
        }
        let update: Update = serde_json::from_value(list).unwrap();
        assert_eq!((update.from, update.to), ((trip > 1).then(|| trip - 1), trip));
        let wrong: Vec<_> = update.put.iter().filter_map(Waybill::fault).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(update.put.iter().all(|waybill| waybill.load().fire == Some(FireGroup::A)), "{update:?}");
    }
}

#[test]
fn a_card_is_shown_as_a_reader_of_26_bits_sends_it() {
    assert_eq!(CardOf::Staff.line().len(), "W26:00000000\n".len());
    let lines =
        [CardOf::Staff, CardOf::Contractor, CardOf::Driver, CardOf::Escort, CardOf::OtherDriver, CardOf::Nobody]
            .map(CardOf::line);
    assert_eq!(std::collections::BTreeSet::from(lines).len(), 6);
}

/// What a newcomer finds in the demo's folder is a configuration without a remark.
#[tokio::test]
async fn the_folder_with_its_gates_is_a_whole_configuration() {
    use crate::sim::devices::{LINE_SOCKET, park};
    use crate::sim::folder::{Socket, Wiring, write};
    let dir = tempfile::tempdir().unwrap();
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let socket = |n: u16| match usize::from(n) {
        LINE_SOCKET => Socket::Line("/dev/ttyS1".into()),
        _ => Socket::Tcp(at(50_000 + n)),
    };
    let sockets = (0..20).map(socket).collect();
    let wiring = Wiring { sockets, dcs: at(4840), broker: at(1883), page: at(0) };
    write(dir.path(), &park(), &wiring).unwrap();
    Gatehouse::start().await.unwrap().write(dir.path()).unwrap();
    let loaded = crate::config::load(dir.path()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let gates = &loaded.config.gates;
    assert_eq!(gates.lanes.len(), LANES.len());
    assert!(gates.lanes.iter().all(|lane| lane.is_hazmat() == (lane.gate.as_str() == "chemical")));
}

#[tokio::test]
async fn every_lane_has_what_it_needs_and_cameras_are_told_a_port_that_nobody_has() {
    let gatehouse = Gatehouse::start().await.unwrap();
    assert_eq!(gatehouse.lanes.len(), LANES.len());
    let text = gatehouse.gates_toml();
    assert!(text.parse::<toml::Table>().is_ok(), "{text}");
    assert!(PORTS.contains(&gatehouse.cameras.port()));
    let camera = gatehouse.lanes.iter().filter(|lane| !lane.kind.classes.is_empty()).count();
    assert_eq!(text.matches("[[camera]]").count(), camera);
}
