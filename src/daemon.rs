//! The daemon: watches the work trees of allowed repositories, and warms what CI will build next, before anybody asks.
//!
//! ```text
//! files, spool, consent ─▶ watching ─┐
//! signals, socket, jobs ─────────────┼─▶ run (one loop) ─▶ state (pure) ─▶ effects ─▶ jobs: `prewarm job` processes
//! time ──────────────────────────────┘
//! ```
//!
//! The process stays small and idle: it reads no git objects and speaks to no engine or registry. A job does, and is gone.

mod desktop;
mod detach;
mod enroll;
mod interest;
mod jobs;
pub mod lock;
mod log;
mod model;
pub mod oneshot;
pub mod place;
mod probe;
mod prunes;
mod pushes;
mod run;
mod server;
mod service;
mod signals;
mod spool;
pub mod state;
pub mod status;
mod watch;
mod watching;

use std::fs::DirBuilder;
use std::io::{self, PipeReader};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch as changes};

use crate::client::{Client, ClientError};
use crate::config::{UserConfig, load_user};
use crate::error::{Error, Kind};
use crate::protocol::Hello;
use crate::world::World;

use detach::Side;
use jobs::Launcher;
use lock::Lock;
use log::Log;
use run::Sources;
use server::Answers;
use watching::{Own, Watching};

/// So long is waited for a daemon in the background to answer.
const START: Duration = Duration::from_secs(10);

/// How the daemon is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Here, until it ends.
    Foreground,
    /// In the background.
    Detached,
}

/// Runs the daemon; where it is detached, only until it answers. Returns who runs in the background.
///
/// No thread may have been started before.
///
/// # Errors
/// When it cannot run, or runs already.
pub fn start(world: &World, start: Start) -> Result<Option<Hello>, Error> {
    let user = load_user(&world.paths)?.value;
    directories(world).map_err(|error| {
        let place = world.paths.shown(&world.paths.state_dir);
        Error::new(
            Kind::Environment,
            format!("{place} cannot be prepared: {error}"),
        )
    })?;
    if start == Start::Foreground {
        // The journal is told by this variable that it is standard error.
        let time = world.variable("JOURNAL_STREAM").is_none();
        let started = &mut || {};
        return run_here(world, user, Log::Stderr { time }, started).map(|()| None);
    }
    if Lock::is_taken(&world.paths.daemon_lock()) {
        return Err(running(world));
    }
    let background = |error: &dyn std::fmt::Display| {
        Error::new(
            Kind::Environment,
            format!("the daemon cannot go into the background: {error}"),
        )
    };
    let (heard, told) = io::pipe().map_err(|error| background(&error))?;
    let side = detach::detach(&world.paths.state_dir).map_err(|error| background(&error))?;
    if matches!(side, Side::Parent) {
        drop(told);
        return wait(world, heard).map(Some);
    }
    drop(heard);
    let mut told = Some(told);
    let ended = run_here(world, user, Log::Files, &mut || drop(told.take()));
    if let (Some(told), Err(error)) = (told, &ended) {
        detach::tell(told, error);
    }
    ended.map(|()| None)
}

/// Runs in this process until the end. `started` is called once others are answered.
fn run_here(
    world: &World,
    user: UserConfig,
    log: Log,
    started: &mut dyn FnMut(),
) -> Result<(), Error> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Error::new(Kind::Environment, format!("{what}: {error}"))
    };
    let place = world.paths.daemon_lock();
    let lock = Lock::take(&place)
        .map_err(|error| {
            let what = format!(
                "the daemon's lock {} cannot be taken",
                world.paths.shown(&place)
            );
            failed(&what, &error).hint("the daemon must be able to write to this directory")
        })?
        .ok_or_else(|| running(world))?;
    let guard = log
        .begin(&world.paths.logs())
        .map_err(|error| failed("the log cannot be written", &error))?;
    let ended = serve(world, user, started);
    if let Err(error) = &ended {
        tracing::error!("{error}");
    }
    drop(guard);
    drop(lock);
    ended
}

fn serve(world: &World, user: UserConfig, started: &mut dyn FnMut()) -> Result<(), Error> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Error::new(Kind::Environment, format!("{what}: {error}"))
    };
    let paths = &world.paths;
    let signals =
        signals::listen().map_err(|error| failed("signals cannot be received", &error))?;
    // One thread: the loop is idle, and all heavy work is done by other processes.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("the daemon cannot be started", &error))?;
    let program = std::env::current_exe()
        .map_err(|error| failed("our own program cannot be found", &error))?;
    let watching = Watching::new(Own {
        spool: paths.spool(),
        consent: paths.consent(),
        config: paths.config_file.clone(),
        logins: world.docker_config().join("config.json"),
        discovery: paths.discovery(),
    });
    let watching = watching.map_err(|error| {
        failed("file changes cannot be watched", &error).hint(
            "if the limit is reached: `sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288`",
        )
    })?;
    let socket = place::socket(paths)
        .map_err(|error| failed("there is no place for the daemon's socket", &error))?;
    runtime.block_on(async {
        let listener = server::bind(&socket).map_err(|error| {
            let what = format!(
                "the daemon's socket {} cannot be made",
                paths.shown(&socket)
            );
            failed(&what, &error)
                .hint("move away what is there, and make sure that the directory can be written")
        })?;
        tracing::info!(
            "prewarm {} listens at {}",
            env!("CARGO_PKG_VERSION"),
            socket.display()
        );
        let (asked, requests) = mpsc::channel(16);
        let (count, changed) = changes::channel(0);
        let answers = Answers::new();
        tokio::spawn(server::serve(listener, asked, changed, answers.clone()));
        started();
        let sources = Sources {
            requests,
            signals,
            socket: socket.clone(),
        };
        run::run(world, user, watching, Launcher { program }, sources, count).await;
        answers.written().await;
        Ok::<_, Error>(())
    })?;
    // While the lock is held they are ours. Whoever finds them later sees from the lock that nobody is there.
    for path in [paths.discovery(), socket] {
        let _ = std::fs::remove_file(path);
    }
    tracing::info!("has ended");
    Ok(())
}

fn directories(world: &World) -> io::Result<()> {
    let paths = &world.paths;
    for directory in [
        &paths.state_dir,
        &paths.spool(),
        &paths.builds(),
        &paths.logs(),
    ] {
        make(directory)?;
    }
    Ok(())
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Leaves the terminal for a process that nobody waits for. Returns true in that process.
///
/// # Errors
/// When the system does not let us.
pub fn leave(world: &World) -> Result<bool, Error> {
    let side = detach::detach(&world.paths.state_dir);
    let side = side.map_err(|error| Error::new(Kind::Environment, error))?;
    Ok(matches!(side, Side::Child))
}

fn running(world: &World) -> Error {
    let who = match Client::connect(&world.paths) {
        Ok(client) => format!(
            "the daemon runs already (process {}, prewarm {})",
            client.hello.pid, client.hello.version
        ),
        Err(_) => "another daemon runs already, or is starting or ending".to_owned(),
    };
    Error::new(Kind::Usage, who).hint("`prewarm daemon stop` ends it")
}

/// Waits until the daemon in the background answers, or says why it cannot.
fn wait(world: &World, told: PipeReader) -> Result<Hello, Error> {
    let end = Instant::now() + START;
    let (sender, failure) = std::sync::mpsc::channel();
    thread::spawn(move || {
        // Whoever waited has its answer otherwise.
        let _ = sender.send(detach::hear(told));
    });
    let (pause, mut begun) = (Duration::from_millis(20), false);
    loop {
        let error = match Client::connect(&world.paths) {
            Ok(client) => return Ok(client.hello),
            Err(error) => error,
        };
        if Instant::now() >= end || begun && matches!(error, ClientError::NotRunning) {
            return Err(Error::from(error)
                .hint("`prewarm daemon` in the foreground shows why; so may `prewarm logs`"));
        }
        if begun {
            thread::sleep(pause);
            continue;
        }
        match failure.recv_timeout(pause) {
            Ok(Some(error)) => return Err(error),
            Ok(None) => begun = true,
            Err(_) => {}
        }
    }
}
