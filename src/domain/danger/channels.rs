//! The ways by which people are told, and what was told on the page.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::super::order::{Order, OrderKind, Receipt};
use super::super::time::{Mono, Timestamp};

/// Messages kept for the page: what a shift can read back. The oldest goes; each is recorded by the machine that sent it.
pub const N_NOTICES: usize = 50;

/// Where the messages of a channel go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// The page.
    Page,
    /// The event stream to the platform.
    Platform,
    /// A value of an output, both by their names in `outputs.toml`: a broadcast that plays a recorded text, a pager relay.
    Output {
        /// Id of the output.
        output: String,
        /// Name of the value.
        value: String,
    },
    /// A text message to telephones, by a gateway that the configuration names.
    Text,
}

/// All channels by their ids. `page` and `platform` need no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels(BTreeMap<String, Way>);

impl Default for Channels {
    fn default() -> Self {
        Self::new([])
    }
}

impl Channels {
    /// Returns these channels beside the two that are always there.
    pub fn new(configured: impl IntoIterator<Item = (String, Way)>) -> Self {
        let built_in = [("page".to_owned(), Way::Page), ("platform".to_owned(), Way::Platform)];
        Self(built_in.into_iter().chain(configured).collect())
    }

    /// Returns all, by their ids.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Way)> {
        self.0.iter().map(|(id, way)| (id.as_str(), way))
    }

    /// Returns the way of a channel.
    pub fn way(&self, id: &str) -> Option<&Way> {
        self.0.get(id)
    }
}

/// A message that stands on the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// When it was sent.
    pub t: Timestamp,
    /// Monotonic time of the same.
    #[serde(skip)]
    pub at: Mono,
    /// By which channel.
    pub channel: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// A message as the platform gets it (`message` on the event stream).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Message<'a> {
    /// Key of the order.
    pub(super) key: &'a str,
    /// The channel.
    pub(super) channel: &'a str,
    /// Chinese.
    pub(super) zh: &'a str,
    /// English.
    pub(super) en: &'a str,
}

/// What becomes of an order at once.
#[derive(Debug, PartialEq)]
pub(super) enum Placed {
    /// A write to an output: the application carries it out.
    Write(Order),
    /// For the page.
    Shown(Notice, Receipt),
    /// For the platform.
    Sent,
    /// For telephones.
    Text,
    /// Nobody can carry it out.
    Failed(String),
}

/// Finds out what is to become of an order. A lane's rule is shown and recorded by the site itself; one that this gateway moves
/// does not come here.
pub(super) fn place(order: &Order, channels: &Channels, t: Timestamp, at: Mono) -> Placed {
    match &order.what {
        OrderKind::Output { .. } => Placed::Write(order.clone()),
        OrderKind::Lane { .. } => {
            Placed::Failed("本网关不驱动此车道，须由人执行 / this gateway does not move this lane: people must".into())
        }
        OrderKind::Message { channel, zh, en, .. } => match channels.way(channel) {
            None => Placed::Failed(format!("没有渠道 {channel} / there is no channel {channel}")),
            Some(Way::Page) => {
                let notice = Notice { t, at, channel: channel.clone(), zh: zh.clone(), en: en.clone() };
                Placed::Shown(notice, Receipt::Sent)
            }
            Some(Way::Platform) => Placed::Sent,
            Some(Way::Text) => Placed::Text,
            Some(Way::Output { output, value }) => {
                let what = OrderKind::Output { output: output.clone(), value: value.clone() };
                Placed::Write(Order { what, ..order.clone() })
            }
        },
    }
}

/// Keeps a notice, bounded.
pub(super) fn keep(notices: &mut VecDeque<Notice>, notice: Notice) {
    if notices.len() >= N_NOTICES {
        notices.pop_front();
    }
    notices.push_back(notice);
}

#[cfg(test)]
mod tests {
    use super::super::super::order::{LaneRule, Urgency};
    use super::*;

    fn order(what: OrderKind) -> Order {
        Order { key: "k".into(), what, urgency: Urgency::AfterCommit }
    }

    fn placed(what: OrderKind) -> Placed {
        let broadcast = Way::Output { output: "horn".into(), value: "gas".into() };
        let channels = Channels::new([("broadcast".to_owned(), broadcast), ("sms".to_owned(), Way::Text)]);
        place(&order(what), &channels, Timestamp(5), Mono::from_secs(1))
    }

    fn message(channel: &str) -> OrderKind {
        OrderKind::Message { channel: channel.into(), zh: "气体".into(), en: "gas".into(), to: None }
    }

    #[test]
    fn a_message_goes_the_way_of_its_channel_and_an_unknown_one_fails_aloud() {
        assert!(matches!(placed(message("page")), Placed::Shown(notice, Receipt::Sent) if notice.zh == "气体"));
        assert_eq!(placed(message("platform")), Placed::Sent);
        let write = OrderKind::Output { output: "horn".into(), value: "gas".into() };
        assert_eq!(placed(message("broadcast")), Placed::Write(order(write)));
        assert_eq!(placed(message("sms")), Placed::Text);
        assert!(matches!(placed(message("fax")), Placed::Failed(why) if why.contains("no channel fax")));
        assert!(matches!(placed(OrderKind::Lane { lane: "l".into(), rule: LaneRule::Open }), Placed::Failed(_)));
    }

    #[test]
    fn the_page_keeps_the_newest_messages() {
        let mut notices = VecDeque::new();
        for n in 0..N_NOTICES + 3 {
            let notice = Notice {
                t: Timestamp(0),
                at: Mono::from_secs(n as u64),
                channel: "page".into(),
                zh: String::new(),
                en: String::new(),
            };
            keep(&mut notices, notice);
        }
        assert_eq!((notices.len(), notices[0].at), (N_NOTICES, Mono::from_secs(3)));
    }
}
