//! From the command line to the library and back: one file per subcommand, and the way in and out of the process.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use crate::cli::{
    BuilderCommand, Cli, Command, DaemonArgs, DaemonCommand, HooksCommand, ServiceCommand,
};
use crate::error::{Error, Kind};
use crate::ui::{Look, Surroundings, Ui};
use crate::world::World;

mod allow;
mod builder;
mod config;
mod daemon;
mod deny;
mod doctor;
mod history;
mod hook;
mod hooks;
mod job;
mod logs;
mod pin;
mod prune;
mod prune_registry;
mod repos;
mod service;
mod signals;
mod status;
mod warm;

use signals::Signals;

/// How a command ended without an error to show: its exit code.
type Ended = Result<ExitCode, Error>;

/// What every command gets.
struct Context<'a> {
    world: &'a World,
    ui: &'a Ui,
    stop: &'a CancellationToken,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    // What a panic has to say was said by it.
    std::panic::catch_unwind(start).unwrap_or(ExitCode::from(Kind::Internal.exit_code()))
}

fn start() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Daemon(arguments) = &cli.command
        && daemon::runs(arguments)
    {
        // Before anything else starts a thread: it may fork.
        let look = look(&cli.command);
        return daemon::run(arguments, look).unwrap_or_else(|error| {
            Ui::stdio(look).error(&error);
            ExitCode::from(error.kind.exit_code())
        });
    }
    if let Command::Hook(arguments) = &cli.command {
        // Git goes on whatever becomes of us.
        hook::run(&arguments.event);
        return ExitCode::SUCCESS;
    }
    let ui = Ui::stdio(look(&cli.command));
    let stop = CancellationToken::new();
    let ended = Signals::listen(&stop).and_then(|signals| {
        let ended = run(cli.command, &ui, &stop);
        // Whoever was asked to stop ends by that signal, whatever became of the work.
        match signals.received() {
            Some(number) => {
                if let Err(error) = ended {
                    ui.error(&error);
                }
                Ok(ExitCode::from(Kind::Signal(number).exit_code()))
            }
            None => ended,
        }
    });
    ended.unwrap_or_else(|error| {
        ui.error(&error);
        ExitCode::from(error.kind.exit_code())
    })
}

fn run(command: Command, ui: &Ui, stop: &CancellationToken) -> Ended {
    let world = World::from_process()?;
    let context = Context {
        world: &world,
        ui,
        stop,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(
                Kind::Environment,
                format!("threads cannot be started: {error}"),
            )
        })?;
    let ended = match command {
        Command::Warm(arguments) => runtime.block_on(warm::run(&context, arguments)),
        Command::Allow(arguments) => runtime.block_on(allow::run(&context, &arguments)),
        Command::Deny(arguments) => deny::run(&context, &arguments),
        Command::Repos { .. } => repos::run(&context),
        Command::Job(arguments) => runtime.block_on(job::run(&context, arguments)),
        Command::Builder(arguments) => runtime.block_on(builder::run(&context, arguments.command)),
        Command::Prune(arguments) => runtime.block_on(prune::run(&context, &arguments)),
        Command::Pin(arguments) => runtime.block_on(pin::pin(&context, &arguments)),
        Command::Unpin(arguments) => pin::unpin(&context, &arguments),
        Command::History(arguments) => history::run(&context, &arguments),
        Command::Config(arguments) => config::run(&context, arguments.command),
        Command::Hooks(arguments) => hooks::run(&context, &arguments.command),
        Command::Daemon(DaemonArgs { command, .. }) => {
            let command = command.expect("without one the daemon was run");
            runtime.block_on(daemon::speak(&context, &command))
        }
        Command::Hook(_) => unreachable!("it was run before"),
        Command::Status(arguments) => status::run(&context, &arguments),
        Command::Pause(arguments) => daemon::pause(&context, &arguments),
        Command::Resume => daemon::resume(&context),
        Command::Service(arguments) => runtime.block_on(service::run(&context, arguments.command)),
        Command::Doctor(arguments) => runtime.block_on(doctor::run(&context, arguments)),
        Command::Logs(arguments) => runtime.block_on(logs::run(&context, &arguments)),
    };
    // A blocking read that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    ended
}

fn look(command: &Command) -> Look {
    let json = match command {
        Command::Warm(arguments) => arguments.json,
        Command::History(arguments) => arguments.json,
        Command::Prune(arguments) => arguments.json,
        Command::Pin(arguments) | Command::Unpin(arguments) => arguments.json,
        Command::Builder(arguments) => {
            matches!(arguments.command, BuilderCommand::Status { json: true })
        }
        Command::Hooks(arguments) => {
            matches!(arguments.command, HooksCommand::Status { json: true, .. })
        }
        Command::Status(arguments) => arguments.json,
        Command::Daemon(arguments) => {
            matches!(
                arguments.command,
                Some(DaemonCommand::Status { json: true })
            )
        }
        Command::Repos { json } => *json,
        Command::Job(_) => true,
        Command::Service(arguments) => {
            matches!(arguments.command, ServiceCommand::Status { json: true })
        }
        Command::Doctor(arguments) => arguments.json,
        Command::Allow(_)
        | Command::Deny(_)
        | Command::Hook(_)
        | Command::Config(_)
        | Command::Logs(_)
        | Command::Pause(_)
        | Command::Resume => false,
    };
    let (no_color, term) = (std::env::var("NO_COLOR").ok(), std::env::var("TERM").ok());
    Look::choose(&Surroundings {
        json,
        stdout_terminal: std::io::stdout().is_terminal(),
        stderr_terminal: std::io::stderr().is_terminal(),
        no_color: no_color.as_deref(),
        term: term.as_deref(),
    })
}
