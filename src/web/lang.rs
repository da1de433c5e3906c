//! Every word of the page, in Chinese and English, in one table. Words of the wire (qualities, streams, reasons) have
//! their translation here too; what comes from the configuration is shown as it was written.

use crate::domain::instrument::InstrumentState;
use crate::domain::reading::Quality;
use crate::domain::record::{GapReason, Stream};
use crate::domain::registry::Commissioning;
use crate::domain::time::ClockTrust;

/// A language of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// Chinese, the default.
    #[default]
    Zh,
    /// English.
    En,
}

impl Lang {
    /// Returns the code used in `?lang=`, in the cookie and in `<html lang>`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// Returns the language with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Zh, Self::En].into_iter().find(|lang| lang.code() == code)
    }

    /// Returns the other language.
    pub fn other(self) -> Self {
        match self {
            Self::Zh => Self::En,
            Self::En => Self::Zh,
        }
    }

    /// Returns the Chinese or the English word.
    pub fn pick<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }
}

macro_rules! texts {
    ($($name:ident: $zh:literal, $en:literal;)*) => {
        /// A fixed text of the page.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Text { $(#[doc = $en] $name,)* }

        impl Text {
            /// All texts.
            pub const ALL: &'static [Text] = &[$(Text::$name,)*];

            /// Returns the text in `lang`.
            pub fn of(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Text::$name, Lang::Zh) => $zh, (Text::$name, Lang::En) => $en,)*
                }
            }
        }
    };
}

texts! {
    Overview: "总览", "Overview";
    Uplink: "上行", "Uplink";
    Store: "存储", "Store";
    Alarms: "报警", "Alarms";
    Alarm: "报警", "Alarm";
    AlarmState: "状态", "State";
    AlarmText: "内容", "Text";
    NoAlarm: "没有报警", "no alarm";
    Priority: "级别", "Priority";
    Worst: "最高级别", "Worst";
    Unacked: "未确认", "Not acknowledged";
    Active: "报警中", "Active";
    Latched: "锁存待复位", "Latched";
    Hidden: "搁置、抑制、停用", "Shelved, suppressed, out of service";
    LastTenMinutes: "近 10 分钟", "Last 10 minutes";
    Flood: "报警泛滥", "flood";
    Chattering: "频繁跳变", "Chattering";
    LongStanding: "超过 24 小时", "Longer than 24 h";
    Limit: "限值", "Limit";
    Raised: "发生", "Raised";
    Acknowledged: "确认", "Acknowledged";
    Occurrence: "发生号", "Occurrence";
    Left: "剩余", "Left";
    Who: "人员", "Who";
    MayLast: "允许时长", "May last";
    Told: "时间", "Time";
    Message: "通知", "Message";
    Messages: "通知", "Messages";
    SiteState: "园区状态", "Site state";
    Zone: "区域", "Zone";
    Zones: "区域", "Zones";
    Holds: "有效状态", "Holds";
    Held: "待交还车道", "Lanes to give back";
    BeganAt: "开始", "Since";
    Proposals: "待确认的提议", "Proposals";
    Number: "编号", "Number";
    Drill: "演练", "Drill";
    Wind: "风", "Wind";
    From: "来自", "from";
    Warnings: "城市预警", "City warnings";
    Bypasses: "联锁摘除", "Interlock bypasses";
    ServiceChanges: "投用变更（运行中改的，与点表不同）", "Commissioning changed at run time, against the files";
    Lanes: "车道", "Lanes";
    Lane: "车道", "Lane";
    LaneRule: "规则", "Rule";
    LanesNotDriven: "本网关不驱动这些车道，规则只显示和记录，须由人执行", "This gateway does not move these lanes, their rules are shown and recorded, people must carry them out";
    Order: "指令", "Order";
    Output: "输出", "Output";
    Signals: "警笛、标志等输出", "Sirens, signs, outputs";
    FireLinkage: "消防联动", "Fire linkage";
    FireInput: "输入", "Input";
    Line: "线路", "Line";
    Daybook: "台账", "Daybook";
    Day: "日期", "Day";
    DaySoFar: "本日（截至目前）", "The day so far";
    DayUnknown: "时钟不可信，日期未知", "the clock is not to be trusted: nobody knows the day";
    ReportDue: "日报时间", "Report due";
    Coverage: "数据覆盖率", "Coverage";
    WorstCoverage: "覆盖率最低的设备", "Devices of lowest coverage";
    NilNeeds: "零报告所需", "A nil report needs";
    NotNil: "不能零报告的原因", "Why it is no nil report";
    SilentDevices: "失联设备", "Silent devices";
    Boots: "启动次数", "Starts";
    Unwatched: "无人值守时间", "Not watched";
    OutputsFailed: "输出未执行", "Outputs failed";
    AlarmsRaised: "报警次数", "Raised";
    AcknowledgedIn: "确认（次数、中位用时）", "Acknowledged (count, median)";
    ClearedIn: "恢复（次数、中位用时）", "Cleared (count, median)";
    StillOpen: "未结束", "Still open";
    Shelvings: "搁置次数", "Shelvings";
    Floods: "泛滥次数", "Floods";
    DayUndated: "日期未知（时钟未同步），以下为启动以来", "unknown (clock not synced): since the start";
    Duty: "值班", "Duty";
    Shift: "班次", "Shift";
    DutyOperator: "值班", "Operator";
    DutyLeader: "带班", "Leader";
    TakenBy: "接班", "Taken over by";
    NobodyTookOver: "无人接班", "nobody took over";
    DutyChecks: "待应答查岗", "Duty checks waiting";
    Hazards: "隐患", "Hidden hazards";
    HazardState: "状态", "State";
    Place: "位置", "Place";
    Deadline: "时限", "Deadline";
    Accidents: "事故", "Accidents";
    FirstReportLeft: "首报剩余", "First report in";
    Reports: "已出日报", "Reports made";
    Field: "现场", "Field";
    Clock: "时钟", "Clock";
    Gateway: "网关", "Gateway";
    OtherLanguage: "English", "中文";
    Lost: "连接中断，画面停留在", "Connection lost, this page stands still since";
    LostFor: "已中断", "for";
    NotReady: "网关未就绪", "Gateway not ready";
    ConfigRefused: "新的配置文件有误，未生效，仍按原配置运行；自", "The configuration files are refused, the one before stays in force; since";
    ConfigRestart: "以下设置的更改在重启后生效", "Changes of these settings take effect at the next start";
    EngineSilent: "采集引擎无应答，以下没有现场数据", "The engine does not answer; there is no field data below";
    Devices: "设备", "Devices";
    Device: "设备", "Device";
    DevicesUp: "在线设备", "Devices up";
    DevicesDown: "中断设备", "Devices down";
    Connection: "连接", "Connection";
    Since: "持续", "For";
    Points: "测点", "Points";
    Point: "测点", "Point";
    Good: "有效", "Good";
    NotGood: "异常", "Not good";
    PointsGood: "有效测点", "Points good";
    Late: "过期", "overdue";
    Class: "周期", "Interval";
    ClassName: "采集周期", "Poll interval";
    P50: "实际 p50", "Actual p50";
    P95: "实际 p95", "Actual p95";
    P99: "实际 p99", "Actual p99";
    Buses: "总线", "Buses";
    Bus: "总线", "Bus";
    BusPlace: "端口", "Port";
    BusLine: "线路", "Line";
    PlannedLoad: "计划占用", "Planned load";
    BusyMinute: "近 1 分钟占用", "Busy, 1 min";
    BusyQuarter: "近 15 分钟占用", "Busy, 15 min";
    PlannedCycle: "计划一遍", "Planned cycle";
    BusRequests: "请求", "Requests";
    AskedAgain: "重问", "Asked again";
    BusSilent: "无应答", "No answer";
    BusGarbled: "错误应答", "Wrong answer";
    BusStrays: "迟到应答", "Late answers";
    PlannedTime: "计划用时", "Planned time";
    PlannedTurnaround: "计划应答延时", "Planned turnaround";
    Turnaround: "实际应答延时", "Actual turnaround";
    DeadTime: "离线时每次试探", "Each try while dead";
    WorstLate: "最大滞后", "Worst late";
    PollsOk: "成功", "OK";
    PollsBad: "失败", "Failed";
    PollsSkipped: "跳过", "Skipped";
    PollsDue: "应采", "Polls due";
    PollsTotal: "采集次数", "Polls due";
    Readings: "读数", "Readings";
    ReadingsBad: "无值读数", "Readings without value";
    StaleEvents: "过时事件", "Overtaken events";
    Up: "在线", "up";
    Down: "中断", "down";
    Connecting: "连接中", "connecting";
    Retry: "重试间隔", "Retry after";
    NotConfigured: "未配置", "not configured";
    Broker: "服务器", "Broker";
    Sessions: "会话", "Sessions";
    Session: "会话", "Session";
    Attempts: "连接次数", "Attempts";
    Trouble: "原因", "Why";
    OpcUa: "OPC UA 服务器", "OPC UA servers";
    Source: "数据源", "Source";
    Address: "地址", "Address";
    Security: "安全策略", "Security";
    Unprotected: "无保护", "unprotected";
    Watched: "订阅测点", "Points watched";
    NodesRefused: "拒绝节点", "Nodes refused";
    SessionsMade: "建立会话", "Sessions made";
    Overflows: "丢失次数", "Losses";
    Watchdog: "静默重建", "Watchdog";
    RejectedCertificates: "未信任的服务器证书（parkgate trust）", "Certificates not trusted (parkgate trust)";
    Subject: "主体", "Subject";
    Fingerprint: "指纹", "Fingerprint";
    ValidUntil: "有效期至", "Valid until";
    Waiting: "待送", "Waiting";
    LastAck: "最近确认", "Last acknowledged";
    Never: "尚无", "never";
    Ago: "前", "ago";
    LiveAge: "实时数据时延", "Age of live data";
    GapsOpen: "未确认缺口", "Gaps not acknowledged";
    GapsTotal: "累计缺口", "Gaps ever";
    Stream: "数据流", "Stream";
    Streams: "数据流", "Streams";
    First: "首号", "First";
    Stored: "已存至", "Stored to";
    Next: "下一号", "Next";
    Bytes: "占用", "Bytes";
    Segments: "段数", "Segments";
    Oldest: "最早记录", "Oldest";
    LostRecords: "缺失", "Lost";
    Delivered: "已送达", "Delivered";
    InFlight: "在途", "In flight";
    Resent: "重发", "Resent";
    Refused: "拒收", "Refused";
    Reason: "原因", "Reason";
    Count: "数量", "Count";
    Health: "状态", "Health";
    Healthy: "正常", "healthy";
    Failed: "故障", "failed";
    Used: "已用", "Used";
    Quota: "配额", "quota";
    DiskFree: "磁盘可用", "Disk free";
    Unknown: "未知", "unknown";
    Quarantined: "隔离段", "Quarantined";
    Reopened: "重新打开", "Reopened";
    WorstCommit: "最慢提交", "Worst commit";
    Commits: "提交次数", "Commits";
    Epoch: "存储纪元", "Store epoch";
    Boot: "启动序号", "Start number";
    Running: "已运行", "Running for";
    Trust: "可信度", "Trust";
    SinceSynced: "距上次同步", "Since last synced";
    Steps: "跳变", "Steps";
    LastStep: "最近跳变", "Last step";
    MaxError: "最大误差", "Largest error";
    Utc: "UTC", "UTC";
    ParkTime: "园区时间", "Park time";
    Version: "版本", "Version";
    Registry: "点表版本", "Point table revision";
    Tag: "位号", "Tag";
    Name: "名称", "Name";
    Value: "数值", "Value";
    Unit: "单位", "Unit";
    Quality: "质量", "Quality";
    InstrumentState: "仪表状态", "Instrument";
    NotMonitoring: "未在监测的仪表", "Instruments not monitoring";
    Age: "时龄", "Age";
    Range: "量程", "Range";
    RangePosition: "量程内位置", "Position in range";
    NoData: "无数据", "no data";
    NotYetRead: "尚未读取", "not read yet";
    LastHour: "最近一小时", "Last hour";
    TrendFailed: "无法读取趋势", "The trend could not be read";
    TrendSlow: "存储未及时应答", "the store did not answer in time";
    TrendNone: "本时段没有任何记录", "nothing was recorded in this span";
    Covered: "有数据时段", "Covered";
    Lowest: "最低", "Lowest";
    Highest: "最高", "Highest";
    Samples: "记录数", "Records";
    Holes: "无数据段", "Spans without data";
    LegendNoData: "斜纹 = 无数据", "hatched = no data";
    LegendBad: "底部色条 = 质量异常", "bar below = quality not good";
    LegendRange: "虚线 = 量程", "dashed = range";
    Uid: "唯一标识", "Uid";
    Deadband: "死区", "Deadband";
    DeadbandOff: "关闭（全部上报）", "off (all reported)";
    MaxSilence: "最长静默", "Longest silence";
    Equipment: "设备位号", "Equipment";
    Kind: "测点类型", "Kind";
    PlatformCode: "平台编码", "Platform code";
    Company: "企业编码", "Company code";
    HazardSource: "重大危险源编码", "Hazard-source code";
    State: "投用状态", "Commissioning";
    NotFound: "没有这个页面", "There is no such page";
    NoDevice: "没有这个设备", "There is no such device";
    NoPoint: "没有这个测点", "There is no such point";
    BackToOverview: "返回总览", "Back to the overview";
    TooLong: "地址过长", "The address is too long";
    MethodNotAllowed: "本页只读", "This page is read-only";
    NoBodies: "本页不接收数据", "This page takes no data";
    Forbidden: "没有权限", "You have no right to this";
    Gates: "卡口", "Gates";
    GatesSilent: "卡口无应答，以下没有车道数据：按现场情况处置", "The gates do not answer; nothing is known of the lanes: act by what you see";
    Normal: "正常", "normal";
    None: "无", "none";
    NothingToDo: "卡口正常，无须处理", "The gates are normal, nothing waits for you";
    LanesNotNormal: "异常车道", "Lanes not normal";
    Condition: "异常", "Not normal";
    Arm: "道闸", "Arm";
    UnderArm: "闸下有车", "something under it";
    UnderArmUnknown: "闸下未知，按有车处理", "under it: not known, taken as occupied";
    BeforeIt: "车辆", "Vehicle";
    Queue: "排队", "queue";
    QueueGrows: "排队伸向园外道路", "the queue grows towards the public road";
    Disarmed: "相机曾自行开闸，未布防", "its camera opened by its own list: not armed";
    HeldBy: "人工常开", "held open by";
    UnderTest: "测试中", "under test";
    Manned: "有人值守", "manned";
    Unmanned: "无人值守", "unmanned";
    LastVerdict: "最近判定", "Last verdict";
    Verdict: "判定", "Verdict";
    AtLane: "现场", "at the lane";
    Code: "代码", "Code";
    InChinese: "中文", "Chinese";
    InEnglish: "英文", "English";
    ReasonsOfVerdicts: "最近判定的全部原因", "All reasons of the last verdicts";
    Tickets: "待处理", "Waiting for people";
    NobodyWaits: "无人等待", "nobody waits";
    Asked: "找谁", "Asked";
    What: "事项", "What";
    WhoWaits: "谁在等", "Who waits";
    Until: "截止", "Until";
    WhoIsInside: "园内人员和车辆", "Who is inside";
    ZoneClass: "类别", "Class";
    Persons: "人员", "Persons";
    PersonsInside: "园内人员", "Persons inside";
    Vehicles: "车辆", "Vehicles";
    Vehicle: "车辆", "Vehicle";
    GasAlarm: "气体报警", "Gas alarm";
    Level: "级", "level";
    TooMany: "超过限额", "more than may be";
    MoreOutThanIn: "多出", "more out than in:";
    CountedAt: "上次清点", "last counted";
    CountsKnown: "人数连续", "counted without a break";
    NotCounted: "园内人数未清点，仅供参考", "Who is inside has not been counted: the numbers may be wrong";
    PeersCut: "与其他卡口网关失联，园内人数不含其通行", "Other gateways of the park are cut off: their passages are missing here";
    Unclear: "待查清", "To be cleared up";
    InDoubt: "通行存疑", "Passage in doubt";
    Conflicts: "记录冲突", "Conflict";
    Reviews: "违规待复核", "Violation to be judged";
    SettledBy: "处理编号", "Settled by";
    Unidentified: "未识别", "unidentified";
    Overstays: "超时停留", "Stays too long";
    CameThrough: "经过卡口", "Came through";
    InsideList: "园内名单", "List of everybody inside";
    KnownByName: "有名可查", "Known by name";
    CameWith: "随车", "With";
    CountedIn: "清点时在园", "counted in";
    NotListed: "名单未列出", "Not listed";
    Counts: "人数", "Counts";
    PageOf: "页", "Page";
    PageBefore: "上一页", "Page before";
    PageAfter: "下一页", "Page after";
    Pictures: "照片", "Pictures";
    NoPicture: "没有这张照片", "there is no such picture";
    NoMuster: "没有进行中的人员清点", "no muster is under way";
    Ticked: "到", "Here";
    Muster: "人员清点", "Muster";
    Unaccounted: "未到", "unaccounted";
    Safe: "安全", "safe";
    CallsForHelp: "求救", "SOS";
    UnreadOut: "未刷卡离开", "Left unread";
    CameAfter: "此后进入", "Came in since";
    Position: "定位", "Position";
    HazmatParking: "危化停车场", "Hazmat parking";
    HazmatInside: "园内危化车辆", "Dangerous goods inside";
    Bay: "泊位", "bay";
    ParkedWrong: "违停", "parked wrongly";
    WaitsForBay: "等待泊位", "waits for a bay";
    Goods: "货物", "Goods";
    Empty: "空车", "empty";
    Inside: "已停留", "Inside for";
    OfAllowed: "占允许时长", "Of what is allowed";
    StayWarned: "即将超时", "Stay nearly over";
    TableNotSigned: "禁忌配存表未签署，危化停车未布防", "The table of what must be apart is not signed: the hazmat parking is not armed";
    SentTo: "调度至", "Sent to";
    WorkDone: "装卸完成", "done";
    Waybill: "运单", "Waybill";
    NoWaybill: "无运单", "none";
    WaybillsUnderWay: "在途运单", "Waybills under way";
    MayEnter: "能否入园", "May enter";
    ForWhom: "企业", "For";
    ReadOnly: "只读", "read-only";
    All: "合计", "All";
}

/// Returns a quality for people.
pub fn quality(quality: Quality, lang: Lang) -> &'static str {
    let (zh, en) = match quality {
        Quality::Good => ("有效", "good"),
        Quality::Comm => ("通信中断", "no answer"),
        Quality::Sensor => ("传感器故障", "sensor fault"),
        Quality::OverRange => ("超量程上限", "over range"),
        Quality::UnderRange => ("低于量程", "under range"),
        Quality::Calibration => ("校准中", "calibration"),
        Quality::Maintenance => ("检修中", "maintenance"),
        Quality::Stopped => ("停用", "stopped"),
        Quality::Substituted => ("人工置数", "set by hand"),
        Quality::Stale => ("数据过期", "stale"),
        Quality::Suspect => ("可疑", "suspect"),
    };
    lang.pick(zh, en)
}

/// Returns what an instrument is doing, for people.
pub fn instrument(state: InstrumentState, lang: Lang) -> &'static str {
    let named = InstrumentState::NAMED.iter().find(|(named, ..)| *named == state);
    let (en, zh) = named.map_or(("unknown code", "未知编码"), |(_, en, zh)| (*en, *zh));
    lang.pick(zh, en)
}

/// Returns a stream for people.
pub fn stream(stream: Stream, lang: Lang) -> &'static str {
    let (zh, en) = match stream {
        Stream::Alarm => ("报警", "alarm"),
        Stream::Passage => ("通行", "passage"),
        Stream::Event => ("事件", "event"),
        Stream::Registry => ("点表", "registry"),
        Stream::Report => ("报表", "report"),
        Stream::Telemetry => ("遥测", "telemetry"),
    };
    lang.pick(zh, en)
}

/// Returns the trust in the clock for people.
pub fn trust(trust: ClockTrust, lang: Lang) -> &'static str {
    let (zh, en) = match trust {
        ClockTrust::Synced => ("已同步", "synced"),
        ClockTrust::Holdover => ("失步守时", "holdover"),
        ClockTrust::Unsynced => ("未同步", "unsynced"),
    };
    lang.pick(zh, en)
}

/// Returns the reason of a gap for people.
pub fn gap_reason(reason: GapReason, lang: Lang) -> &'static str {
    let (zh, en) = match reason {
        GapReason::CrashUncommitted => ("崩溃前未落盘（上限）", "not stored before a crash (at most)"),
        GapReason::Damaged => ("段损坏", "segment damaged"),
        GapReason::Quota => ("为新数据让出空间", "made room for newer data"),
        GapReason::Full => ("数据流已满", "stream full"),
        GapReason::StoreFailed => ("存储故障或过慢", "store failed or too slow"),
        GapReason::StoreReplaced => ("存储被更换", "store replaced"),
        GapReason::Unreadable => ("无法读出", "unreadable"),
    };
    lang.pick(zh, en)
}

/// Returns a session's name for people.
pub fn session(name: &str, lang: Lang) -> &str {
    match (name, lang) {
        ("urgent", Lang::Zh) => "紧急会话",
        ("bulk", Lang::Zh) => "批量会话",
        ("commands", Lang::Zh) => "指令会话",
        (other, Lang::Zh | Lang::En) => other,
    }
}

/// Returns a state of commissioning for people.
pub fn commissioning(state: Commissioning, lang: Lang) -> &'static str {
    let (zh, en) = match state {
        Commissioning::Planned => ("未接线", "planned"),
        Commissioning::Commissioning => ("联调", "commissioning"),
        Commissioning::InService => ("投用", "in service"),
        Commissioning::Stopped => ("停用", "stopped"),
        Commissioning::Removed => ("拆除", "removed"),
    };
    lang.pick(zh, en)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_there_in_both_languages() {
        for text in Text::ALL {
            assert!(!text.of(Lang::Zh).is_empty() && !text.of(Lang::En).is_empty(), "{text:?}");
            assert!(text.of(Lang::En).is_ascii() || *text == Text::OtherLanguage, "{text:?} is not English");
        }
    }

    #[test]
    fn a_language_is_found_by_its_code_only() {
        assert_eq!(Lang::from_code("en"), Some(Lang::En));
        assert_eq!(Lang::from_code("EN"), None);
        assert_eq!(Lang::default().other().other(), Lang::Zh);
    }
}
