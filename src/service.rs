//! The daemon as a service of the user's systemd: installed, uninstalled, looked at.
//!
//! [`plan`] decides what is done, from the file that is there and what the service manager says; here it is done, and
//! undone again when a step fails.

pub mod plan;
pub mod systemctl;
pub mod unit;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Remedy};
use crate::program::ProgramError;
use crate::world::World;
use plan::{Existing, Plan, Step};
use systemctl::{UnitState, systemctl};
use unit::{UNIT, Unwritable};

/// Shows what the daemon logged.
const JOURNAL: &str = "journalctl --user-unit=prewarm.service -n 50";

/// Why the service cannot be installed, uninstalled or looked at.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no systemd, or none that works for this user.
    #[error("there is no service manager of yours (`systemctl --user`)")]
    NoManager(#[source] ProgramError),
    /// A unit of that name that we did not write.
    #[error("{} was not made by prewarm, so it is left alone", .0.display())]
    Foreign(PathBuf),
    /// The unit's file cannot be read or written.
    #[error("cannot {action} {}", file.display())]
    File {
        /// What we wanted, such as "write".
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A path or a variable that does not fit into a unit.
    #[error("the service cannot be described to systemd")]
    Unwritable(#[from] Unwritable),
    /// Our own program's file is not to be found.
    #[error("cannot tell where the program is that the service is to run")]
    Program(#[source] io::Error),
    /// A step that the service manager refused, or that failed.
    #[error("the service manager failed to {action} the service{}", how(state.as_deref()))]
    Step {
        /// What we asked for, such as "start".
        action: &'static str,
        /// How the unit was then.
        state: Option<Box<UnitState>>,
        /// What systemctl said.
        source: ProgramError,
    },
}

/// How a service failed, in brackets.
fn how(state: Option<&UnitState>) -> String {
    match state {
        Some(state) if !matches!(state.result.as_str(), "" | "success") => {
            format!(
                " (result {}, exit status {})",
                state.result, state.exit_status
            )
        }
        _ => String::new(),
    }
}

impl Remedy for ServiceError {
    fn kind(&self) -> Kind {
        match self {
            Self::Foreign(_) | Self::Unwritable(_) => Kind::Usage,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoManager(_) => Some(
                "log in as yourself (by ssh or on the console, not by su or sudo); where there is no systemd, \
                 `prewarm daemon --detach` runs the daemon"
                    .to_owned(),
            ),
            Self::Foreign(file) => Some(format!("move {} away if nobody needs it", file.display())),
            Self::Step { .. } => Some(format!("see `{JOURNAL}`")),
            Self::File { .. } | Self::Unwritable(_) | Self::Program(_) => None,
        }
    }
}

/// What became of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was none before.
    Installed,
    /// Its unit is another than before; it was started anew.
    Updated,
    /// Its unit was as it should be, but it did not run, or not from that.
    Started,
    /// It ran already.
    Unchanged,
}

/// A service that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// What was done.
    pub change: Change,
    /// The unit's file.
    pub file: PathBuf,
    /// The program that it runs.
    pub program: PathBuf,
    /// The variables that it sets.
    pub environment: Vec<(String, String)>,
    /// Whether it runs without a session of the user's; `None` where nobody can tell.
    pub lingers: Option<bool>,
}

/// The service as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The unit's file.
    pub file: PathBuf,
    /// What is there.
    pub existing: Existing,
    /// What the service manager says.
    pub state: UnitState,
    /// Whether it runs without a session of the user's; `None` where nobody can tell.
    pub lingers: Option<bool>,
}

/// Where the unit's file goes.
#[must_use]
pub fn file(world: &World) -> PathBuf {
    let config = world.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    config
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| world.paths.home.join(".config"))
        .join("systemd/user")
        .join(UNIT)
}

/// Installs the service, or brings it up to date, and has it running.
///
/// # Errors
/// [`ServiceError`]; whatever was done is undone then.
pub async fn install(world: &World) -> Result<Installed, Error> {
    let directory = std::env::current_dir().map_err(ServiceError::Program)?;
    let executable = std::env::current_exe().map_err(ServiceError::Program)?;
    let program = program(world, &executable);
    let environment = unit::environment(world, &directory).map_err(ServiceError::from)?;
    let wanted = unit::render(&program, &environment).map_err(ServiceError::from)?;

    let state = systemctl::show().await.map_err(ServiceError::NoManager)?;
    let file = file(world);
    let existing = existing(&file)?;
    let plan = plan::install(&existing, &wanted, &state)
        .ok_or_else(|| ServiceError::Foreign(file.clone()))?;
    let change = match &existing {
        _ if plan.steps.is_empty() => Change::Unchanged,
        Existing::Ours(text) if *text == wanted => Change::Started,
        Existing::Ours(_) => Change::Updated,
        Existing::Nothing | Existing::Foreign => Change::Installed,
    };
    carry_out(&plan, &file).await?;
    Ok(Installed {
        change,
        file,
        program,
        environment,
        lingers: systemctl::lingers().await,
    })
}

/// Removes the service; tells whether there was one.
///
/// # Errors
/// [`ServiceError`].
pub async fn uninstall(world: &World) -> Result<bool, Error> {
    let file = file(world);
    let existing = existing(&file)?;
    // Without a service manager nothing runs, and the file goes all the same.
    let state = systemctl::show().await.ok();
    let plan = plan::uninstall(&existing, state.as_ref())
        .ok_or_else(|| ServiceError::Foreign(file.clone()))?;
    carry_out(&plan, &file).await?;
    Ok(!plan.steps.is_empty())
}

/// Looks at the service.
///
/// # Errors
/// [`ServiceError`].
pub async fn look(world: &World) -> Result<Seen, ServiceError> {
    let file = file(world);
    Ok(Seen {
        existing: existing(&file)?,
        state: systemctl::show().await.map_err(ServiceError::NoManager)?,
        lingers: systemctl::lingers().await,
        file,
    })
}

/// The path under which the program will be found tomorrow: the one by which `PATH` finds it, which stays the same when a
/// package manager replaces what it leads to.
fn program(world: &World, executable: &Path) -> PathBuf {
    let path = world.variable("PATH").unwrap_or_default();
    let name = executable.file_name().unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|candidate| {
            candidate
                .canonicalize()
                .is_ok_and(|real| real == executable)
        })
        .unwrap_or_else(|| executable.to_owned())
}

fn existing(file: &Path) -> Result<Existing, ServiceError> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Existing::of(Some(
            String::from_utf8_lossy(&bytes).into_owned(),
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Existing::Nothing),
        Err(source) => Err(ServiceError::File {
            action: "read",
            file: file.to_owned(),
            source,
        }),
    }
}

/// Does all steps, or none.
async fn carry_out(plan: &Plan, file: &Path) -> Result<(), Error> {
    for step in &plan.steps {
        let Err(failure) = apply(step, file).await else {
            continue;
        };
        let mut error = Error::from(failure);
        let mut undone = true;
        for step in &plan.undo {
            // What was not done yet need not be undone, and says so by failing.
            undone &= apply(step, file).await.is_ok() || *step != Step::Reload;
        }
        if !plan.undo.is_empty() {
            error = error.hint(if undone {
                "everything is as it was before"
            } else {
                "not everything could be undone; `prewarm service status` shows what is left"
            });
        }
        return Err(error);
    }
    Ok(())
}

async fn apply(step: &Step, file: &Path) -> Result<(), ServiceError> {
    let (action, arguments): (_, &[&str]) = match step {
        Step::Write(text) => {
            return write(file, text).map_err(|source| ServiceError::File {
                action: "write",
                file: file.to_owned(),
                source,
            });
        }
        Step::Remove => {
            // Where no service manager could disable it, the link that starts it goes with it.
            let link = Path::new("default.target.wants").join(UNIT);
            let _ = std::fs::remove_file(file.with_file_name("").join(link));
            return std::fs::remove_file(file).map_err(|source| ServiceError::File {
                action: "remove",
                file: file.to_owned(),
                source,
            });
        }
        Step::Reload => ("read", &["daemon-reload"]),
        Step::Enable => ("enable", &["enable", "--quiet", UNIT]),
        Step::Disable => ("disable", &["disable", "--quiet", UNIT]),
        Step::Start => ("start", &["start", UNIT]),
        Step::Restart => ("restart", &["restart", UNIT]),
        Step::Stop => ("stop", &["stop", UNIT]),
    };
    if matches!(step, Step::Start | Step::Restart) {
        // A service that crashed too often may not be started before it is forgiven; another has nothing to forgive.
        let _ = systemctl(&["reset-failed", UNIT]).await;
    }
    match systemctl(arguments).await {
        Ok(_) => Ok(()),
        Err(source) => Err(ServiceError::Step {
            action,
            state: systemctl::show().await.ok().map(Box::new),
            source,
        }),
    }
}

/// Writes the unit's file as a whole: the service manager may read it at any time.
fn write(file: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = file
        .parent()
        .expect("the unit's file is in a directory of systemd's");
    std::fs::create_dir_all(directory)?;
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    temporary.write_all(text.as_bytes())?;
    // As systemd's own tools write it; it holds no secret.
    temporary
        .as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}
