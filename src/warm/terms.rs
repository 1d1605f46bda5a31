//! What a tree's targets would execute, for whoever decides about it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sha2::{Digest as _, Sha256};

use super::evaluate::digest;
use super::job::{RecipeFiles, recipe};
use crate::builder::{Choice, memory};
use crate::config::{Ci, Target, UserConfig};
use crate::error::Error;
use crate::plan::execution::{Execution, Ingredients};
use crate::plan::inputs::Inputs;
use crate::record::Records;
use crate::snapshot::{Content, Filter, Snapshot, Tree};

/// What is known on this machine of what builds ask for.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The user's configuration.
    pub user: &'a UserConfig,
    /// The history.
    pub records: &'a Records,
}

/// What a target would execute, with what it is made of.
pub struct Executed {
    /// What it would execute.
    pub execution: Execution,
    /// The Dockerfile's bytes.
    pub dockerfile: Vec<u8>,
    context: Tree,
    /// What a build of the recipe asks for; everything where that is not known.
    filters: Vec<Filter>,
}

impl Terms<'_> {
    /// What a target would execute, built from `snapshot`.
    ///
    /// # Errors
    /// The tree lacks what the target names, or cannot be read.
    pub fn execution(
        &self,
        ci: &Ci,
        target: &Target,
        platform: Option<&str>,
        snapshot: &Snapshot,
    ) -> Result<Executed, Error> {
        let context = snapshot.context(&target.context)?;
        let files = RecipeFiles::read(snapshot, ci, target)?;
        let filters = self.filters(ci, target, platform, files.clone());
        let asked = filters.as_ref().map(|filters| {
            let files = filters.iter().map(|filter| digest(&context, filter));
            files.collect::<Result<Vec<_>, _>>()
        });
        let asked = asked.transpose()?;
        let execution = Execution::new(&Ingredients {
            ci,
            target,
            platform,
            dockerfile: &files.dockerfile,
            ignore_file: files.ignore_file.as_deref(),
            context: &digest(&context, &Filter::default())?,
            asked: asked.as_deref(),
        });
        Ok(Executed {
            execution,
            dockerfile: files.dockerfile,
            context,
            filters: filters.unwrap_or_else(|| vec![Filter::default()]),
        })
    }

    /// What our own BuildKit asked for when it built this recipe. No connection is made to learn which that is: to reach
    /// it may mean to start it.
    fn filters(
        &self,
        ci: &Ci,
        target: &Target,
        platform: Option<&str>,
        files: RecipeFiles,
    ) -> Option<Vec<Filter>> {
        let label = Choice::new(&self.user.builder.endpoint, &ci.buildkit).label();
        let identity = memory::recall(self.records, &label)?.identity;
        let platform = platform.unwrap_or(&identity.platform);
        let recipe = recipe(ci, target, files, &identity, platform).hash();
        // Without a history nothing is known, and all files count.
        let document = self.records.built_inputs(&recipe).ok()??;
        Some(Inputs::parse(&document)?.filters.into_iter().collect())
    }
}

impl Executed {
    /// A digest of what this recipe of `target` takes from another tree.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub(super) fn taken(
        &self,
        ci: &Ci,
        target: &Target,
        snapshot: &Snapshot,
    ) -> Result<[u8; 32], Error> {
        let mut hash = Sha256::new();
        // A tree that lacks it brings none.
        if snapshot.exists(&target.dockerfile) {
            let files = RecipeFiles::read(snapshot, ci, target)?;
            for file in [Some(files.dockerfile), files.ignore_file] {
                hash.update([u8::from(file.is_some())]);
                hash.update(Sha256::digest(file.unwrap_or_default()));
            }
        }
        if snapshot.exists(&target.context) {
            let context = snapshot.context(&target.context)?;
            for filter in &self.filters {
                hash.update(digest(&context, filter)?);
            }
        }
        Ok(hash.finalize().into())
    }

    /// The files that a build asks for and that are not the same in `other`, by their paths in the context, sorted.
    ///
    /// # Errors
    /// A tree cannot be read.
    pub fn changed_files(&self, other: &Self) -> Result<Vec<String>, Error> {
        let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        for filter in self.filters.iter().chain(&other.filters) {
            collect(&self.context, filter, &mut ours)?;
            collect(&other.context, filter, &mut theirs)?;
        }
        let paths = ours.keys().chain(theirs.keys());
        let mut changed: Vec<String> = paths
            .filter(|path| ours.get(*path) != theirs.get(*path))
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect();
        changed.sort();
        changed.dedup();
        Ok(changed)
    }
}

fn collect(
    tree: &Tree,
    filter: &Filter,
    files: &mut BTreeMap<Vec<u8>, (Content, u32)>,
) -> Result<(), Error> {
    tree.walk(filter, &mut |entry| {
        if !matches!(entry.kind, crate::snapshot::EntryKind::Directory) {
            files.insert(entry.path, (entry.content, entry.mode));
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}
