//! The running gateway, as a command reaches it: the client of the control socket.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config;
use crate::control::ask::{DidLine, written};
use crate::control::{Ask, Line};
use crate::domain::danger::Action;
use crate::domain::gate::gates::act::GateAct;

use super::table::say;

/// Time for the gateway to answer beyond the span that was asked for: it answers within 2 s, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the socket is when the configuration is not readable for the caller: the place that `gateway.toml` proposes.
const USUAL: &str = "/run/parkgate/control.sock";
/// Time for an action: it waits for nothing but the engine.
const ACT_WITHIN: Duration = Duration::from_secs(5);

/// How a command of an operator reaches the gateway. The configuration on disk may be broken, or not his to read: neither
/// keeps an alarm from being acknowledged.
#[derive(Clone, Debug, clap::Args)]
pub struct Reach {
    /// 控制套接字；不写则按配置目录中的 gateway.toml / control socket; as gateway.toml of the folder says where absent
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// 配置目录 / folder of the configuration
    #[arg(long, value_name = "DIR", default_value = "/etc/parkgate", global = true)]
    config: PathBuf,
}

impl Reach {
    /// Returns the folder of the configuration.
    pub fn folder(&self) -> &Path {
        &self.config
    }

    fn path(&self) -> PathBuf {
        let named = self.socket.clone().or_else(|| config::socket_of(&self.config));
        named.unwrap_or_else(|| PathBuf::from(USUAL))
    }

    /// Asks, and hands each line to `take` until the end.
    ///
    /// # Errors
    ///
    /// What [`AskError`] says.
    pub fn ask(&self, request: &Ask, take: impl FnMut(Line) -> bool) -> Result<(), String> {
        ask(&self.path(), request, ACT_WITHIN, take).map_err(|error| error.to_string())
    }

    /// Has an action done, and prints what came of it.
    ///
    /// # Errors
    ///
    /// The gateway's refusal, in its words.
    pub fn act(&self, action: Action) -> Result<(), String> {
        self.done(&Ask::Act { action })
    }

    /// Tells the gates something, and prints what came of it.
    ///
    /// # Errors
    ///
    /// The gateway's refusal, in its words.
    pub fn tell(&self, act: GateAct) -> Result<(), String> {
        self.done(&Ask::Gate { act: Box::new(act) })
    }

    /// Asks for something to be done, and prints what came of it.
    ///
    /// # Errors
    ///
    /// The gateway's refusal, in its words.
    pub fn done(&self, request: &Ask) -> Result<(), String> {
        self.ask(request, |line| {
            if let Line::Did(DidLine { zh, en, id }) = line {
                say(&match id {
                    Some(id) => format!("{zh} / {en}: {id}"),
                    None => format!("{zh} / {en}"),
                });
            }
            true
        })
    }

    /// Returns what stands of danger, as JSON.
    ///
    /// # Errors
    ///
    /// As [`Reach::ask`].
    pub fn told(&self, request: &Ask) -> Result<serde_json::Value, String> {
        let mut told = None;
        self.ask(request, |line| {
            if let Line::Told(value) = line {
                told = Some(*value);
            }
            true
        })?;
        told.ok_or_else(|| "没有结果 / there is no result".to_owned())
    }
}

/// Why nothing came of a request.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens: the gateway does not run, or not with this configuration.
    #[error("网关没有运行（{0} 无人应答）/ the gateway does not run (nobody answers at {0})")]
    NotRunning(PathBuf),
    /// The socket belongs to another user.
    #[error(
        "无权访问 {0}：请用 root、网关的用户，或 [roles] 中的组的成员运行 / no right to use {0}: run as root, as the gateway's user, or as a member of a group of [roles]"
    )]
    Forbidden(PathBuf),
    /// What the gateway said.
    #[error("{0}")]
    Refused(String),
    /// The connection broke.
    #[error("与网关的连接中断 / the connection to the gateway broke: {0}")]
    Broken(String),
}

/// Asks by the gateway's `socket` and hands each line to `take`, until the end or until `take` returns false.
///
/// # Errors
///
/// [`AskError`].
pub fn ask(socket: &Path, ask: &Ask, span: Duration, take: impl FnMut(Line) -> bool) -> Result<(), AskError> {
    ask_with(socket, ask, &[], span, take)
}

/// The same, with what follows the request's line.
///
/// # Errors
///
/// [`AskError`].
pub fn ask_with(
    socket: &Path,
    ask: &Ask,
    attached: &[u8],
    span: Duration,
    mut take: impl FnMut(Line) -> bool,
) -> Result<(), AskError> {
    let mut stream = connect(socket)?;
    let broken = |error: std::io::Error| AskError::Broken(error.to_string());
    stream.set_read_timeout(Some(span + PATIENCE)).map_err(broken)?;
    stream.write_all(&written(ask)).map_err(broken)?;
    // Who refuses what follows may close before it is written: his words are read all the same.
    let _refused = stream.write_all(attached);
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(broken)?;
        match serde_json::from_str(&line) {
            Ok(Line::End(why)) if why.is_empty() => return Ok(()),
            Ok(Line::End(why)) => return Err(AskError::Refused(why)),
            Ok(line) => {
                if !take(line) {
                    return Ok(());
                }
            }
            Err(error) => return Err(AskError::Broken(format!("{error}: {line}"))),
        }
    }
    Err(AskError::Broken("it ended without its last line".to_owned()))
}

fn connect(path: &Path) -> Result<UnixStream, AskError> {
    UnixStream::connect(path).map_err(|error| {
        let kind = error.kind();
        if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&kind) {
            AskError::NotRunning(path.to_owned())
        } else if kind == ErrorKind::PermissionDenied {
            AskError::Forbidden(path.to_owned())
        } else {
            AskError::Broken(error.to_string())
        }
    })
}
