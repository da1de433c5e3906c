//! What is asked of a module, and when: pure, with `now` as an argument. One request is out at a time.
//!
//! ```text
//!  Open ──▶ see that the others are off ──▶ on ──answered──▶ receipt Sent ──▶ (length) ──▶ off, seen off ──▶ done
//!             │ one is on: off, look again        └─not answered──▶ receipt Unanswered ──▶ off at once, seen off
//!             └ still on: Failed
//!  Close: as Open, and right before "on" see that nothing is under the arm. An Open, a hold or a stop ends a Close under way.
//!  Stop: as Open. An Open or a hold that comes meanwhile waits behind it, to its own end at most; one of them.
//! ```
//!
//! # What holds
//!
//! - **Never both**: before a contact goes on, every other contact that has a coil was seen off after whatever was done last.
//! - **Never late**: no contact goes on after its command's end. **Never twice**: a key is taken once ([`KEYS`] are
//!   remembered); a write that was not answered is never sent again, only taken back.
//! - **Never left on**: a pulse by coil is taken back until the module says so, also after the connection was lost; on each
//!   new connection contacts that are found on are taken back first. A hold is left as it is found: ending it could let the
//!   barrier close by itself, and a restart moves nothing.
//! - **Close** looks at the module's inputs right before it goes on: with one of `under_arm` and `beam` on or not heard it is refused.
//! - Off comes before on, on before inputs; inputs are read at least every [`SCAN`] while nothing else is to be done.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::super::modbus::request::{Reply, Request};
use super::{Contact, Module, SCAN};
use crate::domain::gate::hardware::{
    Act, Carried, INPUT_REPEAT, Input, LaneCommand, LaneDevice, LaneEvent, LaneReceipt, Seen,
};
use crate::domain::time::Mono;

/// Keys that are remembered: at one actuation a second those of some minutes, and no command lives longer than seconds.
const KEYS: usize = 256;
/// A contact that is still on after it was taken back so often: the module does not obey.
const TAKE_BACKS: u32 = 3;
/// Pause between two tries to take a contact back.
const TAKE_BACK_EVERY: Duration = Duration::from_millis(200);

/// What is to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To the lane.
    Event(LaneEvent),
    /// What became of a command.
    Receipt(LaneReceipt),
}

/// The state of one module.
#[derive(Debug)]
pub struct Machine {
    module: Module,
    connected: bool,
    up: Option<bool>,
    /// What the request that is out is for.
    out_for: Option<For>,
    job: Option<Job>,
    /// What waits behind a stop: the arm that was stopped is to go up, or to stay up.
    behind: Option<LaneCommand>,
    /// Coils to be taken back, with when it is due and how often it was tried.
    back: Vec<Back>,
    /// After a connection: contacts have to be looked at.
    look: bool,
    stopping: bool,
    scan_at: Mono,
    heard: Vec<Option<Heard>>,
    keys: VecDeque<String>,
    output: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    on: bool,
    /// When it was heard last, and when that was said.
    at: Mono,
    said: Mono,
}

#[derive(Clone, Debug)]
struct Back {
    coil: u16,
    due: Mono,
    tries: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Look,
    Scan,
    Back(u16),
    /// The step of the job.
    Clear,
    Others,
    On,
    /// A step of a job that has given way: its answer says nothing any more.
    Void,
}

#[derive(Clone, Debug)]
struct Job {
    command: LaneCommand,
    step: Step,
    clears: u32,
}

impl Job {
    fn new(command: LaneCommand) -> Self {
        Self { command, step: Step::Others, clears: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Look at the other contacts.
    Others,
    /// Look at the inputs (close only); the next request is the one that closes.
    Clear,
    /// Switch on.
    On,
}

impl Machine {
    /// Begins without a connection: every input is dead.
    pub fn new(module: Module, now: Mono) -> Self {
        let heard = vec![None; module.inputs.len()];
        let mut machine = Self {
            module,
            connected: false,
            up: None,
            out_for: None,
            job: None,
            behind: None,
            back: Vec::new(),
            look: false,
            stopping: false,
            scan_at: now,
            heard,
            keys: VecDeque::new(),
            output: VecDeque::new(),
        };
        machine.dead(now, "尚未连接 / not connected yet");
        machine
    }

    /// Returns the next thing to be told.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// Returns when [`Machine::poll_request`] may have something without an event; `None` while a request is out.
    pub fn poll_timeout(&self) -> Option<Mono> {
        if !self.connected || self.out_for.is_some() {
            return None;
        }
        self.back.iter().map(|back| back.due).chain([self.scan_at]).min()
    }

    /// A connection is there.
    pub fn handle_connected(&mut self, now: Mono) {
        (self.connected, self.look, self.out_for, self.scan_at) = (true, true, None, now);
    }

    /// The connection is gone, or there is none to be had. A switching-on that was out may have been done.
    pub fn handle_lost(&mut self, why: &str, now: Mono) {
        let out_for = self.out_for.take();
        self.connected = false;
        if let Some(job) = self.job.take() {
            let uncertain = out_for == Some(For::On);
            if uncertain {
                self.take_back(&job, now);
            }
            let why = why.to_owned();
            let carried = if uncertain { Carried::Unanswered(why) } else { Carried::Failed(why) };
            self.receipt(job.command, carried, now);
        }
        if let Some(behind) = self.behind.take() {
            self.receipt(behind, Carried::Failed(why.to_owned()), now);
        }
        self.dead(now, why);
    }

    /// The gateway stops: what is under way is given up, contacts that are on are taken back at once, and nothing else is asked.
    pub fn handle_stop(&mut self, now: Mono) {
        self.stopping = true;
        for command in self.job.take().map(|job| job.command).into_iter().chain(self.behind.take()) {
            self.receipt(command, Carried::Failed("网关停止 / the gateway stops".to_owned()), now);
        }
        self.back.iter_mut().for_each(|back| back.due = now);
    }

    fn dead(&mut self, now: Mono, why: &str) {
        for (wire, heard) in self.module.inputs.clone().into_iter().zip(&mut self.heard) {
            let first = self.up.is_none();
            if heard.take().is_some() || first {
                let what = Seen::Input { input: wire.input, on: None };
                self.output.push_back(Output::Event(LaneEvent { lane: self.module.lane.clone(), at: now, what }));
            }
        }
        if self.up != Some(false) {
            self.up = Some(false);
            self.device(false, why, now);
        }
    }

    fn device(&mut self, up: bool, why: &str, now: Mono) {
        let (device, why) = (self.module.device.clone(), why.to_owned());
        self.event(Seen::Device { device, kind: LaneDevice::Relay, up, why }, now);
    }

    fn event(&mut self, what: Seen, at: Mono) {
        self.output.push_back(Output::Event(LaneEvent { lane: self.module.lane.clone(), at, what }));
    }

    fn receipt(&mut self, command: LaneCommand, carried: Carried, at: Mono) {
        let LaneCommand { key, lane, .. } = command;
        self.output.push_back(Output::Receipt(LaneReceipt { key, lane, at, carried }));
    }

    /// What waited behind a stop is next.
    fn after_stop(&mut self) {
        if self.job.is_none() {
            self.job = self.behind.take().map(Job::new);
        }
    }

    /// Takes a command. Each gives one receipt.
    pub fn handle_command(&mut self, command: LaneCommand, now: Mono) {
        self.after_stop();
        if let Err(carried) = self.admitted(&command, now) {
            return self.receipt(command, carried, now);
        }
        if self.keys.len() >= KEYS {
            self.keys.pop_front();
        }
        self.keys.push_back(command.key.clone());
        if self.job.as_ref().is_some_and(|job| job.command.act == Act::Stop) {
            self.behind = Some(command);
            return;
        }
        if let Some(job) = self.job.take() {
            // Only a close gives way. What it may have switched on is taken back before the other goes on.
            if self.out_for == Some(For::On) {
                self.take_back(&job, now);
            }
            if matches!(self.out_for, Some(For::Clear | For::Others | For::On)) {
                self.out_for = Some(For::Void);
            }
            let why = Carried::Refused("被更优先的命令取代 / gave way to another command".to_owned());
            self.receipt(job.command, why, now);
        }
        // A closing contact is not waited for.
        let closing = self.module.close.as_ref().and_then(Contact::coil).filter(|_| command.act != Act::Close);
        for back in self.back.iter_mut().filter(|back| Some(back.coil) == closing) {
            back.due = back.due.min(now);
        }
        self.job = Some(Job::new(command));
    }

    fn admitted(&self, command: &LaneCommand, now: Mono) -> Result<(), Carried> {
        let refused = |why: &str| Err(Carried::Refused(why.to_owned()));
        if command.lane != self.module.lane {
            return refused("不是本车道 / another lane");
        }
        if self.contact(&command.act).is_none() && !self.holds(&command.act) {
            return refused("模块未接此触点 / no such contact on this module");
        }
        if self.keys.contains(&command.key) {
            return refused("命令号已用过 / the key was used");
        }
        if now > command.not_after {
            return Err(Carried::Expired);
        }
        if !self.connected {
            return Err(Carried::Failed("模块未连接 / the module is not connected".to_owned()));
        }
        let free = self.job.as_ref().is_none_or(|job| match job.command.act {
            Act::Close => command.act != Act::Close,
            Act::Stop => self.behind.is_none() && matches!(command.act, Act::Open { .. } | Act::HoldOpen),
            Act::Open { .. } | Act::HoldOpen | Act::EndHold | Act::Dismiss { .. } | Act::Show(_) => false,
        });
        if !free {
            return refused("上一命令未完成 / another command is under way");
        }
        Ok(())
    }

    fn holds(&self, act: &Act) -> bool {
        matches!(act, Act::HoldOpen | Act::EndHold) && self.module.hold.is_some()
    }

    fn contact(&self, act: &Act) -> Option<&Contact> {
        match act {
            Act::Open { .. } => self.module.open.as_ref(),
            Act::Close => self.module.close.as_ref(),
            Act::Stop => self.module.stop.as_ref(),
            Act::HoldOpen | Act::EndHold | Act::Dismiss { .. } | Act::Show(_) => None,
        }
    }

    /// Coils of the contacts that must be off before `act`'s own goes on.
    fn others(&self, act: &Act) -> BTreeSet<u16> {
        let own = self.contact(act).and_then(Contact::coil);
        let contacts = [&self.module.open, &self.module.close, &self.module.stop];
        let mut coils: BTreeSet<u16> = contacts.into_iter().flatten().filter_map(Contact::coil).collect();
        if matches!(act, Act::Close | Act::Stop) {
            coils.extend(self.module.hold);
        }
        if let Some(own) = own {
            coils.remove(&own);
        }
        coils
    }

    fn look_at(coils: &BTreeSet<u16>) -> Option<Request> {
        let (first, last) = (*coils.first()?, *coils.last()?);
        let count = (last - first).saturating_add(1);
        Some(Request::Read { function: 1, start: first, count })
    }

    fn all_coils(&self) -> BTreeSet<u16> {
        let contacts = [&self.module.open, &self.module.close, &self.module.stop];
        contacts.into_iter().flatten().filter_map(Contact::coil).collect()
    }

    fn scan(&self) -> Request {
        let super::Block { function, start, count } = self.module.block;
        Request::Read { function, start, count }
    }

    /// Returns the next request; its answer comes to [`Machine::handle_reply`], or the connection is lost.
    pub fn poll_request(&mut self, now: Mono) -> Option<Request> {
        if !self.connected || self.out_for.is_some() {
            return None;
        }
        if std::mem::take(&mut self.look)
            && let Some(request) = Self::look_at(&self.all_coils())
        {
            self.out_for = Some(For::Look);
            return Some(request);
        }
        if let Some(back) = self.back.iter().find(|back| back.due <= now) {
            self.out_for = Some(For::Back(back.coil));
            return Some(Request::WriteSingleCoil { address: back.coil, on: false });
        }
        if let Some(request) = self.job_request(now) {
            return Some(request);
        }
        (self.scan_at <= now && !self.stopping).then(|| {
            self.out_for = Some(For::Scan);
            self.scan()
        })
    }

    fn job_request(&mut self, now: Mono) -> Option<Request> {
        self.after_stop();
        let job = self.job.clone()?;
        // Nothing goes on while something is still to be taken back.
        if !self.back.is_empty() {
            if now > job.command.not_after {
                self.job = None;
                self.receipt(job.command, Carried::Expired, now);
            }
            return None;
        }
        let (out_for, request) = match job.step {
            Step::Clear => (For::Clear, self.scan()),
            Step::Others => match Self::look_at(&self.others(&job.command.act)) {
                Some(request) => (For::Others, request),
                None if job.command.act == Act::Close => (For::Clear, self.scan()),
                None => (For::On, self.on(&job.command.act)?),
            },
            Step::On => (For::On, self.on(&job.command.act)?),
        };
        if out_for == For::On && now > job.command.not_after {
            self.job = None;
            self.receipt(job.command, Carried::Expired, now);
            return None;
        }
        self.out_for = Some(out_for);
        Some(request)
    }

    fn on(&self, act: &Act) -> Option<Request> {
        if let Some(hold) = self.module.hold.filter(|_| self.holds(act)) {
            return Some(Request::WriteSingleCoil { address: hold, on: *act == Act::HoldOpen });
        }
        Some(match self.contact(act)? {
            Contact::Pulse { coil, .. } => Request::WriteSingleCoil { address: *coil, on: true },
            Contact::Flash { register, words, .. } => match words.as_slice() {
                [word] => Request::WriteSingleRegister { address: *register, value: *word },
                words => Request::WriteMultipleRegisters { start: *register, values: words.to_vec() },
            },
        })
    }

    /// Plans that the coil of a job that may be on is taken back.
    fn take_back(&mut self, job: &Job, due: Mono) {
        if let Some(Contact::Pulse { coil, .. }) = self.contact(&job.command.act) {
            let coil = *coil;
            self.plan_back(coil, due);
        }
    }

    fn plan_back(&mut self, coil: u16, due: Mono) {
        match self.back.iter_mut().find(|back| back.coil == coil) {
            Some(back) => back.due = back.due.min(due),
            None => self.back.push(Back { coil, due, tries: 0 }),
        }
    }

    /// The answer to the request that is out.
    pub fn handle_reply(&mut self, reply: &Reply, now: Mono) {
        match self.out_for.take() {
            Some(For::Scan) => self.scanned(reply, now),
            Some(For::Look) => {
                let on: Vec<u16> = on_among(reply, &self.all_coils());
                on.into_iter().for_each(|coil| self.plan_back(coil, now));
            }
            Some(For::Back(coil)) => self.taken_back(coil, reply, now),
            Some(For::Clear) => {
                self.scanned(reply, now);
                self.cleared(now);
            }
            Some(For::Others) => self.others_seen(reply, now),
            Some(For::On) => self.switched(reply, now),
            Some(For::Void) | None => {}
        }
    }

    fn scanned(&mut self, reply: &Reply, now: Mono) {
        self.scan_at = now + SCAN;
        let bit = |at: u16| match reply {
            Reply::Bits(bits) => bits.get(usize::from(at)).copied(),
            Reply::Words(words) => words.get(usize::from(at / 16)).map(|word| word >> (at % 16) & 1 == 1),
            Reply::Written | Reply::Exception(_) => None,
        };
        if let Reply::Exception(code) = reply {
            return self.dead(now, &format!("读输入被拒 / exception {code:02X} to the inputs"));
        }
        if self.up != Some(true) {
            self.up = Some(true);
            self.device(true, "", now);
        }
        let wires = self.module.inputs.clone();
        for (index, wire) in wires.into_iter().enumerate() {
            let on = bit(wire.bit).map(|current| current != wire.closed_at_rest);
            let Some(place) = self.heard.get_mut(index) else { continue };
            let before = *place;
            let news = match (before, on) {
                (Some(before), Some(on)) => before.on != on || now.since(before.said) + SCAN > INPUT_REPEAT,
                (None, None) => false,
                _ => true,
            };
            let said = if news { now } else { before.map_or(now, |before| before.said) };
            *place = on.map(|on| Heard { on, at: now, said });
            if news {
                self.event(Seen::Input { input: wire.input, on }, now);
            }
        }
    }

    /// Goes on with a close when nothing is under the arm.
    fn cleared(&mut self, now: Mono) {
        let Some(mut job) = self.job.take() else { return };
        let guards = self.module.inputs.iter().zip(&self.heard);
        let guards = guards.filter(|(wire, _)| matches!(wire.input, Input::UnderArm | Input::Beam));
        let clear = guards.into_iter().all(|(_, heard)| heard.is_some_and(|heard| !heard.on && heard.at == now));
        if clear {
            job.step = Step::On;
            self.job = Some(job);
        } else {
            let why = "杆下有物或检测失效 / something is under the arm, or its sensor is not heard".to_owned();
            self.receipt(job.command, Carried::Refused(why), now);
        }
    }

    fn others_seen(&mut self, reply: &Reply, now: Mono) {
        let Some(mut job) = self.job.take() else { return };
        if !matches!(reply, Reply::Bits(_)) {
            let why = "看不到其他触点 / the other contacts cannot be seen".to_owned();
            return self.receipt(job.command, Carried::Failed(why), now);
        }
        let on = on_among(reply, &self.others(&job.command.act));
        if on.is_empty() {
            job.step = if job.command.act == Act::Close { Step::Clear } else { Step::On };
        } else if self.module.hold.is_some_and(|hold| on.contains(&hold)) {
            let why = "正在常开保持 / it is held open".to_owned();
            return self.receipt(job.command, Carried::Refused(why), now);
        } else if job.clears >= TAKE_BACKS {
            let why = "另一触点仍闭合 / another contact stays on".to_owned();
            return self.receipt(job.command, Carried::Failed(why), now);
        } else {
            job.clears += 1;
            on.into_iter().for_each(|coil| self.plan_back(coil, now));
        }
        self.job = Some(job);
    }

    fn switched(&mut self, reply: &Reply, now: Mono) {
        let Some(job) = self.job.take() else { return };
        let carried = match reply {
            Reply::Written => Carried::Sent,
            Reply::Exception(code) => Carried::Failed(format!("模块拒绝 / exception {code:02X}")),
            Reply::Bits(_) | Reply::Words(_) => Carried::Unanswered("an answer of another kind".to_owned()),
        };
        let length = match self.contact(&job.command.act) {
            Some(Contact::Pulse { length, .. }) if carried == Carried::Sent => *length,
            Some(_) | None => Duration::ZERO,
        };
        self.take_back(&job, now + length);
        self.receipt(job.command, carried, now);
    }

    fn taken_back(&mut self, coil: u16, reply: &Reply, now: Mono) {
        let Some(at) = self.back.iter().position(|back| back.coil == coil) else { return };
        if *reply == Reply::Written {
            self.back.remove(at);
        } else if let Some(back) = self.back.get_mut(at) {
            back.tries = back.tries.saturating_add(1);
            back.due = now + TAKE_BACK_EVERY;
            if back.tries == TAKE_BACKS {
                self.up = Some(false);
                self.device(false, "触点断不开 / a contact cannot be taken back", now);
            }
        }
    }
}

/// Coils of `coils` that are on by an answer to a look at them.
fn on_among(reply: &Reply, coils: &BTreeSet<u16>) -> Vec<u16> {
    let Reply::Bits(bits) = reply else { return Vec::new() };
    let Some(first) = coils.first() else { return Vec::new() };
    coils.iter().copied().filter(|coil| bits.get(usize::from(coil - first)) == Some(&true)).collect()
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
