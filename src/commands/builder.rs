//! `prewarm builder status|refresh|remove`.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::{Context, Ended};
use crate::builder::{Choice, Connector, memory};
use crate::cli::BuilderCommand;
use crate::config::{CiBuildkit, UserConfig, load_user};
use crate::engine::{self, Status};
use crate::error::{Error, Kind};
use crate::record::Records;
use crate::registry::Registry;
use crate::snapshot::{Repository, Source};
use crate::ui::text::bytes;
use crate::warm::{repository_config, show};

pub(super) async fn run(context: &Context<'_>, command: BuilderCommand) -> Ended {
    let user = load_user(&context.world.paths)?.value;
    match command {
        BuilderCommand::Status { .. } => status(context, &user).await,
        BuilderCommand::Refresh { path } => refresh(context, &user, &path).await,
        BuilderCommand::Remove => remove(context, &user).await,
    }
}

async fn status(context: &Context<'_>, user: &UserConfig) -> Ended {
    let registry = registry(context, user);
    let connector = Connector {
        world: context.world,
        user,
        ci: &CiBuildkit::Engine,
        registry: &registry,
    };
    let docker = connector.docker().await?;
    let location = docker.location().to_string();
    match engine::status(&docker, &connector.settings()?).await? {
        None => {
            let text = format!(
                "There is no BuildKit container in {location}. The first `prewarm warm` that needs one makes it.\n"
            );
            context
                .ui
                .result(&text, &json!({ "engine": location, "container": null }))?;
        }
        Some(status) => context
            .ui
            .result(&human(&location, &status), &document(&location, &status))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn human(location: &str, status: &Status) -> String {
    let cpus = |cpus: u64| format!("{}.{:02}", cpus / 1_000_000_000, cpus / 10_000_000 % 100);
    let no_limit = || "no limit".to_owned();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line(
        "container",
        &format!("{} ({})", engine::container::CONTAINER, state(status.state)),
    );
    line("engine", location);
    line(
        "image",
        &format!("{} ({})", status.image, status.image_digest),
    );
    line("created", &status.created);
    line("network", &status.network);
    line("cpus", &status.nano_cpus.map_or_else(no_limit, cpus));
    line("memory", &status.memory.map_or_else(no_limit, bytes));
    if !status.settings_current {
        line(
            "settings",
            "differ from your configuration; the next warm makes the container anew",
        );
    }
    text
}

fn state(state: engine::container::State) -> &'static str {
    match state {
        engine::container::State::Running => "running",
        engine::container::State::Stopped => "stopped",
        engine::container::State::Unusable => "unusable",
    }
}

fn document(location: &str, status: &Status) -> serde_json::Value {
    json!({
        "engine": location,
        "container": {
            "name": engine::container::CONTAINER,
            "id": status.container_id,
            "state": state(status.state),
            "image": status.image,
            "image_digest": status.image_digest,
            "created": status.created,
            "restarts": status.restarts,
            "settings_current": status.settings_current,
            "nano_cpus": status.nano_cpus,
            "memory": status.memory,
            "network": status.network,
        },
    })
}

async fn refresh(context: &Context<'_>, user: &UserConfig, path: &Path) -> Ended {
    let repository = Repository::discover(path)?;
    let ci = repository_config(&repository, &Source::Worktree)?
        .0
        .value
        .ci;
    let registry = registry(context, user);
    let connector = Connector {
        world: context.world,
        user,
        ci: &ci.buildkit,
        registry: &registry,
    };
    let Choice::Container { image, .. } = connector.choice() else {
        let label = connector.choice().label();
        return Err(Error::new(
            Kind::Usage,
            format!("this repository builds with {label}, not in a container of ours"),
        ));
    };
    let docker = connector.allowed(&image)?.docker().await?;
    let login = connector.login(&image).await;
    let mut progress = |progress| context.ui.event(&show::of_builder(progress));
    let refreshed = engine::refresh(
        &docker,
        &image,
        &connector.settings()?,
        &|_| login.clone(),
        &mut progress,
    )
    .await?;
    // What is remembered of the container may be of the old image.
    let now = context.world.now_ms();
    let (records, _) = Records::open(&context.world.paths.database(), now / 1000)?;
    let label = connector.choice().label();
    memory::forget(&records, &label)?;
    memory::remember_refresh(&records, &label, now)?;
    let new = &refreshed.new;
    let text = match &refreshed.old {
        Some(old) if old == new => format!("{image} has not moved: {new}\n"),
        Some(_) if !refreshed.applied => {
            format!(
                "{image} moved to {new}; the container is in use and will be made anew when it is not\n"
            )
        }
        Some(old) => format!("{image} moved from {old} to {new}; nothing is warm for it yet\n"),
        None => format!("{image} is {new}; the next warm makes a container from it\n"),
    };
    context.ui.result(&text, &())?;
    Ok(ExitCode::SUCCESS)
}

async fn remove(context: &Context<'_>, user: &UserConfig) -> Ended {
    let registry = registry(context, user);
    let connector = Connector {
        world: context.world,
        user,
        ci: &CiBuildkit::Engine,
        registry: &registry,
    };
    let removed = engine::remove(&connector.docker().await?).await?;
    let text = match (removed.container, removed.volume) {
        (false, false) => "There was nothing to remove.\n",
        (true, false) => "Removed the BuildKit container.\n",
        (false, true) => "Removed the volume with the BuildKit container's cache.\n",
        (true, true) => "Removed the BuildKit container and the volume with its cache.\n",
    };
    context.ui.result(text, &())?;
    Ok(ExitCode::SUCCESS)
}

fn registry(context: &Context<'_>, user: &UserConfig) -> Registry {
    Registry::new(
        &user.registries,
        Some(context.world.docker_config()),
        user.warm.retries,
    )
}
