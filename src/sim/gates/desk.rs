//! People at the demo's gate: what they tell the gateway goes through its control socket, as `parkgate` would send it for them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::control::SOCKET;
use crate::domain::gate::hazmat::checks::{CheckItem, default_items};
use crate::domain::gate::plate::Plate;

/// The gateway answers a person at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Signs the opening count: nobody is in the park when the demo begins.
///
/// # Errors
/// Why it does not hold.
pub async fn count(folder: &Path) -> Result<(), String> {
    let none = json!({ "persons": 0, "vehicles": {} });
    let zones = json!({ "park": none.clone(), "nitration": none });
    let list = json!({ "park": [], "nitration": [] });
    let count = json!({ "do": "count", "zones": zones, "list": list, "why": "演示开始，园内无人" });
    ask(folder, &json!({ "ask": "gate", "act": { "of": "account", "act": count } })).await
}

/// Answers the checks of a waybill, as who looked at the vehicle found them; `failed` is the one that did not pass.
///
/// # Errors
/// Why one of them does not hold.
pub async fn check(folder: &Path, waybill: &str, failed: Option<&str>) -> Result<(), String> {
    for CheckItem { id, .. } in default_items() {
        let passed = failed != Some(id.as_str());
        let note = if passed { "" } else { "罐体检验已过期" };
        let act = json!({ "do": "check", "waybill": waybill, "item": id, "passed": passed, "note": note });
        goods(folder, act).await?;
    }
    Ok(())
}

/// Says that a vehicle stands in a bay.
///
/// # Errors
/// Why it is not taken.
pub async fn parked(folder: &Path, bay: &str, plate: &Plate) -> Result<(), String> {
    goods(folder, json!({ "do": "bay_taken", "bay": bay, "plate": plate })).await
}

/// Says that a bay is empty.
///
/// # Errors
/// Why it is not taken.
pub async fn left(folder: &Path, bay: &str) -> Result<(), String> {
    goods(folder, json!({ "do": "bay_empty", "bay": bay })).await
}

async fn goods(folder: &Path, act: Value) -> Result<(), String> {
    ask(folder, &json!({ "ask": "gate", "act": { "of": "goods", "act": act } })).await
}

/// Sends one request; the gateway's last line says what is wrong, or nothing.
async fn ask(folder: &Path, request: &Value) -> Result<(), String> {
    let asked = async {
        let stream = UnixStream::connect(folder.join("state").join(SOCKET)).await.map_err(|e| e.to_string())?;
        let (read, mut write) = stream.into_split();
        write.write_all(format!("{request}\n").as_bytes()).await.map_err(|e| e.to_string())?;
        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await.map_err(|e| e.to_string())? {
            let line: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
            match line.get("end").and_then(Value::as_str) {
                Some("") => return Ok(()),
                Some(why) => return Err(why.to_owned()),
                None => {}
            }
        }
        Err("no answer".to_owned())
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}
