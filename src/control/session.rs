//! The socket itself: listens, checks who is there, reads one request, writes lines until they end.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ask::{parse, written};
use super::settings::Settings;
use super::{
    ASK_WITHIN, ATTACHED_WITHIN, Ask, Line, MAX_ASK_BYTES, MAX_ATTACHED_BYTES, MAX_CONNECTIONS, MAX_STRANGERS,
    N_QUEUED_LINES, STALL, STRANGER_WITHIN,
};
use crate::domain::actor::{Actor, Refused, Via};
use crate::sys::users;

/// Longest path of a Unix socket: `sun_path` has 108 bytes with its end.
const MAX_PATH: usize = 107;
/// Pause after a failed accept (out of descriptors): it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A request, and where its lines go. Dropping `lines` ends the answer; a closed one means that the client has gone.
#[derive(Debug)]
pub struct Asked {
    /// What.
    pub ask: Ask,
    /// Who, with his roles. Who has none is refused whatever he asks: it comes here for the audit alone.
    pub caller: Actor,
    /// The files that followed the request, one after the other; empty where none do, or the caller may not send any.
    pub attached: Vec<u8>,
    /// The answer.
    pub lines: mpsc::Sender<Line>,
}

/// Makes the socket, in place of one that an earlier run left behind. The caller owns the folder (its store is open).
///
/// # Errors
///
/// When the path is too long for a socket, something else is there, or the system refuses.
pub fn listen(settings: &Settings) -> io::Result<UnixListener> {
    let path: &Path = &settings.socket;
    if path.as_os_str().len() > MAX_PATH {
        return Err(io::Error::other(format!("the path is longer than {MAX_PATH} bytes; use a shorter one")));
    }
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("something that is no socket is in its place")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    // Until here the umask guards it, and the check of the caller always.
    let mode = if settings.is_shared() { 0o666 } else { 0o600 };
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Serves until `stop`; each request goes to `asks`.
///
/// # Errors
///
/// Never: a failed accept is waited out.
pub async fn serve(
    listener: UnixListener,
    settings: Settings,
    asks: mpsc::Sender<Asked>,
    stop: CancellationToken,
) -> Result<(), String> {
    let settings = Arc::new(settings);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let busy = connections.len() >= MAX_CONNECTIONS;
                connections.spawn(connection(stream, busy, settings.clone(), asks.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "A connection to the control socket could not be accepted.");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(mut stream: UnixStream, busy: bool, settings: Arc<Settings>, asks: mpsc::Sender<Asked>) {
    let lines = match greet(&mut stream, busy, settings, &asks).await {
        Ok(lines) => lines,
        Err(why) => {
            let _told = send(&mut stream, &Line::End(why)).await;
            return;
        }
    };
    // A client that went away ends the answer: its receiver is dropped with this task.
    let (mut from, mut to) = stream.split();
    let gone = async {
        let mut byte = [0];
        // Nothing more is expected; the end of the stream is what is waited for.
        while matches!(from.read(&mut byte).await, Ok(n) if n > 0) {}
    };
    tokio::select! {
        () = gone => {}
        () = forward(lines, &mut to) => {}
    }
}

async fn greet(
    stream: &mut UnixStream,
    busy: bool,
    settings: Arc<Settings>,
    asks: &mpsc::Sender<Asked>,
) -> Result<mpsc::Receiver<Line>, String> {
    if busy {
        return Err("too many clients".to_owned());
    }
    let uid = stream.peer_cred().map_err(|error| error.to_string())?.uid();
    let caller = known(uid, settings).await?;
    if caller.roles.is_empty() {
        return stranger(stream, caller, asks).await;
    }
    let mut reader = BufReader::new(&mut *stream);
    let ask = request(&mut reader, ASK_WITHIN).await?;
    let attached = match ask.attached() {
        Some((bytes, role)) if caller.has(role) => attached(&mut reader, bytes).await?,
        _ => Vec::new(),
    };
    hand_on(ask, caller, attached, asks).await
}

async fn request(reader: &mut (impl AsyncBufRead + Unpin), within: Duration) -> Result<Ask, String> {
    let mut line = Vec::new();
    let mut limited = reader.take(MAX_ASK_BYTES as u64);
    match timeout(within, limited.read_until(b'\n', &mut line)).await {
        Ok(Ok(_)) if line.ends_with(b"\n") => {}
        Ok(Ok(_)) => return Err(format!("a request is one line of at most {MAX_ASK_BYTES} bytes")),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("no request within {within:?}")),
    }
    parse(&line)
}

async fn hand_on(
    ask: Ask,
    caller: Actor,
    attached: Vec<u8>,
    asks: &mpsc::Sender<Asked>,
) -> Result<mpsc::Receiver<Line>, String> {
    let (lines, receiver) = mpsc::channel(N_QUEUED_LINES);
    asks.send(Asked { ask, caller, attached, lines }).await.map_err(|_| "the gateway is stopping".to_owned())?;
    Ok(receiver)
}

/// They must not keep those waiting who have a role.
static STRANGERS: Semaphore = Semaphore::const_new(MAX_STRANGERS);

/// Refuses a caller without a role. What he wanted done goes on, for the audit; what he wanted to see is nobody's business.
async fn stranger(
    stream: &mut UnixStream,
    caller: Actor,
    asks: &mpsc::Sender<Asked>,
) -> Result<mpsc::Receiver<Line>, String> {
    let refused = without_role(&caller.name).to_string();
    let Ok(_place) = STRANGERS.try_acquire() else { return Err(refused) };
    match request(&mut BufReader::new(stream), STRANGER_WITHIN).await {
        Ok(ask) if ask.is_audited() => hand_on(ask, caller, Vec::new(), asks).await,
        Ok(_) | Err(_) => Err(refused),
    }
}

/// Why somebody without a role is refused.
pub fn without_role(name: &str) -> Refused {
    Refused::new(
        format!("用户 {name} 没有任何角色：请管理员在 gateway.toml 的 [roles] 中加入其所在的组"),
        format!("user {name} has no role: [roles] in gateway.toml names none of his groups"),
    )
}

/// Files are read for one request at a time: each may be as large as the gateway's own memory should ever get.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

async fn attached(reader: &mut (impl AsyncReadExt + Unpin), bytes: u64) -> Result<Vec<u8>, String> {
    if bytes > MAX_ATTACHED_BYTES {
        return Err(format!("文件共超过 {MAX_ATTACHED_BYTES} 字节 / more than {MAX_ATTACHED_BYTES} bytes of files"));
    }
    let _turn = ONE_AT_A_TIME.acquire().await.map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    let read = timeout(ATTACHED_WITHIN, reader.take(bytes).read_to_end(&mut all)).await;
    match read {
        Ok(Ok(_)) if all.len() as u64 == bytes => Ok(all),
        Ok(Ok(_)) => Err("文件不完整 / the files are not whole".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no files within {ATTACHED_WITHIN:?}")),
    }
}

/// Returns who the caller is and what he may do.
async fn known(uid: u32, settings: Arc<Settings>) -> Result<Actor, String> {
    let look = tokio::task::spawn_blocking(move || {
        let known = users::look_up(uid);
        let roles = settings.roles_of(users::owns_process(uid), &known.groups);
        Actor { name: known.name, via: Via::Machine, roles }
    });
    look.await.map_err(|error| error.to_string())
}

async fn forward(mut lines: mpsc::Receiver<Line>, to: &mut (impl AsyncWriteExt + Unpin)) {
    while let Some(line) = lines.recv().await {
        if !send(to, &line).await {
            return;
        }
    }
}

/// Returns whether it was taken in time.
async fn send(to: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> bool {
    matches!(timeout(STALL, to.write_all(&written(line))).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Role;

    struct Rig {
        path: std::path::PathBuf,
        asks: mpsc::Receiver<Asked>,
        _dir: tempfile::TempDir,
        _task: JoinSet<Result<(), String>>,
    }

    fn rig() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let (asks_tx, asks) = mpsc::channel(16);
        let mut task = JoinSet::new();
        let settings = Settings::private(dir.path());
        task.spawn(serve(listen(&settings).unwrap(), settings, asks_tx, CancellationToken::new()));
        Rig { path, asks, _dir: dir, _task: task }
    }

    async fn told(path: &Path, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_request_gets_its_lines_and_the_socket_is_private() {
        let mut rig = rig();
        let mode = std::fs::metadata(&rig.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let path = rig.path.clone();
        let asking = tokio::task::JoinSet::from_iter([async move { told(&path, b"{\"ask\":\"read\"}\n").await }]);
        let asked = rig.asks.recv().await.unwrap();
        assert_eq!(asked.ask, Ask::Read { tags: Vec::new() });
        assert_eq!((asked.caller.via, asked.caller.roles.len()), (Via::Machine, Role::ALL.len()));
        assert!(!asked.caller.name.is_empty());
        asked.lines.send(Line::End(String::new())).await.unwrap();
        drop(asked);
        assert_eq!(asking.join_all().await, ["{\"end\":\"\"}\n"]);
    }

    #[tokio::test]
    async fn garbage_and_endless_requests_are_answered_and_closed() {
        let rig = rig();
        assert!(told(&rig.path, b"open the gate\n").await.contains("no request"));
        let endless = vec![b'x'; MAX_ASK_BYTES];
        assert!(told(&rig.path, &endless).await.contains("at most"));
    }

    #[tokio::test]
    async fn more_clients_than_places_are_told_so() {
        let mut rig = rig();
        let mut held = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut stream = UnixStream::connect(&rig.path).await.unwrap();
            stream.write_all(b"{\"ask\":\"read\"}\n").await.unwrap();
            held.push((stream, rig.asks.recv().await.unwrap()));
        }
        let mut stream = UnixStream::connect(&rig.path).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.contains("too many"), "{text}");
    }

    #[tokio::test]
    async fn with_roles_everybody_may_knock() {
        let dir = tempfile::tempdir().unwrap();
        let groups = [(Role::Operator, vec!["parkgate-operators".to_owned()])].into();
        let settings = Settings { groups, ..Settings::private(dir.path()) };
        let _listener = listen(&settings).unwrap();
        assert_eq!(std::fs::metadata(&settings.socket).unwrap().permissions().mode() & 0o777, 0o666);
    }

    #[tokio::test]
    async fn a_stranger_is_told_that_he_has_no_role() {
        let caller = known(4_000_000_123, Arc::new(Settings::private(Path::new("/s")))).await.unwrap();
        assert!(caller.roles.is_empty());
        let refused = without_role(&caller.name).to_string();
        assert!(refused.contains("no role") && refused.contains("4000000123"), "{refused}");
    }

    #[tokio::test]
    async fn what_a_stranger_wants_done_goes_on_to_be_entered_and_what_he_wants_to_see_does_not() {
        let (asks_tx, mut asks) = mpsc::channel(16);
        let requests = [
            (r#"{"ask":"write","output":"siren","value":"on","issuer":"x","key":"k"}"#, true),
            (r#"{"ask":"alarms"}"#, false),
            ("open the gate", false),
        ];
        for (request, goes_on) in requests {
            let (mut client, mut server) = UnixStream::pair().unwrap();
            client.write_all(format!("{request}\n").as_bytes()).await.unwrap();
            let caller = Actor { name: "zhao".to_owned(), via: Via::Machine, roles: [].into() };
            let answer = stranger(&mut server, caller, &asks_tx).await;
            assert_eq!(answer.is_ok(), goes_on);
            let asked = asks.try_recv().ok();
            assert_eq!(asked.as_ref().map(|asked| asked.caller.roles.len()), goes_on.then_some(0));
            assert!(answer.err().is_none_or(|refused| refused.contains("no role")));
        }
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_its_answer() {
        let mut rig = rig();
        let mut stream = UnixStream::connect(&rig.path).await.unwrap();
        stream.write_all(b"{\"ask\":\"watch\",\"for_ms\":60000}\n").await.unwrap();
        let asked = rig.asks.recv().await.unwrap();
        drop(stream);
        asked.lines.closed().await;
    }

    #[test]
    fn a_path_too_long_and_a_file_in_its_place_are_said() {
        let dir = tempfile::tempdir().unwrap();
        let long = Settings { socket: dir.path().join("x".repeat(120)), ..Settings::private(dir.path()) };
        assert!(listen(&long).unwrap_err().to_string().contains("longer than"));
        let file = dir.path().join("control.sock");
        std::fs::write(&file, "").unwrap();
        assert!(listen(&Settings::private(dir.path())).unwrap_err().to_string().contains("no socket"));
        assert!(file.exists());
    }
}
