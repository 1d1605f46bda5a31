//! The daemon's decisions, as stories: what happens, and what is done about it.

use std::path::PathBuf;

use super::*;

mod properties;
mod pruning;
mod stop;
mod tries;

/// A daemon with one work tree and a clock that only the test moves.
struct Story {
    state: State,
    now: Instant,
    /// Jobs by number, as they were started.
    started: Vec<(JobId, View)>,
    cancelled: Vec<JobId>,
    answers: Vec<(JobId, Answer)>,
    probes: usize,
    prunes: usize,
    prunes_stopped: usize,
    exited: bool,
}

const SETTINGS: Settings = Settings {
    parallel: 1,
    worktree: true,
    quiet: Duration::from_millis(300),
    recheck: Duration::from_secs(3600),
    grace: Duration::from_secs(20),
    prune: None,
};

fn tree() -> PathBuf {
    PathBuf::from("/src/app")
}

impl Story {
    /// Enrolled, looked at once, and idle.
    fn idle(settings: Settings) -> Self {
        let now = Instant::now();
        let mut story = Self {
            state: State::new(settings, now),
            now,
            started: vec![],
            cancelled: vec![],
            answers: vec![],
            probes: 0,
            prunes: 0,
            prunes_stopped: 0,
            exited: false,
        };
        story.happens(Event::Enrolled([tree()].into()));
        story.free();
        for (job, _) in story.take_started() {
            story.ends(job, End::Done(vec![]));
        }
        story.probes = 0;
        story
    }

    fn happens(&mut self, event: Event) {
        for effect in self.state.handle(event, self.now) {
            match effect {
                Effect::Start { job, view, .. } => self.started.push((job, view)),
                Effect::Cancel(job) => self.cancelled.push(job),
                Effect::Answer { job, answer, .. } => self.answers.push((job, answer)),
                Effect::Probe(_) => self.probes += 1,
                Effect::Prune => self.prunes += 1,
                Effect::StopPrune => self.prunes_stopped += 1,
                Effect::Exit => self.exited = true,
                Effect::Watch(_) | Effect::Unwatch(_) => {}
            }
        }
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
        self.happens(Event::Tick);
    }

    fn changes(&mut self) {
        self.happens(Event::Changed(tree()));
    }

    /// Git is not at it.
    fn free(&mut self) {
        self.happens(Event::Probed {
            tree: tree(),
            busy: None,
        });
    }

    fn busy(&mut self, what: &str, brief: bool) {
        let what = what.to_owned();
        self.happens(Event::Probed {
            tree: tree(),
            busy: Some(Busy { what, brief }),
        });
    }

    /// A change is complete, and git is not at it.
    fn settles(&mut self) {
        self.changes();
        self.passes(SETTINGS.quiet);
        self.free();
    }

    fn take_started(&mut self) -> Vec<(JobId, View)> {
        std::mem::take(&mut self.started)
    }

    /// The job that has been started for a view.
    #[track_caller]
    fn job(&mut self, view: View) -> JobId {
        let at = self.started.iter().position(|(_, of)| *of == view);
        self.started
            .remove(at.expect("a job was started for that view"))
            .0
    }

    /// The job asks for its target `builder`.
    fn asks(&mut self, job: JobId, fingerprint: &str) -> Answer {
        let question = Question {
            id: 1,
            target: "builder".to_owned(),
            fingerprint: fingerprint.to_owned(),
        };
        self.happens(Event::Asked { job, question });
        self.answers.pop().expect("every question is answered").1
    }

    fn begins(&mut self, job: JobId) {
        self.happens(Event::Begun {
            job,
            target: "builder".to_owned(),
        });
    }

    fn ends(&mut self, job: JobId, end: End) {
        self.happens(Event::Ended { job, end });
    }

    fn settled(&mut self, job: JobId) {
        self.ends(
            job,
            End::Done(vec![TargetEnd::Settled("builder".to_owned())]),
        );
    }

    fn failed(&mut self, job: JobId) {
        self.ends(
            job,
            End::Done(vec![TargetEnd::Failed("builder".to_owned())]),
        );
    }
}

#[test]
fn a_work_tree_is_looked_at_when_it_is_enrolled() {
    let now = Instant::now();
    let mut state = State::new(SETTINGS, now);
    let effects = state.handle(Event::Enrolled([tree()].into()), now);
    assert_eq!(effects, [Effect::Watch(tree()), Effect::Probe(tree())]);
    let effects = state.handle(
        Event::Probed {
            tree: tree(),
            busy: None,
        },
        now,
    );
    let views = effects.iter().map(|effect| match effect {
        Effect::Start { view, .. } => *view,
        other => panic!("{other:?}"),
    });
    assert_eq!(views.collect::<Vec<_>>(), [View::Head, View::Worktree]);
    let effects = state.handle(Event::Enrolled(BTreeSet::new()), now);
    assert_eq!(
        effects,
        [
            Effect::Cancel(1),
            Effect::Cancel(2),
            Effect::Unwatch(tree())
        ]
    );
}

#[test]
fn a_storm_of_changes_is_one_look() {
    let mut story = Story::idle(SETTINGS);
    for _ in 0..10 {
        story.changes();
        story.passes(Duration::from_millis(100));
        assert_eq!(story.probes, 0);
    }
    story.passes(SETTINGS.quiet);
    assert_eq!(story.probes, 1);
    story.free();
    assert_eq!(story.take_started().len(), 2);
}

#[test]
fn changes_that_do_not_end_are_looked_at_every_two_seconds() {
    let mut story = Story::idle(SETTINGS);
    for _ in 0..60 {
        story.changes();
        story.passes(Duration::from_millis(100));
        if story.probes > 0 {
            break;
        }
    }
    assert_eq!(story.probes, 1);
}

#[test]
fn nothing_is_looked_at_while_git_is_at_it() {
    let mut story = Story::idle(SETTINGS);
    story.changes();
    story.passes(SETTINGS.quiet);
    story.busy("a rebase", false);
    assert_eq!(story.state.busy(&tree()), Some("a rebase"));
    assert_eq!(story.take_started(), []);
    // Its end is an event; until then nothing wakes us but the hourly look.
    let hour = story.now + SETTINGS.recheck / 2;
    assert!(story.state.deadline(story.now).is_some_and(|at| at > hour));
    story.changes();
    story.passes(SETTINGS.quiet);
    story.free();
    assert_eq!(story.take_started().len(), 2);
    assert_eq!(story.state.busy(&tree()), None);
}

#[test]
fn a_lock_is_waited_for_ever_more_slowly() {
    let mut story = Story::idle(SETTINGS);
    story.changes();
    story.passes(SETTINGS.quiet);
    let mut pauses = vec![];
    for _ in 0..10 {
        story.busy("a git command", true);
        let next = story
            .state
            .deadline(story.now)
            .expect("it is looked at again");
        pauses.push((next - story.now).as_millis());
        story.passes(next - story.now);
    }
    assert_eq!(
        pauses,
        [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]
    );
    story.free();
    assert_eq!(story.take_started().len(), 2);
}

#[test]
fn a_lock_among_changes_is_another_one_each_time() {
    let mut story = Story::idle(SETTINGS);
    for _ in 0..10 {
        story.changes();
        story.passes(SETTINGS.quiet);
        story.busy("a git command", true);
    }
    // Nothing tells of the last one's end.
    let next = story.state.deadline(story.now);
    assert_eq!(next, Some(story.now + Duration::from_millis(200)));
}

#[test]
fn a_newer_snapshot_takes_over_when_its_build_has_begun() {
    let mut story = Story::idle(SETTINGS);
    story.settles();
    let (head, old) = (story.job(View::Head), story.job(View::Worktree));
    story.settled(head);
    assert_eq!(story.asks(old, "one"), Answer::Go);
    story.begins(old);
    story.settles();
    let head = story.job(View::Head);
    story.settled(head);
    let new = story.job(View::Worktree);
    assert_eq!(story.asks(new, "two"), Answer::Go);
    assert!(story.cancelled.is_empty());
    story.begins(new);
    assert_eq!(story.cancelled, [old]);
    story.ends(old, End::Died);
    story.settled(new);
    assert_eq!(story.state.builds(), 0);
}

#[test]
fn the_same_snapshot_is_not_built_twice() {
    let mut story = Story::idle(SETTINGS);
    story.settles();
    let head = story.job(View::Head);
    assert_eq!(story.asks(head, "one"), Answer::Go);
    story.settles();
    let again = story.job(View::Head);
    assert_eq!(story.asks(again, "one"), Answer::Running);
    story.settled(again);
    assert_eq!(
        story
            .take_started()
            .iter()
            .filter(|(_, view)| *view == View::Head)
            .count(),
        0
    );
}

#[test]
fn what_finds_no_room_is_looked_at_when_there_is_some() {
    let mut story = Story::idle(SETTINGS);
    story.settles();
    let (head, worktree) = (story.job(View::Head), story.job(View::Worktree));
    assert_eq!(story.asks(head, "one"), Answer::Go);
    assert_eq!(story.asks(worktree, "two"), Answer::Full);
    story.ends(worktree, End::Done(vec![]));
    story.passes(Duration::from_secs(60));
    assert_eq!(story.take_started(), []);
    story.settled(head);
    let again = story.job(View::Worktree);
    assert_eq!(story.asks(again, "two"), Answer::Go);
}

#[test]
fn head_goes_first() {
    let mut story = Story::idle(SETTINGS);
    story.settles();
    let (head, worktree) = (story.job(View::Head), story.job(View::Worktree));
    let question = Question {
        id: 1,
        target: "builder".to_owned(),
        fingerprint: "two".to_owned(),
    };
    let job = worktree;
    story.happens(Event::Asked { job, question });
    assert_eq!(story.answers, []);
    story.happens(Event::Asked {
        job: head,
        question: Question {
            id: 1,
            target: "builder".to_owned(),
            fingerprint: "one".to_owned(),
        },
    });
    assert_eq!(
        story.answers,
        [(head, Answer::Go), (worktree, Answer::Full)]
    );
}

#[test]
fn a_look_that_hangs_makes_room_and_is_tried_again() {
    let mut story = Story::idle(Settings {
        worktree: false,
        ..SETTINGS
    });
    story.settles();
    let job = story.job(View::Head);
    story.passes(LONGEST_LOOK);
    assert_eq!(story.cancelled, [job]);
    story.ends(job, End::Died);
    let again = story.state.retry(&tree(), View::Head, story.now);
    story.passes(again.expect("it is tried again"));
    let job = story.job(View::Head);
    // One that builds may take its time.
    assert_eq!(story.asks(job, "one"), Answer::Go);
    story.passes(LONGEST_LOOK);
    assert_eq!(story.cancelled.len(), 1);
}

#[test]
fn everything_is_looked_at_once_an_hour() {
    let mut story = Story::idle(SETTINGS);
    assert_eq!(
        story.state.deadline(story.now),
        Some(story.now + SETTINGS.recheck)
    );
    story.passes(SETTINGS.recheck);
    assert_eq!(story.probes, 1);
}
