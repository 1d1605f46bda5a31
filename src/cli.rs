//! The command line as types. Doc comments here are the help that people read.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Makes the next CI image build a cache hit.
///
/// prewarm builds the dependency stage of your Docker image from exactly the tree that CI will see, and pushes its
/// BuildKit cache to the registry before you push.
#[derive(Debug, Parser)]
#[command(name = "prewarm", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The end of the help: what the exit codes mean.
const EXIT_CODES: &str = "Exit codes: 0 done · 1 the work failed · 2 usage or configuration · 3 environment (engine, \
registry, disk) · 4 warm locally but not pushed · 5 needs approval · 70 a bug of ours · 128+n ended by signal n";

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the targets' stages and push their cache, so that CI's next build hits it
    Warm(WarmArgs),
    /// Let the daemon and hooks build what you write in a repository, and what waits for approval there
    Allow(AllowArgs),
    /// Take that back
    Deny(DenyArgs),
    /// List the repositories that are allowed
    Repos {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What the daemon runs: warms a repository as far as that is allowed
    #[command(hide = true)]
    Job(JobArgs),
    /// Look after the BuildKit container that prewarm owns
    Builder(BuilderArgs),
    /// Show what could go from BuildKit's caches to have disk space back, and delete it with --yes
    Prune(PruneArgs),
    /// Keep something from being pruned; without an argument show what is kept
    Pin(PinArgs),
    /// Take that back
    Unpin(PinArgs),
    /// Show what was warmed, newest first
    History(HistoryArgs),
    /// Check or show the configuration
    Config(ConfigArgs),
    /// Run the daemon, which warms before anybody asks, or speak to the one that runs
    Daemon(DaemonArgs),
    /// Show what the daemon does and knows of each work tree
    Status(StatusArgs),
    /// Let the daemon start no more builds
    Pause(PauseArgs),
    /// Let the daemon start builds again
    Resume,
    /// Let git leave word of commits, checkouts and pushes
    Hooks(HooksArgs),
    /// Called by git's hooks
    #[command(hide = true)]
    Hook(HookArgs),
    /// Look after the daemon as a service of your systemd
    Service(ServiceArgs),
    /// Examine this machine, and say what to do about what is wrong
    Doctor(DoctorArgs),
    /// Show what the daemon logged
    Logs(LogsArgs),
}

/// Arguments of `warm`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag that people type"
)]
pub struct WarmArgs {
    /// The repository, or any directory in it
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Warm only this target; may be given several times
    #[arg(long = "target", value_name = "NAME")]
    pub targets: Vec<String>,
    /// Warm this revision instead of HEAD
    #[arg(long, value_name = "REV", conflicts_with_all = ["staged", "worktree"])]
    pub rev: Option<String>,
    /// Warm what the index holds: the next commit
    #[arg(long, conflicts_with = "worktree")]
    pub staged: bool,
    /// Warm the tracked files as they are in the work tree
    #[arg(long)]
    pub worktree: bool,
    /// Build and export even when it is warm already
    #[arg(long)]
    pub force: bool,
    /// Say what would be warmed and why, without building
    #[arg(long)]
    pub dry_run: bool,
    /// Warm only this machine's BuildKit; push nothing
    #[arg(long)]
    pub no_push: bool,
    /// Events as JSON lines on stderr, the result as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `allow`.
#[derive(Debug, Args)]
pub struct AllowArgs {
    /// The repository, or any directory in it
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `deny`.
#[derive(Debug, Args)]
pub struct DenyArgs {
    /// The repository, or any directory in it; one that is gone by the path that `prewarm repos` shows
    #[arg(default_value = ".")]
    pub path: PathBuf,
}

/// Arguments of `job`.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// The repository's work tree
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Which tree
    #[arg(long)]
    pub source: JobSource,
    /// For the daemon: ask before each build, take the answers from standard input, and stop when that ends
    #[arg(long)]
    pub supervised: bool,
}

/// The tree of a job.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum JobSource {
    /// HEAD's commit.
    Head,
    /// The work tree's tracked files.
    Worktree,
}

/// Arguments of `builder`.
#[derive(Debug, Args)]
pub struct BuilderArgs {
    /// What to do with it
    #[command(subcommand)]
    pub command: BuilderCommand,
}

/// What to do with the container.
#[derive(Debug, Subcommand)]
pub enum BuilderCommand {
    /// Show the container, its image and its limits
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch its image again, and use it if it moved
    Refresh {
        /// The repository whose `ci.buildkit` names the image
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Remove the container and the volume with its cache
    Remove,
}

/// Arguments of `daemon`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DaemonArgs {
    /// What to do; runs the daemon in the foreground if nothing is said
    #[command(subcommand)]
    pub command: Option<DaemonCommand>,
    /// Run it in the background
    #[arg(long)]
    pub detach: bool,
}

/// What to do with the daemon.
#[derive(Debug, Subcommand)]
pub enum DaemonCommand {
    /// Run it, in the foreground
    Run {
        /// In the background
        #[arg(long)]
        detach: bool,
    },
    /// Whether it runs
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End it when its builds have ended
    Stop {
        /// Do not wait for builds
        #[arg(long)]
        now: bool,
    },
    /// Let it read configuration and consent again (it sees changes by itself)
    Reload,
    /// Let it start no more builds
    Pause(PauseArgs),
    /// Let it start builds again
    Resume,
    /// Show its log
    Logs(LogsArgs),
}

/// Arguments of `pause`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// For so long, such as 30m; until `prewarm resume` without it
    #[arg(value_name = "TIME", value_parser = crate::config::units::parse_duration)]
    pub time: Option<std::time::Duration>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only the work trees there; all of them by default
    pub path: Option<PathBuf>,
    /// Go on showing it as it changes
    #[arg(long, short)]
    pub follow: bool,
    /// As JSON; with --follow one document a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `prune`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag that people type"
)]
pub struct PruneArgs {
    /// With --registry: the repository, or any directory in it; the current directory without it
    #[arg(requires = "registry")]
    pub path: Option<PathBuf>,
    /// Delete what the plan names
    #[arg(long)]
    pub yes: bool,
    /// Delete what this plan named, if it was shown in the last minute and nothing would go besides
    #[arg(long, value_name = "ID", conflicts_with_all = ["explain", "max_cache", "free", "keep_newer_than", "images", "cache_mounts", "builders", "history"])]
    pub plan: Option<String>,
    /// Say why a record or an image stays, would go, or went
    #[arg(long, value_name = "ID|IMAGE", conflicts_with = "yes")]
    pub explain: Option<String>,
    /// What all caches may have together, such as 50GB
    #[arg(long, value_name = "SIZE", value_parser = crate::config::units::parse_size)]
    pub max_cache: Option<u64>,
    /// What is to be free on the Engine's disk, such as 20% or 50GB
    #[arg(long, value_name = "SIZE|SHARE", value_parser = crate::config::Amount::parse)]
    pub free: Option<crate::config::Amount>,
    /// Keep what was used within this time, such as 24h; and images that were made, pulled or named within it
    #[arg(long, value_name = "TIME", value_parser = crate::config::units::parse_duration)]
    pub keep_newer_than: Option<std::time::Duration>,
    /// Which images of the Engine may go, too: off, dangling or unused
    #[arg(long, value_name = "WHICH", value_parser = crate::config::PruneImages::parse)]
    pub images: Option<crate::config::PruneImages>,
    /// Let the contents of cache mounts go, too
    #[arg(long)]
    pub cache_mounts: bool,
    /// Only this BuildKit: container, engine, buildx:NAME, or the address of a buildkitd; may be given several times
    #[arg(long = "builder", value_name = "BUILDER")]
    pub builders: Vec<String>,
    /// Instead of this machine's caches: tags in the registry of branches that are gone and of keys that nobody needs
    #[arg(long, conflicts_with_all = ["plan", "explain", "max_cache", "free", "images", "cache_mounts", "builders", "history"])]
    pub registry: bool,
    /// Show what went in the last 30 days
    #[arg(long, conflicts_with_all = ["yes", "explain"])]
    pub history: bool,
    /// For the daemon and hooks: look, and delete only if the configuration says that it is time
    #[arg(long, hide = true, conflicts_with_all = ["yes", "plan", "explain", "registry", "history"])]
    pub automatic: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `pin` and `unpin`.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// A branch of this repository, the id of a record, or the name of an image
    #[arg(value_name = "BRANCH|ID|IMAGE")]
    pub what: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only this repository; all of them by default
    pub path: Option<PathBuf>,
    /// How many
    #[arg(long, short = 'n', default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do with it
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Report every problem of the user's and the repository's configuration
    Check {
        /// The repository, or any directory in it
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Show the merged configuration and where each value comes from
    Show {
        /// The repository, or any directory in it
        #[arg(default_value = ".")]
        path: PathBuf,
    },
}

/// Arguments of `hooks`.
#[derive(Debug, Args)]
pub struct HooksArgs {
    /// What to do with them
    #[command(subcommand)]
    pub command: HooksCommand,
}

/// What to do with git's hooks.
#[derive(Debug, Subcommand)]
pub enum HooksCommand {
    /// Install them beside the hooks that are there, or bring them up to date
    Install {
        /// The repository, or any directory in it
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Remove them, and leave everything as it was before
    Uninstall {
        /// The repository, or any directory in it
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Show whether they are there and git runs them; exit code 1 unless all are in force
    Status {
        /// The repository, or any directory in it
        #[arg(default_value = ".")]
        path: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `hook`.
#[derive(Debug, Args)]
pub struct HookArgs {
    /// The hook's name
    pub event: String,
    /// What git tells it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<std::ffi::OsString>,
}

/// Arguments of `service`.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// What to do with it
    #[command(subcommand)]
    pub command: ServiceCommand,
}

/// What to do with the service.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Install it, or bring it up to date, and have it running
    Install,
    /// Stop and remove it
    Uninstall,
    /// Show whether it is installed and runs
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The repository, or any directory in it
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Go on with what is added
    #[arg(long, short)]
    pub follow: bool,
    /// How many lines
    #[arg(long, short = 'n', default_value_t = 50, value_name = "COUNT")]
    pub lines: usize,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
