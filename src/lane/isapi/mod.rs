//! Hikvision by ISAPI: its events are pushed to the gateway, its barrier is driven by requests to the device.
//!
//! [`event`] reads what is pushed; [`barrier`] is what the barrier takes and says, [`http`] the requests that carry it;
//! [`session`] sends them, with digest authentication. `lock` and `unlock` are states of the device that outlast a later
//! `open`: they are never sent, and a profile that holds them is refused.

pub mod barrier;
pub mod event;
pub mod http;
pub mod session;
pub mod xml;
