//! The life of the simulated park as a pure function of time and seed: swings, fills, noise, and a story that repeats
//! each minute: a leak builds up and clears, a tank gauge falls silent, others are calibrated, tested, broken. In the first of
//! ten minutes the power is transferred to the second source, and a detector warms up after it.
//!
//! ```text
//!  s   0    4      10   14      20   25        60
//!  leak     ╱‾‾‾‾‾‾‾‾‾‾‾‾╲______                    0 … 1
//!  silent        7‾‾‾‾‾‾‾‾15
//!  source 2               16‾‾‾‾‾‾‾‾25
//!  warm-up                 17‾‾‾‾‾‾‾‾‾‾‾30          AT7301
//!  calibration 2‾‾‾‾‾‾‾‾‾‾13                        AT7106, span gas applied
//!  bump test       8‾‾‾‾12                          AT7104, test gas applied
//!  fault       5‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾30          AT7005
//! ```
//!
//! Beside it each hour has one [`Trouble`] for each unit that nothing happens to in that minute: coolant runs short, a
//! river rises. They come one after the other, the first after two minutes, and last long enough for the delays of their
//! alarms.
//!
//! A release by command (`parkgate fault DEVICE leak`) is [`Moment::release`].
//!
//! Nothing here remembers: the same moment gives the same park, so a test needs no clock.

use std::f64::consts::TAU;
use std::time::Duration;

/// The story begins anew after this many seconds.
pub const CYCLE: f64 = 60.0;
/// The power is transferred in the first of so many seconds' minutes: each transfer is an alarm, and what alarms each minute
/// teaches people not to look.
const TRANSFER_CYCLE: f64 = 600.0;
/// The leak: begins, is full, begins to clear, is gone.
const LEAK: [f64; 4] = [4.0, 10.0, 14.0, 20.0];
/// The leak passes the low alarm limit (25 %LEL of 60 at its height) here.
const LEAK_ALARM: f64 = LEAK[0] + (LEAK[1] - LEAK[0]) * 25.0 / 60.0;
/// One tank gauge does not answer.
const SILENT: (f64, f64) = (7.0, 15.0);
/// The power comes from the second source.
const TRANSFER: (f64, f64) = (16.0, 25.0);

/// A detector is calibrated.
const CALIBRATION: (f64, f64) = (2.0, 13.0);
/// Another gets test gas.
const BUMP_TEST: (f64, f64) = (8.0, 12.0);
/// Another is broken.
const FAULT: (f64, f64) = (5.0, 30.0);
/// One that hangs on the first source without a battery warms up after the transfer.
const WARM_UP: (f64, f64) = (TRANSFER.0 + 1.0, 30.0);

/// Each trouble comes once in so many seconds.
pub const TROUBLES_EVERY: f64 = 3_600.0;
/// A trouble builds up, and goes, within so many seconds.
const ONSET: f64 = 5.0;
/// How long a trouble lasts whose alarm waits for 15 s at most (flow, pressure), for 60 s (temperature, level), for
/// 5 min (ponds); the poll of a slow class comes on top.
const SHORT: f64 = 45.0;
const LONG: f64 = 110.0;
const SLOW: f64 = 420.0;

/// One instant of the park.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Seconds since the park began, ≥ 0.
    pub t: f64,
    /// Two parks of the same seed live the same life.
    pub seed: u64,
    /// How far a release by command is, 0 to 1, at the device that is looked at.
    pub release: f64,
}

/// What happens, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// The leak is above the low alarm limit.
    LeakAlarm,
    /// The leak is gone.
    LeakCleared,
    /// The tank gauge falls silent.
    Silent,
    /// It answers again.
    Answers,
    /// The power comes from the second source.
    SecondSource,
    /// The power comes from the first source again.
    FirstSource,
    /// A detector is calibrated.
    Calibration,
    /// It measures again.
    Calibrated,
    /// A detector gets test gas.
    BumpTest,
    /// It measures again.
    Tested,
    /// A detector is broken.
    Fault,
    /// A detector warms up after the loss of power.
    WarmUp,
    /// It measures again, and the broken one as well.
    AllMeasure,
    /// The broken one measures again.
    Repaired,
}

impl News {
    /// All news in the order of the story, and their second within the cycle.
    const STORY: [(f64, News); 13] = [
        (CALIBRATION.0, Self::Calibration),
        (FAULT.0, Self::Fault),
        (LEAK_ALARM, Self::LeakAlarm),
        (SILENT.0, Self::Silent),
        (BUMP_TEST.0, Self::BumpTest),
        (BUMP_TEST.1, Self::Tested),
        (CALIBRATION.1, Self::Calibrated),
        (SILENT.1, Self::Answers),
        (TRANSFER.0, Self::SecondSource),
        (WARM_UP.0, Self::WarmUp),
        (LEAK[3], Self::LeakCleared),
        (TRANSFER.1, Self::FirstSource),
        (WARM_UP.1, Self::AllMeasure),
    ];

    /// Returns what happens after `from` and not after `to`, in order.
    pub fn between(from: Duration, to: Duration) -> Vec<News> {
        let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
        let mut begin = (from / CYCLE).floor() * CYCLE;
        let mut news = Vec::new();
        while begin <= to {
            let due = |(second, _): &&(f64, News)| begin + second > from && begin + second <= to;
            let transfers = begin.rem_euclid(TRANSFER_CYCLE) < CYCLE;
            news.extend(Self::STORY.iter().filter(due).filter_map(|(_, news)| news.of_minute(transfers)));
            begin += CYCLE;
        }
        news
    }

    /// What it is in a minute in which the power is transferred, or is not.
    fn of_minute(self, transfers: bool) -> Option<News> {
        let is_of_transfer = matches!(self, Self::SecondSource | Self::FirstSource | Self::WarmUp);
        if transfers {
            Some(self)
        } else if matches!(self, Self::AllMeasure) {
            Some(Self::Repaired)
        } else {
            (!is_of_transfer).then_some(self)
        }
    }

    /// Returns the news in words, Chinese first.
    pub fn words(self) -> &'static str {
        match self {
            Self::LeakAlarm => {
                "储罐区可燃气体泄漏，AT7003 超过 25 %LEL ｜ Leak at the tank farm: AT7003 is above 25 %LEL"
            }
            Self::LeakCleared => "泄漏已消除 ｜ The leak has cleared",
            Self::Silent => "三号罐区液位仪无应答 ｜ Tank gauge 3 does not answer any more",
            Self::Answers => "三号罐区液位仪恢复应答 ｜ Tank gauge 3 answers again",
            Self::SecondSource => "市电中断，双电源切换到第二路 ｜ Mains lost: transfer to the second source",
            Self::FirstSource => "市电恢复，双电源切回第一路 ｜ Mains back: transfer to the first source",
            Self::Calibration => {
                "AT7106 标定中，标准气不是测量值 ｜ AT7106 is calibrated: its span gas is no measurement"
            }
            Self::Calibrated => "AT7106 标定结束 ｜ AT7106 measures again",
            Self::BumpTest => "AT7104 通气测试 ｜ AT7104 gets test gas",
            Self::Tested => "AT7104 测试结束 ｜ AT7104 measures again",
            Self::Fault => "AT7005 探测器故障 ｜ AT7005 is broken",
            Self::WarmUp => "AT7301 掉电后预热 ｜ AT7301 warms up after the loss of power",
            Self::Repaired => "AT7005 已修复 ｜ AT7005 measures again",
            Self::AllMeasure => "AT7301 预热结束，AT7005 已修复 ｜ AT7301 and AT7005 measure again",
        }
    }
}

/// What goes wrong once in an hour, each at a unit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The chlorination reactor has too little coolant.
    Chlorination,
    /// The stirrer of the fluorination stops.
    Fluorination,
    /// The diazotisation becomes warm.
    Diazotisation,
    /// The peroxidation has too little coolant.
    Peroxidation,
    /// The bags of the dust collector are blocked.
    DustCollector,
    /// The cooling water of the casting loses its pressure.
    Casting,
    /// The coal gas loses its pressure.
    CoalGas,
    /// The river rises.
    Drainage,
    /// Nitration reactor 1 has too little coolant.
    Nitration,
    /// A tank is filled too far.
    TankFarm,
    /// The cooling water main loses its pressure.
    Water,
    /// The steam header loses its pressure.
    Steam,
    /// The accident pool fills.
    WasteWater,
    /// The phreatic line of the tailings pond rises.
    TailingsWet,
    /// That of the dry tailings heap rises.
    TailingsDry,
}

impl Trouble {
    /// All troubles in the order of the hour.
    pub const ALL: [Trouble; 15] = [
        Self::Chlorination,
        Self::Fluorination,
        Self::Diazotisation,
        Self::Peroxidation,
        Self::DustCollector,
        Self::Casting,
        Self::CoalGas,
        Self::Drainage,
        Self::Nitration,
        Self::TankFarm,
        Self::Water,
        Self::Steam,
        Self::WasteWater,
        Self::TailingsWet,
        Self::TailingsDry,
    ];

    /// Returns the second of the hour in which it begins, and how long it lasts.
    fn when(self) -> (f64, f64) {
        match self {
            Self::Chlorination => (120.0, SHORT),
            Self::Fluorination => (300.0, SHORT),
            Self::Diazotisation => (480.0, LONG),
            Self::Peroxidation => (660.0, SHORT),
            Self::DustCollector => (840.0, SHORT),
            Self::Casting => (1_020.0, SHORT),
            Self::CoalGas => (1_200.0, SHORT),
            Self::Drainage => (1_380.0, LONG),
            Self::Nitration => (1_560.0, SHORT),
            Self::TankFarm => (1_740.0, LONG),
            Self::Water => (1_920.0, SHORT),
            Self::Steam => (2_100.0, SHORT),
            Self::WasteWater => (2_280.0, LONG),
            Self::TailingsWet => (2_460.0, SLOW),
            Self::TailingsDry => (2_640.0, SLOW),
        }
    }

    /// Returns what begins after `from` and not after `to`, in order.
    pub fn between(from: Duration, to: Duration) -> Vec<Trouble> {
        let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
        let mut hour = (from / TROUBLES_EVERY).floor() * TROUBLES_EVERY;
        let mut begun = Vec::new();
        while hour <= to {
            let begins = |trouble: &Trouble| hour + trouble.when().0;
            begun.extend(Self::ALL.into_iter().filter(|trouble| begins(trouble) > from && begins(trouble) <= to));
            hour += TROUBLES_EVERY;
        }
        begun
    }

    /// Returns the trouble in words, Chinese first.
    pub fn words(self) -> &'static str {
        match self {
            Self::Chlorination => "氯化釜冷却水不足 ｜ The chlorination has too little coolant",
            Self::Fluorination => "氟化釜搅拌停 ｜ The stirrer of the fluorination stops",
            Self::Diazotisation => "重氮化釜升温 ｜ The diazotisation becomes warm",
            Self::Peroxidation => "过氧化釜冷却水不足 ｜ The peroxidation has too little coolant",
            Self::DustCollector => "除尘器滤袋堵 ｜ The bags of the dust collector are blocked",
            Self::Casting => "深井铸造冷却水失压 ｜ The cooling water of the casting loses its pressure",
            Self::CoalGas => "煤气管道失压 ｜ The coal gas loses its pressure",
            Self::Drainage => "河道水位上涨 ｜ The river rises",
            Self::Nitration => "硝化釜 R-101 冷却水不足 ｜ Nitration reactor R-101 has too little coolant",
            Self::TankFarm => "一号罐区 1 号罐液位过高 ｜ Tank 1 of the first tank farm is filled too far",
            Self::Water => "循环水失压 ｜ The cooling water main loses its pressure",
            Self::Steam => "蒸汽总管失压 ｜ The steam header loses its pressure",
            Self::WasteWater => "事故应急池积水 ｜ The accident pool fills",
            Self::TailingsWet => "尾矿库浸润线升高 ｜ The phreatic line of the tailings pond rises",
            Self::TailingsDry => "干堆场浸润线升高 ｜ The phreatic line of the dry heap rises",
        }
    }
}

impl Moment {
    /// Returns the moment `since` the park began.
    pub fn new(since: Duration, seed: u64) -> Self {
        Self { t: since.as_secs_f64(), seed, release: 0.0 }
    }

    /// Returns the second within the story.
    fn second(self) -> f64 {
        self.t % CYCLE
    }

    /// Returns how far the leak is, 0 to 1.
    pub fn leak(self) -> f64 {
        let [begins, full, clears, gone] = LEAK;
        let s = self.second();
        ((s - begins) / (full - begins)).min((gone - s) / (gone - clears)).clamp(0.0, 1.0)
    }

    /// Returns how far a trouble is, 0 to 1.
    pub fn trouble(self, trouble: Trouble) -> f64 {
        let (begins, lasts) = trouble.when();
        let since = self.t % TROUBLES_EVERY - begins;
        (since / ONSET).min((lasts - since) / ONSET).clamp(0.0, 1.0)
    }

    fn within(self, (begin, end): (f64, f64)) -> bool {
        (begin..end).contains(&self.second())
    }

    fn within_ten_minutes(self, (begin, end): (f64, f64)) -> bool {
        (begin..end).contains(&self.t.rem_euclid(TRANSFER_CYCLE))
    }

    /// Returns whether the tank gauge of the story is silent.
    pub fn silent(self) -> bool {
        self.within(SILENT)
    }

    /// Returns whether the power comes from the second source.
    pub fn second_source(self) -> bool {
        self.within_ten_minutes(TRANSFER)
    }

    /// Returns whether the detector of the story is calibrated.
    pub fn calibrating(self) -> bool {
        self.within(CALIBRATION)
    }

    /// Returns whether the detector of the story gets test gas.
    pub fn bump_testing(self) -> bool {
        self.within(BUMP_TEST)
    }

    /// Returns whether the detector of the story is broken.
    pub fn broken(self) -> bool {
        self.within(FAULT)
    }

    /// Returns whether the detector of the story warms up.
    pub fn warming_up(self) -> bool {
        self.within_ten_minutes(WARM_UP)
    }

    /// Returns how many transfers (there and back) have been made.
    pub fn transfers(self) -> f64 {
        let made = |at: f64| ((self.t - at) / TRANSFER_CYCLE).floor() + 1.0;
        made(TRANSFER.0) + made(TRANSFER.1)
    }

    /// Returns a sine between `low` and `high` whose phase follows from `key` and the seed.
    pub fn swing(self, key: u64, period: f64, low: f64, high: f64) -> f64 {
        let phase = fraction(key, self.seed, 0);
        low + (high - low) * (0.5 - 0.5 * ((self.t / period + phase) * TAU).cos())
    }

    /// Returns a tank's level: fills over the first 60 % of `period`, is drawn off over the rest.
    pub fn fill(self, key: u64, period: f64, low: f64, high: f64) -> f64 {
        let at = (self.t / period + fraction(key, self.seed, 0)).fract();
        let part = if at < 0.6 { at / 0.6 } else { (1.0 - at) / 0.4 };
        low + (high - low) * part
    }

    /// Returns noise in ±`amplitude` that changes every `step` seconds.
    #[expect(clippy::cast_possible_truncation, reason = "t is a run's length in steps")]
    #[expect(clippy::cast_sign_loss, reason = "t is not negative")]
    pub fn noise(self, key: u64, step: f64, amplitude: f64) -> f64 {
        let turn = (self.t / step).floor() as u64;
        amplitude * (2.0 * fraction(key, self.seed, turn + 1) - 1.0)
    }
}

/// Returns a key for [`Moment::swing`] and its like from a name.
pub fn key_of(name: &str) -> u64 {
    // FNV-1a: small, and the same on every machine and version, which `DefaultHasher` does not promise.
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// A number in 0..1 that looks random (splitmix64 of the three).
fn fraction(key: u64, seed: u64, turn: u64) -> f64 {
    let mut x = key ^ seed.rotate_left(17) ^ turn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 31;
    let top = u32::try_from(x >> 32).unwrap_or(0);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(t: f64) -> Moment {
        Moment { t, seed: 7, release: 0.0 }
    }

    #[test]
    fn the_leak_builds_up_and_clears_in_every_cycle() {
        for cycle in [0.0, CYCLE, 10.0 * CYCLE] {
            assert_eq!(at(cycle + 3.9).leak(), 0.0);
            assert!(at(cycle + 7.0).leak() > 0.4 && at(cycle + 7.0).leak() < 0.6);
            assert_eq!(at(cycle + 12.0).leak(), 1.0);
            assert_eq!(at(cycle + 21.0).leak(), 0.0);
        }
    }

    #[test]
    fn each_story_is_told_once_and_in_order_however_time_is_cut() {
        let whole = News::between(Duration::ZERO, Duration::from_secs(180));
        let cut: Vec<News> = (0..1_800_u64)
            .flat_map(|i| News::between(Duration::from_millis(i * 100), Duration::from_millis(i * 100 + 100)))
            .collect();
        assert_eq!(whole, cut);
        assert_eq!(whole.len(), 3 * News::STORY.len() - 2 * 3, "the power is transferred in the first minute");
        assert!(News::STORY.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn troubles_come_one_after_the_other_each_once_in_an_hour_and_none_in_the_first_two_minutes() {
        let secs = Duration::from_secs;
        assert_eq!(Trouble::between(Duration::ZERO, secs(119)), []);
        assert_eq!(Trouble::between(Duration::ZERO, secs(3_599)), Trouble::ALL);
        let cut: Vec<Trouble> = (0..7_200).flat_map(|s| Trouble::between(secs(s), secs(s + 1))).collect();
        assert_eq!(cut, [Trouble::ALL, Trouble::ALL].concat());
        for trouble in Trouble::ALL {
            let (begins, lasts) = trouble.when();
            for hour in [0.0, TROUBLES_EVERY] {
                let far = [-1.0, lasts / 2.0, lasts + 1.0].map(|s| at(hour + begins + s).trouble(trouble));
                assert_eq!(far, [0.0, 1.0, 0.0], "{trouble:?}");
            }
        }
    }

    #[test]
    fn transfers_are_counted() {
        let made = [0.0, 15.9, 16.0, 25.0, 76.0, 616.0, 625.0].map(|t| at(t).transfers());
        assert_eq!(made, [0.0, 0.0, 1.0, 2.0, 2.0, 3.0, 4.0]);
    }

    proptest! {
        #[test]
        fn what_lives_stays_within_its_bounds_and_is_the_same_for_the_same_moment(
            t in 0.0..1e6_f64, key: u64, seed: u64,
        ) {
            let m = Moment { t, seed, release: 0.0 };
            for (value, low, high) in [
                (m.swing(key, 33.0, -3.0, 8.0), -3.0, 8.0),
                (m.fill(key, 33.0, 0.0, 12.0), 0.0, 12.0),
                (m.noise(key, 0.2, 0.5), -0.5, 0.5),
                (m.leak(), 0.0, 1.0),
            ] {
                prop_assert!((low..=high).contains(&value));
            }
            prop_assert_eq!(m.noise(key, 0.2, 0.5).to_bits(), m.noise(key, 0.2, 0.5).to_bits());
        }
    }
}
