//! What all jobs of one `warm` share: configuration, registry, history, and one BuildKit, reached only if needed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::job::{Job, View};
use super::sight::SharedSight;
use super::terms::Terms;
use super::{Request, show};
use crate::builder::memory::{self, Remembered};
use crate::builder::{Builder, Choice, Connector, Identity};
use crate::config::{RepositoryConfig, Target, UserConfig};
use crate::error::Error;
use crate::record::Records;
use crate::registry::Registry;
use crate::snapshot::{Repository, Snapshot, Source};
use crate::ui::{Event, Ui};
use crate::world::World;

/// Shared by all jobs of one `warm`.
pub(super) struct Run<'a> {
    pub(super) world: &'a World,
    pub(super) user: UserConfig,
    pub(super) config: RepositoryConfig,
    pub(super) ui: &'a Ui,
    pub(super) request: Request,
    pub(super) stop: CancellationToken,
    pub(super) registry: Arc<Registry>,
    pub(super) records: Records,
    /// The repository's path, as the history knows it.
    pub(super) repository: String,
    /// The branch whose tag is written; `None` when no branch is meant.
    pub(super) branch: Option<String>,
    /// For what nobody asked for.
    pub(super) gate: Option<Gate>,
    /// Which files were gone by.
    pub(super) sight: SharedSight,
    builder: OnceCell<Builder>,
}

impl<'a> Run<'a> {
    #[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
    pub(super) fn new(
        world: &'a World,
        user: UserConfig,
        config: RepositoryConfig,
        ui: &'a Ui,
        request: Request,
        stop: CancellationToken,
        origin: Origin,
        gate: Option<Gate>,
    ) -> Result<Self, Error> {
        let registry = Arc::new(Registry::new(
            &user.registries,
            Some(world.docker_config()),
            user.warm.retries,
        ));
        let records = open_records(world, ui)?;
        Ok(Self {
            world,
            user,
            config,
            ui,
            request,
            stop,
            registry,
            records,
            repository: origin.repository,
            branch: origin.branch,
            gate,
            sight: SharedSight::default(),
            builder: OnceCell::new(),
        })
    }

    /// The branch whose tag may point at what is built: CI reads it for the pushed commit, so that what is not committed
    /// never moves it unasked.
    pub(super) fn writable_branch(&self) -> Option<&str> {
        let commits = !matches!(self.request.source, Source::Staged | Source::Worktree);
        let branch = self.branch.as_deref();
        branch.filter(|_| self.request.attended || commits)
    }

    /// Whether the tree is that of HEAD.
    pub(super) fn is_head(&self) -> bool {
        matches!(&self.request.source, Source::Revision(revision) if revision == "HEAD")
    }

    pub(super) fn terms(&self) -> Terms<'_> {
        Terms {
            user: &self.user,
            records: &self.records,
        }
    }

    pub(super) fn connector(&self) -> Connector<'_> {
        Connector {
            world: self.world,
            user: &self.user,
            ci: &self.config.ci.buildkit,
            registry: &self.registry,
        }
    }

    /// The BuildKit, reached on first use by whoever comes first.
    pub(super) async fn builder(&self) -> Result<&Builder, Error> {
        self.builder
            .get_or_try_init(|| async {
                let label = self.connector().choice().label();
                let refresh = self.refresh_due(&label);
                let mut progress = |progress| self.ui.event(&show::of_builder(progress));
                let builder = self.connector().connect(refresh, &mut progress).await?;
                for note in &builder.notes {
                    self.warn(None, note.clone());
                }
                let at_ms = self.world.now_ms();
                if refresh {
                    self.note(memory::remember_refresh(&self.records, &label, at_ms));
                }
                let remembered = Remembered {
                    identity: builder.identity.clone(),
                    at_ms,
                };
                self.note(memory::remember(&self.records, &label, &remembered));
                Ok(builder)
            })
            .await
    }

    /// Who builds, from memory where that is recent enough, so that "already warm" needs no connection. A dry run makes
    /// nothing, and may find nobody.
    pub(super) async fn identity(&self) -> Result<Option<Identity>, Error> {
        let choice = self.connector().choice();
        if let Choice::Container { image, .. } = &choice {
            self.connector().allowed(image)?;
        }
        let label = choice.label();
        let remembered =
            memory::recall(&self.records, &label).filter(|_| self.builder.get().is_none());
        let current = |remembered: &Remembered| {
            self.is_recent(remembered.at_ms, self.user.builder.refresh) && !self.refresh_due(&label)
        };
        match remembered {
            Some(remembered) if self.request.dry_run || current(&remembered) => {
                Ok(Some(remembered.identity))
            }
            None if self.request.dry_run => {
                let found = self.connector().look().await?;
                Ok(found.map(|builder| builder.identity))
            }
            _ => Ok(Some(self.builder().await?.identity.clone())),
        }
    }

    /// Whether something that was looked up at `then_ms` still counts. What lies in the future does not: the clock was
    /// set back.
    pub(super) fn is_recent(&self, then_ms: i64, limit: Duration) -> bool {
        u64::try_from(self.world.now_ms() - then_ms)
            .is_ok_and(|age| u128::from(age) < limit.as_millis())
    }

    /// What a job is called where several are shown.
    pub(super) fn label(target: &Target, platform: Option<&str>, view: &View) -> String {
        let mut label = target.name.clone();
        if let Some(platform) = platform {
            label = format!("{label} {platform}");
        }
        if let View::Merge { base, .. } = view {
            label = format!("{label} merged with {base}");
        }
        label
    }

    /// Tells the user that something is not as it should be, though the work goes on.
    pub(super) fn warn(&self, job: Option<&Job>, message: String) {
        self.ui.event(&Event::Warning {
            target: job.map(|job| job.label.clone()),
            message,
        });
    }

    /// Goes on when the history cannot be written: a warm is worth more than its record. Says so.
    pub(super) fn note<T>(&self, result: Result<T, crate::record::RecordError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.warn(None, Error::from(error).to_string());
                None
            }
        }
    }

    fn refresh_due(&self, label: &str) -> bool {
        let last = memory::refreshed_ms(&self.records, label);
        last.is_none_or(|last| !self.is_recent(last, self.user.builder.refresh))
    }
}

/// Opens the history; one that cannot be used is a warning, and the warm goes on with one in memory.
fn open_records(world: &World, ui: &Ui) -> Result<Records, Error> {
    match Records::open(&world.paths.database(), world.now_ms() / 1000) {
        Ok((records, warning)) => {
            if let Some(warning) = warning {
                ui.event(&Event::Warning {
                    target: None,
                    message: warning.to_string(),
                });
            }
            Ok(records)
        }
        Err(error) => {
            let message = format!("{}; going on without a history", Error::from(error));
            ui.event(&Event::Warning {
                target: None,
                message,
            });
            Ok(Records::in_memory()?)
        }
    }
}

/// Where the tree comes from.
pub(super) struct Origin {
    /// The repository's path.
    repository: String,
    /// The branch whose tag may be written: the current one for its own trees, the named one for a branch that is given by
    /// name, none for any other revision.
    branch: Option<String>,
}

impl Origin {
    pub(super) fn new(repository: &Repository, source: &Source, snapshot: &Snapshot) -> Self {
        let branch = match source {
            Source::Revision(revision) if revision != "HEAD" => {
                // A tag of that name would win over the branch.
                let tip = repository.branch_commit(revision);
                (tip.is_some() && tip == snapshot.commit()).then(|| revision.clone())
            }
            _ => repository.branch(),
        };
        Self {
            repository: repository.work_dir().display().to_string(),
            branch,
        }
    }
}
