//! The choice: of all that may go, what goes next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::cost::Costs;
use super::graph::{Fate, Node, graph, hold_forgetful, hold_parents};
use super::guard::{Guard, Lookup};
use super::plan::{Deletion, Item, Kept, Plan, Policy};
use super::reason::{self, Reason, Rule};
use super::usage::{Image, RecordId, Snapshot};
use crate::config::PruneImages;

/// Records that were used on the same day are equally old.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What goes first, as tiers: contexts, which are sent again; layers; and after the images cache mounts, which no registry
/// has.
const TIERS: [usize; 3] = [0, 1, 2];

pub(super) fn choose(
    snapshot: &Snapshot,
    policy: &Policy,
    guard: &Guard,
    costs: &Costs,
    now: i64,
) -> Plan {
    let mut planner = Planner::new(snapshot, policy, guard, now);
    let [contexts, layers, mounts] = TIERS;
    planner.records(contexts, costs);
    planner.records(layers, costs);
    planner.images(guard);
    planner.records(mounts, costs);
    planner.finish()
}

struct Planner<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    now: i64,
    nodes: Vec<Node<'a>>,
    images: Vec<(&'a Image, Option<Reason>)>,
    deletions: Vec<Deletion>,
    /// Bytes still to be freed on the disk, and in all caches.
    need_free: u64,
    need_cache: u64,
    /// Bytes of all records that stay.
    left: u128,
}

/// In which of [`TIERS`] a rule's records go.
fn tier(rule: Rule) -> usize {
    let [contexts, layers, mounts] = TIERS;
    match rule {
        Rule::LocalSource | Rule::GitCheckout => contexts,
        Rule::LeastRecentlyUsed => layers,
        Rule::DanglingImage | Rule::UnusedImage | Rule::CacheMount => mounts,
    }
}

impl<'a> Planner<'a> {
    fn new(snapshot: &'a Snapshot, policy: &'a Policy, guard: &Guard, now: i64) -> Self {
        let mut nodes = graph(snapshot);
        let needed = Lookup::new(guard);
        let least_ms = i64::try_from(policy.min_age.as_millis()).unwrap_or(i64::MAX);
        for node in &mut nodes {
            node.fate = match fate(node, policy, &needed, least_ms, now) {
                Ok(rule) => Fate::May(rule),
                Err(reason) => Fate::Stays(reason),
            };
        }
        if !policy.insist {
            hold_forgetful(&mut nodes, &needed);
        }
        hold_parents(&mut nodes);
        let left: u128 = nodes.iter().map(|node| u128::from(node.record.bytes)).sum();
        let goal = policy.goal;
        let (need_free, need_cache) = if goal.everything {
            (u64::MAX, u64::MAX)
        } else {
            let free = snapshot.disk.as_ref().map(|disk| disk.free);
            let need_free = goal.free.zip(free);
            (
                need_free.map_or(0, |(goal, free)| goal.saturating_sub(free)),
                goal.cache.map_or(0, |goal| {
                    u64::try_from(left.saturating_sub(goal.into())).unwrap_or(u64::MAX)
                }),
            )
        };
        Self {
            snapshot,
            policy,
            now,
            nodes,
            images: Vec::new(),
            deletions: Vec::new(),
            need_free,
            need_cache,
            left,
        }
    }

    /// Chooses records of the first tiers, up to `last`.
    fn records(&mut self, last: usize, costs: &Costs) {
        let may = |node: &Node<'_>| match node.fate {
            Fate::May(rule) => tier(rule) <= last && node.children == 0,
            _ => false,
        };
        let mut heap: BinaryHeap<Reverse<Rank<'a>>> = (0..)
            .zip(&self.nodes)
            .filter(|(_, node)| may(node))
            .map(|(index, node)| rank(index, node, costs))
            .collect();
        while let Some(Reverse((.., index))) = heap.pop() {
            if self.need_free == 0 && self.need_cache == 0 {
                break;
            }
            let node = &self.nodes[index];
            if self.need_cache == 0 && !node.cache.on_disk {
                // It would free nothing where something is missing.
                continue;
            }
            if self.left - u128::from(node.record.bytes) < self.policy.floor.into() {
                // Something smaller may go yet.
                self.nodes[index].fate = Fate::Stays(Reason::Floor(self.policy.floor));
                continue;
            }
            self.take(index);
            for parent in self.nodes[index].parents.clone() {
                self.nodes[parent].children -= 1;
                if may(&self.nodes[parent]) {
                    heap.push(rank(parent, &self.nodes[parent], costs));
                }
            }
        }
    }

    fn take(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Fate::May(rule) = node.fate else {
            unreachable!("only what may go is in the heap")
        };
        node.fate = Fate::Goes;
        let bytes = node.record.bytes;
        self.left -= u128::from(bytes);
        if !self.policy.goal.everything {
            self.need_cache = self.need_cache.saturating_sub(bytes);
            if node.cache.on_disk {
                self.need_free = self.need_free.saturating_sub(bytes);
            }
        }
        let item = item(node);
        self.deletions.push(Deletion { item, rule });
    }

    /// Chooses images: those without a name first, then the ones that were touched longest ago.
    fn images(&mut self, guard: &Guard) {
        let least_ms = i64::try_from(self.policy.images_min_age.as_millis()).unwrap_or(i64::MAX);
        let mut images: Vec<&Image> = self.snapshot.images.iter().collect();
        images.sort_by(|a, b| {
            let rank = |image: &Image| (!image.dangling, image.touched.unwrap_or(i64::MAX));
            rank(a)
                .cmp(&rank(b))
                .then_with(|| a.reference.cmp(&b.reference))
        });
        // Only its last name frees an image.
        let mut names: HashMap<&str, usize> = HashMap::new();
        for image in &images {
            *names.entry(&image.id).or_default() += 1;
        }
        for image in images {
            let verdict = image_fate(image, self.policy, guard, least_ms, self.now);
            let reason = match verdict {
                Err(reason) => Some(reason),
                Ok(_) if self.need_free == 0 && self.need_cache > 0 => Some(Reason::Elsewhere),
                Ok(_) if self.need_free == 0 => Some(Reason::Enough),
                Ok(rule) => {
                    let left = names.get_mut(image.id.as_str());
                    let left = left.expect("every name was counted");
                    *left -= 1;
                    let bytes = if *left == 0 { image.bytes } else { 0 };
                    if !self.policy.goal.everything {
                        self.need_free = self.need_free.saturating_sub(bytes);
                    }
                    let item = Item {
                        bytes,
                        ..image_item(image)
                    };
                    self.deletions.push(Deletion { item, rule });
                    None
                }
            };
            self.images.push((image, reason));
        }
    }

    /// Why something stays that might go.
    fn spare(&self, node: &Node<'_>, at_floor: bool) -> Reason {
        if self.need_free == 0 && self.need_cache == 0 {
            Reason::Enough
        } else if !node.cache.on_disk && self.need_cache == 0 {
            Reason::Elsewhere
        } else if at_floor {
            Reason::Floor(self.policy.floor)
        } else {
            Reason::Enough
        }
    }

    fn finish(self) -> Plan {
        let at_floor = |node: &Node<'_>| matches!(node.fate, Fate::Stays(Reason::Floor(_)));
        let at_floor = self.nodes.iter().any(at_floor);
        let of_records = self.nodes.iter().filter_map(|node| {
            let reason = match &node.fate {
                Fate::Goes => return None,
                Fate::May(_) => self.spare(node, at_floor),
                Fate::Stays(reason) => reason.clone(),
            };
            Some(Kept {
                item: item(node),
                reason,
            })
        });
        let of_images = self.images.iter().filter_map(|(image, reason)| {
            Some(Kept {
                item: image_item(image),
                reason: reason.clone()?,
            })
        });
        let mut kept: Vec<Kept> = of_records.chain(of_images).collect();
        kept.sort_by(|a, b| {
            let rank = |kept: &Kept| Reverse(kept.item.bytes);
            rank(a).cmp(&rank(b)).then_with(|| {
                let (one, other) = (&a.item, &b.item);
                (&one.builder, &one.name).cmp(&(&other.builder, &other.name))
            })
        });
        let missing = if self.policy.goal.everything {
            0
        } else {
            self.need_free.max(self.need_cache)
        };
        Plan {
            deletions: self.deletions,
            kept,
            missing,
        }
    }
}

/// What goes first: the day of its last use, bytes for a second of rebuilding, and what makes the order the same always.
type Rank<'a> = (i64, Reverse<u128>, i64, &'a str, &'a str, usize);

fn rank<'a>(index: usize, node: &Node<'a>, costs: &Costs) -> Reverse<Rank<'a>> {
    let (cache, record) = (node.cache, node.record);
    let used = node.used.unwrap_or(i64::MAX);
    let bytes_per_second = u128::from(record.bytes) * 1000 / u128::from(costs.of(record));
    Reverse((
        used.div_euclid(DAY_MS),
        Reverse(bytes_per_second),
        used,
        &cache.builder,
        &record.id,
        index,
    ))
}

fn fate(
    node: &Node<'_>,
    policy: &Policy,
    needed: &Lookup<'_>,
    least_ms: i64,
    now: i64,
) -> Result<Rule, Reason> {
    let record = node.record;
    if record.in_use {
        return Err(Reason::InUse);
    }
    if record.shared {
        return Err(Reason::Shared);
    }
    let rule = reason::of_kind(&record.kind, policy.cache_mounts)?;
    if node.twin || RecordId::parse(&record.id).is_none() {
        return Err(Reason::UnknownId);
    }
    let used = node.used.ok_or(Reason::UnknownAge)?;
    if let Some(reason) = needed.record(record) {
        return Err(reason);
    }
    old_enough(used, least_ms, now)?;
    Ok(rule)
}

fn old_enough(at: i64, least_ms: i64, now: i64) -> Result<(), Reason> {
    let age_ms = now.saturating_sub(at);
    if age_ms < 0 || age_ms < least_ms {
        return Err(Reason::Young { age_ms, least_ms });
    }
    Ok(())
}

fn image_fate(
    image: &Image,
    policy: &Policy,
    guard: &Guard,
    least_ms: i64,
    now: i64,
) -> Result<Rule, Reason> {
    if let Some(container) = &image.container {
        return Err(Reason::Container(container.clone()));
    }
    if let Some(reason) = guard.image(image) {
        return Err(reason);
    }
    let rule = match (policy.images, image.dangling) {
        (PruneImages::Off, _) | (PruneImages::Dangling, false) => return Err(Reason::Images),
        (_, true) => Rule::DanglingImage,
        (PruneImages::Unused, false) => Rule::UnusedImage,
    };
    old_enough(image.touched.ok_or(Reason::UnknownAge)?, least_ms, now)?;
    Ok(rule)
}

fn item(node: &Node<'_>) -> Item {
    Item {
        builder: node.cache.builder.clone(),
        name: node.record.id.clone(),
        description: node.record.description.clone(),
        kind: Some(node.record.kind.clone()),
        bytes: node.record.bytes,
        used: node.used,
    }
}

fn image_item(image: &Image) -> Item {
    Item {
        builder: "images".to_owned(),
        name: image.reference.clone(),
        description: image.id.clone(),
        kind: None,
        bytes: image.bytes,
        used: image.touched,
    }
}
