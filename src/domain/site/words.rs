//! What people are told, Chinese and English, by the state of their zone.

use std::collections::BTreeMap;

use super::book::{SiteBook, Text};
use super::state::State;
use super::wind::{Guidance, compass};

/// Placeholders of a text.
pub const PLACES: [&str; 3] = ["{zone}", "{muster}", "{wind}"];

/// What makes a text more than its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tone {
    pub(super) drill: bool,
    /// It ends a drill by being real.
    pub(super) preempts: bool,
    /// It ends a drill.
    pub(super) drill_over: bool,
    /// It corrects where people are told to go.
    pub(super) corrects: bool,
}

/// Returns the built-in text of a state.
pub fn built_in(state: State) -> Text {
    let (zh, en) = match state {
        State::Normal => ("{zone}恢复正常。", "{zone} is back to normal."),
        State::Drill => ("{zone}演练。", "Drill in {zone}."),
        State::Recovery => (
            "{zone}险情解除，各通道逐一恢复管制，请听从现场指挥。",
            "The emergency in {zone} is over. Lanes return to control one by one; follow the staff.",
        ),
        State::LockdownIn => {
            ("{zone}封控：停止进入，人员可自由离开。", "{zone} is locked down: no entry. Everybody may leave freely.")
        }
        State::Shelter => (
            "{zone}人员请立即就地避险：进入室内，关闭门窗和通风，等待通知。{wind}",
            "Everybody in {zone}: take shelter now. Go indoors, shut doors, windows and ventilation, and wait. {wind}",
        ),
        State::Evacuate => (
            "{zone}人员请立即撤离，所有出口已打开。{wind}{muster}",
            "Everybody in {zone}: leave now, all exits are open. {wind} {muster}",
        ),
    };
    Text { zh: zh.into(), en: en.into() }
}

/// Returns the text for a zone in a state.
pub(super) fn text(book: &SiteBook, zone: usize, state: State, guidance: &Guidance, tone: Tone) -> Text {
    let texts: &BTreeMap<State, Text> = &book.texts;
    let template = texts.get(&state).cloned().unwrap_or_else(|| built_in(state));
    let template = if tone.drill_over { over() } else { template };
    let (name, name_en) =
        book.zones.get(zone).map_or(("园区", "the park"), |zone| (zone.name.as_str(), zone.name_en.as_str()));
    let (wind, muster) = (wind(guidance), muster(book, zone, guidance));
    let fill = |text: &str, name: &str, muster: &str, wind: &str| {
        let text = text.replace("{zone}", name).replace("{muster}", muster).replace("{wind}", wind);
        text.trim().to_owned()
    };
    let (mark, mark_en) = mark(tone);
    Text {
        zh: format!("{mark}{}", fill(&template.zh, name, &muster.zh, &wind.zh)),
        en: format!("{mark_en}{}", fill(&template.en, name_en, &muster.en, &wind.en)),
    }
}

fn over() -> Text {
    Text { zh: "{zone}演练结束，恢复正常。".into(), en: "The drill in {zone} is over.".into() }
}

fn mark(tone: Tone) -> (&'static str, &'static str) {
    match tone {
        Tone { drill: true, .. } => ("【演练】", "[DRILL] "),
        Tone { preempts: true, .. } => ("【演练中止，这不是演练】", "[DRILL STOPPED: THIS IS REAL] "),
        Tone { corrects: true, .. } => ("【更正】", "[CORRECTION] "),
        Tone { .. } => ("", ""),
    }
}

/// Says how the wind blows, or that nobody knows.
fn wind(guidance: &Guidance) -> Text {
    match guidance.wind {
        Ok(wind) => {
            let (zh, en) = compass(wind.from);
            Text {
                zh: format!("现为{zh}风，风速 {:.1} m/s。", wind.speed),
                en: format!("The wind comes from the {en} at {:.1} m/s.", wind.speed),
            }
        }
        Err(why) => Text {
            zh: format!("风向不明（{}），请看现场风向标，向上风或侧风方向走。", why.zh()),
            en: format!("The wind is not known ({}): look at the windsocks, go upwind or across.", why.en()),
        },
    }
}

/// Names the muster point upwind, or all of them where the wind chooses none.
fn muster(book: &SiteBook, zone: usize, guidance: &Guidance) -> Text {
    let named = |at: usize| book.musters.get(at);
    if let Some(point) = guidance.upwind.and_then(named) {
        return Text {
            zh: format!("请到上风向集合点“{}”。", point.name),
            en: format!("Go to the muster point upwind: {}.", point.name_en),
        };
    }
    let points: Vec<_> = book.muster_of(zone).iter().filter_map(|(at, _)| named(*at)).collect();
    if points.is_empty() {
        return Text { zh: "请到厂外安全处集合。".into(), en: "Gather outside, at a safe place.".into() };
    }
    let zh = points.iter().map(|point| point.name.as_str()).collect::<Vec<_>>().join("、");
    let en = points.iter().map(|point| point.name_en.as_str()).collect::<Vec<_>>().join(", ");
    match guidance.wind {
        Ok(_) => Text {
            zh: format!("没有上风向集合点，请侧风方向撤离；集合点：{zh}。"),
            en: format!("No muster point lies upwind: leave across the wind. Muster points: {en}."),
        },
        Err(_) => Text { zh: format!("集合点：{zh}。"), en: format!("Muster points: {en}.") },
    }
}
