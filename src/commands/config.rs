//! `prewarm config check` and `prewarm config show`.

use std::path::Path;
use std::process::ExitCode;

use super::{Context, Ended};
use crate::cli::ConfigCommand;
use crate::config::{Loaded, RepositoryConfig, UserConfig, load_user, show};
use crate::error::Error;
use crate::snapshot::{Repository, Snapshot, Source};
use crate::warm::{check_target, repository_config};

pub(super) fn run(context: &Context<'_>, command: ConfigCommand) -> Ended {
    match command {
        ConfigCommand::Check { path } => check(context, &path),
        ConfigCommand::Show { path } => {
            let user = load_user(&context.world.paths)?;
            let (repository, _) = repository(&path)?;
            context.ui.result(&show(&user, &repository), &())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reports the problems of both files, not only of the first.
fn check(context: &Context<'_>, path: &Path) -> Ended {
    let user: Result<Loaded<UserConfig>, Error> =
        load_user(&context.world.paths).map_err(Error::from);
    let repository = repository(path);
    match (user, repository) {
        (Ok(user), Ok((repository, snapshot))) => {
            let mut errors = repository
                .value
                .targets
                .iter()
                .filter_map(|target| check_target(&snapshot, target).err());
            if let Some(mut last) = errors.next() {
                for error in errors {
                    context.ui.error(&last);
                    last = error;
                }
                return Err(last);
            }
            let shown = |file: &Option<String>, without: &str| {
                file.clone().unwrap_or_else(|| without.to_owned())
            };
            let names: Vec<&str> = repository
                .value
                .targets
                .iter()
                .map(|target| target.name.as_str())
                .collect();
            let text = format!(
                "ok: {}; {}; targets: {}\n",
                shown(&user.file, "no configuration of your own (defaults)"),
                shown(&repository.file, "no .prewarm.toml (detected)"),
                names.join(", "),
            );
            context.ui.result(&text, &())?;
            Ok(ExitCode::SUCCESS)
        }
        (Err(user), Err(repository)) => {
            context.ui.error(&user);
            Err(repository)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn repository(path: &Path) -> Result<(Loaded<RepositoryConfig>, Snapshot), Error> {
    let repository = Repository::discover(path)?;
    // What is in the work tree is what the user is writing just now.
    repository_config(&repository, &Source::Worktree)
}
