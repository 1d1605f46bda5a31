//! `prewarm deny`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Context, Ended};
use crate::cli::DenyArgs;
use crate::consent::Store;
use crate::error::{Error, Kind};
use crate::snapshot::Repository;
use crate::ui::text::clean;

pub(super) fn run(context: &Context<'_>, arguments: &DenyArgs) -> Ended {
    let path = &arguments.path;
    // One that is gone, or cannot be opened any more, is known by its path.
    let repository = Repository::discover(path).ok();
    let named = absolute(path)?;
    let common_dir = repository.as_ref().map(Repository::common_dir);
    let denied = Store::at(context.world.paths.consent()).update(|allowed| {
        allowed.deny(|grant| match common_dir {
            Some(common_dir) => grant.common_dir == common_dir,
            None => grant.work_dir == named || grant.common_dir == named,
        })
    })?;
    let shown = |path: &Path| clean(&context.world.paths.shown(path));
    let text = match denied.as_slice() {
        [] => {
            let place = repository.as_ref().map_or(&*named, Repository::work_dir);
            format!("{}: nothing was allowed here.\n", shown(place))
        }
        denied => {
            let mut text = String::new();
            for grant in denied {
                text.push_str(&shown(&grant.work_dir));
                text.push_str(": nothing is built here unasked any more.\n");
            }
            text
        }
    };
    context.ui.result(&text, &())?;
    Ok(ExitCode::SUCCESS)
}

/// The path without links as far as it exists.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let absolute = std::path::absolute(path).map_err(|error| {
        let message = format!("{} is no path: {error}", path.display());
        Error::new(Kind::Usage, message)
    })?;
    let mut above = absolute.ancestors();
    let found = above.find_map(|directory| {
        let real = std::fs::canonicalize(directory).ok()?;
        let rest = absolute.strip_prefix(directory).ok()?;
        Some(if rest.as_os_str().is_empty() {
            real
        } else {
            real.join(rest)
        })
    });
    Ok(found.unwrap_or(absolute))
}
