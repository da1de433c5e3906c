//! The account against envelopes written by hand.

use super::*;
use crate::domain::time::{ClockTrust, Mono, Timestamp};

const TOPIC: &str = "parkgate/v1/demo-park/gw-east/telemetry";
/// 2026-11-23T08:00:00Z.
const EIGHT: i64 = 1_795_420_800_000;

fn at(ms: i64) -> Now {
    Now { mono: Mono::from_secs(100), wall: Timestamp(EIGHT + ms), trust: ClockTrust::Synced }
}

fn envelope(lane: &str, boot: u32, seqs: &[u64]) -> Vec<u8> {
    let records: Vec<String> = seqs.iter().map(|s| record(*s, "23.4")).collect();
    wrap("telemetry", lane, boot, &records)
}

fn record(seq: u64, value: &str) -> String {
    format!(
        r#"{{"seq":{seq},"t":"2026-11-23T08:00:00.120Z","basis":"poll","device":"plc","values":{{"T:1":{value},"A\"n":null}},"quality":{{"A\"n":"comm"}}}}"#
    )
}

fn wrap(stream: &str, lane: &str, boot: u32, records: &[String]) -> Vec<u8> {
    format!(
        r#"{{"v":1,"gateway":"gw-east","epoch":"01K","boot":{boot},"reg":4,"stream":"{stream}","lane":"{lane}","clock":"synced","sent_at":"2026-11-23T08:00:01.250Z","records":[{}]}}"#,
        records.join(",")
    )
    .into_bytes()
}

fn gap(no: u64, from: u64, to: &str, reason: &str) -> Vec<u8> {
    let record = format!(
        r#"{{"seq":{no},"gap":{{"epoch":"01K","stream":"telemetry","from_seq":{from},"to_seq":{to},"from_t":null,"to_t":null,"count":1,"exact":false,"reason":"{reason}"}}}}"#
    );
    wrap("gap", "live", 1, &[record])
}

fn take(account: &mut Account, payload: &[u8]) -> Taken {
    match account.take(TOPIC, payload, at(500)).unwrap() {
        Receipt::Records(taken) => taken,
        Receipt::State(state) => panic!("{state:?}"),
    }
}

fn take_gap(account: &mut Account, payload: &[u8]) {
    account.take("parkgate/v1/demo-park/gw-east/gap", payload, at(0)).unwrap();
}

const fn next(telemetry: u64) -> [u64; 6] {
    [1, 1, 1, 1, 1, telemetry]
}

#[test]
fn a_whole_feed_closes_and_its_values_nulls_and_ages_are_counted() {
    let mut account = Account::strict();
    let taken = take(&mut account, &envelope("live", 1, &[1, 2, 3]));
    assert_eq!((taken.fresh, taken.repeated, taken.values, taken.blemishes), (3, 0, 6, 0));
    assert_eq!(taken.seqs, Some(1..=3));
    let closing = account.close(next(4));
    assert!(closing.closes(), "{closing:?}");
    assert_eq!(closing.received, 3);
    assert_eq!(account.totals().nulls, 3);
    assert_eq!(account.ages(Lane::Live).max().unwrap().as_millis(), 380);
    assert!(account.ages(Lane::History).is_empty());
}

#[test]
fn a_hole_is_unexplained_until_a_gap_record_explains_it() {
    let mut account = Account::new();
    take(&mut account, &envelope("live", 1, &[1, 2, 6, 9]));
    let closing = account.close(next(11));
    let t = Stream::Telemetry;
    assert_eq!(closing.unexplained, vec![(t, 3..=5), (t, 7..=8), (t, 10..=10)]);
    assert!(!closing.closes());
    take_gap(&mut account, &gap(1, 3, "8", "quota"));
    take_gap(&mut account, &gap(2, 10, "null", "crash_uncommitted"));
    let closing = account.close(next(11));
    assert!(closing.closes(), "{closing:?}");
    assert_eq!((closing.received, closing.lost), (4, 6));
    assert_eq!(account.gaps(t).get("quota").unwrap().len(), 6);
}

#[test]
fn a_number_beyond_the_next_one_does_not_close() {
    let mut account = Account::new();
    take(&mut account, &envelope("live", 1, &[1, 2, 3]));
    assert_eq!(account.close(next(3)).beyond, vec![(Stream::Telemetry, 3..=3)]);
}

#[test]
fn live_and_history_interleave_each_in_its_own_order() {
    let mut account = Account::new();
    take(&mut account, &envelope("live", 1, &[1, 10]));
    take(&mut account, &envelope("history", 1, &[2, 3]));
    take(&mut account, &envelope("live", 1, &[11]));
    take(&mut account, &envelope("history", 1, &[4, 5, 6, 7, 8, 9]));
    assert!(account.close(next(12)).closes());
}

#[test]
fn a_first_seen_number_below_the_lanes_highest_is_an_order_fault_but_a_repeat_is_not() {
    let mut account = Account::strict();
    take(&mut account, &envelope("live", 1, &[1, 3]));
    take(&mut account, &envelope("live", 1, &[1, 3]));
    assert_eq!(account.close(next(4)).order_faults, 0);
    assert_eq!(take(&mut account, &envelope("live", 1, &[2])).blemishes, 1);
    let closing = account.close(next(4));
    assert_eq!((closing.order_faults, closing.duplicates), (1, 2));
    let order = Blemish::Order { channel: Stream::Telemetry.into(), lane: Lane::Live, seq: 2, after: 3 };
    assert_eq!(account.blemishes(), [order]);
}

#[test]
fn numbers_that_fall_within_one_envelope_are_found() {
    let mut account = Account::new();
    take(&mut account, &envelope("live", 1, &[5]));
    take(&mut account, &envelope("history", 1, &[2, 1]));
    assert!(account.blemishes().contains(&Blemish::Descending { channel: Stream::Telemetry.into(), seq: 1 }));
}

#[test]
fn a_strict_account_finds_a_repeat_with_another_content() {
    let mut account = Account::strict();
    take(&mut account, &wrap("telemetry", "live", 1, &[record(1, "1"), record(2, "2")]));
    take(&mut account, &wrap("telemetry", "history", 1, &[record(1, "1"), record(2, "3")]));
    let closing = account.close(next(3));
    assert_eq!((closing.changed, closing.duplicates), (1, 2));
    assert!(!closing.closes());
}

#[test]
fn a_state_message_gives_next_and_only_a_change_to_online_opens_a_session() {
    let mut account = Account::new();
    let topic = "parkgate/v1/demo-park/gw-east/state";
    let online =
        br#"{"v":1,"gateway":"gw-east","epoch":"01K","boot":1,"state":"online","next":{"telemetry":4,"event":2}}"#;
    let offline = br#"{"v":1,"gateway":"gw-east","state":"offline"}"#;
    let opens = |a: &mut Account, m: &[u8]| match a.take(topic, m, at(0)).unwrap() {
        Receipt::State(state) => state.opens,
        Receipt::Records(_) => panic!("no state"),
    };
    assert!(opens(&mut account, online));
    assert_eq!(account.next(), Some([1, 1, 2, 1, 1, 4]));
    assert!(!opens(&mut account, online));
    take(&mut account, &envelope("live", 1, &[3]));
    assert!(!opens(&mut account, offline));
    assert_eq!(account.online(), Some(false));
    assert!(opens(&mut account, online));
    take(&mut account, &envelope("live", 1, &[1, 2]));
    assert_eq!(account.close(next(4)).order_faults, 0);
}

#[test]
fn messages_that_break_the_contract_are_refused_and_change_nothing() {
    let mut account = Account::new();
    take(&mut account, &envelope("live", 2, &[1]));
    let good = String::from_utf8(envelope("live", 2, &[2])).unwrap();
    let bad = [
        good.replace(r#""v":1"#, r#""v":2"#),
        good.replace("gw-east", "gw-west"),
        good.replace(r#""stream":"telemetry""#, r#""stream":"event""#),
        good.replace(r#""lane":"live""#, r#""lane":"fast""#),
        good.replace(r#""clock":"synced""#, r#""clock":"fine""#),
        good.replace(r#""boot":2"#, r#""boot":1"#),
        good.replace(r#""boot":2"#, r#""boot":0"#),
        good.replace(r#""seq":2"#, r#""seq":-2"#),
        good.strip_suffix("]}").unwrap().to_owned(),
        String::new(),
    ];
    for message in &bad {
        account.take(TOPIC, message.as_bytes(), at(0)).unwrap_err();
    }
    account.take("parkgate/v1/demo-park/gw-west/telemetry", good.as_bytes(), at(0)).unwrap_err();
    account.take("parkgate/v1/demo-park/telemetry", good.as_bytes(), at(0)).unwrap_err();
    account.take("parkgate/v1/demo-park/gw-east/ack", good.as_bytes(), at(0)).unwrap_err();
    let gapless = wrap("gap", "live", 2, &[record(1, "1")]);
    account.take("parkgate/v1/demo-park/gw-east/gap", &gapless, at(0)).unwrap_err();
    assert_eq!(account.close(next(2)).refused, bad.len() as u64 + 4);
    assert_eq!(account.close(next(2)).received, 1);
}

#[test]
fn coverage_must_add_up() {
    let mut account = Account::new();
    let coverage = |seq: u64, bad: u64| {
        format!(
            r#"{{"seq":{seq},"t":"2026-11-23T08:00:00Z","coverage":{{"device":"plc","from":"2026-11-23T07:59:00Z","to":"2026-11-23T08:00:00Z","due":60,"ok":58,"bad":{bad},"skipped":1}}}}"#
        )
    };
    take(&mut account, &wrap("telemetry", "live", 1, &[coverage(1, 1), coverage(2, 2)]));
    assert_eq!(account.blemishes(), [Blemish::Coverage { seq: 2 }]);
    assert_eq!((account.totals().polls_due, account.totals().polls_ok), (120, 116));
}

#[test]
fn each_value_is_shown_to_the_callback_with_its_text() {
    let mut account = Account::new();
    let mut seen = Vec::new();
    account
        .take_with(TOPIC, &envelope("live", 1, &[7]), at(0), &mut |s| {
            seen.push((s.seq, s.fresh, s.device.to_owned(), s.tag.to_owned(), s.json.to_owned()));
        })
        .unwrap();
    let row = |tag: &str, json: &str| (7, true, "plc".to_owned(), tag.to_owned(), json.to_owned());
    assert_eq!(seen, [row("T:1", "23.4"), row("A\"n", "null")]);
}

#[test]
fn an_ack_names_the_ranges_held_and_stays_small() {
    let mut account = Account::new();
    take(&mut account, &envelope("live", 1, &[1, 2, 3, 7]));
    assert_eq!(
        account.ack_message("01K", Stream::Telemetry).unwrap(),
        r#"{"epoch":"01K","stream":"telemetry","stored":[[1,3],[7,7]]}"#
    );
    assert_eq!(account.ack_message("01K", Stream::Alarm), None);
    assert_eq!(account.ack_message("other", Stream::Telemetry), None);
    let odd: Vec<u64> = (10..3_000).filter(|n| n % 2 == 1).collect();
    take(&mut account, &envelope("live", 1, &odd));
    assert!(account.ack_message("01K", Stream::Telemetry).unwrap().len() < 10_000);
}

#[test]
fn a_record_in_parts_counts_when_the_last_of_them_is_there() {
    let mut account = Account::strict();
    let part = |no: u32, text: &str| {
        let text = serde_json::to_string(text).unwrap();
        vec![format!(r#"{{"seq":1,"t":"2026-11-23T08:00:00Z","part":{{"no":{no},"of":2,"text":{text}}}}}"#)]
    };
    let whole = record(1, "1");
    let (one, two) = whole.split_at(20);
    for fresh in [1, 0] {
        assert_eq!(take(&mut account, &wrap("telemetry", "live", 1, &part(1, one))).seqs, None);
        let taken = take(&mut account, &wrap("telemetry", "live", 1, &part(2, two)));
        assert_eq!((taken.fresh, taken.seqs), (fresh, Some(1..=1)));
    }
    let closing = account.close(next(2));
    assert!(closing.closes(), "{closing:?}");
    assert_eq!((account.totals().values, closing.duplicates), (2, 1));
}

#[test]
fn told_before_it_was_stored_is_the_same_record() {
    let mut account = Account::strict();
    let early = record(1, "1").replace(r#""quality""#, r#""unstored":true,"quality""#);
    take(&mut account, &wrap("telemetry", "live", 1, &[early]));
    take(&mut account, &wrap("telemetry", "history", 1, &[record(1, "1")]));
    assert_eq!(account.close(next(2)).changed, 0);
}

#[test]
fn what_is_no_measurement_is_counted_by_its_quality() {
    let mut account = Account::new();
    let gas = |seq, quality: &str| record(seq, "1").replace("comm", quality);
    take(&mut account, &wrap("telemetry", "live", 1, &[gas(1, "calibration"), gas(2, "comm"), gas(3, "comm")]));
    take(&mut account, &wrap("telemetry", "history", 1, &[gas(3, "comm")]));
    let counted = Quality::ALL.into_iter().zip(account.totals().qualities).filter(|(_, n)| *n > 0);
    assert_eq!(counted.collect::<Vec<_>>(), [(Quality::Comm, 2), (Quality::Calibration, 1)]);
}

#[test]
fn a_new_epoch_is_another_account() {
    let mut account = Account::new();
    take(&mut account, &envelope("live", 1, &[1, 2]));
    let other = String::from_utf8(envelope("live", 1, &[1])).unwrap().replace("01K", "01L");
    take(&mut account, other.as_bytes());
    assert_eq!(account.epoch(), Some("01L"));
    assert_eq!(account.count(Stream::Telemetry), 1);
    assert!(account.close(next(2)).closes());
}

#[test]
fn a_step_of_an_alarm_that_never_got_a_number_is_found_by_the_numbers_of_its_occurrence() {
    let step = |seq: u64, n: u32, cause: &str| {
        let alarm = format!(r#"{{"alarm":"AT701.gas","occ":"1-1","n":{n},"cause":"{cause}"}}"#);
        format!(r#"{{"seq":{seq},"t":"2026-11-23T08:00:00.120Z","alarm":{alarm}}}"#)
    };
    let told = |steps: &[(u64, u32, &str)]| {
        let records: Vec<String> = steps.iter().map(|(seq, n, cause)| step(*seq, *n, cause)).collect();
        let mut account = Account::strict();
        let topic = "parkgate/v1/demo-park/gw-east/alarm";
        account.take(topic, &wrap("alarm", "live", 1, &records), at(0)).unwrap();
        account.close([steps.len() as u64 + 1, 1, 1, 1, 1, 1])
    };
    let whole = told(&[(1, 1, "active"), (2, 2, "ack"), (3, 3, "clear")]);
    assert!(whole.closes() && (whole.alarms.records, whole.alarms.occurrences) == (3, 1), "{whole:?}");
    let lacking = told(&[(1, 1, "active"), (2, 3, "clear")]);
    assert_eq!(lacking.alarms.faults, ["AT701.gas 1-1: step 2 is missing"]);
    assert!(!lacking.closes());
}
