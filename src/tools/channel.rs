//! `channel`: the ways by which people are told, how those stand that are watched, and a test of one.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::gateway::Reach;
use super::table::{Form, Table, say};
use crate::control::ask::DidLine;
use crate::control::{Ask, Line};
use crate::domain::alarm::severity::Recipient;
use crate::domain::danger::{Action, ChannelAction};
use crate::domain::order::Addressee;

/// How often, and how many times, the outcome of a test is looked for: longer than a channel may take.
const LOOK: (Duration, usize) = (Duration::from_millis(500), 80);

/// `channel`.
#[derive(Debug, clap::Args)]
pub struct ChannelArgs {
    #[command(flatten)]
    reach: Reach,
    /// 输出 CSV / print CSV
    #[arg(long, global = true)]
    csv: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 发一条测试消息，等待回执 / send a test and wait for its receipt
    ///
    /// Needs the role supervisor or admin; it is in the audit, and so is what became of it. A channel that is an output writes
    /// its value.
    Test {
        /// 渠道 / the channel
        channel: String,
        /// 发给谁：control_room、shift_leader、duty_leader、main、technical、operating / to whom
        #[arg(long, default_value = "shift_leader", value_parser = recipient)]
        to: Recipient,
        /// 重大危险源编码（main、technical、operating 时）/ code of the hazard source, of its responsible persons
        #[arg(long, value_name = "CODE")]
        source: Option<String>,
    },
}

fn recipient(word: &str) -> Result<Recipient, String> {
    let known = || Recipient::ALL.map(|(_, en, _)| en).join(", ");
    Recipient::from_name(word).ok_or_else(|| format!("请写 / write one of: {}", known()))
}

/// Lists the channels, or tests one.
///
/// # Errors
///
/// The gateway's refusal, or why the test did not arrive, in words.
pub fn channel(args: ChannelArgs) -> Result<(), String> {
    let ChannelArgs { reach, csv, what } = args;
    match what {
        None => list(&reach, Form::of(csv)),
        Some(What::Test { channel, to, source }) => {
            test(&reach, ChannelAction::Test { channel, to: Addressee { who: to, source: source.map(Arc::from) } })
        }
    }
}

fn list(reach: &Reach, form: Form) -> Result<(), String> {
    let told = reach.told(&Ask::Danger)?;
    let mut table = Table::new(["渠道 channel", "方式 way", "状态 state", "自 since", "说明 detail"]);
    for channel in told.get("channels").and_then(Value::as_array).into_iter().flatten() {
        let text = |of: Option<&Value>| of.and_then(Value::as_str).unwrap_or_default().to_owned();
        let state = channel.get("state");
        let detail = state.and_then(|state| state.get(0));
        let up = detail.and_then(|detail| detail.get("up")).and_then(Value::as_bool);
        table.row([
            text(channel.get("id")),
            text(channel.get("way")),
            match up {
                Some(true) => "正常 up".to_owned(),
                Some(false) => "故障 down".to_owned(),
                None => "-".to_owned(),
            },
            text(state.and_then(|state| state.get(1))),
            detail
                .map_or_else(String::new, |detail| format!("{} / {}", text(detail.get("zh")), text(detail.get("en")))),
        ]);
    }
    table.print(form);
    Ok(())
}

fn test(reach: &Reach, action: ChannelAction) -> Result<(), String> {
    let mut key = None;
    reach.ask(&Ask::Act { action: Action::Channel(action) }, |line| {
        if let Line::Did(DidLine { zh, en, id }) = line {
            say(&format!("{zh} / {en}"));
            key = id;
        }
        true
    })?;
    let key = key.ok_or("网关没有给出测试号 / the gateway gave the test no key")?;
    let (every, times) = LOOK;
    for _ in 0..times {
        let told = reach.told(&Ask::Danger)?;
        let notices = told.get("notices").and_then(Value::as_array).into_iter().flatten();
        let words =
            |notice: &Value, lang: &str| notice.get(lang).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut found = notices.map(|notice| (words(notice, "zh"), words(notice, "en")));
        if let Some((zh, en)) = found.find(|(_, en)| en.contains(&format!("{key}:"))) {
            let told = format!("{zh} / {en}");
            if en.contains(": failed:") {
                return Err(told);
            }
            say(&told);
            return Ok(());
        }
        sleep(every);
    }
    Err("没有回执 / no receipt came".to_owned())
}
