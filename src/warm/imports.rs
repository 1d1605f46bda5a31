//! Which caches a build imports.

use super::evaluate::Evaluation;
use super::job::Job;
use super::run::Run;
use crate::buildkit::solve::CacheReference;
use crate::error::Error;
use crate::registry::Reference;

/// A reference as BuildKit is given it.
pub(super) fn cache_reference(run: &Run<'_>, reference: &Reference) -> CacheReference {
    let host = reference.repository().registry();
    let insecure = run
        .user
        .registries
        .get(host)
        .is_some_and(|settings| settings.insecure);
    CacheReference {
        reference: reference.to_string(),
        insecure,
    }
}

/// The caches that exist, of those that may share steps with this build: the target's last, the branch's, the default
/// branch's; each of them once, by whatever names. A missing or a repeated one would only slow BuildKit down.
///
/// A forced warm imports none: it is to replace what the registry has, not to repeat it.
pub(super) async fn imports(
    run: &Run<'_>,
    job: &Job,
    evaluation: &Evaluation,
) -> Result<Vec<CacheReference>, Error> {
    let Some(destination) = job.destination.as_ref().filter(|_| !run.request.force) else {
        return Ok(Vec::new());
    };
    let mut candidates: Vec<Reference> = Vec::new();
    let last = evaluation
        .previous_references
        .first()
        .and_then(|text| Reference::parse(text).ok());
    candidates.extend(last.filter(|last| *last.repository() == destination.repository));
    if let Some(branch) = &run.branch {
        candidates.push(destination.of_branch(branch)?);
    }
    let default = destination.of_branch(&run.config.ci.default_branch)?;
    if !candidates.contains(&default) {
        candidates.push(default);
    }
    let asked = candidates
        .iter()
        .map(|candidate| run.registry.head_manifest(candidate));
    let found = futures_util::future::join_all(asked).await;
    let mut seen = Vec::new();
    let mut imports = Vec::new();
    for (candidate, found) in candidates.iter().zip(found) {
        if let Ok(Some(digest)) = found
            && !seen.contains(&digest)
        {
            seen.push(digest);
            imports.push(cache_reference(run, candidate));
        }
    }
    Ok(imports)
}
