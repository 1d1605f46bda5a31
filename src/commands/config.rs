//! `prewarm config check` and `prewarm config show`.

use std::path::Path;
use std::process::ExitCode;

use super::{Context, Ended};
use crate::cli::ConfigCommand;
use crate::config::{Loaded, RepositoryConfig, UserConfig, load_user, show};
use crate::error::Error;
use crate::snapshot::{Repository, Source};
use crate::warm::repository_config;

pub(super) fn run(context: &Context<'_>, command: ConfigCommand) -> Ended {
    match command {
        ConfigCommand::Check { path } => check(context, &path),
        ConfigCommand::Show { path } => {
            let user = load_user(&context.world.paths)?;
            let repository = repository(&path)?;
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
        (Ok(user), Ok(repository)) => {
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

fn repository(path: &Path) -> Result<Loaded<RepositoryConfig>, Error> {
    let repository = Repository::discover(path)?;
    // What is in the work tree is what the user is writing just now.
    Ok(repository_config(&repository, &Source::Worktree)?.0)
}
