//! A Python peer: a child process that says what happens in JSON, one object per line, until its stdin closes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::wait::until;

/// A running peer. Its stdin closes when it is dropped, then it is killed if it does not end.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    heard: Arc<(Mutex<Vec<Value>>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Peer {
    /// Starts `tests/peers/{script}` with `args`; `None` after a skip when there is no Python with the packages.
    pub fn start(script: &str, args: &[&str]) -> Option<Self> {
        let python = super::python()?;
        let file = super::root().join("tests/peers").join(script);
        let mut command = Command::new(python);
        command.arg(file).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let heard = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let to = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(value) = line.map(|l| serde_json::from_str(&l).unwrap_or(Value::Null)) else { return };
                to.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
                to.1.notify_all();
            }
        });
        Some(Self { child, heard, reader: Some(reader) })
    }

    /// Sends a line to the peer.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Stops it from doing anything, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { nix::sys::signal::Signal::SIGSTOP } else { nix::sys::signal::Signal::SIGCONT };
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// The last object that has the member `name`, its value.
    pub fn last(&self, name: &str) -> Option<Value> {
        let heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().rev().find_map(|v| v.get(name).cloned())
    }

    /// The values of the member `name` of all objects that have it, in order.
    pub fn all(&self, name: &str) -> Vec<Value> {
        let heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter_map(|v| v.get(name).cloned()).collect()
    }

    /// Waits for an object with the member `name` and returns its value.
    pub fn hears(&self, deadline: Duration, name: &str) -> Value {
        until(deadline, &format!("the peer says `{name}`"), || self.last(name))
    }

    /// Closes its stdin, waits until it has ended, and returns the last value of the member `name`.
    pub fn ends(mut self, deadline: Duration, name: &str) -> Option<Value> {
        drop(self.child.stdin.take());
        until(deadline, "the end of the peer", || self.child.try_wait().unwrap());
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.last(name)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The folder with the published schemas.
pub fn schemas() -> String {
    path(&super::root().join("config"))
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
