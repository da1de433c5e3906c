//! The topics under `parkgate/v1/{park}/{gateway}/`.

use super::feed::{FEEDS, Feed};

/// All topics of one gateway, made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    feeds: [String; FEEDS],
    /// Retained: online, planned offline, offline.
    pub state: String,
    /// What the platform has stored.
    pub ack: String,
    /// Filter of all commands.
    pub commands: String,
    command_prefix: String,
}

impl Topics {
    /// Returns the topics of `gateway` in `park`; both are `[a-z0-9-]` as the configuration checks.
    pub fn new(park: &str, gateway: &str) -> Self {
        let base = format!("parkgate/v1/{park}/{gateway}");
        Self {
            feeds: Feed::ALL.map(|feed| format!("{base}/{}", feed.as_str())),
            state: format!("{base}/state"),
            ack: format!("{base}/ack"),
            commands: format!("{base}/cmd/+"),
            command_prefix: format!("{base}/cmd/"),
        }
    }

    /// Returns the topic of `feed`.
    pub fn feed(&self, feed: Feed) -> &str {
        self.feeds.get(feed.index()).map_or("", String::as_str)
    }

    /// Returns the name of the command published on `topic`.
    pub fn command_name<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(self.command_prefix.as_str()).filter(|name| !name.is_empty() && !name.contains('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Stream;

    #[test]
    fn topics_are_those_of_the_contract() {
        let topics = Topics::new("demo-park", "gw-east");
        assert_eq!(topics.feed(Feed::Stream(Stream::Telemetry)), "parkgate/v1/demo-park/gw-east/telemetry");
        assert_eq!(topics.feed(Feed::Gap), "parkgate/v1/demo-park/gw-east/gap");
        assert_eq!(topics.state, "parkgate/v1/demo-park/gw-east/state");
        assert_eq!(topics.command_name("parkgate/v1/demo-park/gw-east/cmd/resend"), Some("resend"));
        assert_eq!(topics.command_name("parkgate/v1/demo-park/gw-east/cmd/a/b"), None);
        assert_eq!(topics.command_name("parkgate/v1/demo-park/gw-west/cmd/resend"), None);
    }
}
