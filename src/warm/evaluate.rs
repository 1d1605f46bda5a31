//! From a job to a decision: the recipe, what it asks for, the images as they are now, the key, and who has it.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::internal;
use super::job::Job;
use super::run::Run;
use crate::builder::Identity;
use crate::error::Error;
use crate::plan::inputs::Inputs;
use crate::plan::key::Key;
use crate::plan::{Decision, Facts, Previous, Warm, WarmSource, decide};
use crate::publish;
use crate::record::BaseDigest;
use crate::registry::Reference;
use crate::snapshot::{Filter, Reach, SnapshotError, Tree};

/// What is known of a job, and what is to be done.
#[derive(Debug)]
pub(super) struct Evaluation {
    /// When this was looked at, in Unix milliseconds.
    pub(super) looked_at: i64,
    pub(super) identity: Identity,
    /// The platform that is built for.
    pub(super) platform: String,
    pub(super) recipe: String,
    pub(super) inputs: Option<Inputs>,
    pub(super) key: Option<Key>,
    /// References of the target's last warm, to import from.
    pub(super) previous_references: Vec<String>,
    /// References that the history knows to be pointed at the key's cache.
    pub(super) known_references: Vec<String>,
    pub(super) decision: Decision,
    pub(super) notes: Vec<String>,
}

/// Decides; `None` when a dry run finds no BuildKit to decide for.
pub(super) async fn evaluate(run: &Run<'_>, job: &Job) -> Result<Option<Evaluation>, Error> {
    let looked_at = run.world.now_ms();
    let Some(identity) = run.identity().await? else {
        return Ok(None);
    };
    let platform = job
        .platform
        .clone()
        .unwrap_or_else(|| identity.platform.clone());
    let recipe = job.recipe(run, &identity, &platform).hash();
    let mut notes = Vec::new();
    let inputs = known_inputs(run, job, &recipe).await;
    let inputs = match inputs {
        Some(inputs) => Some(with_current_images(run, inputs, &platform, &mut notes).await),
        None => None,
    };
    let key = match &inputs {
        Some(inputs) => Some(key(job, &recipe, inputs).await?),
        None => None,
    };
    let last = run
        .note(
            run.records
                .last(&run.repository, &job.target.name, &platform),
        )
        .flatten();
    let mut known_references = Vec::new();
    let warm = match &key {
        Some(key) if !run.request.force => known_warm(run, job, key, &mut known_references).await,
        _ => None,
    };
    let previous = last.as_ref().map(|last| Previous {
        recipe: last.row.warm.recipe.clone(),
        key: last.row.warm.key.clone(),
        inputs: last.inputs.as_deref().and_then(Inputs::parse),
        source: last.row.warm.commit.as_ref().map_or_else(
            || format!("the last warm ({})", last.row.warm.source),
            |commit| format!("commit {}", &commit[..commit.len().min(7)]),
        ),
    });
    let facts = Facts {
        force: run.request.force,
        key: key.clone(),
        warm,
        previous,
        recipe: recipe.clone(),
        inputs: inputs.clone(),
    };
    Ok(Some(Evaluation {
        looked_at,
        identity,
        platform,
        recipe,
        decision: decide(&facts),
        inputs,
        key,
        previous_references: last.map(|last| last.row.references).unwrap_or_default(),
        known_references,
        notes,
    }))
}

/// The key of a job, given what its recipe asks for.
pub(super) async fn key(job: &Job, recipe: &str, inputs: &Inputs) -> Result<Key, Error> {
    let (context, filters) = (job.context.clone(), inputs.filters.clone());
    let files = tokio::task::spawn_blocking(move || {
        filters
            .iter()
            .map(|filter| digest(&context, filter))
            .collect::<Result<Vec<_>, SnapshotError>>()
    })
    .await
    .map_err(internal)??;
    Ok(Key::new(
        recipe,
        &files,
        &inputs.images,
        job.target.compression,
    ))
}

/// A fingerprint of the files that a filter selects.
pub(super) fn digest(context: &Tree, filter: &Filter) -> Result<[u8; 32], SnapshotError> {
    let mut hash = Sha256::new();
    context.digest(filter, &mut |bytes| hash.update(bytes))?;
    Ok(hash.finalize().into())
}

/// What may be otherwise in CI's checkout.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// Files that a checkout writes in another encoding, as [`Tree::encoded`].
    pub(super) encoded: BTreeSet<(String, String)>,
    pub(super) reach: Reach,
}

/// Finds what of the files that are asked for may be otherwise in CI's checkout; `thorough` as for [`Tree::encoded`].
pub(super) async fn differences(
    job: &Job,
    filters: &BTreeSet<Filter>,
    thorough: bool,
) -> Result<Differences, Error> {
    let (context, filters) = (job.context.clone(), filters.clone());
    tokio::task::spawn_blocking(move || {
        let mut differences = Differences::default();
        for filter in &filters {
            differences
                .encoded
                .extend(context.encoded(filter, thorough)?);
            differences.reach = differences.reach.or(context.reach(filter)?);
        }
        Ok(differences)
    })
    .await
    .map_err(internal)?
}

/// What the recipe asks for: from the history, else from whoever built it first.
async fn known_inputs(run: &Run<'_>, job: &Job, recipe: &str) -> Option<Inputs> {
    let known = run.note(run.records.inputs(recipe)).flatten();
    if let Some(inputs) = known.as_deref().and_then(Inputs::parse) {
        return Some(inputs);
    }
    let destination = job.destination.as_ref()?;
    match publish::pull_inputs(
        &run.registry,
        &destination.repository,
        &destination.inputs_tag(recipe),
    )
    .await
    {
        Ok(document) => {
            let text = String::from_utf8(document?).ok()?;
            let inputs = Inputs::parse(&text)?;
            run.note(
                run.records
                    .store_inputs(recipe, &text, run.world.now_ms() / 1000),
            );
            Some(inputs)
        }
        Err(error) => {
            let error = Error::from(error);
            run.warn(
                Some(job),
                format!("the registry could not be asked what others have warmed: {error}"),
            );
            None
        }
    }
}

/// The inputs with every image's digest as it is now. One that was looked up recently is not looked up.
async fn with_current_images(
    run: &Run<'_>,
    inputs: Inputs,
    platform: &str,
    notes: &mut Vec<String>,
) -> Inputs {
    let mut images = BTreeMap::new();
    for (image, digest) in &inputs.images {
        let current = current_digest(run, image, digest, platform, notes).await;
        images.insert(image.clone(), current);
    }
    Inputs::new(inputs.filters, images, inputs.downloads)
}

async fn current_digest(
    run: &Run<'_>,
    image: &str,
    last: &str,
    platform: &str,
    notes: &mut Vec<String>,
) -> String {
    let known = run.note(run.records.base_digest(image, platform)).flatten();
    if let Some(known) = &known
        && run.is_recent(known.checked_at * 1000, run.user.warm.base_check)
    {
        return known.digest.clone();
    }
    let last = known.map_or_else(|| last.to_owned(), |known| known.digest);
    let looked_up = match Reference::parse(image) {
        Ok(reference) => run.registry.head_manifest(&reference).await,
        Err(error) => Err(error.into()),
    };
    match looked_up {
        Ok(Some(digest)) => {
            let base = BaseDigest {
                digest: digest.to_string(),
                checked_at: run.world.now_ms() / 1000,
            };
            run.note(run.records.store_base_digest(image, platform, &base));
            base.digest
        }
        Ok(None) => {
            notes.push(format!(
                "base image {image} is not in its registry (any more); its last digest counts"
            ));
            last
        }
        Err(error) => {
            notes.push(format!(
                "base image {image} could not be checked: {}",
                Error::from(error)
            ));
            last
        }
    }
}

/// Who has the key: our history, else the registry.
async fn known_warm(
    run: &Run<'_>,
    job: &Job,
    key: &Key,
    known_references: &mut Vec<String>,
) -> Option<Warm> {
    // Without a registry only BuildKit itself knows what it still has, and asking it is as quick as building.
    let destination = job.destination.as_ref()?;
    let cache = destination.repository.to_string();
    let fact = run
        .note(run.records.warm_key(Some(&cache), key.as_str()))
        .flatten();
    if let Some(fact) = fact
        && let Some(digest) = fact.digest
    {
        *known_references = fact.references;
        return Some(Warm {
            source: WarmSource::History,
            digest,
        });
    }
    match publish::find(&run.registry, &destination.key(key).ok()?).await {
        Ok(found) => found.map(|manifest| Warm {
            source: WarmSource::Registry,
            digest: manifest.digest.to_string(),
        }),
        Err(error) => {
            run.warn(
                Some(job),
                format!("the registry could not be asked: {}", Error::from(error)),
            );
            None
        }
    }
}
