//! Which tags of a cache repository may go. Pure: [`look`] finds out what there is, [`delete`] does what a plan says.
//!
//! Only tags that a target's template makes are ours to judge, and only those that name a BuildKit cache. Everything else
//! stays, as does what is unknown, young, protected, or of a branch that is alive.

pub mod delete;
pub mod look;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::publish::{Facts, Shape, Template, protected, slug};
use crate::record::Uses;
use crate::registry::{Digest, Repository};

/// Ends the branch tag of a pull request's merge (see [`crate::warm`]).
const MERGE: &str = ".merge";

/// A tag as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// What it points at; `None` where nobody asked, or where that cannot be read.
    pub digest: Option<Digest>,
    /// What its manifest says; `None` where nobody asked, or where it is no BuildKit cache.
    pub cache: Option<Facts>,
}

/// What a plan goes by besides the tags.
#[derive(Clone, Debug)]
pub struct Known {
    /// How the targets that share the repository name their tags.
    pub templates: Vec<Template>,
    /// Branches that are alive: the remote's and the local ones.
    pub branches: BTreeSet<String>,
    /// CI's protected branches; `*` is any run of characters.
    pub protected: Vec<String>,
    /// What was of use within [`Known::after`]; `None` where the history cannot say.
    pub uses: Option<Uses>,
    /// What was made within this time stays.
    pub after: Duration,
    /// Unix milliseconds.
    pub now: i64,
}

/// What a tag is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What CI reads for a branch.
    Branch,
    /// Names content.
    Key,
    /// Where BuildKit exports to.
    Staging,
    /// What BuildKit asks for.
    Inputs,
    /// Not prewarm's, or not certainly.
    Other,
}

/// What becomes of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It would go.
    Goes,
    /// It went.
    Deleted,
    /// It was to go, and is still there, as far as we know.
    Failed,
    /// It is left alone.
    Stays,
}

/// What becomes of a tag, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Its name.
    pub tag: String,
    /// What it is for.
    pub kind: Kind,
    /// What becomes of it.
    #[serde(rename = "decision")]
    pub fate: Fate,
    /// Why, as a clause.
    pub reason: String,
    /// What it points at; `None` where that is not known.
    #[serde(serialize_with = "as_text")]
    pub digest: Option<Digest>,
    /// The sizes of all blobs of the cache, in bytes; other caches may share some.
    pub bytes: Option<u64>,
    /// When its newest layer was made, in Unix milliseconds.
    pub made: Option<i64>,
}

/// What becomes of the tags of one cache repository.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where they are.
    pub repository: Repository,
    /// One for each tag, sorted by name.
    pub decisions: Vec<Decision>,
}

/// One manifest whose tags go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The manifest.
    pub digest: Digest,
    /// The tags that go, sorted.
    pub tags: Vec<String>,
    /// A tag that stays and points at it, too: then the manifest must stay.
    pub survivor: Option<String>,
}

impl Plan {
    /// How many tags have this fate.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        let with = self.decisions.iter().filter(|it| it.fate == fate);
        with.count()
    }

    /// The sizes of the caches that lose their last tag by this fate, in bytes.
    #[must_use]
    pub fn bytes(&self, fate: Fate) -> u64 {
        let others = self.decisions.iter().filter(|it| it.fate != fate);
        let kept: BTreeSet<_> = others.filter_map(|it| it.digest.as_ref()).collect();
        let with = self.decisions.iter().filter(|it| it.fate == fate);
        let lost: BTreeMap<_, _> = with
            .filter_map(|it| Some((it.digest.as_ref()?, it.bytes?)))
            .filter(|(digest, _)| !kept.contains(digest))
            .collect();
        lost.values().copied().fold(0, u64::saturating_add)
    }
}

/// Decides over all tags of a repository. What comes back is sorted by name, whatever the order of the tags.
#[must_use]
pub fn plan(tags: &[Tag], known: &Known) -> Vec<Decision> {
    let living = Living::new(known);
    let mut decisions: Vec<Decision> = tags.iter().map(|tag| decide(tag, known, &living)).collect();
    decisions.sort_by(|one, other| one.tag.cmp(&other.tag));
    let mut survivors: BTreeMap<Digest, String> = BTreeMap::new();
    for decision in decisions.iter().filter(|it| it.fate == Fate::Stays) {
        if let Some(digest) = &decision.digest {
            survivors
                .entry(digest.clone())
                .or_insert_with(|| decision.tag.clone());
        }
    }
    // A name of content is of use as long as the content is; without it nothing would be gained.
    let names_content = |it: &&mut Decision| matches!(it.kind, Kind::Key | Kind::Staging);
    for decision in decisions.iter_mut().filter(names_content) {
        let survivor = decision.digest.as_ref().and_then(|it| survivors.get(it));
        if let Some(survivor) = survivor.filter(|_| decision.fate == Fate::Goes) {
            decision.fate = Fate::Stays;
            decision.reason = format!("names the same cache as {survivor}, which stays");
        }
    }
    decisions
}

/// What is to be asked of the registry: one removal for each manifest whose tags go, sorted by digest.
#[must_use]
pub fn removals(decisions: &[Decision]) -> Vec<Removal> {
    let mut removals: BTreeMap<&Digest, Removal> = BTreeMap::new();
    for decision in decisions.iter().filter(|it| it.fate == Fate::Goes) {
        let Some(digest) = &decision.digest else {
            continue;
        };
        let removal = removals.entry(digest).or_insert_with(|| Removal {
            digest: digest.clone(),
            tags: Vec::new(),
            survivor: None,
        });
        removal.tags.push(decision.tag.clone());
    }
    for decision in decisions.iter().filter(|it| it.fate != Fate::Goes) {
        let removal = decision.digest.as_ref().and_then(|it| removals.get_mut(it));
        if let Some(removal) = removal {
            removal.survivor.get_or_insert_with(|| decision.tag.clone());
        }
    }
    removals.into_values().collect()
}

/// What a tag is for: by the one template that may have made it, or by all of them alike.
#[must_use]
pub fn kind(name: &str, templates: &[Template]) -> Kind {
    let kinds: BTreeSet<Kind> = shapes(name, templates).map(|(_, kind)| kind).collect();
    match kinds.iter().collect::<Vec<_>>().as_slice() {
        [kind] => **kind,
        _ => Kind::Other,
    }
}

fn shapes(name: &str, templates: &[Template]) -> impl Iterator<Item = (Shape, Kind)> {
    let shapes = templates.iter().filter_map(move |it| it.shape(name));
    shapes.map(|shape| {
        let kind = match &shape {
            Shape::Branch(_) => Kind::Branch,
            Shape::Key(_) => Kind::Key,
            Shape::Staging => Kind::Staging,
            Shape::Inputs => Kind::Inputs,
        };
        (shape, kind)
    })
}

/// The branches that are alive, by what they are called in tags.
struct Living<'a> {
    /// The branch of each tag.
    tags: BTreeMap<String, &'a str>,
    slugs: BTreeSet<String>,
}

impl<'a> Living<'a> {
    fn new(known: &'a Known) -> Self {
        let used = known.uses.iter().flat_map(|uses| &uses.branches);
        let branches = known.branches.iter().chain(used);
        let mut tags = BTreeMap::new();
        for branch in branches.clone() {
            let merge = format!("{branch}{MERGE}");
            for template in &known.templates {
                tags.insert(template.branch(branch), branch.as_str());
                tags.insert(template.branch(&merge), branch.as_str());
            }
        }
        let slugs = branches.map(|branch| slug(branch)).collect();
        Self { tags, slugs }
    }
}

fn decide(tag: &Tag, known: &Known, living: &Living<'_>) -> Decision {
    let kind = kind(&tag.name, &known.templates);
    let (fate, reason) = match judge(tag, kind, known, living) {
        Ok(goes) => (Fate::Goes, goes),
        Err(stays) => (Fate::Stays, stays),
    };
    Decision {
        tag: tag.name.clone(),
        kind,
        fate,
        reason,
        digest: tag.digest.clone(),
        bytes: tag.cache.map(|cache| cache.bytes),
        made: tag.cache.and_then(|cache| cache.made),
    }
}

/// Why a tag may go, or else why it stays.
fn judge(tag: &Tag, kind: Kind, known: &Known, living: &Living<'_>) -> Result<String, String> {
    match kind {
        Kind::Other => return Err("is not of a kind that prewarm makes".to_owned()),
        Kind::Inputs => return Err("tells what a recipe needs, and is small".to_owned()),
        Kind::Branch => {
            if let Some(branch) = living.tags.get(&tag.name) {
                let known_here = known.branches.contains(*branch);
                return Err(if known_here {
                    format!("the branch {branch} is there")
                } else {
                    format!(
                        "the branch {branch} was of use here within {}",
                        days(known.after)
                    )
                });
            }
            for (shape, _) in shapes(&tag.name, &known.templates) {
                if let Shape::Branch(slug) = shape {
                    spare(&slug, known, living)?;
                }
            }
        }
        Kind::Key | Kind::Staging => {}
    }
    let (Some(_), Some(cache)) = (&tag.digest, &tag.cache) else {
        return Err("is no BuildKit cache, or cannot be read".to_owned());
    };
    let Some(made) = cache.made else {
        return Err("does not say when it was made".to_owned());
    };
    let age = u64::try_from(known.now.saturating_sub(made)).unwrap_or(0);
    let limit = days(known.after);
    if u128::from(age) <= known.after.as_millis() {
        return Err(format!("was made within {limit}"));
    }
    match kind {
        Kind::Branch => Ok("its branch is gone".to_owned()),
        Kind::Staging => Ok(format!("left over from an export more than {limit} ago")),
        _ => {
            let uses = known.uses.as_ref();
            let uses = uses.ok_or("the history cannot say whether it was of use")?;
            let shapes = shapes(&tag.name, &known.templates);
            let digits: BTreeSet<_> = shapes
                .filter_map(|(shape, _)| match shape {
                    Shape::Key(digits) => Some(digits),
                    _ => None,
                })
                .collect();
            let is_used = |digits: &String| {
                let mut keys = uses.keys.range(digits.clone()..);
                keys.next().is_some_and(|key| key.starts_with(digits))
            };
            if digits.iter().any(is_used) {
                return Err(format!("was of use here within {limit}"));
            }
            Ok(format!("nobody is known to need it for {limit}"))
        }
    }
}

/// Says why a branch's tag stays though no living branch has exactly that name.
fn spare(slug: &str, known: &Known, living: &Living<'_>) -> Result<(), String> {
    let name = slug.strip_suffix(MERGE).unwrap_or(slug);
    let names_living =
        |slug: &str| living.slugs.contains(slug) || protected(slug, &known.protected);
    if is_of_another_template(name) {
        return Err("looks like a key of another `tag`".to_owned());
    }
    if protected(name, &known.protected) {
        return Err(format!("{name} is protected: its tag is CI's"));
    }
    // What is configured elsewhere: a target `test` with the tag `…-test-{branch}`, or one with several platforms.
    let before_platform = ["-linux-", "-windows-"]
        .iter()
        .filter_map(|platform| name.rfind(platform))
        .map(|at| &name[..at]);
    let after_target = name.match_indices('-').map(|(at, _)| &name[at + 1..]);
    match before_platform
        .chain(after_target)
        .find(|it| names_living(it))
    {
        Some(branch) => Err(format!(
            "may be of the branch {branch}, under another target"
        )),
        None => Ok(()),
    }
}

/// Whether it ends as the tags of keys, exports and inputs do (`…-k-<24 hex digits>`): another `tag` may have made it.
fn is_of_another_template(name: &str) -> bool {
    ["k-", "s-", "i-"].iter().any(|kind| {
        let hash = name
            .rfind(kind)
            .map(|at| (&name[..at], &name[at + kind.len()..]));
        hash.is_some_and(|(before, hash)| {
            let starts = before.is_empty() || before.ends_with('-');
            starts
                && hash.len() == crate::publish::CONTENT_DIGITS
                && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    })
}

/// `30 days`, `12 h`, `90 min`.
fn days(duration: Duration) -> String {
    match duration.as_secs() {
        86_400 => "a day".to_owned(),
        seconds if seconds >= 86_400 && seconds % 86_400 == 0 => {
            format!("{} days", seconds / 86_400)
        }
        seconds if seconds >= 3_600 && seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

#[expect(clippy::ref_option, reason = "serde's own signature")]
fn as_text<S: Serializer>(digest: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
    digest.as_ref().map(Digest::as_str).serialize(serializer)
}
