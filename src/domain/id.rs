//! The names of things: small types, so that a tag is never taken for a uid, nor a device for its slot.

use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name that the configuration has already checked.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// Returns the name as written in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// A device as the configuration names it, e.g. `plc-tank-1`. Unique in the gateway.
    DeviceId
}
name! {
    /// The immutable identity of a point. Survives a change of tag, device or address; never given to another point.
    PointUid
}
name! {
    /// A point's tag (位号), e.g. `TT101`. Unique in the gateway at any one time; the key of values on the wire.
    Tag
}

name! {
    /// An output as the configuration names it, e.g. `gate-1-open`. Unique in the gateway.
    OutputId
}

/// A device in one of its configurations, for the life of the process.
///
/// A device whose configuration is unchanged by a reload keeps its slot (and its connection); a changed one gets a new
/// slot, so that an answer read under the old configuration can never be taken under the new one. Slots are never
/// given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceSlot(pub u32);
