//! Names of images and caches, read the way docker reads them.
//!
//! Grammar: `distribution/reference` (which docker and BuildKit use) and the OCI distribution specification 1.1.

use std::fmt;

use super::digest::Digest;

/// A repository's name with its registry may be this long (`distribution/reference`, `RepositoryNameTotalLengthMax`).
const NAME_LIMIT: usize = 255;

/// A tag may be this long (OCI distribution specification, "Pulling manifests").
pub const TAG_LIMIT: usize = 128;

/// The registry that a name without one means.
const DOCKER_HUB: &str = "docker.io";

/// Where a repository of manifests and blobs is: `ghcr.io/acme/app`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    registry: String,
    path: String,
}

/// One manifest of a repository, by tag, by digest, or by both (then the digest decides).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A name that no registry would take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing at all.
    #[error("an image reference is empty")]
    Empty,
    /// The part that names the registry.
    #[error("`{reference}` is not a reference: `{part}` is not a registry (host or host:port)")]
    Registry {
        /// All of it.
        reference: String,
        /// What is wrong.
        part: String,
    },
    /// A part of the repository's path.
    #[error(
        "`{reference}` is not a reference: `{part}` is not a repository name (lower case letters and digits, \
         separated by `.`, `_`, `__` or dashes)"
    )]
    Path {
        /// All of it.
        reference: String,
        /// The offending path component.
        part: String,
    },
    /// The tag.
    #[error(
        "`{reference}` is not a reference: `{part}` is not a tag (at most 128 letters, digits, `_`, `.` and `-`, \
         not beginning with `.` or `-`)"
    )]
    Tag {
        /// All of it.
        reference: String,
        /// The offending tag.
        part: String,
    },
    /// The digest.
    #[error(
        "`{reference}` is not a reference: `{part}` is not a digest (sha256: and 64 hex digits)"
    )]
    Digest {
        /// All of it.
        reference: String,
        /// The offending digest.
        part: String,
    },
    /// Longer than any registry takes.
    #[error("the repository name `{reference}` is longer than 255 characters")]
    TooLong {
        /// All of it.
        reference: String,
    },
    /// A tag or digest where only a repository makes sense.
    #[error("`{reference}` names one image, and a repository is wanted: leave out `{part}`")]
    NotARepository {
        /// All of it.
        reference: String,
        /// The tag or digest, with its `:` or `@`.
        part: String,
    },
}

impl Repository {
    /// Parses a repository without tag or digest.
    ///
    /// # Errors
    /// When a part of it is not legal, or when it has a tag or digest.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let parts = split(text)?;
        let extra = match (parts.tag, parts.digest) {
            (None, None) => return parts.repository(text),
            (Some(tag), None) => format!(":{tag}"),
            (None, Some(digest)) => format!("@{digest}"),
            (Some(tag), Some(digest)) => format!(":{tag}@{digest}"),
        };
        Err(ReferenceError::NotARepository {
            reference: text.to_owned(),
            part: extra,
        })
    }

    /// The registry as people name it: `ghcr.io`, `127.0.0.1:5000`, `docker.io`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The registry's API host; it differs from its name for Docker Hub alone.
    #[must_use]
    pub fn host(&self) -> &str {
        if self.registry == DOCKER_HUB {
            "registry-1.docker.io"
        } else {
            &self.registry
        }
    }

    /// The name within the registry: `acme/app`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The manifest with this tag.
    ///
    /// # Errors
    /// When `tag` is not a legal tag.
    pub fn tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag {
                reference: format!("{self}:{tag}"),
                part: tag.to_owned(),
            });
        }
        Ok(Reference {
            repository: self.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        })
    }

    /// The manifest with this digest.
    #[must_use]
    pub fn digest(&self, digest: Digest) -> Reference {
        Reference {
            repository: self.clone(),
            tag: None,
            digest: Some(digest),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.path)
    }
}

impl Reference {
    /// Parses an image reference as docker does: `python:3.11-slim` is `docker.io/library/python:3.11-slim`; without tag
    /// and digest the tag is `latest`.
    ///
    /// # Errors
    /// When a part of it is not legal.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let parts = split(text)?;
        let repository = parts.repository(text)?;
        let tag = match parts.tag {
            Some(tag) if !is_tag(tag) => {
                return Err(ReferenceError::Tag {
                    reference: text.to_owned(),
                    part: tag.to_owned(),
                });
            }
            Some(tag) => Some(tag.to_owned()),
            None => parts.digest.is_none().then(|| "latest".to_owned()),
        };
        let digest = match parts.digest {
            None => None,
            Some(digest) => Some(Digest::parse(digest).ok_or_else(|| ReferenceError::Digest {
                reference: text.to_owned(),
                part: digest.to_owned(),
            })?),
        };
        Ok(Self {
            repository,
            tag,
            digest,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Its tag, if it has one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Its digest, if it has one.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What the registry is asked for: the digest, else the tag.
    #[must_use]
    pub fn version(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => unreachable!("every constructor sets a tag or a digest"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(formatter)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether `text` is a legal tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    text.len() <= TAG_LIMIT
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        && text
            .bytes()
            .next()
            .is_some_and(|first| !matches!(first, b'.' | b'-'))
}

/// A reference cut at its separators; only the cuts are checked.
struct Parts<'a> {
    registry: Option<&'a str>,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

fn split(text: &str) -> Result<Parts<'_>, ReferenceError> {
    if text.is_empty() {
        return Err(ReferenceError::Empty);
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    // The first component is a registry only if it cannot be a path: docker's rule.
    let (registry, rest) = match name.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    Ok(Parts {
        registry,
        path,
        tag,
        digest,
    })
}

impl Parts<'_> {
    fn repository(&self, reference: &str) -> Result<Repository, ReferenceError> {
        let registry = match self.registry {
            None | Some("index.docker.io" | "registry-1.docker.io") => DOCKER_HUB,
            Some(registry) if is_registry(registry) => registry,
            Some(registry) => {
                return Err(ReferenceError::Registry {
                    reference: reference.to_owned(),
                    part: registry.to_owned(),
                });
            }
        };
        if let Some(part) = self
            .path
            .split('/')
            .find(|component| !is_path_component(component))
        {
            return Err(ReferenceError::Path {
                reference: reference.to_owned(),
                part: part.to_owned(),
            });
        }
        let official = registry == DOCKER_HUB && !self.path.contains('/');
        let path = if official {
            format!("library/{}", self.path)
        } else {
            self.path.to_owned()
        };
        if registry.len() + 1 + path.len() > NAME_LIMIT {
            return Err(ReferenceError::TooLong {
                reference: reference.to_owned(),
            });
        }
        Ok(Repository {
            registry: registry.to_owned(),
            path,
        })
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
                return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
            }
            _ => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    port.is_none_or(is_port)
        && host.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(word)
        && bytes.last().copied().is_some_and(word)
        && text
            .split(|character: char| u8::try_from(character).is_ok_and(word))
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__")
                    || separator.bytes().all(|byte| byte == b'-')
            })
}

#[cfg(test)]
mod tests;
