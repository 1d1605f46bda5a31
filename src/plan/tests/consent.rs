//! What counts as the same execution, and whose runs.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::execution::{Execution, Ingredients};
use super::super::warrant::{Evidence, Ground, Warrant, decide};
use crate::config::{Ci, CiBuildkit, Compression, Secret, SecretSource, Target};
use crate::snapshot::ObjectId;

fn execution(dockerfile: &str, context: u8, asked: Option<u8>) -> Execution {
    let files = asked.map(|asked| [[asked; 32]]);
    Execution::new(&Ingredients {
        ci: &Ci::default(),
        target: &Target::new("builder", "."),
        platform: None,
        dockerfile: dockerfile.as_bytes(),
        ignore_file: None,
        context: &[context; 32],
        asked: files.as_ref().map(<[_; 1]>::as_slice),
    })
}

#[test]
fn only_what_is_asked_for_counts_where_that_is_known() {
    assert!(execution("a", 1, Some(5)).is(&execution("a", 2, Some(5))));
    assert!(execution("a", 1, None).is(&execution("a", 1, Some(5))));
    for other in [
        execution("a", 2, None),
        execution("a", 5, None),
        execution("a", 2, Some(6)),
        execution("b", 1, Some(5)),
    ] {
        assert!(!execution("a", 1, Some(5)).is(&other), "{other:?}");
    }
}

/// Something that is done to a configuration.
type Change = fn(&mut Ci, &mut Target);

#[test]
fn every_setting_counts() {
    let changes: [(&str, Change); 18] = [
        ("what CI checks out", |ci, _| ci.umask = 0),
        ("what CI checks out", |ci, _| ci.lfs = true),
        ("what CI checks out", |ci, _| ci.submodules = true),
        ("what CI checks out", |ci, _| ci.pull_requests = false),
        ("what CI checks out", |ci, _| {
            ci.context = crate::config::CiContext::Path;
        }),
        ("CI's BuildKit", |ci, _| ci.buildkit = CiBuildkit::Engine),
        ("the protected branches", |ci, _| ci.protected.clear()),
        ("the protected branches", |ci, _| {
            ci.default_branch.push('x');
        }),
        ("the target's name", |_, target| target.name.push('x')),
        ("the Dockerfile's path", |_, target| {
            target.dockerfile.push('x');
        }),
        ("the context directory", |_, target| {
            target.context.push('x');
        }),
        ("the stage", |_, target| target.stage = None),
        ("the platforms", |_, target| {
            target.platforms.push("x".into());
        }),
        ("where the cache goes", |_, target| {
            target.cache = Some("x".into());
        }),
        ("where the cache goes", |_, target| target.tag.push('x')),
        ("the build arguments", |_, target| {
            target.args.insert("A".into(), "b".into());
        }),
        ("the secrets", |_, target| {
            target.secrets.push(Secret {
                id: "x".into(),
                source: SecretSource::Env("X".into()),
            });
        }),
        ("the compression", |_, target| {
            target.compression = Compression::Gzip;
        }),
    ];
    let with = |change: Change| {
        let (mut ci, mut target) = (Ci::default(), Target::new("builder", "."));
        change(&mut ci, &mut target);
        Execution::new(&Ingredients {
            ci: &ci,
            target: &target,
            platform: None,
            dockerfile: b"FROM a",
            ignore_file: None,
            context: &[0; 32],
            asked: Some(&[]),
        })
    };
    let plain = with(|_, _| ());
    for (name, change) in changes {
        let other = with(change);
        assert!(!plain.is(&other), "{name}");
        assert_eq!(plain.differences(&other), [name]);
    }
}

/// Commits by number, each with what it executes.
#[derive(Clone, Debug)]
struct World {
    approved: BTreeSet<String>,
    foreign: BTreeSet<ObjectId>,
    trusted: Vec<ObjectId>,
    executions: BTreeMap<ObjectId, Execution>,
    /// What the state's recipe takes from commits, where that is not the same for all.
    inputs: BTreeMap<ObjectId, Option<u8>>,
}

impl Evidence for World {
    fn approves(&self, digest: &str) -> bool {
        self.approved.contains(digest)
    }

    fn foreign(&mut self) -> BTreeSet<ObjectId> {
        self.foreign.clone()
    }

    fn trusted(&mut self, _foreign: &BTreeSet<ObjectId>) -> Vec<ObjectId> {
        self.trusted.clone()
    }

    fn execution(&mut self, commit: ObjectId) -> Option<Execution> {
        self.executions.get(&commit).cloned()
    }

    fn inputs(&mut self, commit: ObjectId) -> Option<[u8; 32]> {
        let inputs = self.inputs.get(&commit).copied();
        inputs.unwrap_or(Some(0)).map(|number| [number; 32])
    }
}

fn commit(number: u8) -> ObjectId {
    ObjectId::from_bytes([number; 20])
}

fn known(recipe: u8) -> Execution {
    execution(&format!("recipe {recipe}"), recipe, None)
}

#[test]
fn what_nobody_approved_needs_approval() {
    let mut world = World {
        approved: BTreeSet::new(),
        foreign: BTreeSet::from([commit(1)]),
        trusted: vec![commit(0)],
        executions: BTreeMap::from([(commit(0), known(0)), (commit(1), known(1))]),
        inputs: BTreeMap::new(),
    };
    let refused = Warrant::NeedsApproval {
        foreign: BTreeSet::from([commit(1)]),
    };
    assert_eq!(decide(&known(1), &mut world), refused);
    assert_eq!(decide(&known(2), &mut world), refused);
    assert_eq!(
        decide(&known(0), &mut world),
        Warrant::Granted(Ground::Upstream)
    );

    // A foreign commit that changes nothing that is executed: the rest is own work.
    world.executions.insert(commit(1), known(0));
    assert_eq!(
        decide(&known(2), &mut world),
        Warrant::Granted(Ground::OwnWork)
    );
    // Unless the user's own recipe takes more from it than its own does.
    for brought in [Some(1), None] {
        world.inputs.insert(commit(1), brought);
        assert_eq!(decide(&known(2), &mut world), refused);
        assert_eq!(
            decide(&known(0), &mut world),
            Warrant::Granted(Ground::Upstream)
        );
    }
    world.inputs.insert(commit(0), None);
    assert_eq!(decide(&known(2), &mut world), refused, "unknown everywhere");
    world.inputs.clear();
    // One that cannot be built at all may have brought anything.
    world.executions.remove(&commit(1));
    assert_eq!(decide(&known(2), &mut world), refused);
    world.foreign.clear();
    assert_eq!(
        decide(&known(2), &mut world),
        Warrant::Granted(Ground::OwnWork)
    );
}

proptest! {
    /// Whatever is granted is approved, own, or executed by something trusted; more approvals never refuse more.
    #[test]
    fn a_warrant_has_a_ground(
        subject in 0_u8..4,
        approved in proptest::collection::btree_set(0_u8..4, 0..3),
        foreign in proptest::collection::btree_set(10_u8..14, 0..3),
        trusted in proptest::collection::btree_set(20_u8..23, 0..3),
        recipes in proptest::collection::btree_map(10_u8..24, 0_u8..4, 0..10),
    ) {
        let mut world = World {
            approved: approved.iter().flat_map(|recipe| known(*recipe).digests().to_vec()).collect(),
            foreign: foreign.iter().copied().map(commit).collect(),
            trusted: trusted.iter().copied().map(commit).collect(),
            executions: recipes.iter().map(|(number, recipe)| (commit(*number), known(*recipe))).collect(),
            inputs: BTreeMap::new(),
        };
        let harmless = |recipe: &u8| {
            approved.contains(recipe) || trusted.iter().any(|number| recipes.get(number) == Some(recipe))
        };
        let expected = harmless(&subject)
            || foreign.is_empty()
            // What the subject's recipe takes has to be as in something trusted.
            || !trusted.is_empty()
                && foreign.iter().all(|number| recipes.get(number).is_some_and(harmless));
        let granted = matches!(decide(&known(subject), &mut world), Warrant::Granted(_));
        prop_assert_eq!(granted, expected);
    }
}
