//! A look at everything that a plan is made from.

use std::time::Instant;

use super::cost::Costs;
use super::guard::Guard;
use super::needed::History;
use super::pins::{PinStore, Pins};
use super::places::{Places, Search};
use super::plan::{self, Plan, Policy};
use super::policy::Thresholds;
use super::usage::Snapshot;
use crate::config::{PruneImages, UserConfig};
use crate::engine::images;
use crate::error::{Error, Kind};
use crate::record::{RecordError, Records, Warning};
use crate::registry::Registry;
use crate::world::World;

/// Whom to ask, and what for.
pub struct Request<'a> {
    /// Environment and paths.
    pub world: &'a World,
    /// The user's configuration.
    pub user: &'a UserConfig,
    /// For logins.
    pub registry: &'a Registry,
    /// Builders by name; all that the configuration leads to where none is named.
    pub only: &'a [String],
    /// Which images are looked at.
    pub images: PruneImages,
}

/// What was seen.
#[derive(Debug)]
pub struct Look {
    /// Where the caches are.
    pub places: Places,
    /// What takes space.
    pub snapshot: Snapshot,
    /// Why the disk's free space is not known.
    pub unknown: Option<String>,
    /// What somebody needs.
    pub guard: Guard,
    /// How long it takes to build records again.
    pub costs: Costs,
    /// When the caches were listed.
    pub listed: Instant,
    /// The same in Unix milliseconds.
    pub at: i64,
    /// Whether the history tells of no warm at all, so that nobody knows what is needed.
    pub knows_nothing: bool,
    /// The history and the journal.
    pub records: Records,
}

impl Request<'_> {
    /// Looks. Nothing is changed for it.
    ///
    /// # Errors
    /// When no BuildKit answers, or when it cannot be known what must stay.
    pub async fn look(&self) -> Result<Look, Error> {
        let at = self.world.now_ms();
        let (records, warning) = self.records(at)?;
        let pins = PinStore::at(self.world.paths.pins()).load()?;
        let search = Search {
            world: self.world,
            user: self.user,
            registry: self.registry,
            only: self.only,
        };
        let mut places = search.find().await?;
        places
            .notes
            .extend(warning.map(|warning| warning.to_string()));
        let history = History::read(&records, pins.branches.clone()).map_err(unknown_needs)?;
        let knows_nothing = history.warms.is_empty();
        if knows_nothing {
            places.notes.push(
                "no warm is in your history, so nothing is known to be needed by anybody"
                    .to_owned(),
            );
        }
        let mut look = Look {
            knows_nothing,
            snapshot: Snapshot::default(),
            unknown: places.disk().err(),
            guard: guard(self.user, &records, &history, pins, at).map_err(unknown_needs)?,
            costs: costs(&records).map_err(unknown_needs)?,
            listed: Instant::now(),
            places,
            at,
            records,
        };
        self.again(&mut look).await?;
        Ok(look)
    }

    /// Lists everything anew.
    ///
    /// # Errors
    /// When a BuildKit or the Engine does not answer.
    pub async fn again(&self, look: &mut Look) -> Result<(), Error> {
        look.at = self.world.now_ms();
        look.listed = Instant::now();
        look.snapshot = look.places.snapshot().await?;
        look.guard.follow(&look.snapshot);
        if self.images != PruneImages::Off
            && let Some(docker) = &look.places.docker
        {
            let mut found = images::images(docker).await?;
            let ids: Vec<String> = found.iter().map(|image| image.id.clone()).collect();
            let seen = look.records.images_seen(&ids, look.at);
            for image in &mut found {
                // An image that was pulled tells when it was made, not since when it is here. Where that cannot be known, it
                // stays.
                let since = seen.as_ref().ok().and_then(|seen| seen.get(&image.id));
                image.touched = image.touched.zip(since.copied()).map(|(a, b)| a.max(b));
            }
            look.snapshot.images = found;
        }
        Ok(())
    }

    /// Without the history nobody knows what is needed.
    fn records(&self, now: i64) -> Result<(Records, Option<Warning>), Error> {
        let path = self.world.paths.database();
        Records::open_to_look(&path, now / 1000).map_err(unknown_needs)
    }
}

impl Look {
    /// When pruning begins and ends; `None` where free space is not known.
    #[must_use]
    pub fn thresholds(&self, user: &UserConfig) -> Option<Thresholds> {
        let disk = self.snapshot.disk.as_ref()?;
        Some(Thresholds::of(&user.prune, disk.total))
    }

    /// The plan by these rules.
    #[must_use]
    pub fn plan(&self, policy: &Policy) -> Plan {
        plan::plan(&self.snapshot, policy, &self.guard, &self.costs, self.at)
    }
}

fn unknown_needs(error: RecordError) -> Error {
    let mut error = Error::from(error);
    error.message = format!("what must stay cannot be known: {}", error.message);
    error.kind = Kind::Environment;
    error
}

fn guard(
    user: &UserConfig,
    records: &Records,
    history: &History,
    pins: Pins,
    now: i64,
) -> Result<Guard, RecordError> {
    let alive = i64::try_from(user.prune.branches.as_millis()).unwrap_or(i64::MAX);
    let bases = records.base_images(now.saturating_sub(alive) / 1000)?;
    let bases = bases
        .iter()
        .map(|base| (images::normal(base), "builds that begin with it".to_owned()));
    let pinned = pins.images.into_iter();
    let pinned = pinned.map(|pin| (pin.reference, "a pin".to_owned()));
    let lost = records.lost_at().map(|second| second.saturating_mul(1_000));
    Ok(Guard {
        needs: history.needed(alive, now),
        records: pins.records.into_iter().map(|pin| pin.id).collect(),
        images: pinned.chain(bases).collect(),
        keep: user.prune.keep.clone(),
        // After so long nobody would need it any more, known or not.
        lost: lost
            .filter(|lost| now.saturating_sub(*lost) <= alive)
            .map(|lost| lost.saturating_sub(alive)..=lost),
    })
}

fn costs(records: &Records) -> Result<Costs, RecordError> {
    let times = records.step_times()?;
    Ok(Costs::new(
        times.iter().map(|(name, time)| (name.as_str(), *time)),
    ))
}
