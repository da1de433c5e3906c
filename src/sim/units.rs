//! The units of the simulated park as `alarms.toml` has them: one for each shipped template, with limits that the quiet life
//! of the points touches nowhere. Only the story does: [`super::life::Trouble`], and in the first of ten minutes the second
//! source of the power, when the fire panel is without mains as well.
//!
//! The level switches of the tanks and the rain gate have no role: they change all the time.

/// The text of `alarms.toml`.
pub(super) const UNITS: &str = r#"# 演示园区的单元，每种模板一个。 | The units of the demo's park, one of each template.

[[unit]]
template = "nitration"
id = "R-101"
name = "硝化一号釜"
points = { temperature = "TT1101", pressure = "PT1101", coolant_flow = "FT1101", stirrer = "XS1101", stirrer_current = "IT1101", interlock = "ZS1101" }
limits = { coolant_flow.low = [20, 15], stirrer_current.high = [35, 45] }

[[unit]]
template = "chlorination"
id = "R-201"
name = "氯化一号釜"
points = { temperature = "TT2201", coolant_flow = "FT2201", stirrer = "XS2201" }
limits = { temperature.high = [80, 90], coolant_flow.low = [20, 15] }

[[unit]]
template = "fluorination"
id = "R-301"
name = "氟化一号釜"
points = { temperature = "TT2301", coolant_flow = "FT2301", stirrer = "XS2301" }
limits = { temperature.high = [50, 60], coolant_flow.low = [20, 15] }

[[unit]]
template = "diazotisation"
id = "R-401"
name = "重氮化一号釜"
points = { temperature = "TT2401", coolant_flow = "FT2401", stirrer = "XS2401" }
limits = { temperature.high = [5, 10], coolant_flow.low = [20, 15] }

[[unit]]
template = "peroxidation"
id = "R-501"
name = "过氧化一号釜"
points = { temperature = "TT2501", coolant_flow = "FT2501", stirrer = "XS2501" }
limits = { temperature.high = [60, 70], coolant_flow.low = [20, 15] }

[[unit]]
template = "dust-collector"
id = "DC-1"
name = "抛光除尘器"
points = { pressure_difference = "PDT2601", temperature = "TT2601", fan = "XS2601" }
limits = { pressure_difference.high = [1.5, 2.0], temperature.high = [60, 70] }

[[unit]]
template = "deep-well-casting"
id = "DW-1"
name = "一号深井"
points = { water_flow = "FT2701", water_pressure = "PT2701", outlet_temperature = "TT2701" }
limits = { water_flow.low = [120, 100], water_pressure.low = [0.2, 0.15], outlet_temperature.high = [60, 70] }

# 一氧化碳是有毒气体控制器的第四通道。 | Carbon monoxide is the fourth channel of the toxic gas controller.
[[unit]]
template = "coal-gas"
id = "CG-1"
name = "煤气站"
points = { co = "AT7104", pressure = "PT2801", blower = "XS2801" }
limits.pressure = { low = [1.0, 0.5], high = [8, 10] }

[[unit]]
template = "drainage"
id = "RN-1"
name = "东排涝站"
points = { river_level = "LT2901", rain_hour = "MET.RAIN1H", pump_fault = "XA2901" }
limits = { river_level.high = [5.2, 5.8], rain_hour.high = [16, 30, 50] }

[[unit]]
template = "tank-farm"
id = "V-4101"
name = "一号罐"
points = { level = "T1-LT01", temperature = "T1-TT01", pressure = "T1-PT01" }
limits = { level.high = [11.2, 11.6], level.low = [1.0, 0.6], temperature.high = [35, 40], pressure.high = [4, 6], pressure.low = [0.1, -0.5] }

[[unit]]
template = "water"
id = "W-1"
name = "循环水"
points = { pressure = "PT2002", basin_level = "LT2001" }
limits = { pressure.low = [0.25, 0.2], basin_level.low = [2.0, 1.0] }

[[unit]]
template = "steam"
id = "S-1"
name = "蒸汽总管"
points = { pressure = "PT2001", temperature = "TT2001" }
limits = { pressure.low = [0.6, 0.5], pressure.high = [1.1, 1.3], pressure.rate = 0.3, temperature.low = [160, 150] }

[[unit]]
template = "waste-water"
id = "WW-1"
name = "污水站"
points = { ph = "WQ1.PH", cod = "WQ1.COD", nh3n = "WQ1.NH3N", pool_free = "LT3002" }
limits = { ph.high = [9], ph.low = [6], cod.high = [400, 500], nh3n.high = [25, 40], pool_free.low = [50, 40] }

[[unit]]
template = "dual-power"
id = "ATS-1"
name = "一号变电所"
points = { position = "ATS.POS", failed = "ATS.FAIL", source_1 = "ATS.OK1", source_2 = "ATS.OK2", auto = "ATS.AUTO", ups_battery = "ATS.BAT", ups_minutes = "ATS.UPS", fuel = "ATS.FUEL" }
limits = { ups_minutes.low = [20, 10], fuel.low = [40, 20] }

[[unit]]
template = "fire-fighting"
id = "FF-1"
name = "消防控制室"
points = { fire = "FA1.FIRE", fault = "FA1.FAULT", mains = "FA1.MAINS", battery = "FA1.BAT", shielded = "FA1.SHIELD", pump_auto = "FA1.P.AUTO", pump_running = "FA1.P.RUN", pump_power = "FA1.P.PWR", hydrant = "FA1.PT1", sprinkler = "FA1.PT2", basin = "FA1.LT1" }
limits = { hydrant.low = [0.3, 0.25], sprinkler.low = [0.25, 0.2], basin.low = [2.5, 2.0] }

[[unit]]
template = "tailings-wet"
id = "TP-1"
name = "一号尾矿库"
points = { displacement = ["TSF.GT01", "TSF.GT02"], phreatic = ["TSF.ZT01", "TSF.ZT02"], beach = "TSF.BEACH", level = "TSF.LT" }
limits = { displacement.high = [10, 20, 30, 40], phreatic.high = [13, 14, 15, 16], beach.low = [100, 80, 70, 50], level.high = [88, 89, 90, 91] }

# 同一台数采仪的另两个断面。 | The other two sections of the same logger.
[[unit]]
template = "tailings-dry"
id = "TD-1"
name = "干堆场"
points = { displacement = ["TSF.GT03", "TSF.GT04"], phreatic = ["TSF.ZT03", "TSF.ZT04"] }
limits = { displacement.high = [10, 20, 30, 40], phreatic.high = [13, 14, 15, 16] }
"#;
