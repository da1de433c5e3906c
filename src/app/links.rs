//! Which links run, and which device has which slot. A reload changes only what changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::stored;
use crate::buffer::Store;
use crate::clock::Clock;
use crate::domain::danger::Rules;
use crate::domain::engine::{Plan, PlanDevice};
use crate::domain::field_event::FieldEvent;
use crate::domain::id::{DeviceId, DeviceSlot, PointUid};
use crate::domain::registry::DeviceSpec;
use crate::domain::snapshot::OpcUaStatus;
use crate::field::Pki;
use crate::field::errand::Lenders;
use crate::field::settings::opcua::{ServerLink, Stored};
use crate::field::settings::{Endpoint, Link, Source};
use crate::field::tap::Taps;
use crate::field::{self, Buses, Joints};
use crate::state::registry::{RegistryBook, Revision};
use crate::supervise::Supervisor;

/// All links of the running configuration.
#[derive(Debug, Default)]
pub(super) struct Links {
    next_slot: u32,
    devices: Vec<Slotted>,
    /// The devices whose bytes are looked at.
    taps: watch::Sender<Arc<Taps>>,
    /// How the buses stand.
    buses: watch::Sender<Buses>,
    /// Where the buses take errands.
    lenders: watch::Sender<Lenders>,
    running: BTreeMap<Endpoint, Running>,
    servers: BTreeMap<String, Subscribed>,
}

#[derive(Clone, Debug)]
struct Slotted {
    slot: DeviceSlot,
    source: Source,
    spec: Arc<DeviceSpec>,
}

#[derive(Debug)]
struct Running {
    link: watch::Sender<Arc<Link>>,
    stop: CancellationToken,
}

/// A running OPC UA session.
#[derive(Debug)]
struct Subscribed {
    link: watch::Sender<Arc<ServerLink>>,
    stop: CancellationToken,
}

/// What links are started with.
pub(super) struct Ground<'a> {
    pub(super) supervisor: &'a mut Supervisor,
    pub(super) events: &'a mpsc::Sender<FieldEvent>,
    pub(super) clock: &'a Clock,
    pub(super) stop: &'a CancellationToken,
    pub(super) opcua: &'a OpcUa,
}

/// What OPC UA sessions share.
#[derive(Clone, Debug)]
pub(super) struct OpcUa {
    pub(super) pki: Pki,
    pub(super) status: watch::Sender<OpcUaStatus>,
    /// How far the points of the first plan are stored. A device that a reload changes has another slot, so that nothing of
    /// it is taken for the new one.
    pub(super) stored: Option<watch::Receiver<Option<Arc<Stored>>>>,
}

impl Links {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Gives slots to `sources` (with their specs in the same order) — the old one where a device is polled exactly as
    /// before — and returns the engine's plan, still without dangers.
    pub(super) fn plan(&mut self, sources: &[Source], specs: &[Arc<DeviceSpec>], revision: Revision) -> Plan {
        let before = std::mem::take(&mut self.devices);
        let before: BTreeMap<&DeviceId, &Slotted> = before.iter().map(|old| (old.source.id(), old)).collect();
        self.devices = sources
            .iter()
            .zip(specs)
            .map(|(source, spec)| {
                let kept = before.get(source.id()).filter(|old| is_same(old, source, spec)).map(|old| old.slot);
                Slotted { slot: kept.unwrap_or_else(|| self.take_slot()), source: source.clone(), spec: spec.clone() }
            })
            .collect();
        Plan {
            registry: revision.registry,
            registry_json: revision.json,
            devices: self.devices.iter().map(plan_device).collect(),
            danger: Rules::default(),
        }
    }

    /// Starts links for new addresses, tells running ones of their devices, ends those without any.
    pub(super) fn apply(&mut self, ground: &mut Ground<'_>) {
        self.apply_servers(ground);
        let Ground { supervisor, events, clock, stop, .. } = ground;
        let mut wanted = self.by_endpoint();
        self.running.retain(|endpoint, running| match wanted.remove(endpoint) {
            Some(link) => {
                let unchanged = **running.link.borrow() == link;
                if !unchanged {
                    running.link.send_replace(Arc::new(link));
                }
                true
            }
            None => {
                running.stop.cancel();
                false
            }
        });
        for (endpoint, link) in wanted {
            let stop = stop.child_token();
            let (link_tx, link_rx) = watch::channel(Arc::new(link));
            let joints = Joints {
                events: events.clone(),
                taps: self.taps.subscribe(),
                buses: self.buses.clone(),
                lenders: self.lenders.clone(),
            };
            let clock = clock.clone();
            supervisor.restartable(format!("link {endpoint}"), stop.clone(), move |stop| {
                field::run_link(link_rx.clone(), joints.clone(), clock.clone(), stop)
            });
            self.running.insert(endpoint, Running { link: link_tx, stop });
        }
    }

    /// The same for OPC UA servers; one whose settings changed gets a new session.
    fn apply_servers(&mut self, ground: &mut Ground<'_>) {
        let mut wanted = self.by_server();
        self.servers.retain(|id, running| {
            let before = running.link.borrow().clone();
            match wanted.get(id).filter(|link| link.server == before.server) {
                Some(link) if *link == *before => drop(wanted.remove(id)),
                Some(_) => {
                    let link = wanted.remove(id).unwrap_or_else(|| (*before).clone());
                    running.link.send_replace(Arc::new(link));
                }
                None => {
                    running.stop.cancel();
                    return false;
                }
            }
            true
        });
        for (id, link) in wanted {
            let stop = ground.stop.child_token();
            let (link_tx, link_rx) = watch::channel(Arc::new(link));
            let (events, clock, OpcUa { pki, status, mut stored }) =
                (ground.events.clone(), ground.clock.clone(), ground.opcua.clone());
            ground.supervisor.restartable(format!("opcua {id}"), stop.clone(), move |stop| {
                field::run_opcua(field::OpcUaInputs {
                    link: link_rx.clone(),
                    events: events.clone(),
                    status: status.clone(),
                    pki: pki.clone(),
                    clock: clock.clone(),
                    // Once: when the session is started again, more is stored than was then.
                    stored: stored.take(),
                    stop,
                })
            });
            self.servers.insert(id, Subscribed { link: link_tx, stop });
        }
    }

    fn by_server(&self) -> BTreeMap<String, ServerLink> {
        let mut links: BTreeMap<String, ServerLink> = BTreeMap::new();
        for Slotted { slot, source, .. } in &self.devices {
            let Source::OpcUa(device) = source else { continue };
            links
                .entry(device.server.id.clone())
                .or_insert_with(|| ServerLink { server: device.server.clone(), devices: Vec::new() })
                .devices
                .push((*slot, device.clone()));
        }
        links
    }

    /// Returns what OPC UA sessions share, their certificates in `pki`, and begins to look how far their points are stored.
    pub(super) fn opcua(
        &self,
        pki: PathBuf,
        supervisor: &mut Supervisor,
        stop: &CancellationToken,
        store: &Store,
        book: &RegistryBook,
    ) -> OpcUa {
        let stored = stored::look_up(supervisor, stop, store, book, self.with_history());
        OpcUa { pki: Pki::new(pki), status: watch::Sender::default(), stored }
    }

    /// Returns the points of OPC UA servers that keep history, by what names them for ever.
    fn with_history(&self) -> BTreeMap<PointUid, (DeviceSlot, u16)> {
        let keeps = |source: &Source| matches!(source, Source::OpcUa(device) if !device.server.history.is_zero());
        let devices = self.devices.iter().filter(|slotted| keeps(&slotted.source));
        let points = |slotted: &Slotted| {
            let slot = slotted.slot;
            let uids: Vec<PointUid> = slotted.spec.points.iter().map(|point| point.uid.clone()).collect();
            uids.into_iter().zip(0_u16..).map(move |(uid, ordinal)| (uid, (slot, ordinal)))
        };
        devices.flat_map(points).collect()
    }

    /// Returns what decides whose bytes are looked at.
    pub(super) fn taps(&self) -> watch::Sender<Arc<Taps>> {
        self.taps.clone()
    }

    /// Returns how the buses stand.
    pub(super) fn buses(&self) -> watch::Receiver<Buses> {
        self.buses.subscribe()
    }

    /// Returns where the buses take errands, also those that a reload brings.
    pub(super) fn lenders(&self) -> watch::Receiver<Lenders> {
        self.lenders.subscribe()
    }

    /// Forgets all links, which closes what they wait on.
    pub(super) fn clear(&mut self) {
        self.running.clear();
        self.servers.clear();
    }

    fn by_endpoint(&self) -> BTreeMap<Endpoint, Link> {
        let mut links: BTreeMap<Endpoint, Link> = BTreeMap::new();
        for Slotted { slot, source, .. } in &self.devices {
            let Source::Modbus(device) = source else { continue };
            links
                .entry(device.endpoint.clone())
                .or_insert_with(|| Link { endpoint: device.endpoint.clone(), devices: Vec::new() })
                .devices
                .push((*slot, device.clone()));
        }
        links
    }

    fn take_slot(&mut self) -> DeviceSlot {
        self.next_slot += 1;
        DeviceSlot(self.next_slot)
    }
}

/// The readings of a slot mean the same before and after: polled alike, and the same points behind the ordinals.
fn is_same(old: &Slotted, source: &Source, spec: &DeviceSpec) -> bool {
    old.source == *source && old.spec.points.iter().map(|p| &p.uid).eq(spec.points.iter().map(|p| &p.uid))
}

fn plan_device(slotted: &Slotted) -> PlanDevice {
    PlanDevice {
        slot: slotted.slot,
        classes: slotted.source.classes().iter().map(|c| c.interval).collect(),
        class_of: slotted.source.class_of(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::registry::Registry;
    use crate::domain::registry::testing::registry_with;
    use crate::field::settings::{Device, Encoding, Table, testing};

    /// Device `n` of two points, on a port where nobody listens.
    fn device(n: usize, port: u16) -> Arc<Device> {
        let points = [0, 1].map(|address| testing::point(Table::Holding, address, Encoding::U16));
        Arc::new(Device {
            id: DeviceId::new(format!("d{n}")),
            endpoint: Endpoint::tcp("127.0.0.1", port),
            unit: u8::try_from(n).unwrap(),
            ..testing::device(points.into())
        })
    }

    fn specs(n: usize) -> Vec<Arc<DeviceSpec>> {
        registry_with(n, 2, |_| None).devices
    }

    fn revision(specs: &[Arc<DeviceSpec>]) -> Revision {
        Revision { registry: Arc::new(Registry { rev: 1, devices: specs.to_vec() }), json: "{}".into() }
    }

    fn sources(devices: &[Arc<Device>]) -> Vec<Source> {
        devices.iter().cloned().map(Source::Modbus).collect()
    }

    fn slots(links: &mut Links, devices: &[Arc<Device>], specs: &[Arc<DeviceSpec>]) -> Vec<u32> {
        links.plan(&sources(devices), specs, revision(specs)).devices.iter().map(|d| d.slot.0).collect()
    }

    #[test]
    fn a_device_polled_as_before_keeps_its_slot_wherever_it_stands_in_the_file() {
        let mut links = Links::new();
        let (devices, specs) = ([device(0, 1), device(1, 1), device(2, 2)], specs(3));
        assert_eq!(slots(&mut links, &devices, &specs), [1, 2, 3]);
        assert_eq!(slots(&mut links, &devices, &specs), [1, 2, 3]);
        let turned = |all: &[usize]| -> (Vec<_>, Vec<_>) {
            all.iter().map(|i| (devices[*i].clone(), specs[*i].clone())).unzip()
        };
        let (some, of_them) = turned(&[2, 0]);
        assert_eq!(slots(&mut links, &some, &of_them), [3, 1]);
        let (all, of_all) = turned(&[0, 1, 2]);
        assert_eq!(slots(&mut links, &all, &of_all), [1, 4, 3], "a slot given up never comes back");
    }

    #[test]
    fn what_points_mean_may_change_under_a_slot_but_not_which_points_they_are() {
        let mut links = Links::new();
        let (devices, mut specs) = ([device(0, 1)], specs(1));
        let changed = |specs: &[Arc<DeviceSpec>], change: fn(&mut DeviceSpec)| {
            let mut spec = (*specs[0]).clone();
            change(&mut spec);
            vec![Arc::new(spec)]
        };
        slots(&mut links, &devices, &specs);
        specs = changed(&specs, |spec| spec.points[0].name = "液位".into());
        specs = changed(&specs, |spec| spec.points[1].max_silence = Duration::from_secs(5));
        let plan = links.plan(&sources(&devices), &specs, revision(&specs));
        assert_eq!(plan.devices[0].slot, DeviceSlot(1));
        assert_eq!(plan.registry.devices, specs);
        specs = changed(&specs, |spec| spec.points.swap(0, 1));
        assert_eq!(slots(&mut links, &devices, &specs), [2], "ordinal 0 is another point now");
    }

    #[test]
    fn any_other_way_of_asking_is_a_new_slot() {
        let mut links = Links::new();
        let specs = specs(1);
        let base = device(0, 1);
        let ways: [fn(&mut Device); 4] = [
            |d| d.endpoint = Endpoint::tcp("127.0.0.1", 9),
            |d| d.timeout = Duration::from_secs(2),
            |d| d.points[0].scale = 0.1,
            |d| d.classes[0].interval = Duration::from_secs(5),
        ];
        for way in ways {
            let before = slots(&mut links, std::slice::from_ref(&base), &specs);
            let mut other = (*base).clone();
            way(&mut other);
            assert_ne!(slots(&mut links, &[Arc::new(other)], &specs), before);
        }
    }

    fn running(links: &Links) -> Vec<(u16, Vec<u32>)> {
        let devices = |r: &Running| r.link.borrow().devices.iter().map(|(slot, _)| slot.0).collect();
        let port = |endpoint: &Endpoint| {
            let Endpoint::Tcp { port, .. } = endpoint else { panic!("all over TCP") };
            *port
        };
        links.running.iter().map(|(endpoint, r)| (port(endpoint), devices(r))).collect()
    }

    #[tokio::test]
    async fn one_link_per_address_and_only_what_changed_is_told() {
        let clock = Clock::system();
        let (mut supervisor, mut links) = (Supervisor::new(clock.clone()), Links::new());
        let (events, _taken) = mpsc::channel(64);
        let opcua = OpcUa { pki: Pki::new("unused"), status: watch::Sender::default(), stored: None };
        let stop = CancellationToken::new();
        let mut install = |links: &mut Links, devices: &[Arc<Device>]| {
            let specs = specs(devices.len());
            links.plan(&sources(devices), &specs, revision(&specs));
            links.apply(&mut Ground {
                supervisor: &mut supervisor,
                events: &events,
                clock: &clock,
                stop: &stop,
                opcua: &opcua,
            });
        };
        install(&mut links, &[device(0, 1), device(1, 1), device(2, 2)]);
        assert_eq!(running(&links), [(1, vec![1, 2]), (2, vec![3])]);

        let mut watched = links.running.values().map(|r| r.link.subscribe()).collect::<Vec<_>>();
        watched.iter_mut().for_each(|w| w.mark_unchanged());
        let ended = links.running.values().last().unwrap().stop.clone();
        install(&mut links, &[device(0, 1), device(1, 1)]);
        assert_eq!(running(&links), [(1, vec![1, 2])]);
        assert!(ended.is_cancelled(), "an address without devices is let go");
        assert!(!watched[0].has_changed().unwrap(), "the other link is not disturbed");

        // The address comes back while its old task may still be ending: a task of its own, with a slot of its own.
        install(&mut links, &[device(0, 1), device(1, 1), device(2, 2)]);
        assert_eq!(running(&links), [(1, vec![1, 2]), (2, vec![4])]);
        assert!(!links.running.values().last().unwrap().stop.is_cancelled());

        stop.cancel();
        links.clear();
        let deadline = clock.mono() + Duration::from_secs(30);
        assert!(supervisor.drain(deadline).await.is_empty());
    }
}
