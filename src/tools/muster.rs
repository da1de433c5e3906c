//! `muster`: the musters that run, who is unaccounted for, and what wardens say.

use serde_json::Value;

use super::gateway::Reach;
use super::lanes::{each, text};
use super::table::{Form, Table, say};
use crate::control::Ask;
use crate::domain::gate::gates::act::{GateAct, MusterAct};
use crate::domain::gate::word::PersonRef;

/// `muster`.
#[derive(Debug, clap::Args)]
pub struct MusterArgs {
    #[command(flatten)]
    reach: Reach,
    /// 输出 JSON：全部内容 / print JSON: all of it
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 集合点签到 / a person is at a muster point
    CheckIn {
        /// 人员代号，见名单 / reference of the person, as the list shows it
        #[arg(value_name = "PERSON")]
        person: String,
        /// 集合点 / the muster point
        #[arg(long, value_name = "POINT")]
        at: String,
        #[command(flatten)]
        of: Of,
    },
    /// 确认名单上一人安全 / account for a row of the list
    Safe {
        #[command(flatten)]
        row: Row,
        #[command(flatten)]
        of: Of,
    },
    /// 撤回确认 / take that back
    NotSafe {
        #[command(flatten)]
        row: Row,
        #[command(flatten)]
        of: Of,
    },
    /// 打印全部名单，含姓名电话；未到者在前 / print the whole list with names and telephones, the unaccounted first
    Print {
        /// 输出网页 / as a page for a browser
        #[arg(long)]
        html: bool,
        #[command(flatten)]
        of: Of,
    },
    /// 结束清点 / end it
    End {
        /// 结论；尚有未到者时写明去向 / what becomes of who is unaccounted for
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, clap::Args)]
struct Row {
    /// 名单序号，从 1 起 / number on the list, from 1
    #[arg(value_name = "ROW", value_parser = clap::value_parser!(u32).range(1..))]
    row: u32,
    /// 如何得知，必填 / how that is known, required
    #[arg(long, value_name = "TEXT")]
    why: String,
}

#[derive(Debug, clap::Args)]
struct Of {
    /// 哪次清点；只有一次时可不写 / which muster; may be left off while only one runs
    #[arg(long, value_name = "MUSTER")]
    muster: Option<String>,
}

/// Lists the musters that run, prints one, or tells the gateway what a warden says.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn muster(args: MusterArgs) -> Result<(), String> {
    let MusterArgs { reach, json, what } = args;
    let act = match what {
        None => return list(&reach, json),
        Some(What::Print { html, of }) => {
            let roll = reach.told(&Ask::Roll { muster: of.muster, html })?;
            say(text(&roll, "").trim_end());
            return Ok(());
        }
        Some(What::CheckIn { person, at, of }) => {
            MusterAct::CheckIn { muster: of.one(&reach)?, person: PersonRef::new(person), point: at }
        }
        Some(What::Safe { row: Row { row, why }, of }) => {
            MusterAct::Safe { muster: of.one(&reach)?, row: row.saturating_sub(1), why }
        }
        Some(What::NotSafe { row: Row { row, why }, of }) => {
            MusterAct::NotSafe { muster: of.one(&reach)?, row: row.saturating_sub(1), why }
        }
        Some(What::End { why, of }) => MusterAct::End { muster: of.one(&reach)?, why },
    };
    reach.tell(GateAct::Muster(act))
}

impl Of {
    fn one(self, reach: &Reach) -> Result<String, String> {
        match self.muster {
            Some(muster) => Ok(muster),
            None => only(&reach.told(&Ask::Lanes)?),
        }
    }
}

/// The only muster that runs.
fn only(told: &Value) -> Result<String, String> {
    let running: Vec<String> = each(told, "/musters").map(|muster| text(muster, "/muster")).collect();
    match running.as_slice() {
        [] => Err("没有进行中的清点 / no muster is running".to_owned()),
        [one] => Ok(one.clone()),
        several => {
            let names = several.join(", ");
            Err(format!("有多次清点，请用 --muster 写明 / several are running, name one by --muster: {names}"))
        }
    }
}

fn list(reach: &Reach, json: bool) -> Result<(), String> {
    let told = reach.told(&Ask::Lanes)?;
    if json {
        let musters = told.pointer("/musters").cloned().unwrap_or(Value::Null);
        say(&serde_json::to_string_pretty(&musters).map_err(|error| error.to_string())?);
        return Ok(());
    }
    let mut running = each(&told, "/musters").peekable();
    if running.peek().is_none() {
        say("没有进行中的清点 / no muster is running");
    }
    for muster in running {
        say(&head(muster));
        rows(muster).print(Form::Table);
        let more = text(muster, "/more");
        if more != "0" {
            say(&format!("另有 {more} 人，用 muster print 打印全部 / {more} more: muster print has all of them"));
        }
    }
    Ok(())
}

fn head(muster: &Value) -> String {
    let drill = muster.pointer("/drill").and_then(Value::as_bool) == Some(true);
    let n = |at: &str| text(muster, &format!("/numbers/{at}"));
    format!(
        "{}{} {} T0 {}：应到 listed {}，安全 safe {}，未到 unaccounted {}",
        if drill { "【演练 DRILL】" } else { "" },
        text(muster, "/muster"),
        text(muster, "/zone"),
        text(muster, "/at"),
        n("listed"),
        n("safe"),
        n("unaccounted"),
    )
}

fn rows(muster: &Value) -> Table {
    let mut table = Table::new([
        "序号 n",
        "人员 person",
        "单位 company",
        "区域 zone",
        "最后卡口 last gate",
        "时间 at",
        "状态 state",
    ]);
    for row in each(muster, "/rows") {
        let n = row.pointer("/n").and_then(Value::as_u64).unwrap_or_default() + 1;
        let person = match text(row, "/person") {
            person if person.is_empty() => format!("未识别 unidentified {}", text(row, "/with")).trim_end().to_owned(),
            person => person,
        };
        let state = match (row.pointer("/state/safe"), text(row, "/sos").is_empty()) {
            (Some(safe), _) => format!("安全 safe {}", text(safe, "/at")),
            (None, true) => "未到 unaccounted".to_owned(),
            (None, false) => "未到 unaccounted，求救 SOS".to_owned(),
        };
        let gate = format!("{} {}", text(row, "/last/gate"), text(row, "/last/lane")).trim().to_owned();
        table.row([
            n.to_string(),
            person,
            text(row, "/company"),
            text(row, "/zone"),
            gate,
            text(row, "/last/at"),
            state,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_unaccounted_are_listed_with_zone_last_gate_and_time_and_numbered_from_one() {
        let told = json!({ "musters": [{
            "muster": "muster-1-1", "zone": "park", "at": "t0", "drill": true, "more": 0,
            "numbers": { "listed": 57, "safe": 55, "unaccounted": 2 },
            "rows": [
                { "n": 3, "person": "p-3", "company": "C1", "zone": "tanks", "state": "unaccounted", "sos": null,
                  "last": { "gate": "east", "lane": "in-1", "at": "t1" } },
                { "n": 4, "person": null, "with": "皖R12345(黄)", "zone": "park", "state": "unaccounted", "sos": "t2" },
                { "n": 0, "person": "p-0", "zone": "park", "state": { "safe": { "how": "corrected", "at": "t3" } } },
            ] }] });
        let muster = each(&told, "/musters").next().unwrap();
        assert!(head(muster).contains("演练") && head(muster).ends_with("未到 unaccounted 2"), "{}", head(muster));
        let rows = rows(muster).text(Form::Csv);
        let lines: Vec<&str> = rows.lines().skip(1).collect();
        assert_eq!(lines[0], "4,p-3,C1,tanks,east in-1,t1,未到 unaccounted");
        assert_eq!(lines[1], "5,未识别 unidentified 皖R12345(黄),,park,,,未到 unaccounted，求救 SOS");
        assert_eq!(lines[2], "1,p-0,,park,,,安全 safe t3");
        assert_eq!(only(&told), Ok("muster-1-1".to_owned()));
        assert!(only(&json!({ "musters": [] })).unwrap_err().contains("no muster"));
        assert!(only(&json!({ "musters": [{ "muster": "a" }, { "muster": "b" }] })).unwrap_err().contains("a, b"));
    }
}
