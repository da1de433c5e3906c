//! What a modem says: lines, the prompt for a PDU, final results, errors in words (3GPP TS 27.005, 27.007; the causes below 128 are
//! those of TS 24.011, annex E).

use super::Trouble;
use crate::domain::danger::ChannelState;

/// Longest line: an answer has some dozens of characters; more is no modem.
const MAX_LINE: usize = 1024;

/// Something a modem said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A line, not empty.
    Line(String),
    /// `> `: it waits for the PDU.
    Prompt,
}

/// Makes lines of bytes.
#[derive(Debug, Default)]
pub struct Listener {
    part: Vec<u8>,
}

impl Listener {
    /// Takes bytes as they come, however they are cut.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.part)).trim().to_owned();
                    if !line.is_empty() {
                        heard.push(Heard::Line(line));
                    }
                }
                _ => self.part.push(*byte),
            }
            if self.part == b"> " {
                self.part.clear();
                heard.push(Heard::Prompt);
            }
            if self.part.len() > MAX_LINE {
                self.part.clear();
            }
        }
        heard
    }
}

/// Returns what a line ends a command with, where it does.
pub fn ending(line: &str) -> Option<Result<(), Trouble>> {
    if line == "OK" {
        return Some(Ok(()));
    }
    if line == "ERROR" {
        return Some(Err(Trouble::new("调制解调器拒绝命令", "the modem refuses the command")));
    }
    let of = |prefix: &str| line.strip_prefix(prefix).map(str::trim);
    if let Some(code) = of("+CMS ERROR:") {
        return Some(Err(worded("CMS", code, cms)));
    }
    of("+CME ERROR:").map(|code| Err(worded("CME", code, cme)))
}

/// Chinese, English, and whether another try makes no sense.
type Words = (&'static str, &'static str, bool);

fn worded(family: &str, code: &str, words: fn(u16) -> Option<Words>) -> Trouble {
    let known = code.parse().ok().and_then(words);
    let (zh, en, lasting) = known.unwrap_or(("原因见代码", "see the code", false));
    let code: String = code.chars().take(64).collect();
    Trouble { lasting, ..Trouble::new(format!("{zh}（{family} {code}）"), format!("{en} ({family} {code})")) }
}

fn cms(code: u16) -> Option<Words> {
    Some(match code {
        1 => ("号码不存在", "the number does not exist", true),
        8 => ("运营商禁止此卡发短信", "the operator bars this SIM from texts", true),
        10 => ("呼叫限制，禁发短信", "texts are barred", true),
        17 => ("网络故障", "network failure", false),
        21 => ("短信被拒绝（欠费或被拦截）", "the text was rejected (no credit, or blocked)", false),
        22 | 42 => ("网络拥塞", "congestion", false),
        27 => ("对方不在服务区", "the destination is out of service", false),
        28 => ("此卡未在网络登记", "the SIM is not known to the network", true),
        29 => ("运营商未开通短信", "the facility is rejected", true),
        30 => ("网络不认识此用户", "unknown subscriber", true),
        38 => ("网络失常", "the network is out of order", false),
        41 => ("暂时失败", "temporary failure", false),
        47 => ("资源不足", "no resources", false),
        50 => ("未订购短信业务", "texts are not subscribed", true),
        69 => ("网络不支持短信", "texts are not implemented", true),
        300 => ("调制解调器故障", "failure of the modem", false),
        302 => ("不允许的操作", "operation not allowed", false),
        304 => ("PDU 不合格", "the PDU is not valid", true),
        310 => ("没有 SIM 卡", "no SIM card", false),
        311 => ("SIM 卡要 PIN 码", "the SIM wants its PIN", false),
        313 => ("SIM 卡故障", "failure of the SIM", false),
        314 => ("SIM 卡忙", "the SIM is busy", false),
        316 => ("SIM 卡已锁，要 PUK 码", "the SIM is locked and wants its PUK", false),
        330 => (
            "短信中心号码未知，请写入 SIM 卡（AT+CSCA）",
            "the service centre is not known: set it in the SIM (AT+CSCA)",
            false,
        ),
        331 => ("没有网络", "no network", false),
        332 => ("网络超时", "network timeout", false),
        500 => ("原因不明，多为信号弱或欠费", "no reason given; often a weak signal or no credit", false),
        _ => return None,
    })
}

fn cme(code: u16) -> Option<Words> {
    Some(match code {
        10 => ("没有 SIM 卡", "no SIM card", false),
        11 => ("SIM 卡要 PIN 码", "the SIM wants its PIN", false),
        12 => ("SIM 卡已锁，要 PUK 码", "the SIM is locked and wants its PUK", false),
        13 => ("SIM 卡故障", "failure of the SIM", false),
        14 => ("SIM 卡忙", "the SIM is busy", false),
        15 => ("SIM 卡不对", "the wrong SIM", false),
        16 => ("PIN 码错误", "the PIN is wrong", false),
        30 => ("没有网络", "no network", false),
        31 => ("网络超时", "network timeout", false),
        32 => ("只能紧急呼叫", "emergency calls only", false),
        _ => return None,
    })
}

/// What a SIM says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sim {
    /// Nothing is asked for.
    Ready,
    /// The PIN.
    Pin,
    /// Something else: the PUK, a password of the modem.
    Locked,
}

/// Reads `+CPIN: READY`.
pub fn sim(lines: &[String]) -> Option<Sim> {
    Some(match value(lines, "+CPIN:")? {
        "READY" => Sim::Ready,
        "SIM PIN" => Sim::Pin,
        _ => Sim::Locked,
    })
}

/// Reads the tries left, and how many there are at first, of `+CPINR: SIM PIN,3,3`; three where that is not said.
pub fn tries(lines: &[String]) -> Option<(u8, u8)> {
    let mut fields = value(lines, "+CPINR:")?.split(',').skip(1).map(|field| field.trim().parse::<u8>().ok());
    let left = fields.next().flatten()?;
    Some((left, fields.next().flatten().unwrap_or(3)))
}

/// Reads the state of `+CREG: 0,1` (also `+CEREG:`, of LTE).
pub fn registered(lines: &[String], name: &str) -> Option<u8> {
    let fields: Vec<&str> = value(lines, name)?.split(',').map(str::trim).collect();
    fields.get(1).or(fields.first())?.parse().ok()
}

/// Reads the signal of `+CSQ: 20,99` in dBm; `None` where the modem does not know it.
pub fn signal(lines: &[String]) -> Option<i16> {
    let rssi: i16 = value(lines, "+CSQ:")?.split(',').next()?.trim().parse().ok()?;
    (0..=31).contains(&rssi).then_some(2 * rssi - 113)
}

/// Reads the reference of `+CMGS: 17`.
pub fn reference(lines: &[String]) -> Option<String> {
    let number: u16 = value(lines, "+CMGS:")?.split(',').next()?.trim().parse().ok()?;
    Some(number.to_string())
}

fn value<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().rev().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Judges network and signal.
///
/// # Errors
///
/// Why no text could be sent now.
pub fn standing(registration: Option<u8>, signal: Option<i16>) -> Result<ChannelState, Trouble> {
    let (zh, en) = match registration {
        Some(1 | 6) => ("已登记本地网络", "home network"),
        Some(5 | 7) => ("漫游", "roaming"),
        Some(2) => return Err(Trouble::new("正在搜索网络", "it searches for a network")),
        Some(3) => return Err(Trouble::new("网络拒绝此卡", "the network refuses the SIM")),
        _ => return Err(Trouble::new("没有网络", "no network")),
    };
    let (zh_signal, en_signal) = match signal {
        Some(dbm) => (format!("信号 {dbm} dBm"), format!("signal {dbm} dBm")),
        None => ("信号未知".to_owned(), "signal not known".to_owned()),
    };
    Ok(ChannelState { up: true, zh: format!("{zh}，{zh_signal}"), en: format!("{en}, {en_signal}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn lines_and_prompts_are_found_however_the_bytes_are_cut() {
        let whole = b"AT+CMGS=37\r\r\n> \r\n+CMGS: 17\r\n\r\nOK\r\n";
        let wanted = [
            Heard::Line("AT+CMGS=37".into()),
            Heard::Prompt,
            Heard::Line("+CMGS: 17".into()),
            Heard::Line("OK".into()),
        ];
        assert_eq!(Listener::default().take(whole), wanted);
        let mut listener = Listener::default();
        let single: Vec<Heard> = whole.chunks(1).flat_map(|byte| listener.take(byte)).collect();
        assert_eq!(single, wanted);
        assert!(listener.take(&vec![b'x'; 100_000]).is_empty() && listener.part.len() <= MAX_LINE);
    }

    #[test]
    fn errors_have_words_and_say_whether_another_try_makes_sense() {
        assert_eq!(ending("OK"), Some(Ok(())));
        assert_eq!(ending("+CMGS: 1"), None);
        let told = |line: &str| ending(line).unwrap().unwrap_err();
        assert_eq!(told("+CMS ERROR: 330").zh, "短信中心号码未知，请写入 SIM 卡（AT+CSCA）（CMS 330）");
        assert_eq!(
            (told("+CMS ERROR: 331").en.as_str(), told("+CMS ERROR: 331").lasting),
            ("no network (CMS 331)", false)
        );
        assert!(told("+CMS ERROR: 8").lasting && !told("+CMS ERROR: 500").lasting);
        assert_eq!(told("+CME ERROR: SIM busy").en, "see the code (CME SIM busy)");
        assert!(told("+CME ERROR: 10").zh.starts_with("没有 SIM 卡"));
        assert!(!told("ERROR").lasting);
    }

    #[test]
    fn answers_are_read_past_what_the_modem_says_unasked() {
        assert_eq!(sim(&lines(&["^RSSI: 20", "+CPIN: READY"])), Some(Sim::Ready));
        assert_eq!(sim(&lines(&["+CPIN: SIM PIN"])), Some(Sim::Pin));
        assert_eq!(sim(&lines(&["+CPIN: SIM PUK"])), Some(Sim::Locked));
        assert_eq!(tries(&lines(&["+CPINR: SIM PIN,2,3"])), Some((2, 3)));
        assert_eq!(tries(&lines(&["+CPINR: SIM PIN,3"])), Some((3, 3)));
        assert_eq!(registered(&lines(&["+CREG: 0,1"]), "+CREG:"), Some(1));
        assert_eq!(registered(&lines(&["+CEREG: 2,5,\"1F2A\",\"0\""]), "+CEREG:"), Some(5));
        assert_eq!((signal(&lines(&["+CSQ: 20,99"])), signal(&lines(&["+CSQ: 99,99"]))), (Some(-73), None));
        assert_eq!(reference(&lines(&["+CMGS: 17"])), Some("17".into()));
        assert_eq!(reference(&lines(&["RING"])), None);
    }

    #[test]
    fn a_sim_without_network_could_tell_nobody() {
        assert_eq!(standing(Some(1), Some(-73)).unwrap().en, "home network, signal -73 dBm");
        assert!(standing(Some(5), None).unwrap().up);
        for none in [Some(0), Some(2), Some(3), Some(4), None] {
            assert!(standing(none, Some(-73)).is_err());
        }
    }
}
