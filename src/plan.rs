//! Deciding: what a target's result depends on, as a key, and whether it has to be built at all.
//!
//! Everything here is a synchronous function of values. Nothing reads a clock, the network or a disk.

pub mod execution;
pub mod inputs;
pub mod key;
pub mod recipe;
pub mod warrant;

use inputs::Inputs;
use key::Key;

/// What is known of one target when the decision is made.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Asked for by the user: build whatever is known.
    pub force: bool,
    /// The target's key; `None` while nobody has recorded what this recipe asks for.
    pub key: Option<Key>,
    /// Where that key is known to be warm.
    pub warm: Option<Warm>,
    /// The same target's newest warm before, for the reason that we give.
    pub previous: Option<Previous>,
    /// The recipe's hash now.
    pub recipe: String,
    /// What the recipe asks for, with base images as they are now.
    pub inputs: Option<Inputs>,
}

/// A key that is warm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warm {
    /// Who says so.
    pub source: WarmSource,
    /// The cache manifest's digest.
    pub digest: String,
}

/// Who says that a key is warm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmSource {
    /// Our own history.
    History,
    /// The registry: somebody else's work, or our own that the history does not know.
    Registry,
}

/// An earlier warm of the same target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its recipe's hash.
    pub recipe: String,
    /// Its key.
    pub key: Option<String>,
    /// Its inputs document.
    pub inputs: Option<Inputs>,
    /// Its commit or tree, for people.
    pub source: String,
}

/// What to do with a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing to build.
    AlreadyWarm(Warm),
    /// Build it, for this reason.
    Build {
        /// A phrase that completes "because …".
        reason: String,
    },
}

/// Decides whether a target has to be built, and why.
#[must_use]
pub fn decide(facts: &Facts) -> Decision {
    if facts.force {
        return build("--force was given");
    }
    if facts.inputs.as_ref().is_some_and(|inputs| inputs.downloads) {
        return build("it downloads something with ADD, which may have changed");
    }
    if facts.key.is_some()
        && let Some(warm) = &facts.warm
    {
        return Decision::AlreadyWarm(warm.clone());
    }
    let Some(previous) = &facts.previous else {
        return build("this target was never warmed here");
    };
    if facts
        .key
        .as_ref()
        .is_some_and(|key| previous.key.as_deref() == Some(key.as_str()))
    {
        return build("nothing has changed, but its cache is not known to be in a registry");
    }
    if previous.recipe != facts.recipe {
        return build(&format!(
            "the Dockerfile, its ignore file, an argument, the platform or the BuildKit version differs from {}",
            previous.source
        ));
    }
    let moved = match (&facts.inputs, &previous.inputs) {
        (Some(now), Some(then)) => now.moved_bases(then),
        _ => Vec::new(),
    };
    match moved.as_slice() {
        [] => build(&format!("its input files differ from {}", previous.source)),
        moved => build(&format!("the base image {} moved", moved.join(", "))),
    }
}

fn build(reason: &str) -> Decision {
    Decision::Build {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
