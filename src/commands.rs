//! From the command line to the library and back: one file per subcommand, and the way in and out of the process.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use crate::cli::{BuilderCommand, Cli, Command, HooksCommand};
use crate::error::{Error, Kind};
use crate::ui::{Look, Surroundings, Ui};
use crate::world::World;

mod allow;
mod builder;
mod config;
mod deny;
mod history;
mod hooks;
mod job;
mod repos;
mod signals;
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
    let cli = Cli::parse();
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
        Command::History(arguments) => history::run(&context, &arguments),
        Command::Config(arguments) => config::run(&context, arguments.command),
        Command::Hooks(arguments) => hooks::run(&context, &arguments.command),
    };
    // A blocking read that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    ended
}

fn look(command: &Command) -> Look {
    let json = match command {
        Command::Warm(arguments) => arguments.json,
        Command::History(arguments) => arguments.json,
        Command::Builder(arguments) => {
            matches!(arguments.command, BuilderCommand::Status { json: true })
        }
        Command::Hooks(arguments) => {
            matches!(arguments.command, HooksCommand::Status { json: true, .. })
        }
        Command::Repos { json } => *json,
        Command::Job(_) => true,
        Command::Allow(_) | Command::Deny(_) | Command::Config(_) => false,
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
