//! Which links run, and which device has which slot. A reload changes only what changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::engine::{Plan, PlanDevice};
use crate::domain::field_event::FieldEvent;
use crate::domain::id::{DeviceId, DeviceSlot};
use crate::domain::registry::DeviceSpec;
use crate::field;
use crate::field::settings::{Device, Endpoint, Link};
use crate::state::registry::Revision;
use crate::supervise::Supervisor;

/// All links of the running configuration.
#[derive(Debug, Default)]
pub(super) struct Links {
    next_slot: u32,
    devices: Vec<Slotted>,
    running: BTreeMap<Endpoint, Running>,
}

#[derive(Clone, Debug)]
struct Slotted {
    slot: DeviceSlot,
    device: Arc<Device>,
    spec: Arc<DeviceSpec>,
}

#[derive(Debug)]
struct Running {
    link: watch::Sender<Arc<Link>>,
    stop: CancellationToken,
}

impl Links {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Gives slots to `devices` (with their specs in the same order) — the old one where a device is polled exactly as
    /// before — and returns the engine's plan.
    pub(super) fn plan(&mut self, devices: &[Arc<Device>], specs: &[Arc<DeviceSpec>], revision: Revision) -> Plan {
        let before = std::mem::take(&mut self.devices);
        let before: BTreeMap<&DeviceId, &Slotted> = before.iter().map(|old| (&old.device.id, old)).collect();
        self.devices = devices
            .iter()
            .zip(specs)
            .map(|(device, spec)| {
                let kept = before.get(&device.id).filter(|old| is_same(old, device, spec)).map(|old| old.slot);
                Slotted { slot: kept.unwrap_or_else(|| self.take_slot()), device: device.clone(), spec: spec.clone() }
            })
            .collect();
        Plan {
            registry: revision.registry,
            registry_json: revision.json,
            devices: self.devices.iter().map(plan_device).collect(),
        }
    }

    /// Starts links for new addresses, tells running ones of their devices, ends those without any.
    pub(super) fn apply(
        &mut self,
        supervisor: &mut Supervisor,
        events: &mpsc::Sender<FieldEvent>,
        clock: &Clock,
        stop: &CancellationToken,
    ) {
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
            let (events, clock) = (events.clone(), clock.clone());
            supervisor.restartable(format!("link {}:{}", endpoint.host, endpoint.port), stop.clone(), move |stop| {
                field::run_link(link_rx.clone(), events.clone(), clock.clone(), stop)
            });
            self.running.insert(endpoint, Running { link: link_tx, stop });
        }
    }

    /// Forgets all links, which closes what they wait on.
    pub(super) fn clear(&mut self) {
        self.running.clear();
    }

    fn by_endpoint(&self) -> BTreeMap<Endpoint, Link> {
        let mut links: BTreeMap<Endpoint, Link> = BTreeMap::new();
        for Slotted { slot, device, .. } in &self.devices {
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
fn is_same(old: &Slotted, device: &Device, spec: &DeviceSpec) -> bool {
    *old.device == *device && old.spec.points.iter().map(|p| &p.uid).eq(spec.points.iter().map(|p| &p.uid))
}

fn plan_device(slotted: &Slotted) -> PlanDevice {
    PlanDevice {
        slot: slotted.slot,
        classes: slotted.device.classes.iter().map(|c| c.interval).collect(),
        class_of: slotted.device.points.iter().map(|p| p.class).collect(),
    }
}
