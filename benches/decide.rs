//! The parts of "already warm" that this machine decides by itself, in a repository of 100,000 files.
//!
//! `cargo bench --bench decide`; docs/BENCHMARKS.md has the numbers, and `scripts/bench` measures the whole command.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::Criterion;
use prewarm::config::{CiContext, Compression};
use prewarm::plan::key::Key;
use prewarm::plan::recipe::Recipe;
use prewarm::record::{Finished, NewWarm, Outcome, Records};
use prewarm::snapshot::{Checkout, Filter, Repository, Snapshot, Source, Tree};
use sha2::{Digest, Sha256};

const FILES: usize = 100_000;
const WARMS: usize = 1_000;
/// What a grown `.dockerignore` looks like.
const IGNORED: &str = ".git .github .venv docs *.log **/*.md !README.md **/*.pyc **/__pycache__ **/.cache \
    **/node_modules **/target/debug build/* dist/** tests/**/fixtures src/*/snapshots **/.DS_Store **/*.sw? \
    !src/p007/** src/p1[0-9][0-9]/m9";

fn main() {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    make_repository(place.path());
    let repository = Repository::discover(place.path()).expect("it was just made");
    let snapshot = head(&repository);
    let tree = snapshot.context(".").expect("there is a root");
    let records = make_history(&place.path().join("state/prewarm.db"));

    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut measure = |name: &str, work: &mut dyn FnMut()| {
        criterion.bench_function(name, |bencher| bencher.iter(&mut *work));
    };
    measure("snapshot of HEAD", &mut || {
        black_box(head(&repository));
    });
    for (name, follow, exclude) in [
        ("key, two paths by name", "requirements*.txt src/p007", ""),
        ("key, 3 ignored patterns", "", ".git **/*.md **/.cache"),
        ("key, 20 ignored patterns", "", IGNORED),
    ] {
        let filter = filter(follow, exclude);
        measure(name, &mut || {
            black_box(key(&tree, &filter));
        });
    }
    measure("walk of all files", &mut || {
        assert!(black_box(walk(&tree)) > FILES);
    });
    let recipe = recipe();
    measure("recipe of a Dockerfile of 16 kB", &mut || {
        black_box(recipe.hash());
    });
    let last = hash(WARMS - 1);
    measure("answer of the history", &mut || {
        let answer = records
            .inputs(&last)
            .and_then(|_| records.warm_key(Some("cache"), &last))
            .and_then(|_| records.last("/home/me/project", "builder", "linux/amd64"));
        assert!(matches!(black_box(answer), Ok(Some(_))));
    });
    criterion.final_summary();
}

fn head(repository: &Repository) -> Snapshot {
    let source = Source::Revision("HEAD".to_owned());
    repository
        .snapshot(&source, 0o022, Checkout::default())
        .expect("HEAD is there")
}

fn filter(follow: &str, exclude: &str) -> Filter {
    let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect();
    Filter {
        follow: words(follow),
        include: Vec::new(),
        exclude: words(exclude),
    }
}

/// As `warm` computes it.
fn key(tree: &Tree, filter: &Filter) -> Key {
    let mut digest = Sha256::new();
    tree.digest(filter, &mut |bytes| digest.update(bytes))
        .expect("every object is there");
    let files = [digest.finalize().into()];
    Key::new("recipe", &files, &BTreeMap::new(), Compression::Zstd)
}

fn walk(tree: &Tree) -> usize {
    let mut count = 0;
    let mut visit = |_| {
        count += 1;
        ControlFlow::Continue(())
    };
    tree.walk(&Filter::default(), &mut visit)
        .expect("every object is there");
    count
}

fn recipe() -> Recipe {
    Recipe {
        dockerfile: b"RUN pip install -r requirements.txt\n".repeat(455),
        ignore_file: Some(IGNORED.as_bytes().to_vec()),
        context: ".".to_owned(),
        ci_context: CiContext::Path,
        umask: 0o022,
        stage: Some("builder".to_owned()),
        platform: "linux/amd64".to_owned(),
        build_platform: "linux/amd64".to_owned(),
        args: BTreeMap::from([("VERSION".to_owned(), "1.0".to_owned())]),
        buildkit: "v0.25.1".to_owned(),
    }
}

/// As in `scripts/bench`: 2,000 directories, in one pack as after a clone.
fn make_repository(path: &Path) {
    let mut commit =
        "commit refs/heads/main\ncommitter Bench <bench@example.com> 1700000000 +0000\n\
                      data 5\nfiles\nM 100644 inline requirements.txt\ndata 4\na==1\n"
            .to_owned();
    for number in 0..FILES {
        let (package, module) = (number / 500, number / 50 % 10);
        let path = format!("src/p{package:03}/m{module}/f{number}.py");
        writeln!(commit, "M 100644 inline {path}\ndata 6\n{number:06}")
            .expect("a string takes everything");
    }
    git(path, &["init", "--quiet", "--initial-branch=main"], "");
    git(path, &["fast-import", "--quiet"], &commit);
    git(path, &["repack", "-a", "-d", "--quiet"], "");
}

fn git(path: &Path, arguments: &[&str], input: &str) {
    let mut child = Command::new("git")
        .args(arguments)
        .current_dir(path)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .spawn()
        .expect("git can be run");
    let stdin = child.stdin.take();
    let written = stdin.expect("it is a pipe").write_all(input.as_bytes());
    written.expect("git reads it");
    assert!(child.wait().is_ok_and(|status| status.success()));
}

fn hash(number: usize) -> String {
    format!("{number:064x}")
}

/// A history of so many warms of one target.
fn make_history(path: &Path) -> Records {
    let (records, _) = Records::open(path, 0).expect("the directory is writable");
    for number in 0..WARMS {
        let warm = NewWarm {
            repository: "/home/me/project".to_owned(),
            target: "builder".to_owned(),
            platform: "linux/amd64".to_owned(),
            commit: Some("0".repeat(40)),
            tree: "0".repeat(40),
            source: "HEAD".to_owned(),
            key: Some(hash(number)),
            recipe: hash(number),
            cache: Some("cache".to_owned()),
            branch: Some("main".to_owned()),
            builder: "engine".to_owned(),
            buildkit: "v0.25.1".to_owned(),
            started_at: 0,
        };
        let finished = Finished {
            key: None,
            outcome: Outcome::Warm,
            steps: Vec::new(),
            exported_bytes: 1,
            cache_digest: Some(format!("sha256:{}", hash(number))),
            references: vec![format!("cache:{number}")],
            error: None,
            finished_at: 1,
            inputs: Some("{}".to_owned()),
        };
        let written = records
            .begin(&warm)
            .and_then(|id| records.finish(id, &finished))
            .and_then(|()| records.store_inputs(&hash(number), "{}", 0));
        written.expect("the directory is writable");
    }
    records
}
