//! What a person looks at before allowing it: what would run in a repository, and how it differs from what is trusted.

use super::careful_config;
use super::terms::{Executed, Terms};
use super::witness::{Subject, Witness};
use crate::config::{REPOSITORY_FILE, Target};
use crate::consent::Grant;
use crate::error::Error;
use crate::plan::warrant::{Warrant, decide};
use crate::snapshot::{ObjectId, Repository, Snapshot, Source, unified};

/// What would run in a repository.
pub struct Review {
    /// The commit that is checked out; `None` where it could not be looked at, or before the first.
    pub head: Option<ObjectId>,
    /// Per tree, target and platform.
    pub states: Vec<State>,
    /// Trees that could not be looked at: which, and why.
    pub unseen: Vec<(&'static str, Error)>,
}

/// What would run of one target, built from one tree.
pub struct State {
    /// The tree, for people.
    pub tree: &'static str,
    /// The target.
    pub target: Target,
    /// The platform, where one is named.
    pub platform: Option<String>,
    /// What would run.
    pub executed: Executed,
    /// How it differs from what is trusted, where it waits for approval.
    pub waiting: Option<Difference>,
}

/// How something differs from what is trusted.
#[derive(Debug, Default)]
pub struct Difference {
    /// The trusted commit; `None` where there is none that can be built.
    pub from: Option<ObjectId>,
    /// Parts of the recipe.
    pub parts: Vec<&'static str>,
    /// Files that a build asks for.
    pub files: Vec<String>,
    /// Texts by name, each as the lines that differ.
    pub texts: Vec<(String, String)>,
}

/// Looks at HEAD and the work tree.
///
/// # Errors
/// Neither can be built, or the repository changes meanwhile.
pub fn review(repository: &Repository, terms: Terms<'_>, grant: &Grant) -> Result<Review, Error> {
    let moment = repository.moment()?;
    let mut review = Review {
        head: None,
        states: Vec::new(),
        unseen: Vec::new(),
    };
    let head = Source::Revision("HEAD".to_owned());
    for (tree, source) in [("HEAD", head), ("the work tree", Source::Worktree)] {
        let mut look = || {
            let (loaded, snapshot) = careful_config(repository, &source)?;
            let mut states = Vec::new();
            for target in &loaded.value.targets {
                let named = target.platforms.iter().cloned().map(Some);
                let platforms: Vec<Option<String>> = match target.platforms.as_slice() {
                    [] => vec![None],
                    _ => named.collect(),
                };
                for platform in platforms {
                    let ci = &loaded.value.ci;
                    let executed = terms.execution(ci, target, platform.as_deref(), &snapshot)?;
                    let mut witness = Witness::new(
                        terms,
                        repository,
                        grant,
                        Subject {
                            ci,
                            target,
                            platform: platform.as_deref(),
                            source: &source,
                            snapshot: &snapshot,
                            executed: &executed,
                        },
                    )?;
                    let waiting = match decide(&executed.execution, &mut witness) {
                        Warrant::Granted(_) => None,
                        Warrant::NeedsApproval { .. } => {
                            Some(difference(&witness, &executed, &snapshot, target)?)
                        }
                    };
                    states.push(State {
                        tree,
                        target: target.clone(),
                        platform,
                        executed,
                        waiting,
                    });
                }
            }
            // Only a commit all of which was seen can be approved.
            review.head = review.head.or(snapshot.commit());
            review.states.append(&mut states);
            Ok(())
        };
        if let Err(error) = look() {
            review.unseen.push((tree, error));
        }
    }
    repository.still(&moment)?;
    match review.unseen.pop() {
        Some((_, error)) if review.states.is_empty() => Err(error),
        last => {
            review.unseen.extend(last);
            Ok(review)
        }
    }
}

fn difference(
    witness: &Witness<'_>,
    subject: &Executed,
    snapshot: &Snapshot,
    target: &Target,
) -> Result<Difference, Error> {
    let Some((from, known)) = witness.nearest_trusted() else {
        return Ok(Difference::default());
    };
    let mut texts = Vec::new();
    let mut compare = |name: &str, old: &[u8], new: &[u8]| {
        let lines = unified(old, new);
        if !lines.is_empty() {
            texts.push((name.to_owned(), lines));
        }
    };
    compare(&target.dockerfile, &known.dockerfile, &subject.dockerfile);
    let configuration = |snapshot: &Snapshot| {
        let file = snapshot.file(REPOSITORY_FILE);
        file.map(|file| file.bytes).unwrap_or_default()
    };
    compare(
        REPOSITORY_FILE,
        &configuration(&witness.tree(from)?),
        &configuration(snapshot),
    );
    Ok(Difference {
        from: Some(from),
        parts: subject.execution.differences(&known.execution),
        files: subject.changed_files(&known)?,
        texts,
    })
}
