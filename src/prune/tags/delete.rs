//! Does what a plan says, one manifest after the other, and looks again before each.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::look::identify;
use super::{Decision, Fate, Plan, Removal, Tag, removals};
use crate::registry::{Deletion, Digest, Registry, RegistryError, Repository};

/// Deletes what the plan lets go, and notes in it what became of it. What changed since the plan stays. The first failure
/// ends it: the registry would say the same of the rest.
///
/// # Errors
/// Why a deletion failed. The plan says which one, and that what comes after it was not tried.
pub async fn delete(
    registry: &Registry,
    plan: &mut Plan,
    stop: &CancellationToken,
) -> Result<(), RegistryError> {
    let Plan {
        repository,
        decisions,
    } = plan;
    let mut removals = removals(decisions);
    if removals.is_empty() {
        return Ok(());
    }
    let mut ended = newcomers(registry, repository, decisions, &mut removals).await;
    for removal in &removals {
        if ended.is_err() || stop.is_cancelled() {
            let why = match &ended {
                Err(error) => format!("not tried: {error}"),
                Ok(()) => "not tried: it was stopped".to_owned(),
            };
            note(decisions, &removal.tags, Fate::Failed, &why);
            continue;
        }
        ended = remove(registry, repository, decisions, removal).await;
        if let Err(error) = &ended {
            let left: Vec<String> = of(decisions, removal)
                .filter(|it| it.fate == Fate::Goes)
                .map(|it| it.tag.clone())
                .collect();
            note(decisions, &left, Fate::Failed, &error.to_string());
        }
    }
    ended
}

/// Finds tags that came since the plan was made: a manifest that one of them names must stay.
async fn newcomers(
    registry: &Registry,
    repository: &Repository,
    decisions: &[Decision],
    removals: &mut [Removal],
) -> Result<(), RegistryError> {
    let known: BTreeSet<&str> = decisions.iter().map(|it| it.tag.as_str()).collect();
    let names = registry.tags(repository).await?;
    let new = names
        .into_iter()
        .filter(|name| !known.contains(name.as_str()));
    let mut tags: Vec<Tag> = new
        .map(|name| Tag {
            name,
            digest: None,
            cache: None,
        })
        .collect();
    identify(registry, repository, &mut tags).await?;
    for removal in removals {
        let shares = |tag: &&Tag| tag.digest.as_ref() == Some(&removal.digest);
        if let Some(tag) = tags.iter().find(shares) {
            removal.survivor = Some(tag.name.clone());
        }
    }
    Ok(())
}

async fn remove(
    registry: &Registry,
    repository: &Repository,
    decisions: &mut [Decision],
    removal: &Removal,
) -> Result<(), RegistryError> {
    let mut left = Vec::new();
    for tag in &removal.tags {
        match registry.head_manifest(&repository.tag(tag)?).await? {
            Some(digest) if digest == removal.digest => left.push(tag.clone()),
            Some(_) => {
                let why = "names something else since it was looked at";
                note(decisions, std::slice::from_ref(tag), Fate::Stays, why);
            }
            None => gone(decisions, std::slice::from_ref(tag)),
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    if let Some(survivor) = &removal.survivor {
        return untag(
            registry,
            repository,
            decisions,
            &left,
            survivor,
            &removal.digest,
        )
        .await;
    }
    let reference = repository.digest(removal.digest.clone());
    match registry.delete(&reference).await? {
        Deletion::Done => note_done(decisions, &left),
        // Some registries say so of deletion itself.
        Deletion::Absent if registry.head_manifest(&reference).await?.is_some() => {
            return Err(refused(
                repository,
                "it says that there is no such manifest",
            ));
        }
        Deletion::Absent => gone(decisions, &left),
        Deletion::Unsupported(message) => return Err(refused(repository, &message)),
    }
    Ok(())
}

fn refused(repository: &Repository, message: &str) -> RegistryError {
    RegistryError::NoDeletion {
        registry: repository.registry().to_owned(),
        repository: repository.path().to_owned(),
        message: message.to_owned(),
    }
}

/// Removes names from a manifest that stays.
async fn untag(
    registry: &Registry,
    repository: &Repository,
    decisions: &mut [Decision],
    tags: &[String],
    survivor: &str,
    digest: &Digest,
) -> Result<(), RegistryError> {
    for tag in tags {
        let tag = std::slice::from_ref(tag);
        match registry.delete(&repository.tag(&tag[0])?).await? {
            Deletion::Done => note_done(decisions, tag),
            Deletion::Absent => gone(decisions, tag),
            Deletion::Unsupported(_) => {
                let why = format!(
                    "shares its manifest with {survivor}, and this registry cannot remove one tag alone"
                );
                note(decisions, tag, Fate::Stays, &why);
                continue;
            }
        }
        // Some registries before version 1.1 of the specification take the whole manifest.
        let survived = registry.head_manifest(&repository.tag(survivor)?).await?;
        if survived.is_none() {
            return Err(RegistryError::Protocol {
                registry: repository.registry().to_owned(),
                reason: format!(
                    "it was asked to remove the tag {} and removed {survivor} ({digest}) as well",
                    tag[0]
                ),
            });
        }
    }
    Ok(())
}

fn note_done(decisions: &mut [Decision], tags: &[String]) {
    for decision in named(decisions, tags) {
        decision.fate = Fate::Deleted;
    }
}

fn gone(decisions: &mut [Decision], tags: &[String]) {
    note(decisions, tags, Fate::Deleted, "somebody else deleted it");
}

fn note(decisions: &mut [Decision], tags: &[String], fate: Fate, reason: &str) {
    for decision in named(decisions, tags) {
        decision.fate = fate;
        reason.clone_into(&mut decision.reason);
    }
}

fn named<'a>(
    decisions: &'a mut [Decision],
    tags: &'a [String],
) -> impl Iterator<Item = &'a mut Decision> {
    decisions
        .iter_mut()
        .filter(|decision| tags.contains(&decision.tag))
}

fn of<'a>(decisions: &'a [Decision], removal: &'a Removal) -> impl Iterator<Item = &'a Decision> {
    decisions
        .iter()
        .filter(|decision| removal.tags.contains(&decision.tag))
}
