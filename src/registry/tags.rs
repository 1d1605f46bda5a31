//! Which tags a repository has, and how they go.

use std::collections::BTreeSet;

use ::http::Method;
use ::http::header::LINK;

use super::http::{Answer, Url};
use super::refusal::refusal;
use super::token::Access;
use super::{MANIFEST_LIMIT, Reference, Registry, RegistryError, Repository};
use super::{error, is_tag, plain_call, protocol};

/// Tags that are asked for at once; registries that give fewer say where the rest is.
const PAGE: usize = 1_000;

/// As many pages are read.
const PAGES: usize = 2_000;

/// As many tags are held in memory.
const TAGS: usize = 100_000;

/// What became of a request to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Done,
    /// It was gone before.
    Absent,
    /// The registry does not do this; in its own words.
    Unsupported(String),
}

impl Registry {
    /// All tags of a repository, sorted; none of a repository that is not there. At most 100,000.
    ///
    /// # Errors
    /// When the registry cannot be reached, refuses, or does not answer like a registry: also when there are more tags, or
    /// its list has no end. There is no list of only some tags: what is not in it might name what is to be deleted.
    pub async fn tags(&self, repository: &Repository) -> Result<BTreeSet<String>, RegistryError> {
        let mut tags = BTreeSet::new();
        let mut url = self
            .client
            .url(repository, &format!("tags/list?n={PAGE}"))?;
        for _ in 0..PAGES {
            let mut call = plain_call(repository, Access::Pull, Method::GET, url.clone());
            call.limit = MANIFEST_LIMIT;
            let answer = self.client.call(&call).await?;
            match answer.status {
                200 => tags.extend(page(repository, &answer)?),
                // Of a repository without tags some registries say that there is none.
                404 if tags.is_empty() => return Ok(tags),
                _ => return Err(refusal(repository, &answer)),
            }
            if tags.len() > TAGS {
                return Err(protocol(
                    repository,
                    format!("it lists more than {TAGS} tags"),
                ));
            }
            match next(repository, &url, &answer)? {
                Some(next) => url = next,
                None => return Ok(tags),
            }
        }
        Err(protocol(
            repository,
            format!("its list of tags has more than {PAGES} pages"),
        ))
    }

    /// Deletes a manifest with every tag that points at it, or, by a reference without digest, one tag alone where the
    /// registry can do that (OCI distribution specification 1.1, "Deleting tags").
    ///
    /// # Errors
    /// When the registry cannot be reached, or our login may not delete.
    pub async fn delete(&self, reference: &Reference) -> Result<Deletion, RegistryError> {
        let repository = reference.repository();
        let url = self
            .client
            .url(repository, &format!("manifests/{}", reference.version()))?;
        let call = plain_call(repository, Access::Delete, Method::DELETE, url);
        let answer = self.client.call(&call).await?;
        match answer.status {
            200..=204 => Ok(Deletion::Done),
            404 => Ok(Deletion::Absent),
            // 400 is what CNCF's registry says of tags before its version 3.
            400 | 405 => Ok(Deletion::Unsupported(error::message(
                answer.status,
                &answer.body,
            ))),
            _ => Err(refusal(repository, &answer)),
        }
    }
}

/// The tags in one answer.
fn page(repository: &Repository, answer: &Answer) -> Result<Vec<String>, RegistryError> {
    #[derive(serde::Deserialize)]
    struct List {
        tags: Option<Vec<String>>,
    }
    let list: List = serde_json::from_slice(&answer.body)
        .map_err(|_| protocol(repository, "it sent a list of tags that is none".to_owned()))?;
    let tags = list.tags.unwrap_or_default();
    if let Some(odd) = tags.iter().find(|tag| !is_tag(tag)) {
        let odd: String = odd.chars().take(100).collect();
        return Err(protocol(repository, format!("it lists the tag {odd:?}")));
    }
    Ok(tags)
}

/// Where the list goes on, by the `Link` header (RFC 8288) with the relation `next`.
fn next(repository: &Repository, url: &Url, answer: &Answer) -> Result<Option<Url>, RegistryError> {
    let links = answer.headers.get_all(LINK).iter();
    let mut links = links.filter_map(|value| value.to_str().ok());
    let Some(target) = links.find_map(next_target) else {
        return Ok(None);
    };
    let odd = |why: &str| protocol(repository, format!("its list of tags goes on {why}"));
    let mut next = url
        .join(target)
        .map_err(|_| odd("at something that is no address"))?;
    if next.scheme() == "http" && url.scheme() == "https" {
        // A registry behind a proxy that ends TLS may not know its own scheme.
        next.set_scheme("https")
            .map_err(|()| odd("at something that is no address"))?;
    }
    if next.origin() != url.origin() {
        return Err(odd("at another host"));
    }
    if next == *url {
        return Err(odd("where it begins"));
    }
    Ok(Some(next))
}

/// The target of the link to the next page in one header value, such as `</v2/a/tags/list?last=x>; rel="next"`.
fn next_target(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, parameters) = after.split_once('>')?;
        let end = parameters.find('<').unwrap_or(parameters.len());
        let is_next = parameters[..end].split([';', ',']).any(|parameter| {
            parameter
                .trim()
                .split_once('=')
                .is_some_and(|(name, value)| {
                    name.trim().eq_ignore_ascii_case("rel")
                        && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
                })
        });
        if is_next {
            return Some(target);
        }
        rest = &parameters[end..];
    }
    None
}
