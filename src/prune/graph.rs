//! What stands on what.

use std::collections::{HashMap, HashSet};

use super::guard::Lookup;
use super::reason::{Reason, Rule};
use super::usage::{Cache, Kind, Record, Snapshot};

/// A record in the graph of what stands on what.
pub(super) struct Node<'a> {
    pub(super) cache: &'a Cache,
    pub(super) record: &'a Record,
    /// Milliseconds, its own or that of what stands on it.
    pub(super) used: Option<i64>,
    pub(super) fate: Fate,
    pub(super) parents: Vec<usize>,
    /// What stands on it and has not been chosen.
    pub(super) children: usize,
    /// Another record has the same id.
    pub(super) twin: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fate {
    May(Rule),
    Stays(Reason),
    Goes,
}

/// What stands on what. Nobody's fate is decided yet.
pub(super) fn graph(snapshot: &Snapshot) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    for cache in &snapshot.caches {
        let first = nodes.len();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut twins: HashSet<&str> = HashSet::new();
        for (index, record) in (first..).zip(&cache.records) {
            if places.insert(&record.id, index).is_some() {
                twins.insert(&record.id);
            }
        }
        nodes.extend(cache.records.iter().map(|record| {
            let mut parents: Vec<usize> = record
                .parents
                .iter()
                .filter_map(|parent| places.get(parent.as_str()).copied())
                .collect();
            parents.sort_unstable();
            parents.dedup();
            Node {
                cache,
                record,
                used: record
                    .used_ns
                    .or(record.created_ns)
                    .map(|used| used / 1_000_000),
                fate: Fate::Goes,
                parents,
                children: 0,
                twin: twins.contains(record.id.as_str()),
            }
        }));
    }
    for index in 0..nodes.len() {
        for parent in nodes[index].parents.clone() {
            nodes[parent].children += 1;
        }
    }
    inherit_use(&mut nodes);
    nodes
}

/// BuildKit does not note that a record was used when what stands on it was.
fn inherit_use(nodes: &mut [Node<'_>]) {
    let mut changed: Vec<usize> = (0..nodes.len()).collect();
    // The newest first, so that nearly every node is visited once.
    changed.sort_by_key(|index| nodes[*index].used);
    while let Some(index) = changed.pop() {
        let used = nodes[index].used;
        for parent in nodes[index].parents.clone() {
            if nodes[parent].used.is_some() && nodes[parent].used < used {
                nodes[parent].used = used;
                changed.push(parent);
            }
        }
    }
}

/// What something stands on that stays, stays: said of it, so that nobody wonders.
pub(super) fn hold_parents(nodes: &mut [Node<'_>]) {
    let stays = |node: &Node<'_>| matches!(node.fate, Fate::Stays(_));
    let mut held: Vec<usize> = (0..nodes.len())
        .filter(|index| stays(&nodes[*index]))
        .collect();
    while let Some(index) = held.pop() {
        let because = match &nodes[index].fate {
            // Who needs it needs what it stands on.
            Fate::Stays(reason @ (Reason::Needed(_) | Reason::Keep(_))) => reason.clone(),
            _ => Reason::Child(nodes[index].record.id.clone()),
        };
        for parent in nodes[index].parents.clone() {
            if !stays(&nodes[parent]) {
                nodes[parent].fate = Fate::Stays(because.clone());
                held.push(parent);
            }
        }
    }
}

/// Holds everything in a cache whose BuildKit would forget more than we delete.
///
/// A base image that `docker pull` has put into containerd's image store is a record of which BuildKit has not made the
/// files its own: nothing says where it is from. After any deletion BuildKit lets go of all results that stand on such a
/// record (see moby/buildkit issue 3109), though their files stay: the next build of them is cold. Seen with Engine 26.1.5.
pub(super) fn hold_forgetful(nodes: &mut [Node<'_>], needed: &Lookup<'_>) {
    let mut forgetful: HashSet<*const Cache> = HashSet::new();
    let mut seen = vec![false; nodes.len()];
    let mut below: Vec<usize> = (0..nodes.len())
        .filter(|index| needed.record(nodes[*index].record).is_some())
        .collect();
    while let Some(index) = below.pop() {
        if std::mem::replace(&mut seen[index], true) {
            continue;
        }
        let node = &nodes[index];
        if node.record.parents.is_empty()
            && node.record.kind == Kind::Regular
            && node.record.description.is_empty()
        {
            forgetful.insert(std::ptr::from_ref(node.cache));
        }
        below.extend(&node.parents);
    }
    for node in nodes {
        if forgetful.contains(&std::ptr::from_ref(node.cache)) && matches!(node.fate, Fate::May(_))
        {
            node.fate = Fate::Stays(Reason::Forgetful);
        }
    }
}
