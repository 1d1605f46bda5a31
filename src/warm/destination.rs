//! Where a job's cache goes: the repository, the content-named tags, and the branch's tag if it may be written.

use super::job::View;
use crate::config::Target;
use crate::error::Error;
use crate::plan::key::Key;
use crate::publish::{Template, protected};
use crate::registry::{Reference, Repository};

/// Ends the branch tag of a pull request's merge: what CI builds there is not what it builds for the branch.
const MERGE: &str = ".merge";

/// Where a job's cache goes.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) repository: Repository,
    pub(super) branch: BranchTag,
    template: Template,
}

/// The tag that CI reads for the branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BranchTag {
    /// It is ours to write.
    Write(Reference),
    /// It is not.
    Skip {
        /// Why, as a clause.
        reason: String,
    },
}

impl Destination {
    /// Names the tags of `target` for `branch`.
    ///
    /// # Errors
    /// When the cache reference or the tag template is not legal.
    pub(super) fn new(
        cache: &str,
        target: &Target,
        platform: Option<&str>,
        branch: Option<&str>,
        view: &View,
        protected_branches: &[String],
    ) -> Result<Self, Error> {
        let repository = Repository::parse(cache).map_err(crate::registry::RegistryError::from)?;
        let platform = platform.filter(|_| target.platforms.len() > 1);
        let template = Template::new(&target.tag, &target.name, platform)?;
        let branch = match branch {
            None => BranchTag::Skip {
                reason: "this is not the head of a branch, so there is no branch tag to write"
                    .to_owned(),
            },
            Some(name) if protected(name, protected_branches) => BranchTag::Skip {
                reason: format!(
                    "{name} is protected: only CI writes its tag {}",
                    template.branch(name)
                ),
            },
            Some(name) => {
                let name = match view {
                    View::Tree => name.to_owned(),
                    View::Merge { .. } => format!("{name}{MERGE}"),
                };
                BranchTag::Write(named(&repository, &template.branch(&name))?)
            }
        };
        Ok(Self {
            repository,
            branch,
            template,
        })
    }

    /// The tag that BuildKit exports a recipe's cache to, before anybody knows whether all of it is there.
    pub(super) fn staging(&self, recipe: &str) -> Result<Reference, Error> {
        named(
            &self.repository,
            &self.template.tags("", recipe, None).staging,
        )
    }

    /// The tag that names a key's content.
    pub(super) fn key(&self, key: &Key) -> Result<Reference, Error> {
        named(
            &self.repository,
            &self.template.tags(key.as_str(), "", None).key,
        )
    }

    /// The tag beside it that tells others what the recipe asks for.
    pub(super) fn inputs_tag(&self, recipe: &str) -> String {
        self.template.tags("", recipe, None).inputs
    }

    /// The branch tag, where it is ours to write.
    pub(super) fn writable(&self) -> Option<&Reference> {
        match &self.branch {
            BranchTag::Write(reference) => Some(reference),
            BranchTag::Skip { .. } => None,
        }
    }

    /// The tag that CI writes for a branch, to import from.
    pub(super) fn of_branch(&self, branch: &str) -> Result<Reference, Error> {
        named(&self.repository, &self.template.branch(branch))
    }
}

fn named(repository: &Repository, tag: &str) -> Result<Reference, Error> {
    Ok(repository
        .tag(tag)
        .map_err(crate::registry::RegistryError::from)?)
}
