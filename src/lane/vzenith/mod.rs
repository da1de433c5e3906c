//! 臻识 (Vzenith) plate cameras: they push over HTTP, and their answer can fire their relay (`domain.md` B7).
//!
//! [`push`] reads what they send, [`answer`] is what they are answered with: byte for byte one of a few texts, of which one
//! kind alone can move something. When that one may be given is decided in [`super::camera::desk`].

pub mod answer;
pub mod push;
