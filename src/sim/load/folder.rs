//! Writes the configuration folder that reads a [`super::Field`]: `gateway.toml`, `devices.toml`, `points.csv`,
//! `uplink.toml`, as an operator would write them. Register `r` of device `i` is the tag `D{i}R{r}`; `D{i}R0` counts.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use super::Place;

/// What the folder says.
#[derive(Clone, Debug)]
pub struct Folder {
    /// `[gateway] park`.
    pub park: String,
    /// `[gateway] id`.
    pub gateway: String,
    /// Where the devices are, in order.
    pub places: Vec<Place>,
    /// Registers read of each device, 1..=65535; each is one point, `u16`.
    pub registers: u16,
    /// Poll interval of every point.
    pub interval: Duration,
    /// Every reading is reported (`deadband = off`); else every change.
    pub report_all: bool,
    /// A high alarm of every register but the counter, at this value.
    pub high: Option<u16>,
    /// Longest time an answer may take.
    pub timeout: Duration,
    /// Folder of store, mirror and state; beside the files where it is `None`.
    pub data: Option<PathBuf>,
    /// `[store] quota`, as written.
    pub quota: String,
    /// Retention of telemetry, as written: at full load a day of it fits no disk of a test.
    pub retention: String,
    /// Port of the page on 127.0.0.1.
    pub web_port: u16,
    /// The uplink; none writes no `uplink.toml`.
    pub uplink: Option<Uplink>,
}

/// What `uplink.toml` says.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// Port of the broker on 127.0.0.1.
    pub port: u16,
    /// `ack = "platform"`; else `"broker"`.
    pub platform_acks: bool,
    /// `ack_timeout`.
    pub ack_timeout: Duration,
    /// `backoff_max`.
    pub backoff_max: Duration,
}

impl Folder {
    /// Returns the usual folder for `places`: 1 s, every reading reported, 2 GiB, no uplink.
    pub fn new(places: &[Place], registers: u16, web_port: u16) -> Self {
        Self {
            park: "load-park".to_owned(),
            gateway: "gw-load".to_owned(),
            places: places.to_vec(),
            registers,
            interval: Duration::from_secs(1),
            report_all: true,
            high: None,
            timeout: Duration::from_secs(1),
            data: None,
            quota: "2GiB".to_owned(),
            retention: "10min".to_owned(),
            web_port,
            uplink: None,
        }
    }

    /// Adds an uplink to the broker at `port` with platform acknowledgements.
    #[must_use]
    pub fn with_uplink(mut self, port: u16) -> Self {
        self.uplink = Some(Uplink {
            port,
            platform_acks: true,
            ack_timeout: Duration::from_secs(60),
            backoff_max: Duration::from_secs(10),
        });
        self
    }

    /// Returns the tag of a register.
    pub fn tag(device: usize, register: u16) -> String {
        format!("D{device}R{register}")
    }

    /// Returns the id of a device.
    pub fn device(device: usize) -> String {
        format!("dev-{device}")
    }

    /// Writes the folder's files into `dir`, which must be there.
    ///
    /// # Errors
    /// As the file system gives them.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        fs::write(dir.join("gateway.toml"), self.gateway_toml())?;
        fs::write(dir.join("devices.toml"), self.devices_toml())?;
        fs::write(dir.join("points.csv"), self.points_csv())?;
        match &self.uplink {
            Some(uplink) => fs::write(dir.join("uplink.toml"), uplink.toml()),
            None => Ok(()),
        }
    }

    fn gateway_toml(&self) -> String {
        let Self { park, gateway, quota, retention, web_port, .. } = self;
        let data = self.data.clone().unwrap_or_else(|| PathBuf::from("data"));
        let data = data.display();
        format!(
            r#"[gateway]
park = "{park}"
id = "{gateway}"
name = "负载试验"
timezone = "Asia/Shanghai"

[store]
dir = "{data}/store"
mirror_dir = "{data}/mirror"
state_dir = "{data}/state"
quota = "{quota}"
ballast = "4MiB"
segment = "32MiB"
commit_interval = "500ms"

[store.streams.telemetry]
retention = "{retention}"

[web]
listen = "127.0.0.1:{web_port}"
"#
        )
    }

    fn devices_toml(&self) -> String {
        let mut text = format!(
            "[classes]\nnormal = \"{}ms\"\n\n[defaults]\ntimeout = \"{}ms\"\nbackoff_initial = \"200ms\"\n\
             backoff_max = \"2s\"\n",
            self.interval.as_millis(),
            self.timeout.as_millis()
        );
        for (i, Place { port, unit }) in self.places.iter().enumerate() {
            let id = Self::device(i);
            let address = format!("host = \"127.0.0.1\"\nport = {port}\nunit = {unit}");
            text.push_str(&format!("\n[[device]]\nid = \"{id}\"\nname = \"装置 {i}\"\n{address}\n"));
        }
        text
    }

    fn points_csv(&self) -> String {
        let column = if self.high.is_some() { ",h" } else { "" };
        let mut text = format!("uid,tag,name,device,table,address,encoding,deadband,max_silence{column}\n");
        let deadband = if self.report_all { "off" } else { "0" };
        for i in 0..self.places.len() {
            let device = Self::device(i);
            for r in 0..self.registers {
                let tag = Self::tag(i, r);
                let limit = self.high.map(|high| if r > 0 { format!(",{high}") } else { ",".to_owned() });
                let limit = limit.unwrap_or_default();
                text.push_str(&format!(
                    "u-{i}-{r},{tag},测点 {i}-{r},{device},holding,{r},u16,{deadband},60s{limit}\n"
                ));
            }
        }
        text
    }
}

impl Uplink {
    fn toml(&self) -> String {
        let ack = if self.platform_acks { "platform" } else { "broker" };
        format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nack = \"{ack}\"\nack_timeout = \"{}ms\"\nbackoff_max = \"{}ms\"\n",
            self.port,
            self.ack_timeout.as_millis(),
            self.backoff_max.as_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_one_the_configuration_accepts_with_one_point_per_register() {
        let dir = tempfile::tempdir().unwrap();
        let places = [Place { port: 1502, unit: 1 }, Place { port: 1503, unit: 1 }];
        Folder::new(&places, 3, 8080).with_uplink(1883).write(dir.path()).unwrap();
        let loaded = crate::config::load(dir.path()).unwrap();
        assert_eq!((loaded.config.devices.len(), loaded.warnings.len()), (2, 0));
        let points = fs::read_to_string(dir.path().join("points.csv")).unwrap();
        assert_eq!(points.lines().count(), 1 + 6);
        assert!(points.contains("u-1-2,D1R2,测点 1-2,dev-1,holding,2,u16,off,60s"));
    }
}
