//! Topics between the gateways of a park: who says it, and to whom. So a broker can hold each gateway to its own name by an
//! access list (`pattern write parkgate/v1/+/peers/%u/+`).
//!
//! ```text
//! parkgate/v1/<park>/peers/<from>/<to>      to: a gateway, or `_all`, which no gateway can be called
//! ```

use crate::domain::gate::word::GatewayId;

/// Stands for every gateway of the park.
const ALL: &str = "_all";

/// The topics of one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    base: String,
    me: GatewayId,
}

impl Topics {
    /// Returns those of this gateway.
    pub fn new(park: &str, me: &GatewayId) -> Self {
        Self { base: format!("parkgate/v1/{park}/peers/"), me: me.clone() }
    }

    /// Returns where this gateway says something to all.
    pub fn to_all(&self) -> String {
        format!("{}{}/{ALL}", self.base, self.me)
    }

    /// Returns where this gateway says something to one.
    pub fn to(&self, peer: &GatewayId) -> String {
        format!("{}{}/{peer}", self.base, self.me)
    }

    /// Returns what this gateway listens to.
    pub fn filters(&self) -> [String; 2] {
        [format!("{}+/{ALL}", self.base), format!("{}+/{}", self.base, self.me)]
    }

    /// Returns who said something on a topic that this gateway listens to; `None`: it is another one.
    pub fn from(&self, topic: &str) -> Option<GatewayId> {
        let (from, to) = topic.strip_prefix(self.base.as_str())?.split_once('/')?;
        let ours = to == ALL || to == self.me.as_str();
        (ours && !from.is_empty()).then(|| GatewayId::new(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_names_who_says_it_and_to_whom() {
        let east = Topics::new("demo-park", &GatewayId::new("gw-east"));
        let west = Topics::new("demo-park", &GatewayId::new("gw-west"));
        assert_eq!(west.to_all(), "parkgate/v1/demo-park/peers/gw-west/_all");
        assert_eq!(west.to(&GatewayId::new("gw-east")), "parkgate/v1/demo-park/peers/gw-west/gw-east");
        assert_eq!(east.filters()[1], "parkgate/v1/demo-park/peers/+/gw-east");
        assert_eq!(east.from(&west.to_all()), Some(GatewayId::new("gw-west")));
        assert_eq!(east.from(&west.to(&GatewayId::new("gw-east"))), Some(GatewayId::new("gw-west")));
        assert_eq!(east.from(&west.to(&GatewayId::new("gw-north"))), None, "it is for another one");
        assert_eq!(east.from("parkgate/v1/other-park/peers/gw-west/_all"), None);
        assert_eq!(east.from("parkgate/v1/demo-park/peers//_all"), None);
        assert_eq!(east.from("parkgate/v1/demo-park/peers/gw-west/_all/x"), None);
    }
}
