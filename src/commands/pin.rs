//! `prewarm pin` and `prewarm unpin`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::{Context, Ended};
use crate::builder::Connector;
use crate::cli::PinArgs;
use crate::config::{CiBuildkit, UserConfig, closest, load_user};
use crate::engine::images;
use crate::error::{Error, Kind};
use crate::prune::pins::{Pin, PinStore, Pins};
use crate::prune::places::Search;
use crate::prune::plan::SHORTEST_ID;
use crate::prune::usage::{RecordId, Snapshot};
use crate::record::{Query, Records};
use crate::registry::Registry;
use crate::snapshot::{Repository, work_trees};
use crate::ui::Event;
use crate::ui::text::{ago, clean};

/// Warms that are looked through for a branch: as many as the history keeps of a repository.
const WARMS: usize = 1_000;

pub(super) async fn pin(context: &Context<'_>, arguments: &PinArgs) -> Ended {
    let store = PinStore::at(context.world.paths.pins());
    let Some(what) = &arguments.what else {
        return list(context, &store.load()?);
    };
    let here = Here::new(context);
    let pin = here.understand(context, what).await?;
    let now = context.world.now_ms();
    let added = store.update(|pins| pins.add(&pin, now))?;
    let shown = here.words(&pin);
    let text = if added {
        format!("Pinned {shown}.\n")
    } else {
        format!("Already pinned: {shown}.\n")
    };
    let document = json!({ "pinned": pin, "already": !added });
    context.ui.result(&text, &document)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn unpin(context: &Context<'_>, arguments: &PinArgs) -> Ended {
    let store = PinStore::at(context.world.paths.pins());
    let here = Here::new(context);
    let pins = store.load()?;
    let Some(what) = &arguments.what else {
        let message = "unpin: what is not to be pinned any more?";
        return Err(Error::new(Kind::Usage, message).hint(here.listed(&pins)));
    };
    let Some((pin, _)) = pins.all().find(|(pin, _)| here.called(pin, what)) else {
        let message = format!("{}: this is not pinned", clean(what));
        return Err(Error::new(Kind::Usage, message).hint(here.listed(&pins)));
    };
    store.update(|pins| pins.remove(&pin))?;
    let text = format!("Not pinned any more: {}.\n", here.words(&pin));
    context.ui.result(&text, &json!({ "unpinned": pin }))?;
    Ok(ExitCode::SUCCESS)
}

fn list(context: &Context<'_>, pins: &Pins) -> Ended {
    let (here, now) = (Here::new(context), context.world.now_ms());
    let lines = pins.all().map(|(pin, at)| {
        let kind = match pin {
            Pin::Branch { .. } => "branch",
            Pin::Image { .. } => "image",
            Pin::Record { .. } => "record",
        };
        format!(
            "{kind:<6}  {}  (pinned {})\n",
            here.name(&pin),
            ago(at, now)
        )
    });
    let mut text: String = lines.collect();
    if text.is_empty() {
        text.push_str("Nothing is pinned; `prewarm pin BRANCH|ID|IMAGE` does that.\n");
    }
    context.ui.result(&text, &json!({ "pins": pins }))?;
    Ok(ExitCode::SUCCESS)
}

/// Where the user is: branches are those of the repository here.
struct Here<'a> {
    context: &'a Context<'a>,
    repository: Option<Repository>,
}

impl<'a> Here<'a> {
    fn new(context: &'a Context<'_>) -> Self {
        Self {
            context,
            // Records and images can be pinned anywhere.
            repository: Repository::discover(Path::new(".")).ok(),
        }
    }

    /// What somebody means by `what`.
    async fn understand(&self, context: &Context<'_>, what: &str) -> Result<Pin, Error> {
        let branches = self.branches();
        if let Some(repository) = &self.repository {
            let known = branches.iter().find(|branch| *branch == what).cloned();
            if let Some(branch) = known.or_else(|| repository.name_on_remote(what)) {
                return Ok(Pin::Branch {
                    repository: repository.work_dir().display().to_string(),
                    common_dir: repository.common_dir().display().to_string(),
                    branch,
                });
            }
        }
        if let Some(id) = RecordId::parse(what) {
            return Ok(Pin::Record {
                id: id.as_str().to_owned(),
            });
        }
        if what.contains([':', '/', '@']) && images::is_name(what) {
            let reference = images::normal(what);
            // It may be pulled or built one day.
            if let Ok(None) = image(context, what).await {
                let message = format!("the Docker Engine has no image {} now", clean(&reference));
                context.ui.event(&Event::Warning {
                    target: None,
                    message,
                });
            }
            return Ok(Pin::Image { reference });
        }
        match &records(context, what).await[..] {
            [] => {}
            [id] => return Ok(Pin::Record { id: id.clone() }),
            several => {
                let message = format!("{}: {} records begin so", clean(what), several.len());
                return Err(Error::new(Kind::Usage, message).hint(several.join(", ")));
            }
        }
        let engine = match image(context, what).await {
            Ok(Some(reference)) => return Ok(Pin::Image { reference }),
            Ok(None) => "the Docker Engine has no image of that name".to_owned(),
            Err(error) => format!("whether it is an image cannot be told ({error})"),
        };
        let branch = match self.repository {
            Some(_) => "no branch of the repository here",
            None => "no branch, as there is no repository here",
        };
        let message = format!(
            "{}: it is {branch}, no record's id or the beginning of one, and {engine}",
            clean(what)
        );
        let error = Error::new(Kind::Usage, message);
        Err(match closest(what, &branches) {
            Some(branch) => error.hint(format!("did you mean the branch `{}`?", clean(branch))),
            None => error
                .hint("`git branch --all`, `prewarm prune` and `docker images` list what there is"),
        })
    }

    /// The branches that the repository here has, its remotes had, or that were warmed here.
    fn branches(&self) -> Vec<String> {
        let Some(repository) = &self.repository else {
            return Vec::new();
        };
        let mut branches = repository.branches();
        let world = self.context.world;
        // A history that cannot be read tells of no more branches.
        if let Ok((records, _)) = Records::open(&world.paths.database(), world.now_ms() / 1000) {
            for work_tree in work_trees(repository.common_dir()) {
                let query = Query {
                    repository: Some(work_tree.work_dir.display().to_string()),
                    limit: WARMS,
                };
                let rows = records.history(&query).unwrap_or_default();
                branches.extend(rows.into_iter().filter_map(|row| row.warm.branch));
            }
        }
        branches.into_iter().collect()
    }

    /// How a pin is listed: what `unpin` takes. A branch of another repository is `PATH:BRANCH`, as no branch's name has a
    /// colon.
    fn name(&self, pin: &Pin) -> String {
        clean(&match pin {
            Pin::Branch {
                repository,
                common_dir,
                branch,
            } => {
                if self.is_here(common_dir) {
                    branch.clone()
                } else {
                    let shown = self.context.world.paths.shown(Path::new(repository));
                    format!("{shown}:{branch}")
                }
            }
            Pin::Image { reference } => reference.clone(),
            Pin::Record { id } => id.clone(),
        })
    }

    /// Whether somebody here calls a pin so.
    fn called(&self, pin: &Pin, what: &str) -> bool {
        let whole = match pin {
            // A shell resolves `~`.
            Pin::Branch {
                repository, branch, ..
            } => format!("{repository}:{branch}") == what,
            Pin::Image { reference } => images::is_name(what) && images::normal(what) == *reference,
            Pin::Record { id } => what.len() >= SHORTEST_ID && id.starts_with(what),
        };
        whole || self.name(pin) == what
    }

    fn words(&self, pin: &Pin) -> String {
        match pin {
            Pin::Branch { .. } => format!("the branch {}", self.name(pin)),
            Pin::Image { .. } => format!("the image {}", self.name(pin)),
            Pin::Record { .. } => format!("the record {}", self.name(pin)),
        }
    }

    fn listed(&self, pins: &Pins) -> String {
        let names: Vec<String> = pins.all().map(|(pin, _)| self.name(&pin)).collect();
        if names.is_empty() {
            "nothing is pinned".to_owned()
        } else {
            format!("pinned are: {}", names.join(", "))
        }
    }

    fn is_here(&self, common_dir: &str) -> bool {
        let here = self.repository.as_ref();
        here.is_some_and(|here| here.common_dir().display().to_string() == common_dir)
    }
}

/// The ids of the records that begin so, of all builders that answer.
async fn records(context: &Context<'_>, start: &str) -> Vec<String> {
    let is_start = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if start.len() < SHORTEST_ID || !start.bytes().all(is_start) {
        return Vec::new();
    }
    let listed = async {
        let user = load_user(&context.world.paths)?.value;
        let search = Search {
            world: context.world,
            user: &user,
            registry: &registry(context, &user),
            only: &[],
        };
        search.find().await?.snapshot().await
    };
    // Whoever asks hears of it when it is asked for an image of that name.
    let caches = listed.await.map(|snapshot: Snapshot| snapshot.caches);
    let records = caches.iter().flatten().flat_map(|cache| &cache.records);
    let ids = records.map(|record| record.id.clone());
    let ids: BTreeSet<String> = ids.filter(|id| id.starts_with(start)).collect();
    ids.into_iter().collect()
}

/// The name by which the Engine lists an image that it has.
async fn image(context: &Context<'_>, name: &str) -> Result<Option<String>, Error> {
    let user = load_user(&context.world.paths)?.value;
    let registry = registry(context, &user);
    let connector = Connector {
        world: context.world,
        user: &user,
        ci: &CiBuildkit::Engine,
        registry: &registry,
    };
    Ok(images::listed_as(&connector.docker().await?, name).await?)
}

fn registry(context: &Context<'_>, user: &UserConfig) -> Registry {
    Registry::new(
        &user.registries,
        Some(context.world.docker_config()),
        user.warm.retries,
    )
}
