//! What people and the city ask of the machines. Every action is in the audit, done or refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::actor::{Actor, Refused, Via};
use super::super::alarm;
use super::super::audit::{AuditResult, Deed, Digest};
use super::super::daybook;
use super::super::document::{Document, DocumentKind};
use super::super::record::Mode;
use super::super::site::{self, CityCommand};
use super::super::time::Now;
use super::{ChannelAction, Danger, text_of};

/// What somebody wants of one of the machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", content = "action", rename_all = "snake_case")]
pub enum Action {
    /// Of the alarms.
    Alarm(alarm::action::Action),
    /// Of the site.
    Site(site::Action),
    /// Of duty, hazards, accidents, reports.
    Daybook(daybook::Action),
    /// Of a channel by which people are told.
    Channel(ChannelAction),
}

/// What came of an action, in words for who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// Number or id of what the action made.
    pub id: Option<String>,
}

impl Action {
    /// Returns whether it is refused while the audit cannot be written: what takes a protection away, or gives back to people what
    /// an emergency had. What is for safety, and what only notes something, is done all the same.
    pub fn is_privileged(&self) -> bool {
        use super::super::alarm::action::Action as A;
        use site::Action as S;
        use site::service::ServiceAction as T;
        match self {
            Self::Alarm(A::Ack { .. } | A::Silence | A::Unshelve { .. } | A::Return { .. }) => false,
            Self::Alarm(A::Reset { .. } | A::Shelve { .. } | A::OutOfService { .. } | A::Approve { .. }) => true,
            Self::Site(
                S::Propose { .. }
                | S::Confirm { .. }
                | S::Comment { .. }
                | S::EndDrill { .. }
                | S::AcknowledgeWarning { .. }
                | S::Service(T::RejectBypass { .. } | T::RestoreBypass { .. }),
            ) => false,
            Self::Site(
                S::Reject { .. }
                | S::End { .. }
                | S::GiveBack { .. }
                | S::Normal { .. }
                | S::ResetFire { .. }
                | S::StartDrill { .. }
                | S::Service(T::Move { .. } | T::RequestBypass { .. } | T::ApproveBypass { .. }),
            ) => true,
            Self::Daybook(_) | Self::Channel(_) => false,
        }
    }
}

impl Danger {
    /// Refuses what somebody asks before any machine has seen it; it is in the audit all the same.
    pub fn refuse_action(&mut self, action: &Action, actor: &Actor, refused: &Refused, now: Now) {
        let (action, object, _) = described(action);
        let (actor, detail, result) = (actor.clone(), refused.to_string(), AuditResult::Refused);
        self.handle_deed(Deed { actor, action, object, before: None, after: None, result, detail }, now);
    }

    /// Does what somebody asks, or refuses; both are in the audit.
    ///
    /// # Errors
    ///
    /// Why not, in words; nothing has changed then.
    pub fn handle_action(&mut self, action: &Action, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let (word, object, detail) = described(action);
        let before = self.digest(&object, now);
        let done = match action {
            Action::Alarm(action) => self.alarms.handle_action(action, actor, now).map(alarm_done),
            Action::Site(action) => self.site.handle_action(action.clone(), actor, now).map(site_done),
            Action::Daybook(action) => self.daybook.handle_action(action.clone(), actor, now).map(daybook_done),
            Action::Channel(action) => self.act_on_channel(action, actor, now),
        };
        let after = self.digest(&object, now);
        let (result, detail) = match &done {
            Ok(_) => (AuditResult::Done, detail),
            Err(refused) => (AuditResult::Refused, refused.to_string()),
        };
        self.settle(now);
        self.handle_deed(Deed { actor: actor.clone(), action: word, object, before, after, result, detail }, now);
        done
    }

    /// Does what the city asks of the site, or refuses; both are in the audit.
    ///
    /// # Errors
    ///
    /// Why not, in words for the answer.
    pub fn handle_city(&mut self, command: CityCommand, now: Now) -> Result<Done, Refused> {
        let actor = Actor { name: command.issuer.clone(), via: Via::Platform, roles: BTreeSet::new() };
        let (object, detail) = (command.id.clone(), text_of(&command.what));
        let done = self.site.handle_command(command, now).map(site_done);
        let (result, detail) = match &done {
            Ok(_) => (AuditResult::Done, detail),
            Err(refused) => (AuditResult::Refused, refused.to_string()),
        };
        self.settle(now);
        let action = "city_command".to_owned();
        self.handle_deed(Deed { actor, action, object, before: None, after: None, result, detail }, now);
        done
    }

    /// Puts into the audit what was done elsewhere.
    pub fn handle_deed(&mut self, deed: Deed, now: Now) {
        let entry = self.chain.add(deed, now.wall);
        self.daybook.handle_audit(self.chain.head());
        self.tell(Document::of(DocumentKind::Audit, Mode::Real, now.mono, &entry));
    }

    /// The state of what an action is about, for the audit.
    fn digest(&self, object: &str, now: Now) -> Option<Digest> {
        let alarms = self.alarms.active(now);
        let alarm = alarms.iter().find(|alarm| &*alarm.last.alarm == object);
        alarm.map(|alarm| Digest::of(text_of(&alarm.last).as_bytes()))
    }
}

/// Returns word, object and the person's words of an action.
fn described(action: &Action) -> (String, String, String) {
    let json = match action {
        Action::Alarm(action) => serde_json::to_value(action),
        Action::Site(action) => serde_json::to_value(action),
        Action::Daybook(action) => serde_json::to_value(action),
        Action::Channel(action) => serde_json::to_value(action),
    };
    let json = json.unwrap_or_default();
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| json.get(*name));
        found.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).unwrap_or_default()
    };
    let object = text(&["alarm", "id", "zone", "lane", "input", "proposal", "subject", "point", "channel"]);
    (text(&["do", "on"]), object, text(&["comment", "reason", "text", "explanation", "why"]))
}

fn alarm_done(done: alarm::action::Done) -> Done {
    match done {
        alarm::action::Done::Done => Done { zh: "已执行".into(), en: "done".into(), id: None },
        alarm::action::Done::AwaitsApproval => Done {
            zh: "已登记，需另一名值班长批准（approve）后生效".into(),
            en: "noted; another supervisor must approve it (approve)".into(),
            id: None,
        },
    }
}

fn site_done(done: site::Done) -> Done {
    Done { zh: done.zh, en: done.en, id: done.number.map(|number| number.to_string()) }
}

fn daybook_done(done: daybook::Done) -> Done {
    Done { zh: done.zh, en: done.en, id: (!done.id.is_empty()).then_some(done.id) }
}
