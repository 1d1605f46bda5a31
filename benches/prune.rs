//! The decision what goes and what stays, over caches of 10,000 records.
//!
//! `cargo bench --bench prune`; docs/BENCHMARKS.md has the numbers, and `scripts/bench` measures the whole command.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use fastrand::Rng;
use prewarm::config::PruneImages;
use prewarm::prune::cost::Costs;
use prewarm::prune::guard::{Guard, Need};
use prewarm::prune::plan::{Goal, Plan, Policy, plan};
use prewarm::prune::usage::{Cache, Disk, Kind, Record, Snapshot};

const RECORDS: usize = 10_000;
const PROJECTS: usize = 25;
const BRANCHES: usize = 20;
/// What a decision may take.
const TARGET: Duration = Duration::from_millis(50);
/// Runs of which the quickest is held against it: others may use the machine, too.
const RUNS: usize = 21;

const DAY_MS: i64 = 24 * 3600 * 1000;
const NOW_MS: i64 = 1_800_000_000_000;
const GB: u64 = 1_000_000_000;

fn main() {
    let mut rng = Rng::with_seed(1);
    let chains = chains(&mut rng);
    let guard = guard(&mut rng, &chains);
    let costs = costs();
    let mut records: Vec<Record> = chains.into_iter().flatten().collect();
    // BuildKit lists them in no order.
    rng.shuffle(&mut records);
    let bytes: u64 = records.iter().map(|record| record.bytes).sum();
    let snapshot = Snapshot {
        caches: vec![Cache {
            builder: "engine".to_owned(),
            on_disk: true,
            records,
        }],
        images: Vec::new(),
        disk: Some(Disk {
            path: "/var/lib/docker".to_owned(),
            total: 4 * bytes,
            free: bytes,
        }),
    };

    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for (name, goal) in [
        ("nothing is to go", Goal::default()),
        (
            "half of the caches is to go",
            Goal {
                cache: Some(bytes / 2),
                ..Goal::default()
            },
        ),
        (
            "whatever may is to go",
            Goal {
                everything: true,
                ..Goal::default()
            },
        ),
    ] {
        let policy = policy(goal);
        let decide = || plan(&snapshot, &policy, &guard, &costs, NOW_MS);
        check(name, &decide());
        // Criterion only reports.
        let took = quickest(&decide);
        assert!(took <= TARGET, "{name}: {took:?} is more than {TARGET:?}");
        criterion.bench_function(name, |bencher| bencher.iter(|| black_box(decide())));
    }
    criterion.final_summary();
}

/// Chains of ten to forty records, each a build of one version of a project's stage: its first steps are those of the last
/// version.
fn chains(rng: &mut Rng) -> Vec<Vec<Record>> {
    let mut chains: Vec<Vec<Record>> = Vec::new();
    let mut bases: Vec<Vec<String>> = vec![Vec::new(); PROJECTS];
    let mut count = 0;
    while count < RECORDS {
        let project = rng.usize(..PROJECTS);
        let length = rng.usize(10..=40).min(RECORDS - count);
        let base = &bases[project];
        let mut parent = (!base.is_empty()).then(|| base[rng.usize(..base.len())].clone());
        let age = rng.i64(0..60 * DAY_MS);
        let chain: Vec<Record> = (0..length)
            .map(|step| {
                let record = record(rng, project, step, age, parent.take());
                parent = Some(record.id.clone());
                record
            })
            .collect();
        bases[project] = chain.iter().map(|record| record.id.clone()).collect();
        count += length;
        chains.push(chain);
    }
    chains
}

fn record(rng: &mut Rng, project: usize, step: usize, age: i64, parent: Option<String>) -> Record {
    let id = std::iter::repeat_with(|| char::from(rng.u8(b'a'..=b'z')));
    let id = id.take(25).collect();
    let used = (NOW_MS - age) * 1_000_000 + rng.i64(0..1_000_000_000);
    let kind = match rng.u8(..20) {
        0 => Kind::LocalSource,
        1 => Kind::CacheMount,
        _ => Kind::Regular,
    };
    Record {
        id,
        kind,
        description: format!("mount / from exec /bin/sh -c {}", command(project, step)),
        bytes: rng.u64(..GB / 10),
        created_ns: Some(used - 1_000_000_000),
        used_ns: Some(used),
        uses: rng.u64(1..50),
        in_use: rng.u8(..100) == 0,
        shared: rng.u8(..20) == 0,
        parents: parent.into_iter().collect(),
    }
}

fn command(project: usize, step: usize) -> String {
    format!(
        "install --project={project} --step={step} --with=everything --that=it --needs=and-more"
    )
}

/// Each branch needs one chain; some patterns, some pins; and the newest warm of one branch is of an unknown key.
fn guard(rng: &mut Rng, chains: &[Vec<Record>]) -> Guard {
    let mut needs: Vec<Need> = (0..BRANCHES)
        .map(|branch| Need {
            who: format!("project/builder of branch-{branch}, warmed 3 h ago"),
            created: made(&chains[rng.usize(..chains.len())]),
            ..Need::default()
        })
        .collect();
    let at = NOW_MS - 20 * DAY_MS;
    needs.push(Need {
        who: "project/builder of another, warmed 20 days ago".to_owned(),
        ran: Some(at..=at + 60_000),
        ..Need::default()
    });
    Guard {
        needs,
        records: chains
            .iter()
            .take(5)
            .map(|chain| chain[0].id.clone())
            .collect(),
        images: Vec::new(),
        keep: ["*--project=7 --step=9 *", "*pip install*", "*apt-get*"]
            .map(str::to_owned)
            .to_vec(),
        lost: None,
    }
}

fn made(chain: &[Record]) -> BTreeSet<i64> {
    chain
        .iter()
        .filter_map(|record| record.created_ns)
        .collect()
}

fn costs() -> Costs {
    let names: Vec<String> = (0..PROJECTS)
        .flat_map(|project| (0..40).map(move |step| command(project, step)))
        .map(|command| format!("[builder 2/40] RUN {command}"))
        .collect();
    Costs::new(
        (1..)
            .zip(&names)
            .map(|(cost, name)| (name.as_str(), cost * 10)),
    )
}

fn policy(goal: Goal) -> Policy {
    Policy {
        goal,
        floor: 10 * GB,
        min_age: Duration::from_secs(24 * 3600),
        images_min_age: Duration::from_secs(7 * 24 * 3600),
        images: PruneImages::Off,
        cache_mounts: false,
        insist: false,
    }
}

/// That it is a decision of the size that its name says.
fn check(name: &str, plan: &Plan) {
    let (goes, stays) = (plan.deletions.len(), plan.kept.len());
    assert_eq!(goes + stays, RECORDS);
    assert_eq!(goes == 0, name == "nothing is to go", "{goes} go");
}

fn quickest(decide: &dyn Fn() -> Plan) -> Duration {
    let run = |_| {
        let began = Instant::now();
        black_box(decide());
        began.elapsed()
    };
    (0..RUNS).map(run).min().expect("there is a run")
}
