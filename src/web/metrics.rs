//! `/metrics`: the same figures as the page, as OpenMetrics text for Prometheus. Pure.
//!
//! Every name begins with `parkgate_` and ends with its unit where it has one (`_seconds`, `_bytes`); counters end with
//! `_total` and start at zero with each start of the daemon, except those that the store keeps (gaps, lost, delivered).
//! Labels: `lane`, `phase`, `trouble`, `zone`, `class` (of a vehicle, too), `status` (of a bay), `source` (id of an OPC UA server), `bus` (id), `device` (id), `class` (interval in seconds), `stream`, `session`,
//! `reason`, `quality`.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::park::Gates;
use super::view::Look;
use crate::domain::field_event::LinkState;
use crate::domain::gate::gates::view::{GatesView, ZoneView};
use crate::domain::gate::hazmat::lot::BayStatus;
use crate::domain::gate::lane::Phase;
use crate::domain::gate::word::{GatewayId, VehicleClass};
use crate::domain::reading::Quality;
use crate::domain::record::Stream;
use crate::domain::registry::DeviceSpec;
use crate::domain::snapshot::{BusStatus, ClassView, DeviceView, OpcUaCounters, OpcUaServer, PeerStatus, Snapshot};
use crate::domain::time::ClockTrust;

/// Content type of the answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// One metric with all its label sets.
#[derive(Clone, Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    counter: bool,
    samples: Vec<(Labels, f64)>,
}

impl Family {
    fn gauge(name: &'static str, help: &'static str, samples: Vec<(Labels, f64)>) -> Self {
        Self { name, help, counter: false, samples }
    }

    fn counter(name: &'static str, help: &'static str, samples: Vec<(Labels, u64)>) -> Self {
        let samples = samples.into_iter().map(|(labels, n)| (labels, float(n))).collect();
        Self { name, help, counter: true, samples }
    }
}

/// A gauge without labels; none where the value is not known.
fn plain(name: &'static str, help: &'static str, value: impl Into<Option<f64>>) -> Family {
    Family::gauge(name, help, value.into().map(|value| (Vec::new(), value)).into_iter().collect())
}

/// A counter without labels.
fn total(name: &'static str, help: &'static str, n: u64) -> Family {
    Family::counter(name, help, vec![(Vec::new(), n)])
}

/// A gauge of each stream.
fn of_streams(name: &'static str, help: &'static str, of: impl Fn(Stream) -> u64) -> Family {
    Family::gauge(name, help, per_stream(|stream| float(of(stream))))
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus keeps floats; counters are exact up to 2^53")]
fn float(n: u64) -> f64 {
    n as f64
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.iter().filter(|family| !family.samples.is_empty()) {
            let kind = if family.counter { MetricType::Counter } else { MetricType::Gauge };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (labels, value) in &family.samples {
                // A family encoder with an empty label set would write `{}`.
                if labels.is_empty() {
                    encode_value(&mut metric, family.counter, *value)?;
                } else {
                    encode_value(&mut metric.encode_family(labels)?, family.counter, *value)?;
                }
            }
        }
        Ok(())
    }
}

fn encode_value(
    encoder: &mut prometheus_client::encoding::MetricEncoder<'_>,
    counter: bool,
    value: f64,
) -> fmt::Result {
    if counter { encoder.encode_counter::<Labels, f64, u64>(&value, None) } else { encoder.encode_gauge(&value) }
}

/// Returns the text of a scrape.
///
/// # Errors
/// None in practice: writing to a `String` does not fail.
pub fn text(look: &Look) -> Result<String, fmt::Error> {
    let mut families = vec![build(look)];
    if let Some(snapshot) = &look.snapshot {
        families.extend(field(snapshot));
    }
    if let Gates::View(view) = &look.gates {
        families.extend(gates(view));
    }
    families.extend(buses(look));
    families.extend(store(look));
    families.extend(uplink(look));
    families.extend(peers(look));
    families.extend(opcua(look));
    families.extend(clock(look));
    families.extend(gate_calls(look));
    let mut registry = Registry::with_prefix("parkgate");
    registry.register_collector(Box::new(Families(families)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

fn build(look: &Look) -> Family {
    let id = &look.identity;
    let labels = vec![
        ("version", look.version.to_owned()),
        ("park", id.park.clone()),
        ("gateway", id.gateway.clone()),
        ("epoch", id.epoch.clone()),
    ];
    Family::gauge("build_info", "Version and identity; always 1", vec![(labels, 1.0)])
}

/// What devices of the gates said at the doors that they call, and why they were refused.
fn gate_calls(look: &Look) -> Option<Family> {
    let sample = |(door, what, n): &(&'static str, &'static str, u64)| {
        (vec![("door", (*door).to_owned()), ("what", (*what).to_owned())], *n)
    };
    let samples: Vec<_> = look.gate_calls.iter().map(sample).collect();
    let help = "Pushes of cameras and messages of terminals, and what was refused of them";
    (!samples.is_empty()).then(|| Family::counter("gate_calls", help, samples))
}

fn pairs(snapshot: &Snapshot) -> impl Iterator<Item = (&DeviceSpec, &DeviceView)> {
    snapshot.registry.devices.iter().map(AsRef::as_ref).zip(&snapshot.devices)
}

fn field(snapshot: &Snapshot) -> Vec<Family> {
    let device = |spec: &DeviceSpec| vec![("device", spec.id.as_str().to_owned())];
    let up = pairs(snapshot).map(|(spec, view)| (device(spec), flag(view.link == LinkState::Up))).collect();
    let totals = &snapshot.totals;
    let mut families = vec![
        Family::gauge("device_up", "Whether the device answers", up),
        Family::gauge(
            "points",
            "Points by device and quality; unread are those without a first reading",
            points(snapshot),
        ),
        total("readings", "Readings that reached the engine with a value", totals.readings),
        total("readings_without_value", "Readings that reached it without one", totals.readings_bad),
        total("values_recorded", "Values recorded after report by exception", totals.values_recorded),
        total("unknown_states", "State words whose code has no name", totals.states_unknown),
        total("overtaken_events", "Events refused after a reload", totals.stale_events),
        Family::counter("records", "Records made", per_stream(|s| totals.records.get(s.rank()).copied().unwrap_or(0))),
        plain("registry_revision", "Revision of the point table", f64::from(snapshot.registry.rev)),
        plain("uptime_seconds", "Age of this run", snapshot.now.mono.since(snapshot.started).as_secs_f64()),
    ];
    families.extend(polls(snapshot));
    families
}

fn polls(snapshot: &Snapshot) -> Vec<Family> {
    let each = |of: fn(&ClassView) -> u64| per_class(snapshot, |c| Some(of(c)));
    let span = |of: fn(&ClassView) -> Option<Duration>| per_class(snapshot, |c| of(c).map(|span| span.as_secs_f64()));
    vec![
        Family::counter("polls_due", "Polls that fell due", each(|c| c.due)),
        Family::counter("polls_ok", "Polls answered in full", each(|c| c.ok)),
        Family::counter("polls_bad", "Polls that failed, in whole or in part", each(|c| c.bad)),
        Family::counter("polls_skipped", "Polls that fell due while an earlier one ran", each(|c| c.skipped)),
        Family::gauge("poll_interval_seconds", "Configured interval", span(|c| Some(c.interval))),
        Family::gauge("poll_interval_p50_seconds", "Median of achieved intervals of late", span(|c| c.p50)),
        Family::gauge("poll_interval_p95_seconds", "95th percentile of achieved intervals of late", span(|c| c.p95)),
        Family::gauge("poll_interval_p99_seconds", "99th percentile of achieved intervals of late", span(|c| c.p99)),
        Family::gauge(
            "poll_worst_lateness_seconds",
            "Largest delay of a poll in this run",
            span(|c| Some(c.worst_late)),
        ),
    ]
}

fn gates(view: &GatesView) -> Vec<Family> {
    let phases = Phase::ALL.iter().map(|phase| {
        let n = view.lanes.iter().filter(|now| now.lane.phase == *phase).count();
        (vec![("phase", phase.as_str().to_owned())], float(n as u64))
    });
    let troubles = view.lanes.iter().flat_map(|now| {
        let labels = |trouble: &'static str| vec![("lane", now.lane.id.to_string()), ("trouble", trouble.to_owned())];
        now.lane.troubles.iter().map(move |one| (labels(one.trouble.as_str()), 1.0))
    });
    let faults =
        view.lanes.iter().map(|now| (vec![("lane", now.lane.id.to_string())], float(now.lane.faults.len() as u64)));
    let inside = &view.inside;
    let zone = |zone: &ZoneView| ("zone", zone.zone.to_string());
    let persons = inside.zones.iter().map(|one| (vec![zone(one)], f64::from(one.persons.now)));
    let vehicles = inside.zones.iter().flat_map(|one| {
        let of = move |class: &VehicleClass| one.vehicles.get(class).map_or(0, |count| count.now);
        VehicleClass::ALL
            .iter()
            .map(move |class| (vec![zone(one), ("class", class.as_str().to_owned())], f64::from(of(class))))
    });
    let bays = BayStatus::ALL.iter().map(|status| {
        let n = view.hazmat.bays.iter().filter(|bay| bay.status == *status).count();
        (vec![("status", status.as_str().to_owned())], float(n as u64))
    });
    vec![
        Family::gauge("lanes", "Lanes by what they do", phases.collect()),
        Family::gauge("lane_trouble", "What a lane lacks; 1 while it does", troubles.collect()),
        Family::gauge("lane_faults", "Faults that stand at a lane", faults.collect()),
        plain("gate_tickets_open", "Questions of the gates that wait for a person", float(view.tickets.len() as u64)),
        plain("inside_known", "Whether the counts have no break since a signed one", flag(inside.known)),
        plain("inside_peers_heard", "Whether the park's other gateways are heard", inside.peers_heard.map(flag)),
        Family::gauge("inside_persons", "Persons inside a zone, with the zones in it", persons.collect()),
        Family::gauge("inside_vehicles", "Vehicles inside a zone, with the zones in it", vehicles.collect()),
        plain("passages_in_doubt", "Passages that nobody has cleared up", float(inside.in_doubt.len() as u64)),
        plain("inside_conflicts", "Conflicts between gateways", float(inside.conflicts.len() as u64)),
        plain("hazmat_vehicles_inside", "Vehicles with dangerous goods inside", float(view.hazmat.visits.len() as u64)),
        Family::gauge("hazmat_bays", "Bays of the hazmat parking by status", bays.collect()),
        plain("musters_running", "Musters that run", float(view.musters.len() as u64)),
    ]
}

fn buses(look: &Look) -> Vec<Family> {
    let label = |bus: &BusStatus| vec![("bus", bus.id.clone())];
    let gauge = |of: fn(&BusStatus) -> Option<f64>| {
        look.buses.iter().filter_map(|bus| of(bus).map(|value| (label(bus), value))).collect()
    };
    let count = |of: fn(&BusStatus) -> u64| look.buses.iter().map(|bus| (label(bus), of(bus))).collect();
    let slaves = look.buses.iter().flat_map(|bus| bus.slaves.iter().map(move |slave| (bus, slave)));
    let turnarounds = slaves.filter_map(|(bus, slave)| {
        let labels = vec![("bus", bus.id.clone()), ("device", slave.device.as_str().to_owned())];
        slave.turnaround.map(|seen| (labels, seen.as_secs_f64()))
    });
    vec![
        Family::gauge("bus_up", "Whether the port is open", gauge(|b| Some(flag(b.trouble.is_none())))),
        Family::gauge("bus_planned_load", "Share of its time that the plan needs", gauge(|b| Some(b.planned_load))),
        Family::gauge("bus_busy_1m", "Share of the last minute in which it was busy", gauge(|b| b.busy_minute)),
        Family::gauge("bus_busy_15m", "Share of the last 15 minutes in which it was busy", gauge(|b| b.busy_quarter)),
        Family::gauge(
            "bus_planned_cycle_seconds",
            "Time in which every point is read once, by the plan",
            gauge(|b| Some(b.planned_cycle.as_secs_f64())),
        ),
        Family::counter("bus_requests", "Requests sent", count(|b| b.requests)),
        Family::counter("bus_asked_again", "Requests repeated after a damaged answer", count(|b| b.asked_again)),
        Family::counter("bus_silent", "Requests without any answer", count(|b| b.silent)),
        Family::counter("bus_garbled", "Requests with a wrong answer, or cut off", count(|b| b.garbled)),
        Family::counter("bus_strays", "Whole frames that nobody waited for", count(|b| b.strays)),
        Family::counter("bus_noise_bytes", "Bytes that were part of no frame", count(|b| b.noise_bytes)),
        Family::gauge("bus_turnaround_seconds", "Time a device takes before it answers", turnarounds.collect()),
    ]
}

/// The interval in seconds; numbered from the second class of a device with the same one on, because a series that is there
/// twice makes Prometheus refuse the whole answer.
fn class_name(classes: &[ClassView], index: usize) -> String {
    let interval = classes.get(index).map(|class| class.interval).unwrap_or_default();
    let before = classes.iter().take(index).filter(|class| class.interval == interval).count();
    let seconds = interval.as_secs_f64();
    if before == 0 { seconds.to_string() } else { format!("{seconds}#{}", before + 1) }
}

fn per_class<T>(snapshot: &Snapshot, of: impl Fn(&ClassView) -> Option<T>) -> Vec<(Labels, T)> {
    let labelled = |spec: &DeviceSpec, name: String| vec![("device", spec.id.as_str().to_owned()), ("class", name)];
    pairs(snapshot)
        .flat_map(|(spec, view)| {
            (0..).zip(&view.classes).map(move |(i, class)| (spec, class_name(&view.classes, i), class))
        })
        .filter_map(|(spec, name, class)| of(class).map(|value| (labelled(spec, name), value)))
        .collect()
}

fn points(snapshot: &Snapshot) -> Vec<(Labels, f64)> {
    let mut samples = Vec::new();
    for (spec, view) in pairs(snapshot) {
        let count = |quality: Option<Quality>| {
            view.points.iter().filter(|point| point.reading.map(|reading| reading.quality) == quality).count()
        };
        let named = Quality::ALL.into_iter().map(|quality| (quality.as_str(), count(Some(quality))));
        for (word, n) in named.chain([("unread", count(None))]).filter(|(word, n)| *n > 0 || *word == "good") {
            let labels = vec![("device", spec.id.as_str().to_owned()), ("quality", word.to_owned())];
            samples.push((labels, float(u64::try_from(n).unwrap_or(u64::MAX))));
        }
    }
    samples
}

fn per_stream<T>(of: impl Fn(Stream) -> T) -> Vec<(Labels, T)> {
    Stream::ALL.into_iter().map(|s| (vec![("stream", s.as_str().to_owned())], of(s))).collect()
}

fn store(look: &Look) -> Vec<Family> {
    let s = &look.store;
    let of = |stream: Stream| s.streams.get(stream.rank()).cloned().unwrap_or_default();
    let lost = s.lost.iter().map(|(reason, n)| (vec![("reason", reason.as_str().to_owned())], *n)).collect();
    vec![
        plain("store_up", "Whether the store writes", flag(s.healthy)),
        plain("store_bytes", "Bytes on disk of all segments", float(s.bytes)),
        plain("store_quota_bytes", "Configured quota", float(s.quota_bytes)),
        plain("store_disk_free_bytes", "Bytes free on the file system", s.free_bytes.map(float)),
        total("store_commits", "Commits of this run", s.commits),
        plain("store_worst_commit_seconds", "Longest commit of this run", s.worst_commit.as_secs_f64()),
        total("store_reopened", "Times the store was reopened after a failure", s.reopened),
        plain("store_quarantined_segments", "Segments in quarantine", float(s.quarantined)),
        plain("store_gaps_open", "Gaps that the platform has not acknowledged", float(s.gaps_open)),
        total("store_gaps", "Gaps ever", s.gaps_total),
        Family::counter("store_lost_records", "Records lost, at most, by reason", lost),
        of_streams("stream_bytes", "Bytes on disk", |s| of(s).bytes),
        of_streams("stream_first_seq", "First number kept", |s| of(s).first),
        of_streams("stream_stored_seq", "Last number stored", |s| of(s).stored),
        of_streams("stream_next_seq", "Next number to be given", |s| of(s).next),
        of_streams("stream_lost_records", "Numbers inside gaps", |s| of(s).lost),
    ]
}

fn opcua(look: &Look) -> Vec<Family> {
    let servers = &look.opcua.servers;
    let label = |id: &str| vec![("source", id.to_owned())];
    let gauge =
        |value: fn(&OpcUaServer) -> f64| servers.iter().map(|(id, s)| (label(id), value(s))).collect::<Vec<_>>();
    let count = |value: fn(&OpcUaCounters) -> u64| {
        servers.iter().map(|(id, s)| (label(id), value(&s.counters))).collect::<Vec<_>>()
    };
    let rejected = look.opcua.certificates.iter().filter(|cert| !cert.trusted).count();
    let rejected = if servers.is_empty() { Vec::new() } else { vec![(Vec::new(), float(rejected as u64))] };
    vec![
        Family::gauge("opcua_up", "Whether the server is subscribed to", gauge(|s| flag(s.up))),
        Family::gauge("opcua_secured", "Whether anything protects the messages", gauge(|s| flag(s.is_secured))),
        Family::gauge("opcua_items_watched", "Points that the server watches", gauge(|s| float(s.watched as u64))),
        Family::gauge("opcua_items_refused", "Points that it refuses", gauge(|s| float(s.refused as u64))),
        Family::gauge("opcua_certificates_rejected", "Server certificates that nobody trusts", rejected),
        Family::counter("opcua_attempts", "Attempts to connect", count(|c| c.attempts)),
        Family::counter("opcua_sessions", "Sessions asked for (CreateSession)", count(|c| c.sessions)),
        Family::counter("opcua_reconnects", "Connections after the first", count(|c| c.reconnects)),
        Family::counter("opcua_notifications", "Notifications, keep-alives among them", count(|c| c.notifications)),
        Family::counter("opcua_values", "Values in them", count(|c| c.values)),
        Family::counter("opcua_overflows", "Values lost in the server's queues", count(|c| c.overflows)),
        Family::counter("opcua_sequence_gaps", "Notifications missing by their number", count(|c| c.sequence_gaps)),
        Family::counter("opcua_dropped", "Notifications the gateway had no room for", count(|c| c.dropped)),
        Family::counter("opcua_watchdog", "Sessions torn down because nothing was heard", count(|c| c.watchdog)),
        Family::counter("opcua_no_numbers", "Values that are no number", count(|c| c.no_numbers)),
        Family::counter("opcua_history_values", "Values read from history", count(|c| c.history_values)),
    ]
}

fn uplink(look: &Look) -> Vec<Family> {
    let u = &look.uplink;
    let mut families = vec![plain("uplink_configured", "Whether there is one", flag(u.configured))];
    if !u.configured {
        return families;
    }
    let of = |stream: Stream| u.streams.get(stream.rank()).copied().unwrap_or_default();
    let session = |name: &str| vec![("session", name.to_owned())];
    let up = u.sessions.iter().map(|s| (session(s.name), flag(s.up))).collect();
    let attempts = u.sessions.iter().map(|s| (session(s.name), s.attempts)).collect();
    let refused = u.refused.iter().map(|(reason, n)| (vec![("reason", (*reason).to_owned())], *n)).collect();
    let age = u.last_ack.map(|at| look.now.mono.since(at).as_secs_f64());
    families.extend([
        Family::gauge("uplink_session_up", "Whether the session is connected", up),
        Family::counter("uplink_session_attempts", "Session attempts of this run", attempts),
        of_streams("uplink_waiting_records", "Records that wait for delivery", |s| of(s).waiting),
        of_streams("uplink_in_flight_records", "Records sent, not acknowledged", |s| of(s).in_flight),
        Family::counter(
            "uplink_delivered_records",
            "Records acknowledged in this epoch",
            per_stream(|s| of(s).delivered),
        ),
        Family::counter("uplink_resent_records", "Records sent again in this run", per_stream(|s| of(s).resent)),
        Family::counter(
            "uplink_let_go_records",
            "Records that nobody had when memory was full",
            per_stream(|s| of(s).let_go),
        ),
        Family::counter("uplink_refused", "Messages refused, by reason", refused),
        plain("uplink_last_ack_age_seconds", "Age of the last acknowledgement", age),
        plain(
            "uplink_live_age_seconds",
            "Age of live records when sent, of late",
            u.live_age.map(|age| age.as_secs_f64()),
        ),
    ]);
    families
}

fn peers(look: &Look) -> Vec<Family> {
    let p = &look.peers;
    if !p.configured {
        return Vec::new();
    }
    let of = |gateway: &GatewayId| vec![("gateway", gateway.to_string())];
    let in_step = p.peers.iter().map(|peer| (of(&peer.gateway), flag(peer.in_step))).collect();
    let age = |peer: &PeerStatus| Some((of(&peer.gateway), look.now.mono.since(peer.heard?).as_secs_f64()));
    let refused = p.refused.iter().map(|(reason, n)| (vec![("reason", (*reason).to_owned())], *n)).collect();
    vec![
        plain("peers_session_up", "Whether the session with the park's broker is up", flag(p.up)),
        Family::gauge("peers_in_step", "Whether what the gateway had is here", in_step),
        Family::gauge(
            "peers_heard_age_seconds",
            "Age of the last word both ways",
            p.peers.iter().filter_map(age).collect(),
        ),
        total("peers_shared_events", "Events given to all as they were stored", p.shared),
        total("peers_resent_events", "Events given to one that lacked them", p.resent),
        total("peers_taken_events", "Events of others taken in", p.taken),
        total("peers_dropped_messages", "Messages that did not go because the line was busy", p.dropped),
        Family::counter("peers_refused", "Messages and events refused, by reason", refused),
    ]
}

fn clock(look: &Look) -> Vec<Family> {
    let c = &look.clock;
    let states = [ClockTrust::Synced, ClockTrust::Holdover, ClockTrust::Unsynced];
    let trust = states.map(|state| (vec![("trust", state.as_str().to_owned())], flag(state == c.trust)));
    let known = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
    vec![
        Family::gauge("clock_trust", "1 for the state that the clock is in", trust.into()),
        total("clock_steps", "Steps of the wall clock seen in this run", c.steps),
        plain(
            "clock_since_synced_seconds",
            "Time since the clock was last known to be disciplined",
            known(c.since_synced),
        ),
        plain("clock_max_error_seconds", "The kernel's estimate of the error", known(c.max_error)),
        plain(
            "config_refused",
            "Whether the newest configuration files are refused",
            flag(look.config.refused.is_some()),
        ),
        plain(
            "config_needs_restart",
            "Whether they hold changes that take effect at the next start",
            flag(!look.config.restart.is_empty()),
        ),
        plain("ready", "What /readyz says", flag(look.readiness.ready)),
        plain("live", "What /healthz says", flag(look.readiness.live)),
        plain("boot", "Start counter in this epoch", f64::from(look.identity.boot)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_one_interval_have_names_of_their_own() {
        let class = |ms| ClassView {
            interval: Duration::from_millis(ms),
            p50: None,
            p95: None,
            p99: None,
            worst_late: Duration::ZERO,
            due: 0,
            ok: 0,
            bad: 0,
            skipped: 0,
        };
        let classes = [class(1000), class(200), class(1000), class(1000)];
        assert_eq!([0, 1, 2, 3].map(|i| class_name(&classes, i)), ["1", "0.2", "1#2", "1#3"]);
    }
}
