//! The commands of OPC UA: which servers are trusted, and what a server has.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Folder, chain, ended, say, start_logging, with_config};
use crate::clock::Clock;
use crate::config;
use crate::domain::snapshot::Certificate;
use crate::field::settings::Source;
use crate::field::settings::opcua::{Identity, NodeRef, NotANode, Password, Policy, Protection, Security, Server};
use crate::field::{Pki, opcua_browse as browse, opcua_open as open, opcua_table as table};

/// Time for the server to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// Progress is told each so many nodes.
const TOLD_EACH: usize = 1000;

/// See [`super::Command::Trust`].
#[derive(Debug, Args)]
pub(super) struct Trust {
    #[command(flatten)]
    folder: Folder,
    /// Folder of certificates, instead of the configuration's
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pki: Option<PathBuf>,
    /// SHA-1 or SHA-256 fingerprint of the certificate to trust, or at least its first 8 digits; without it they are listed
    fingerprint: Option<String>,
}

/// See [`super::Command::Opcua`].
#[derive(Debug, Subcommand)]
pub(super) enum OpcUa {
    /// 列出服务器的变量 / list a server's variables
    ///
    /// A table with type, unit, range and access; with `--csv` rows for points.csv. Reads only.
    Browse(Browse),
}

#[derive(Debug, Args)]
pub(super) struct Browse {
    /// `opc.tcp://host:port/path`, or the id of an `[[opcua]]` section of the configuration
    server: String,
    /// Node to begin with, e.g. `nsu=http://…;s=Tanks` or `ns=2;s=Tanks`; the objects folder without it
    #[arg(long, value_name = "NODE", value_parser = node)]
    under: Option<NodeRef>,
    /// Write rows for points.csv instead of a table
    #[arg(long)]
    csv: bool,
    /// Device that the rows belong to
    #[arg(long, value_name = "ID", default_value = "dcs-1")]
    device: String,
    /// Configuration folder, for a server named by its id
    #[arg(long, value_name = "DIR", default_value = "/etc/parkgate")]
    config: PathBuf,
    /// Folder of certificates for a server named by its url
    #[arg(long, value_name = "DIR", default_value = "pki")]
    pki: PathBuf,
    /// Security policy
    #[arg(long, value_enum, default_value = "basic256-sha256")]
    security: Named,
    /// Sign messages without encrypting them
    #[arg(long)]
    sign_only: bool,
    /// User name
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// File with the user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Named {
    #[value(name = "basic256-sha256")]
    Basic256Sha256,
    #[value(name = "aes128-sha256-rsaoaep")]
    Aes128Sha256RsaOaep,
    #[value(name = "aes256-sha256-rsapss")]
    Aes256Sha256RsaPss,
    #[value(name = "none")]
    None,
}

fn node(text: &str) -> Result<NodeRef, String> {
    let wrong = |why: NotANode| match why {
        NotANode::Namespace => "no valid namespace; write nsu=URI;s=name or ns=2;s=name",
        NotANode::Identifier => "no node id; write nsu=URI;s=name, ns=2;s=name or ns=2;i=number",
    };
    text.parse().map_err(|why| wrong(why).to_owned())
}

/// Lists certificates, or trusts one.
pub(super) fn trust(args: &Trust) -> ExitCode {
    match &args.pki {
        Some(dir) => trust_in(&Pki::new(dir), args.fingerprint.as_deref()),
        None => with_config(&args.folder.config, |loaded| {
            trust_in(&Pki::new(loaded.config.pki_dir()), args.fingerprint.as_deref())
        }),
    }
}

fn trust_in(pki: &Pki, fingerprint: Option<&str>) -> ExitCode {
    let Some(fingerprint) = fingerprint else {
        let shown: String = pki.list().iter().map(show).collect();
        let none = format!("{} 中没有证书 / there is no certificate in {}\n", pki.dir().display(), pki.dir().display());
        return say((if shown.is_empty() { none } else { shown }).trim_end());
    };
    match pki.trust(fingerprint) {
        Ok(cert) => say(&format!(
            "已信任，运行中的网关会在下次重连时接受 / trusted; a running gateway takes it at its next attempt\n{}",
            show(&cert).trim_end()
        )),
        Err(error) => ended(Err(chain(error))),
    }
}

fn show(cert: &Certificate) -> String {
    let state = if cert.trusted { "已信任 trusted " } else { "未信任 rejected" };
    format!(
        "{state}  {}\n    SHA-1   {}\n    SHA-256 {}\n    有效期 valid {} .. {}\n",
        cert.subject, cert.sha1, cert.sha256, cert.from, cert.to
    )
}

/// Runs an OPC UA command.
pub(super) fn run(command: OpcUa) -> ExitCode {
    start_logging("off");
    let OpcUa::Browse(args) = command;
    if args.server.starts_with("opc.tcp://") {
        let made = server(&args);
        let pki = Pki::new(&args.pki);
        return ended_with(made.and_then(|server| super::run_in_runtime(list(&args, &server, &pki))));
    }
    let config::Loaded { config, .. } = match config::load(&args.config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(super::WRONG_CONFIGURATION);
        }
    };
    let servers = config.devices.iter().filter_map(|source| match source {
        Source::OpcUa(device) => Some(&device.server),
        Source::Modbus(_) | Source::Derived { .. } => None,
    });
    let found: Option<Arc<Server>> = servers.into_iter().find(|server| server.id == args.server).cloned();
    let Some(server) = found else {
        let id = &args.server;
        return ended(Err(format!("no device of the configuration is read from an OPC UA server `{id}`")));
    };
    ended_with(super::run_in_runtime(list(&args, &server, &Pki::new(config.pki_dir()))))
}

fn ended_with(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => say(text.trim_end()),
        Err(why) => ended(Err(why)),
    }
}

fn server(args: &Browse) -> Result<Server, String> {
    let protection = if args.sign_only { Protection::Sign } else { Protection::SignAndEncrypt };
    let security = match args.security {
        Named::Basic256Sha256 => Security::By(Policy::Basic256Sha256, protection),
        Named::Aes128Sha256RsaOaep => Security::By(Policy::Aes128Sha256RsaOaep, protection),
        Named::Aes256Sha256RsaPss => Security::By(Policy::Aes256Sha256RsaPss, protection),
        Named::None => Security::None,
    };
    let identity = match (&args.user, &args.password_file) {
        (Some(name), Some(file)) => {
            let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
            Identity::User { name: name.clone(), password: Password(text.trim_end_matches(['\n', '\r']).to_owned()) }
        }
        _ => Identity::Anonymous,
    };
    Ok(Server {
        id: "browse".to_owned(),
        url: args.server.clone(),
        security,
        identity,
        publishing: Duration::from_secs(1),
        keep_alive: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        queue_size: None,
        history: Duration::ZERO,
        backoff_initial: Duration::from_millis(500),
        backoff_max: Duration::from_secs(3),
    })
}

async fn list(args: &Browse, server: &Server, pki: &Pki) -> Result<String, String> {
    let own = tokio::task::block_in_place(|| pki.prepare()).map_err(chain)?;
    let now = Clock::system().now().wall;
    let mut connection = open::open(server, pki, &own, now, &AtomicU64::new(0)).await.map_err(chain)?;
    let session = Arc::clone(&connection.session);
    let mut last = 0;
    let told = |seen: usize| {
        if seen / TOLD_EACH > last {
            last = seen / TOLD_EACH;
            eprintln!("… {seen} 个节点 / nodes");
        }
    };
    let found = connection.during(browse::browse(&session, args.under.as_ref(), told)).await;
    connection.close(GOODBYE).await;
    let found = found.map_err(chain)?.map_err(|error| error.to_string())?;
    if found.cut {
        eprintln!(
            "超过 {} 个节点或 {} 层，未列全 / more than {} nodes or {} levels: not all are listed",
            browse::MAX_NODES,
            browse::MAX_DEPTH,
            browse::MAX_NODES,
            browse::MAX_DEPTH
        );
    }
    Ok(if args.csv { table::points_csv(&found.variables, &args.device) } else { table::for_people(&found.variables) })
}
