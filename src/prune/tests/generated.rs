//! Properties of plans, on snapshots that no table would think of.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::prune::plan::Deletion;

/// Snapshots that are tried.
const CASES: u32 = 100_000;

/// Everything that a plan is made from.
struct Case {
    snapshot: Snapshot,
    policy: Policy,
    guard: Guard,
    costs: Costs,
}

impl Case {
    fn generate(rng: &mut Rng) -> Self {
        let caches = (0..rng.usize(1..=2))
            .map(|number| Cache {
                builder: format!("builder {number}"),
                on_disk: rng.u8(..5) > 0,
                records: records(rng, number),
            })
            .collect();
        let disk = Disk {
            path: "/".to_owned(),
            total: 1_000,
            free: rng.u64(0..300),
        };
        let snapshot = Snapshot {
            caches,
            images: images(rng),
            disk: (rng.u8(..6) > 0).then_some(disk),
        };
        let guard = guard(rng, &snapshot);
        Self {
            policy: self::policy(rng),
            costs: Costs::new([("[builder 1/1] RUN a", 40_000), ("[builder 1/1] RUN b", 20)]),
            snapshot,
            guard,
        }
    }

    fn plan(&self) -> Plan {
        plan(&self.snapshot, &self.policy, &self.guard, &self.costs, NOW)
    }

    fn records(&self) -> impl Iterator<Item = (&Cache, &Record)> {
        let caches = self.snapshot.caches.iter();
        caches.flat_map(|cache| cache.records.iter().map(move |record| (cache, record)))
    }
}

fn records(rng: &mut Rng, cache: usize) -> Vec<Record> {
    let count = rng.usize(..14);
    let mut records: Vec<Record> = Vec::new();
    for number in 0..count {
        let mut parents = Vec::new();
        if number > 0 && rng.u8(..4) > 0 {
            for _ in 0..rng.usize(1..=2) {
                parents.push(records[rng.usize(..number)].id.clone());
            }
        }
        let kind = match rng.u8(..20) {
            0 => Kind::Internal,
            1 => Kind::Frontend,
            2 => Kind::Unknown("new".to_owned()),
            3 | 4 => Kind::CacheMount,
            5 | 6 => Kind::LocalSource,
            7 => Kind::GitCheckout,
            _ => Kind::Regular,
        };
        let age = rng.i64(-DAY..40 * DAY);
        let used = (NOW - age) * 1_000_000 + rng.i64(0..1_000_000);
        let id = match rng.u8(..40) {
            0 => format!("{number}.*"),
            _ => id(&format!(
                "{}{cache}",
                (b'a' + u8::try_from(number).unwrap_or(0)) as char
            )),
        };
        records.push(Record {
            id,
            kind,
            description: format!("[builder 1/1] RUN {}", ["a", "b", "c"][rng.usize(..3)]),
            bytes: rng.u64(..100),
            created_ns: (rng.u8(..20) > 0).then_some(used - rng.i64(0..DAY)),
            used_ns: (rng.u8(..20) > 0).then_some(used),
            uses: 1,
            in_use: rng.u8(..12) == 0,
            shared: rng.u8(..12) == 0,
            parents,
        });
    }
    rng.shuffle(&mut records);
    records
}

fn images(rng: &mut Rng) -> Vec<Image> {
    let image = |rng: &mut Rng, number: usize| Image {
        reference: format!("image:{number}"),
        id: format!("sha256:{number}"),
        dangling: rng.bool(),
        bytes: rng.u64(..100),
        touched: (rng.u8(..10) > 0).then(|| NOW - rng.i64(-DAY..40 * DAY)),
        container: (rng.u8(..5) == 0).then(|| "web".to_owned()),
    };
    (0..rng.usize(..4))
        .map(|number| image(rng, number))
        .collect()
}

fn guard(rng: &mut Rng, snapshot: &Snapshot) -> Guard {
    let some: Vec<&Record> = snapshot
        .caches
        .iter()
        .flat_map(|cache| &cache.records)
        .filter(|_| rng.u8(..8) == 0)
        .collect();
    let at = NOW - rng.i64(0..40 * DAY);
    Guard {
        needs: vec![
            Need {
                who: "a branch".to_owned(),
                created: some.iter().filter_map(|record| record.created_ns).collect(),
                ..Need::default()
            },
            Need {
                who: "another".to_owned(),
                ran: rng.bool().then_some(at..=at + HOUR),
                ..Need::default()
            },
        ],
        records: some
            .iter()
            .take(1)
            .map(|record| record.id.clone())
            .collect(),
        images: vec![("image:1".to_owned(), "a pin".to_owned())],
        keep: vec!["image:2".to_owned()],
        lost: (rng.u8(..8) == 0).then_some(at..=at + 5 * DAY),
    }
}

fn policy(rng: &mut Rng) -> Policy {
    Policy {
        goal: Goal {
            free: rng.bool().then(|| rng.u64(..800)),
            cache: rng.bool().then(|| rng.u64(..800)),
            everything: rng.u8(..6) == 0,
        },
        floor: if rng.bool() { rng.u64(0..300) } else { 0 },
        min_age: Duration::from_millis(rng.u64(0..30 * 24) * 3_600_000),
        images_min_age: Duration::from_millis(rng.u64(0..30 * 24) * 3_600_000),
        images: [PruneImages::Off, PruneImages::Dangling, PruneImages::Unused][rng.usize(..3)],
        cache_mounts: rng.bool(),
        insist: rng.bool(),
    }
}

fn of_records(plan: &Plan) -> impl Iterator<Item = &Deletion> {
    plan.deletions.iter().filter(|one| one.item.kind.is_some())
}

fn names(plan: &Plan) -> BTreeSet<(String, String)> {
    let deletions = plan.deletions.iter();
    deletions
        .map(|one| (one.item.builder.clone(), one.item.name.clone()))
        .collect()
}

/// Nothing that is protected, in use, shared, unknown or too young.
fn never_what_must_stay(case: &Case, plan: &Plan) {
    let names = names(plan);
    let least = i64::try_from(case.policy.min_age.as_millis()).unwrap_or(i64::MAX);
    for (cache, record) in case.records() {
        if !names.contains(&(cache.builder.clone(), record.id.clone())) {
            continue;
        }
        assert!(!record.in_use && !record.shared, "{record:?}");
        assert_eq!(record.id.len(), 25, "{record:?}");
        assert_eq!(case.guard.record(record), None, "{record:?}");
        let known = match &record.kind {
            Kind::Regular | Kind::LocalSource | Kind::GitCheckout => true,
            Kind::CacheMount => case.policy.cache_mounts,
            Kind::Internal | Kind::Frontend | Kind::Unknown(_) => false,
        };
        assert!(known, "{record:?}");
        let used = record.used_ns.or(record.created_ns).expect("it has a time");
        let age = NOW - used / 1_000_000;
        assert!(age >= 0 && age >= least, "{record:?}");
    }
    for image in &case.snapshot.images {
        if names.contains(&("images".to_owned(), image.reference.clone())) {
            assert!(image.container.is_none() && case.guard.image(image).is_none());
            assert!(image.touched.is_some() && case.policy.images != PruneImages::Off);
            assert!(image.dangling || case.policy.images == PruneImages::Unused);
        }
    }
}

/// What goes has nothing left standing on it when its turn comes.
fn closed_under_children(case: &Case, plan: &Plan) {
    let mut place = BTreeMap::new();
    for (at, one) in plan.deletions.iter().enumerate() {
        place.insert((one.item.builder.as_str(), one.item.name.as_str()), at);
    }
    for (cache, record) in case.records() {
        for parent in &record.parents {
            if let Some(parent) = place.get(&(cache.builder.as_str(), parent.as_str())) {
                let child = place.get(&(cache.builder.as_str(), record.id.as_str()));
                assert!(child.is_some_and(|child| child < parent), "{record:?}");
            }
        }
    }
}

/// What needs protection protects what it stands on: nothing below something that stays goes.
fn everything_is_decided_once(case: &Case, plan: &Plan) {
    let there = case.records().count() + case.snapshot.images.len();
    assert_eq!(plan.deletions.len() + plan.kept.len(), there);
}

/// No more than the goal asks for: without its last record it would not be met.
fn no_more_than_needed(case: &Case, plan: &Plan) {
    let goal = case.policy.goal;
    let Some(last) = of_records(plan).last().filter(|_| !goal.everything) else {
        return;
    };
    let bytes = |on_disk_only: bool| -> u64 {
        let counted = plan.deletions.iter().filter(|one| {
            let cache = case
                .snapshot
                .caches
                .iter()
                .find(|cache| cache.builder == one.item.builder);
            *one != last
                && match cache {
                    Some(cache) => cache.on_disk || !on_disk_only,
                    // Images went before cache mounts.
                    None => on_disk_only && last.item.kind == Some(Kind::CacheMount),
                }
        });
        counted.map(|one| one.item.bytes).sum()
    };
    let total: u64 = case.records().map(|(_, record)| record.bytes).sum();
    let disk = case.snapshot.disk.as_ref();
    let free_missing = goal
        .free
        .zip(disk)
        .is_some_and(|(goal, disk)| disk.free + bytes(true) < goal);
    let cache_missing = goal.cache.is_some_and(|goal| total - bytes(false) > goal);
    assert!(free_missing || cache_missing, "{last:?} was not needed");
}

/// The floor is left, unless there was less to begin with.
fn the_floor_stays(case: &Case, plan: &Plan) {
    let total: u64 = case.records().map(|(_, record)| record.bytes).sum();
    let gone: u64 = of_records(plan).map(|one| one.item.bytes).sum();
    assert!(of_records(plan).next().is_none() || total - gone >= case.policy.floor);
}

/// Whatever order things are listed in.
fn independent_of_order(case: &Case, plan: &Plan, rng: &mut Rng) {
    let mut other = Case {
        snapshot: case.snapshot.clone(),
        policy: case.policy.clone(),
        guard: case.guard.clone(),
        costs: case.costs.clone(),
    };
    rng.shuffle(&mut other.snapshot.caches);
    rng.shuffle(&mut other.snapshot.images);
    for cache in &mut other.snapshot.caches {
        rng.shuffle(&mut cache.records);
        for record in &mut cache.records {
            rng.shuffle(&mut record.parents);
        }
    }
    assert_eq!(other.plan().deletions, plan.deletions);
}

/// Once it is done there is nothing more to do.
fn idempotent(case: &Case, plan: &Plan) {
    let names = names(plan);
    let mut after = case.snapshot.clone();
    let mut freed = 0;
    for cache in &mut after.caches {
        let on_disk = cache.on_disk;
        let builder = cache.builder.clone();
        cache.records.retain(|record| {
            let goes = names.contains(&(builder.clone(), record.id.clone()));
            if goes && on_disk {
                freed += record.bytes;
            }
            !goes
        });
    }
    after.images.retain(|image| {
        let goes = names.contains(&("images".to_owned(), image.reference.clone()));
        freed += if goes { image.bytes } else { 0 };
        !goes
    });
    if let Some(disk) = &mut after.disk {
        disk.free += freed;
    }
    let again = super::plan(&after, &case.policy, &case.guard, &case.costs, NOW);
    assert_eq!(again.deletions, [], "after {:?}", plan.deletions);
}

/// Whoever needs more free space deletes the same and more. (A cap on several disks can use up the floor elsewhere.)
fn more_contains_less(case: &Case, plan: &Plan) {
    let one_disk = case.snapshot.caches.iter().all(|cache| cache.on_disk);
    if !one_disk || case.policy.goal.cache.is_some() {
        return;
    }
    let mut more = case.policy.clone();
    more.goal.free = more.goal.free.map(|free| free + 50);
    let more = super::plan(&case.snapshot, &more, &case.guard, &case.costs, NOW);
    assert!(names(&more).is_superset(&names(plan)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_keep_their_promises(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let case = Case::generate(&mut rng);
        let plan = case.plan();
        never_what_must_stay(&case, &plan);
        closed_under_children(&case, &plan);
        everything_is_decided_once(&case, &plan);
        no_more_than_needed(&case, &plan);
        the_floor_stays(&case, &plan);
        independent_of_order(&case, &plan, &mut rng);
        idempotent(&case, &plan);
        more_contains_less(&case, &plan);
    }
}
