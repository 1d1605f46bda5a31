//! What a build would execute, and where its result would go: what people approve.
//!
//! Not part of it is what changes by itself and is nobody's code in the repository: the digests of base images, and the
//! version of BuildKit.

use super::key::Hasher;
use crate::config::{Ci, CiBuildkit, CiContext, Compression, Target};

/// What a build would execute, and where its result would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// What each part of the recipe is, as a hash.
    parts: Vec<(&'static str, String)>,
    /// The digests of all that; see [`Execution::digests`].
    digests: Vec<String>,
}

/// What decides what is executed.
#[derive(Clone, Copy, Debug)]
pub struct Ingredients<'a> {
    /// What CI does.
    pub ci: &'a Ci,
    /// The target.
    pub target: &'a Target,
    /// The platform, where one is named.
    pub platform: Option<&'a str>,
    /// The Dockerfile's bytes.
    pub dockerfile: &'a [u8],
    /// The ignore file's bytes, where CI's build applies one.
    pub ignore_file: Option<&'a [u8]>,
    /// The digest of the whole context.
    pub context: &'a [u8; 32],
    /// The digests of the files that a build of this recipe asks for, where our own BuildKit has shown which.
    pub asked: Option<&'a [[u8; 32]]>,
}

impl Execution {
    /// Takes in what decides what is executed.
    #[must_use]
    pub fn new(ingredients: &Ingredients<'_>) -> Self {
        let mut parts = of_target(ingredients.target);
        parts.extend(of_ci(ingredients.ci));
        parts.push(part("the platform", |hash| {
            hash.optional(ingredients.platform.map(str::as_bytes));
        }));
        parts.push(part("the Dockerfile", |hash| {
            hash.field(ingredients.dockerfile);
        }));
        parts.push(part("the ignore file", |hash| {
            hash.optional(ingredients.ignore_file);
        }));
        let digest = |kind: &[u8], files: &[[u8; 32]]| {
            let mut hash = Hasher::new("prewarm execution 1");
            for (name, value) in &parts {
                hash.field(name.as_bytes());
                hash.field(value.as_bytes());
            }
            hash.field(kind);
            hash.field(&files.len().to_be_bytes());
            for file in files {
                hash.field(file);
            }
            hash.finish()
        };
        let mut digests = vec![digest(b"context", &[*ingredients.context])];
        digests.extend(ingredients.asked.map(|asked| digest(b"asked", asked)));
        Self { parts, digests }
    }

    /// What it is known by, 64 hexadecimal digits each: with all files of the context, and, where it is known which of them
    /// a build asks for, with those alone. Whoever approves one of them has approved it.
    #[must_use]
    pub fn digests(&self) -> &[String] {
        &self.digests
    }

    /// Whether both execute the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.digests
            .iter()
            .any(|digest| other.digests.contains(digest))
    }

    /// The parts of the recipe that are not the same in both, for people.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.parts.iter().zip(&other.parts);
        pairs
            .filter(|((_, one), (_, other))| one != other)
            .map(|((name, _), _)| *name)
            .collect()
    }
}

fn part(name: &'static str, write: impl FnOnce(&mut Hasher)) -> (&'static str, String) {
    let mut hash = Hasher::new(name);
    write(&mut hash);
    (name, hash.finish())
}

/// Every field of a target: whoever adds one decides here what it is a part of.
fn of_target(target: &Target) -> Vec<(&'static str, String)> {
    let Target {
        name,
        dockerfile,
        context,
        stage,
        platforms,
        cache,
        tag,
        args,
        secrets,
        ssh,
        compression,
    } = target;
    vec![
        part("the target's name", |hash| hash.field(name.as_bytes())),
        part("the Dockerfile's path", |hash| {
            hash.field(dockerfile.as_bytes());
        }),
        part("the context directory", |hash| {
            hash.field(context.as_bytes());
        }),
        part("the stage", |hash| {
            hash.optional(stage.as_ref().map(String::as_bytes));
        }),
        part("the platforms", |hash| list(hash, platforms)),
        part("where the cache goes", |hash| {
            hash.optional(cache.as_ref().map(String::as_bytes));
            hash.field(tag.as_bytes());
        }),
        part("the build arguments", |hash| {
            hash.field(&args.len().to_be_bytes());
            for (name, value) in args {
                hash.field(name.as_bytes());
                hash.field(value.as_bytes());
            }
        }),
        part("the secrets", |hash| {
            hash.field(&secrets.len().to_be_bytes());
            for secret in secrets {
                let (kind, place) = secret.source.written();
                hash.field(secret.id.as_bytes());
                hash.field(kind.as_bytes());
                hash.field(place.as_bytes());
            }
        }),
        part("the ssh agents", |hash| list(hash, ssh)),
        part("the compression", |hash| {
            hash.field(match compression {
                Compression::Zstd => b"zstd",
                Compression::Gzip => b"gzip",
                Compression::Uncompressed => b"none",
            });
        }),
    ]
}

/// Every field of what CI does.
fn of_ci(ci: &Ci) -> Vec<(&'static str, String)> {
    let Ci {
        context,
        umask,
        default_branch,
        pull_requests,
        buildkit,
        protected,
        lfs,
        submodules,
    } = ci;
    vec![
        part("CI's BuildKit", |hash| match buildkit {
            CiBuildkit::Image(image) => hash.optional(Some(image.as_bytes())),
            CiBuildkit::Engine => hash.optional(None),
        }),
        part("the protected branches", |hash| {
            list(hash, protected);
            hash.field(default_branch.as_bytes());
        }),
        part("what CI checks out", |hash| {
            hash.field(match context {
                CiContext::Git => b"git",
                CiContext::Path => b"path",
            });
            hash.field(&umask.to_be_bytes());
            hash.field(&[pull_requests, lfs, submodules].map(|flag| u8::from(*flag)));
        }),
    ]
}

fn list(hash: &mut Hasher, texts: &[String]) {
    hash.field(&texts.len().to_be_bytes());
    for text in texts {
        hash.field(text.as_bytes());
    }
}
