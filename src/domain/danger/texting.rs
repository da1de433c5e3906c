//! Text messages and the watch of the channels: whose telephones a text goes to, what a channel says of itself, and the test
//! text that an engineer asks for.
//!
//! The operator of the roster is the shift leader of the ladder (值班长), the leader of the roster the leader on duty (带班领导).
//! Numbers stand in `duty.toml`, or beside the name of a responsible person in `alarms.toml`; they never leave here but in a [`Text`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::actor::{Actor, Refused, Role, Via};
use super::super::alarm::severity::Recipient;
use super::super::audit::{AuditResult, Deed};
use super::super::order::{Addressee, Order, OrderKind, Receipt, Urgency};
use super::super::phone::{CONTROL_ROOM, Phone};
use super::super::time::{Now, Timestamp};
use super::acting::Done;
use super::channels::{Notice, Way, keep};
use super::{Danger, Machine};

/// Telephones of one text: those of the control room and of two people on duty, with room to spare.
pub const MAX_PHONES: usize = 8;
/// Tests whose outcome is waited for: one engineer at a time. The oldest is forgotten.
const MAX_TESTS: usize = 8;

/// A text on its way to telephones. Not a record: it has numbers in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Key of the order; its receipt comes back under it.
    pub key: String,
    /// The channel.
    pub channel: String,
    /// Where to, at least one and at most [`MAX_PHONES`].
    pub phones: Vec<Phone>,
    /// What, Chinese.
    pub text: String,
    /// Whether it may wait until its reason is stored.
    pub urgency: Urgency,
}

/// What a channel that is watched says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelState {
    /// Whether it could tell somebody now.
    pub up: bool,
    /// How it stands, or why it cannot, Chinese.
    pub zh: String,
    /// The same, English.
    pub en: String,
}

/// A channel, for page and command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelView {
    /// Its id.
    pub id: String,
    /// `page`, `platform`, `output` or `text`.
    pub way: &'static str,
    /// Of one that is watched: how it stands, and since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<(ChannelState, Timestamp)>,
}

/// What somebody wants of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ChannelAction {
    /// A test text; by an output, its value is written.
    #[serde(rename = "channel_test")]
    Test {
        /// Its id.
        channel: String,
        /// To whom.
        to: Addressee,
    },
}

/// What is known of the channels, and what is tested.
#[derive(Debug, Default)]
pub(super) struct Texting {
    states: BTreeMap<String, (ChannelState, Timestamp)>,
    /// Channel of each test, by its key.
    tests: BTreeMap<String, String>,
    next_test: u64,
}

impl Danger {
    /// Takes what a watched channel says of itself: one that could not tell anybody is an alarm before it is needed.
    pub fn handle_channel(&mut self, channel: &str, state: ChannelState, now: Now) {
        if self.rules.channels.way(channel).is_none() {
            return;
        }
        let up = state.up;
        let same = self.texting.states.get(channel).is_some_and(|(before, _)| before.up == up);
        let since = self.texting.states.get(channel).filter(|_| same).map_or(now.wall, |(_, since)| *since);
        self.texting.states.insert(channel.to_owned(), (state, since));
        self.alarms.handle_channel(channel, up, now);
        self.settle(now);
    }

    /// Returns the next text for telephones; those of life first.
    pub fn poll_text(&mut self) -> Option<Text> {
        self.texts.pop_front()
    }

    /// Returns the channels with their ways, and how those stand that are watched.
    pub(super) fn channel_views(&self) -> Vec<ChannelView> {
        let view = |(id, way): (&str, &Way)| ChannelView {
            id: id.to_owned(),
            way: match way {
                Way::Page => "page",
                Way::Platform => "platform",
                Way::Output { .. } => "output",
                Way::Text => "text",
            },
            state: self.texting.states.get(id).filter(|_| *way == Way::Text).cloned(),
        };
        self.rules.channels.all().map(view).collect()
    }

    /// Hands a message on to telephones.
    pub(super) fn place_text(&mut self, machine: Machine, order: Order, now: Now) {
        let Order { key, what: OrderKind::Message { channel, zh, to, .. }, urgency } = order else { return };
        let phones = self.phones_of(to.as_ref());
        if phones.is_empty() {
            let who = to.map_or("值班人员", |to| to.who.words().1);
            let why = format!("没有{who}的电话（duty.toml 的 [[phone]]）/ no telephone is known of who is meant");
            return self.answer(machine, &key, &Receipt::Failed(why), now);
        }
        self.awaits(machine, &key);
        let text = Text { key, channel, phones, text: zh, urgency };
        match urgency {
            Urgency::AtOnce => {
                let at = self.texts.iter().position(|other| other.urgency != Urgency::AtOnce);
                self.texts.insert(at.unwrap_or(self.texts.len()), text);
            }
            Urgency::AfterCommit => self.texts.push_back(text),
        }
    }

    fn phones_of(&self, to: Option<&Addressee>) -> Vec<Phone> {
        let whom = match to {
            Some(to) => vec![to.clone()],
            None => [Recipient::ControlRoom, Recipient::ShiftLeader, Recipient::DutyLeader]
                .map(|who| Addressee { who, source: None })
                .into(),
        };
        let mut phones: Vec<Phone> = Vec::new();
        for phone in whom.iter().flat_map(|one| self.phones_of_one(one)) {
            if phones.len() < MAX_PHONES && !phones.contains(phone) {
                phones.push(phone.clone());
            }
        }
        phones
    }

    fn phones_of_one(&self, to: &Addressee) -> &[Phone] {
        let known = &self.rules.daybook.phones;
        let (operator, leader) = self.daybook.on_duty();
        match to.who {
            Recipient::ControlRoom => known.of(CONTROL_ROOM),
            Recipient::ShiftLeader => operator.map_or(&[], |name| known.of(name)),
            Recipient::DutyLeader => leader.map_or(&[], |name| known.of(name)),
            Recipient::Main | Recipient::Technical | Recipient::Operating => {
                let sources = &self.rules.alarms.hazard_sources;
                let Some(source) = sources.iter().find(|source| Some(&source.code) == to.source.as_ref()) else {
                    return &[];
                };
                let Some(name) = source.person(to.who) else { return &[] };
                match source.phones.of(name) {
                    [] => known.of(name),
                    own => own,
                }
            }
        }
    }

    /// Sends a test text.
    pub(super) fn act_on_channel(&mut self, action: &ChannelAction, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let ChannelAction::Test { channel, to } = action;
        if !matches!(actor.via, Via::Machine | Via::Page) {
            return Err(Refused::new("测试须由本机人员发起", "a test is asked for by a person at this machine"));
        }
        if !actor.has(Role::Supervisor) && !actor.has(Role::Admin) {
            return Err(Refused::role(Role::Supervisor));
        }
        if self.rules.channels.way(channel).is_none() {
            let known = self.rules.channels.all().map(|(id, _)| id).collect::<Vec<_>>().join(", ");
            return Err(Refused::new(
                format!("没有渠道 {channel}；已有：{known}"),
                format!("there is no channel {channel}; known: {known}"),
            ));
        }
        if self.rules.channels.way(channel) == Some(&Way::Text) && self.phones_of(Some(to)).is_empty() {
            let (en, zh) = to.who.words();
            return Err(Refused::new(
                format!("没有{zh}的电话（duty.toml 的 [[phone]]）"),
                format!("no telephone is known of {en} ([[phone]] of duty.toml)"),
            ));
        }
        self.texting.next_test += 1;
        let key = format!("test-{}-{}", self.boot, self.texting.next_test);
        self.texting.tests.insert(key.clone(), channel.clone());
        if self.texting.tests.len() > MAX_TESTS {
            self.texting.tests.pop_first();
        }
        let what = OrderKind::Message {
            channel: channel.clone(),
            zh: "【测试】园区网关通知渠道测试，收到请告知中控室".to_owned(),
            en: "[test] test of a channel of the park's gateway; tell the control room that you got it".to_owned(),
            to: Some(to.clone()),
        };
        self.place(Machine::Test, Order { key: key.clone(), what, urgency: Urgency::AtOnce }, now);
        let zh = format!("测试已交给渠道 {channel}，结果见审计和页面消息：{key}");
        let en =
            format!("the test is with channel {channel}; what becomes of it is in the audit and on the page: {key}");
        Ok(Done { zh, en, id: Some(key) })
    }

    /// What became of a test: into the audit and on the page.
    pub(super) fn tested(&mut self, key: &str, receipt: &Receipt, now: Now) {
        let Some(channel) = self.texting.tests.remove(key) else { return };
        self.alarms.handle_tested(&channel, receipt, now);
        let (result, zh, en) = match receipt {
            Receipt::Done => (AuditResult::Done, "已执行".to_owned(), "done".to_owned()),
            Receipt::Sent => (AuditResult::Done, "已发出".to_owned(), "sent".to_owned()),
            Receipt::Accepted(reference) => (
                AuditResult::Done,
                format!("已由网络接收，参考号 {reference}"),
                format!("accepted, reference {reference}"),
            ),
            Receipt::Failed(why) => (AuditResult::Failed, format!("失败：{why}"), format!("failed: {why}")),
        };
        let (t, at) = (now.wall, now.mono);
        let notice = Notice {
            t,
            at,
            channel: channel.clone(),
            zh: format!("渠道测试 {key}：{zh}"),
            en: format!("test of the channel {key}: {en}"),
        };
        keep(&mut self.notices, notice);
        let (actor, action, object) = (Actor::gateway(), "channel_tested".to_owned(), channel);
        let detail = format!("{key}: {en}");
        self.handle_deed(Deed { actor, action, object, before: None, after: None, result, detail }, now);
    }
}
