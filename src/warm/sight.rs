//! Which files a warm that nobody asked for went by, so that whoever started it knows what to watch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::internal;
use super::job::Job;
use super::run::Run;
use crate::error::Error;
use crate::plan::inputs::Inputs;
use crate::snapshot::Filter;

/// Files that are told of one target.
const MOST: usize = 2_000;

/// Files by which it was decided what to build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Their paths from the root of the work tree.
    pub files: BTreeSet<PathBuf>,
    /// There are more.
    pub more: bool,
}

/// Shared by all jobs of a warm: what each went by.
#[derive(Debug, Default)]
pub(super) struct SharedSight(Mutex<BTreeMap<String, Sight>>);

impl SharedSight {
    /// What was seen in all.
    pub(super) fn take(&self) -> Sight {
        let seen = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all = Sight::default();
        for sight in seen.into_values() {
            all.files.extend(sight.files);
            all.more |= sight.more;
        }
        all
    }

    fn set(&self, job: &Job, sight: Sight) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(job.label.clone(), sight);
    }
}

/// A job goes by its recipe.
pub(super) fn recipe(run: &Run<'_>, job: &Job) {
    let dockerfile = &job.target.dockerfile;
    let sight = Sight {
        files: [
            dockerfile.into(),
            format!("{dockerfile}.dockerignore").into(),
            PathBuf::from(&job.target.context).join(".dockerignore"),
        ]
        .into(),
        more: false,
    };
    run.sight.set(job, sight);
}

/// It goes by what its recipe asks for, too; before the first build of that nobody knows which files these are.
pub(super) async fn inputs(run: &Run<'_>, job: &Job, inputs: Option<&Inputs>) -> Result<(), Error> {
    if run.request.attended {
        return Ok(());
    }
    recipe(run, job);
    let everything = || BTreeSet::from([Filter::default()]);
    let filters = inputs.map_or_else(everything, |inputs| inputs.filters.clone());
    let context = job.context.clone();
    let seen = tokio::task::spawn_blocking(move || {
        let seen = filters.iter().map(|filter| context.paths(filter, MOST));
        seen.collect::<Result<Vec<_>, _>>()
    });
    let seen = seen.await.map_err(internal)??;
    let mut shared = run.sight.0.lock().unwrap_or_else(PoisonError::into_inner);
    let sight = shared.entry(job.label.clone()).or_default();
    for (files, all) in seen {
        sight.files.extend(files);
        sight.more |= !all;
    }
    Ok(())
}
