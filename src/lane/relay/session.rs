//! Carries what [`Machine`] asks to a module, over one connection that is kept open.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::modbus::session::Link;
use super::Module;
use super::machine::{Machine, Output};
use crate::clock::Clock;
use crate::domain::gate::hardware::{LaneCommand, LaneEvent, LaneReceipt};

/// Pause after a connection that failed: an input is dead for little longer than its cable is out.
const RETRY: Duration = Duration::from_millis(500);

/// Runs a module until `stop`, or until nobody listens any more. Contacts that are on then are taken back before it ends.
pub async fn run(
    module: Module,
    mut commands: mpsc::Receiver<LaneCommand>,
    events: mpsc::Sender<LaneEvent>,
    receipts: mpsc::Sender<LaneReceipt>,
    clock: Clock,
    stop: CancellationToken,
) {
    let address = module.address.clone();
    let mut machine = Machine::new(module, clock.mono());
    let mut link = None;
    let mut retry_at = clock.mono();
    while !stop.is_cancelled() {
        if !told(&mut machine, &events, &receipts).await {
            return;
        }
        if let Some(open) = link.take() {
            link = step(open, &mut machine, &mut commands, &clock, &stop).await;
            if link.is_none() {
                retry_at = clock.mono() + RETRY;
            }
            continue;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            command = commands.recv() => match command {
                Some(command) => machine.handle_command(command, clock.mono()),
                None => return,
            },
            () = clock.sleep_until(retry_at) => match Link::connect(&address).await {
                Ok(open) => {
                    machine.handle_connected(clock.mono());
                    link = Some(open);
                }
                Err(why) => {
                    machine.handle_lost(&why, clock.mono());
                    retry_at = clock.mono() + RETRY;
                }
            },
        }
    }
    machine.handle_stop(clock.mono());
    while let (Some(open), Some(request)) = (link.take(), machine.poll_request(clock.mono())) {
        let Ok((open, reply)) = open.ask(&request).await else { return };
        machine.handle_reply(&reply, clock.mono());
        link = Some(open);
    }
}

/// One request, or a wait for one; `None` when the connection is gone.
async fn step(
    link: Link,
    machine: &mut Machine,
    commands: &mut mpsc::Receiver<LaneCommand>,
    clock: &Clock,
    stop: &CancellationToken,
) -> Option<Link> {
    // What has come meanwhile goes before the next scan.
    while let Ok(command) = commands.try_recv() {
        machine.handle_command(command, clock.mono());
    }
    let Some(request) = machine.poll_request(clock.mono()) else {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(command) = commands.recv() => machine.handle_command(command, clock.mono()),
            () = clock.sleep_until_opt(machine.poll_timeout()) => {}
        }
        return Some(link);
    };
    match link.ask(&request).await {
        Ok((link, reply)) => {
            machine.handle_reply(&reply, clock.mono());
            Some(link)
        }
        Err(why) => {
            machine.handle_lost(&why, clock.mono());
            None
        }
    }
}

/// Passes on what the machine has; `false` when nobody takes it.
async fn told(machine: &mut Machine, events: &mpsc::Sender<LaneEvent>, receipts: &mpsc::Sender<LaneReceipt>) -> bool {
    while let Some(output) = machine.poll_output() {
        let taken = match output {
            Output::Event(event) => events.send(event).await.is_ok(),
            Output::Receipt(receipt) => receipts.send(receipt).await.is_ok(),
        };
        if !taken {
            return false;
        }
    }
    true
}
