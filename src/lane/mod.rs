//! The hardware of the lanes: what stands at a gate, on the wire.
//!
//! ```text
//!  camera    push over HTTP: who it is, what it says, what it is answered    vzenith (臻识), isapi (Hikvision)
//!  isapi     a barrier by requests; how it stands                            digest authentication both ways
//!  relay     contacts pulsed in the safe order, inputs read                  over modbus
//!  reader    cards and QR codes                                              over modbus, or lines over TCP
//!  board     text and voice           scale   weights that stand still       over TCP, over modbus
//!  jtt808    positioning terminals
//!  push      queues, where persons are, who calls for help: of other systems, at the cameras' listener
//! ```
//!
//! [`route`] says which of them a command is for. All of them speak to the domain in the values of [`crate::domain::gate::hardware`]: events in, commands out, a receipt for
//! each command. The state machine of the lane decides; nothing here does. What is pure takes `now`; only `session` waits.
//!
//! - **Nothing is late, nothing is done twice**: each command has an end and a key.
//! - **Nothing is believed that was not proved**: cameras by digest or signature, terminals by their code, QR codes by theirs.
//! - **What is not heard is dead**, never "as before".
//! - Numbers of cards, papers and drivers leave this room as keyed digests; passwords and bodies of cameras are not logged.

pub mod board;
pub mod camera;
pub mod coding;
pub mod isapi;
pub mod jtt808;
pub mod modbus;
pub mod push;
pub mod reader;
pub mod relay;
pub mod route;
pub mod scale;
pub mod vzenith;
