//! One policy's annotations: what it says when it applies, with its texts prepared once.

use cedar_policy::{Effect, Policy};

use super::flaw::both;
use super::view::{Value, View};
use super::word;
use crate::domain::gate::verdict::{Reason, Verdict};

/// Annotations that are known.
const KNOWN: [&str; 7] = ["code", "verdict", "unknown", "each", "note", "zh", "en"];
/// Longest text for driver and guard in characters: what a board of four lines and a page can show.
const MAX_TEXT: usize = 200;

/// What is wrong, and what to write instead.
pub(super) type Wrong = ((String, String), (String, String));

/// What a policy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Forbid,
    Permit,
    Note,
}

/// A policy as the reasons have it.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) role: Role,
    verdict: Verdict,
    unknown: Verdict,
    each: Option<String>,
    code: Text,
    zh: Text,
    en: Text,
}

/// A text with places to be filled in.
#[derive(Clone, Debug, Default)]
struct Text(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Plain(String),
    Each,
    Fact(String),
}

impl Text {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((plain, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}')?;
            let name = name.trim();
            parts.push(Part::Plain(plain.to_owned()));
            parts.push(if name == "each" { Part::Each } else { Part::Fact(name.to_owned()) });
            rest = tail;
        }
        if rest.contains('}') {
            return None;
        }
        parts.push(Part::Plain(rest.to_owned()));
        Some(Self(parts))
    }

    fn facts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Fact(path) = part { Some(path.as_str()) } else { None })
    }

    fn has_each(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Each))
    }

    fn plain(&self) -> String {
        self.0.iter().filter_map(|part| if let Part::Plain(text) = part { Some(text.as_str()) } else { None }).collect()
    }

    fn fill(&self, view: &View, each: Option<&Value>, chinese: bool) -> String {
        let unknown = || if chinese { "未知".to_owned() } else { "unknown".to_owned() };
        let say = |value: Option<&Value>| value.map_or_else(unknown, |value| value.say(chinese));
        let part = |part: &Part| match part {
            Part::Plain(text) => text.clone(),
            Part::Each => say(each),
            Part::Fact(path) => say(view.get(path)),
        };
        self.0.iter().map(part).collect()
    }

    /// A code names its subject by its word, whatever the language.
    fn fill_code(&self, each: Option<&Value>) -> String {
        let each = || each.map_or_else(|| "?".to_owned(), |value| value.say(false));
        let part = |part: &Part| match part {
            Part::Plain(text) => text.clone(),
            Part::Each | Part::Fact(_) => each(),
        };
        self.0.iter().map(part).collect()
    }
}

impl Rule {
    /// Reads the annotations of `policy`; `samples` are the views that it may meet, with every fact known.
    pub(super) fn read(policy: &Policy, id: String, samples: &[View]) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        for (name, _) in policy.annotations() {
            if !KNOWN.contains(&name) {
                let known = KNOWN.map(|name| format!("@{name}")).join(" ");
                let what = both(format!("未知的注解 @{name}"), format!("unknown annotation @{name}"));
                wrong.push((what, both(format!("可写：{known}"), format!("known: {known}"))));
            }
        }
        let role = match (policy.effect(), policy.annotation("note")) {
            (Effect::Forbid, _) => Role::Forbid,
            (Effect::Permit, Some("yes")) => Role::Note,
            (Effect::Permit, _) => Role::Permit,
        };
        misplaced(policy, role, &mut wrong);
        let verdict = verdict_of(policy, "verdict", role == Role::Forbid, &mut wrong);
        let unknown = verdict_of(policy, "unknown", false, &mut wrong);
        let code = text_of(policy, "code", role, "OK", &mut wrong);
        let zh = text_of(policy, "zh", role, "准许通行", &mut wrong);
        let en = text_of(policy, "en", role, "permitted", &mut wrong);
        let each = policy.annotation("each").map(|path| path.trim().to_owned());
        check_code(&code, &mut wrong);
        check_places([&code, &zh, &en], each.as_deref(), samples, &mut wrong);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let verdict = verdict.unwrap_or(Verdict::Deny);
        Ok(Self { id, role, verdict, unknown: unknown.unwrap_or(verdict), each, code, zh, en })
    }

    /// Returns the reasons of a policy that applies: one for each member of its `@each`.
    pub(super) fn applies(&self, view: &View) -> Vec<Reason> {
        let verdict = if self.role == Role::Forbid { self.verdict } else { Verdict::Allow };
        let members = self.each.as_deref().and_then(|path| view.get(path));
        match members {
            Some(Value::Set(all)) if !all.is_empty() => {
                all.iter().map(|one| self.reason(view, Some(one), verdict)).collect()
            }
            _ => vec![self.reason(view, None, verdict)],
        }
    }

    /// Returns the reason of a forbid that needs a fact which is not known.
    pub(super) fn unknowable(&self, view: &View, fact: &str) -> Reason {
        let mut reason = self.reason(view, None, self.unknown);
        let name = word::fact(fact);
        reason.zh.push_str(&format!("（无法判断：{name}未知）"));
        reason.en.push_str(&format!(" (cannot be judged: `{fact}` is not known)"));
        reason
    }

    /// Returns the reason of a forbid whose evaluation failed otherwise: that is a broken policy, and it denies.
    pub(super) fn broken(&self, view: &View, error: &str) -> Reason {
        let mut reason = self.reason(view, None, Verdict::Deny);
        reason.zh.push_str(&format!("（策略出错：{error}）"));
        reason.en.push_str(&format!(" (the policy failed: {error})"));
        reason
    }

    fn reason(&self, view: &View, each: Option<&Value>, verdict: Verdict) -> Reason {
        Reason {
            code: self.code.fill_code(each),
            verdict,
            zh: self.zh.fill(view, each, true),
            en: self.en.fill(view, each, false),
            policy: Some(self.id.clone()),
        }
    }
}

fn misplaced(policy: &Policy, role: Role, wrong: &mut Vec<Wrong>) {
    let only_forbid = ["verdict", "unknown"].into_iter().filter(|name| policy.annotation(name).is_some());
    for name in only_forbid.filter(|_| role != Role::Forbid) {
        let what = both(format!("permit 不能有 @{name}"), format!("a permit has no @{name}"));
        wrong.push((what, both("请删去，或改用 forbid", "remove it, or write a forbid")));
    }
    if let Some(value) = policy.annotation("note").filter(|value| policy.effect() == Effect::Forbid || *value != "yes")
    {
        let what = both(format!("@note(\"{value}\") 用错"), format!("@note(\"{value}\") is misplaced"));
        let instead = both(
            "提示写在 permit 上，写作 @note(\"yes\")；它不放行，只提示",
            "a remark is a permit with @note(\"yes\"); it permits nothing",
        );
        wrong.push((what, instead));
    }
}

fn verdict_of(policy: &Policy, name: &str, needed: bool, wrong: &mut Vec<Wrong>) -> Option<Verdict> {
    let example = || {
        both(
            format!("请写 @{name}(\"deny\")、@{name}(\"hold\") 或 @{name}(\"refer\")"),
            format!("write @{name}(\"deny\"), @{name}(\"hold\") or @{name}(\"refer\")"),
        )
    };
    let Some(text) = policy.annotation(name) else {
        if needed {
            wrong.push((both(format!("缺少 @{name}"), format!("@{name} is missing")), example()));
        }
        return None;
    };
    let verdict = [Verdict::Deny, Verdict::Hold, Verdict::Refer].into_iter().find(|one| one.as_str() == text);
    if verdict.is_none() {
        let what = both(format!("@{name} 不能是 \"{text}\""), format!("@{name} cannot be \"{text}\""));
        wrong.push((what, example()));
    }
    verdict
}

fn text_of(policy: &Policy, name: &str, role: Role, default: &str, wrong: &mut Vec<Wrong>) -> Text {
    let example = match name {
        "code" => both("请写 @code(\"OVERWEIGHT\")", "write @code(\"OVERWEIGHT\")"),
        "zh" => both("请写给驾驶员和门岗看的中文", "write what driver and guard are told, in Chinese"),
        _ => both("请写英文", "write it in English"),
    };
    let text = match policy.annotation(name).map(str::trim) {
        Some(text) if !text.is_empty() && text.chars().count() <= MAX_TEXT => text,
        None if role == Role::Permit => default,
        Some(text) if !text.is_empty() => {
            let what = both(format!("@{name} 超过 {MAX_TEXT} 字"), format!("@{name} has more than {MAX_TEXT} letters"));
            wrong.push((what, both("请写短些", "write it shorter")));
            return Text::default();
        }
        _ => {
            wrong.push((both(format!("缺少 @{name}"), format!("@{name} is missing")), example));
            return Text::default();
        }
    };
    Text::parse(text).unwrap_or_else(|| {
        let what = both(format!("@{name} 的花括号不成对"), format!("braces of @{name} do not pair"));
        wrong.push((what, both("请写 {principal.plate} 这样的名称", "write a name such as {principal.plate}")));
        Text::default()
    })
}

fn check_code(code: &Text, wrong: &mut Vec<Wrong>) {
    let plain = code.plain();
    let good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | ':');
    if !plain.chars().all(good) || code.facts().next().is_some() {
        let what = both(format!("@code 不能是 \"{plain}\""), format!("@code cannot be \"{plain}\""));
        let instead = both(
            "请用大写字母、数字和下划线，主体写在冒号后：DOC_EXPIRED:{each}",
            "use capital letters, digits and underscores, a subject after a colon: DOC_EXPIRED:{each}",
        );
        wrong.push((what, instead));
    }
}

fn check_places(texts: [&Text; 3], each: Option<&str>, samples: &[View], wrong: &mut Vec<Wrong>) {
    if each.is_none() && texts.iter().any(|text| text.has_each()) {
        let what = both("用了 {each}，但没有 @each", "{each} is used, but there is no @each");
        wrong.push((
            what,
            both("请写 @each(\"principal.papers.expired\")", "write @each(\"principal.papers.expired\")"),
        ));
    }
    let is_set = |path: &str| samples.iter().all(|view| matches!(view.get(path), Some(Value::Set(_))));
    if let Some(path) = each.filter(|path| !is_set(path)) {
        let what = both(format!("@each 的 {path} 不是集合"), format!("{path} of @each is no set"));
        wrong.push((what, both("名称见 gate.cedarschema", "gate.cedarschema has the names")));
    }
    for path in texts.iter().flat_map(|text| text.facts()) {
        if samples.iter().any(|view| view.get(path).is_none()) {
            let what = both(format!("没有名为 {path} 的事实"), format!("there is no fact {path}"));
            wrong.push((what, both("名称见 gate.cedarschema", "gate.cedarschema has the names")));
        }
    }
}
