//! The Engine's images: what each takes and who uses it, and the removal of one name.
//!
//! Nothing is ever forced, so the Engine itself keeps what a container was made from.

use std::collections::{BTreeMap, BTreeSet};

use bollard::errors::Error as Failure;
use bollard::models::{ContainerSummary, ImageInspect, ImageSummary};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::image::{familiar, split};
use super::{Engine, EngineError, failed, status_of, unsigned};
use crate::prune::usage::Image;
use crate::rfc3339;

/// Questions about single images that are open at once.
const QUESTIONS: usize = 8;

/// How often the images are asked for before we give up.
const LISTINGS: usize = 5;

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, and with the last name the image.
    Removed,
    /// It stays, for this reason.
    Kept(String),
    /// It was gone before.
    Gone,
}

/// Every image of the Engine, once for each of its names, sorted.
///
/// # Errors
/// When the Engine does not say.
pub async fn images(docker: &Engine) -> Result<Vec<Image>, EngineError> {
    let listed = list(docker);
    let options = ListContainersOptionsBuilder::new().all(true).build();
    let containers = docker.docker.list_containers(Some(options));
    let (listed, containers) = tokio::join!(listed, containers);
    let listed = listed?;
    let containers = containers.map_err(failed("list its containers"))?;
    let mut images = describe(&listed, &containers);

    // When it was named is told of one image at a time, and of no use for one that stays anyway.
    let open: BTreeSet<String> = images
        .iter()
        .filter(|image| image.container.is_none())
        .map(|image| image.id.clone())
        .collect();
    let answers = open.into_iter().map(|id| async move {
        let found = inspect(docker, &id).await?;
        let named = found.map(|found| last_named(&found));
        Ok::<_, EngineError>((id, named))
    });
    let named: BTreeMap<String, Option<Option<i64>>> = futures_util::stream::iter(answers)
        .buffer_unordered(QUESTIONS)
        .try_collect()
        .await?;
    images.retain_mut(|image| match named.get(&image.id) {
        // It went while we looked.
        Some(None) => false,
        Some(Some(at)) => {
            image.touched = image.touched.max(*at);
            true
        }
        None => true,
    });
    Ok(images)
}

/// The name by which [`images`] tells the image that somebody calls `name`: a name, an id, or the beginning of one.
/// `None` where the Engine does not have it.
///
/// # Errors
/// When the Engine does not say.
pub async fn listed_as(docker: &Engine, name: &str) -> Result<Option<String>, EngineError> {
    if !is_name(name) {
        return Ok(None);
    }
    let Some(found) = inspect(docker, name).await? else {
        return Ok(None);
    };
    let normal = normal(name);
    let id = found.id.unwrap_or_default();
    let names = names(
        &found.repo_tags.unwrap_or_default(),
        &found.repo_digests.unwrap_or_default(),
    );
    Ok(Some(if names.contains(&normal) { normal } else { id }))
}

/// Takes one name from an image, and removes the image with its last one; never by force. A name that another image has by
/// now stays, as does an image that got a name.
///
/// # Errors
/// When the Engine cannot be asked.
pub async fn remove_image(docker: &Engine, image: &Image) -> Result<Removal, EngineError> {
    let reference = &image.reference;
    if !is_name(reference) {
        // As a part of a URL it could mean something else.
        return Ok(Removal::Kept("its name is not understood".to_owned()));
    }
    let Some(found) = inspect(docker, reference).await? else {
        return Ok(Removal::Gone);
    };
    if found.id.as_ref() != Some(&image.id) {
        return Ok(Removal::Kept("another image has its name now".to_owned()));
    }
    if image.dangling && found.repo_tags.is_some_and(|tags| !tags.is_empty()) {
        return Ok(Removal::Kept("it has a name now".to_owned()));
    }
    let options = RemoveImageOptionsBuilder::new()
        .force(false)
        .noprune(false)
        .build();
    let removed = docker.docker.remove_image(reference, Some(options), None);
    match removed.await {
        Ok(_) => Ok(Removal::Removed),
        Err(Failure::DockerResponseServerError {
            status_code: 409,
            message,
        }) => Ok(Removal::Kept(message)),
        Err(failure) if status_of(&failure) == Some(404) => Ok(Removal::Gone),
        Err(failure) => Err(failed(format!("remove the image {reference}"))(failure)),
    }
}

/// An image's name as the Engine lists it: without what Docker Hub's names leave out, and with a tag.
#[must_use]
pub fn normal(name: &str) -> String {
    if is_id(name) {
        return name.to_owned();
    }
    let (repository, tag) = split(name);
    let mark = if name.contains('@') { '@' } else { ':' };
    format!("{}{mark}{tag}", familiar(repository))
}

/// While something is deleted, the containerd store may not find what it is about to measure.
async fn list(docker: &Engine) -> Result<Vec<ImageSummary>, EngineError> {
    let options = ListImagesOptionsBuilder::new()
        .all(true)
        .shared_size(true)
        .build();
    for _ in 1..LISTINGS {
        match docker.docker.list_images(Some(options.clone())).await {
            Err(failure) if status_of(&failure) == Some(404) => {}
            listed => return listed.map_err(failed("list its images")),
        }
    }
    let last = docker.docker.list_images(Some(options)).await;
    last.map_err(failed("list its images"))
}

async fn inspect(docker: &Engine, name: &str) -> Result<Option<ImageInspect>, EngineError> {
    match docker.docker.inspect_image(name).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if status_of(&failure) == Some(404) => Ok(None),
        Err(failure) => Err(failed(format!("inspect the image {name}"))(failure)),
    }
}

/// The images of two listings; when they were named is not in there.
fn describe(listed: &[ImageSummary], containers: &[ContainerSummary]) -> Vec<Image> {
    let parents: BTreeMap<&str, &str> = listed
        .iter()
        .filter(|image| !image.parent_id.is_empty())
        .map(|image| (image.id.as_str(), image.parent_id.as_str()))
        .collect();
    let parent_ids: BTreeSet<&str> = parents.values().copied().collect();
    let used = used(&parents, containers);
    let mut images = Vec::new();
    for summary in listed {
        let names = names(&summary.repo_tags, &summary.repo_digests);
        if names.is_empty() && parent_ids.contains(summary.id.as_str()) {
            // A step of the classic builder, which goes with the image that it led to.
            continue;
        }
        let container = |name: &str| {
            let found = used.get(summary.id.as_str()).or_else(|| used.get(name));
            found.map(ToString::to_string)
        };
        let image = |reference: String, dangling| Image {
            container: container(&reference),
            id: summary.id.clone(),
            dangling,
            // The Engine writes -1 for what it did not find out.
            bytes: unsigned(Some(summary.size)).saturating_sub(unsigned(Some(summary.shared_size))),
            touched: Some(summary.created)
                .filter(|created| *created > 0)
                .and_then(|created| created.checked_mul(1000)),
            reference,
        };
        if names.is_empty() {
            images.push(image(summary.id.clone(), true));
        }
        images.extend(names.into_iter().map(|name| image(name, false)));
    }
    images.sort_by(|a, b| (&a.reference, &a.id).cmp(&(&b.reference, &b.id)));
    images
}

/// The images that containers were made from, by id and by name, and what those images stand on; with the container's name.
fn used<'a>(
    parents: &BTreeMap<&'a str, &'a str>,
    containers: &'a [ContainerSummary],
) -> BTreeMap<String, &'a str> {
    let mut used = BTreeMap::new();
    for container in containers {
        let names = container.names.iter().flatten();
        let name = names
            .map(|name| name.trim_start_matches('/'))
            .chain(container.id.as_deref())
            .next()
            .unwrap_or_default();
        // The Engine names an image by its id where the name is no longer that image's, so no other gets into this.
        let by_name = container.image.as_deref().filter(|name| is_name(name));
        used.extend(by_name.map(|image| (normal(image), name)));
        let mut at = container.image_id.as_deref();
        while let Some(id) = at {
            if used.insert(id.to_owned(), name).is_some() {
                break;
            }
            at = parents.get(id).copied();
        }
    }
    used
}

/// What an image is called: its tags, else its digests. Older Engines write `<none>` where there is nothing.
fn names(tags: &[String], digests: &[String]) -> Vec<String> {
    let real = |names: &[String]| {
        let names = names.iter().filter(|name| !name.contains("<none>"));
        names.cloned().collect::<Vec<_>>()
    };
    match real(tags) {
        tags if tags.is_empty() => real(digests),
        tags => tags,
    }
}

/// In Unix milliseconds.
fn last_named(found: &ImageInspect) -> Option<i64> {
    let at = found.metadata.as_ref()?.last_tag_time.as_deref()?;
    rfc3339::milliseconds(at).filter(|at| *at > 0)
}

fn is_id(name: &str) -> bool {
    let digits = name.strip_prefix("sha256:");
    digits.is_some_and(|digits| {
        digits.len() == 64
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Whether it can be an image's name or id, and as a part of a URL means only that: `..` would lead elsewhere.
#[must_use]
pub fn is_name(name: &str) -> bool {
    name.split('/').all(|part| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'@')
            })
    })
}

#[cfg(test)]
mod tests;
