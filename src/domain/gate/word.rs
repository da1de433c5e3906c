//! The names and classes of the gates: ids of lanes, persons and papers, and the closed lists that rules speak of.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name as it is written.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// Returns it as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// A zone (区域), as `site.toml` names it.
    ZoneId
}
name! {
    /// A gate (卡口): one or more lanes between two zones.
    GateId
}
name! {
    /// A lane (车道) or door of a gate.
    LaneId
}
name! {
    /// A person, by a reference that says nothing of him: name and numbers stand apart, encrypted.
    PersonRef
}
name! {
    /// A company, by its unified social credit code (USCC, GB 32100).
    CompanyId
}
name! {
    /// A permit (预约, 备案).
    PermitId
}
name! {
    /// An entry of a block or allow list.
    ListingId
}
name! {
    /// A dangerous-goods waybill (危险货物运单); unique for ever.
    WaybillNo
}
name! {
    /// A hazardous-waste manifest (危险废物转移联单).
    ManifestNo
}
name! {
    /// A bay (泊位) of the hazmat parking.
    BayId
}
name! {
    /// A positioning terminal or card that is handed out at the gate.
    TerminalId
}
name! {
    /// A gateway, by its logical name that outlives the hardware. Those of one park share their passages.
    GatewayId
}
name! {
    /// One passage, from the first detection to its end.
    PassageId
}
name! {
    /// One decision.
    DecisionId
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal, $zh:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word that configuration, files and the wire have for it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Returns it in Chinese.
            pub fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh,)+ }
            }

            /// Reads its word or its Chinese name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name || one.zh() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(in crate::domain) use words;

words! {
    /// How strictly a zone is controlled (`domain.md` rule 1).
    ZoneClass {
        /// Core control area.
        Core = "core", "核心控制区";
        /// Key control area.
        Key = "key", "关键控制区";
        /// General control area.
        General = "general", "一般控制区";
    }
}

words! {
    /// What a gate is for (rule 2); which classes may pass which is configuration.
    GateClass {
        /// Dangerous goods and hazardous waste only.
        HazmatOnly = "hazmat_only", "专用卡口";
        /// General traffic.
        GeneralGoods = "general_goods", "综合卡口";
        /// Small vehicles, nobody there.
        LightUnmanned = "light_unmanned", "无人值守卡口";
        /// Closed on quiet days; opened in an emergency, or by a named guard.
        Emergency = "emergency", "应急卡口";
    }
}

words! {
    /// Who uses a lane: persons and vehicles never share one.
    LaneKind {
        /// Persons.
        Person = "person", "人行";
        /// Vehicles.
        Vehicle = "vehicle", "车行";
    }
}

words! {
    /// Which way a passage goes. The city's code has 1 = out, 2 = in (rule 56).
    Direction {
        /// Into the zone.
        In = "in", "进";
        /// Out of the zone.
        Out = "out", "出";
    }
}

words! {
    /// Class of a vehicle (rule 20).
    VehicleClass {
        /// General goods.
        Goods = "goods", "普货车";
        /// Dangerous goods.
        Hazmat = "hazmat", "危化车";
        /// Hazardous waste.
        HazWaste = "hazwaste", "危废车";
        /// Small vehicles.
        Small = "small", "小型车";
        /// Rescue and the like (军警、消防、抢险、救护): released when a guard confirms, never refused by the gateway alone.
        Rescue = "rescue", "应急车";
        /// Works vehicles.
        Works = "works", "工程车";
        /// Shuttle buses.
        Bus = "bus", "通勤车";
        /// Not motor-driven.
        NonMotor = "non_motor", "非机动车";
    }
}

impl VehicleClass {
    /// Returns whether it carries dangerous goods or hazardous waste.
    pub fn is_hazmat(self) -> bool {
        matches!(self, Self::Hazmat | Self::HazWaste)
    }
}

words! {
    /// Kind of a person (rule 8; drivers and escorts come with their vehicle).
    PersonKind {
        /// Staff of a company of the park.
        Staff = "staff", "员工";
        /// Staff of a contractor.
        Contractor = "contractor", "承包商";
        /// Driver.
        Driver = "driver", "驾驶员";
        /// Escort of dangerous goods.
        Escort = "escort", "押运员";
        /// Visitor.
        Visitor = "visitor", "访客";
        /// Rescue services.
        Rescue = "rescue", "救援人员";
    }
}

words! {
    /// Papers of a vehicle (rule 26), and that of who carries with it (rule 31).
    PaperKind {
        /// Vehicle licence with its annual inspection.
        Licence = "licence", "行驶证";
        /// Insurance.
        Insurance = "insurance", "保险";
        /// Road transport permit.
        Transport = "transport", "道路运输证";
        /// Inspection of the tank.
        Tank = "tank", "罐体检验";
        /// Licence of the carrier, a company, for dangerous goods by road.
        CarrierLicence = "carrier_licence", "道路危险货物运输许可";
    }
}

impl PaperKind {
    /// Those that a vehicle has itself.
    pub const OF_VEHICLE: [Self; 4] = [Self::Licence, Self::Insurance, Self::Transport, Self::Tank];
}

words! {
    /// Qualification of a person (rule 29).
    Skill {
        /// Driver of dangerous goods.
        HazmatDriver = "hazmat_driver", "危货驾驶员";
        /// Escort of dangerous goods.
        HazmatEscort = "hazmat_escort", "危货押运员";
        /// Loader of dangerous goods.
        Loader = "loader", "装卸管理员";
    }
}
