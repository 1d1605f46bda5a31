//! Whatever happens in whatever order, some things hold.

use proptest::prelude::*;

use super::super::*;

/// Something that happens to one of three work trees, or to one of the jobs that run.
#[derive(Clone, Debug)]
enum Happening {
    Change(u8),
    Probe(u8, Option<bool>),
    Ask(usize, u8, u8),
    Begin(usize, u8),
    Leave(usize, u8),
    End(usize, u8),
    Pass(u32),
    Pause,
    Resume,
    Enroll(u8),
    Reload,
    Hook,
    Look(u8),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    use Happening::{
        Ask, Begin, Change, End, Enroll, Hook, Leave, Look, Pass, Pause, Probe, Reload, Resume,
    };
    let one = prop_oneof![
        4 => (0..3_u8).prop_map(Change),
        4 => (0..3_u8, any::<Option<bool>>()).prop_map(|(tree, busy)| Probe(tree, busy)),
        4 => (any::<usize>(), 0..2_u8, 0..3_u8).prop_map(|(job, target, print)| Ask(job, target, print)),
        2 => (any::<usize>(), 0..2_u8).prop_map(|(job, target)| Begin(job, target)),
        1 => (any::<usize>(), 0..2_u8).prop_map(|(job, target)| Leave(job, target)),
        4 => (any::<usize>(), 0..8_u8).prop_map(|(job, end)| End(job, end)),
        4 => (0..5_000_u32).prop_map(Pass),
        1 => (30_000..400_000_u32).prop_map(Pass),
        1 => Just(Pause),
        1 => Just(Resume),
        1 => (1..8_u8).prop_map(Enroll),
        1 => Just(Reload),
        2 => Just(Hook),
        2 => (0..3_u8).prop_map(Look),
    ];
    prop::collection::vec(one, 0..120)
}

fn tree(number: u8) -> PathBuf {
    PathBuf::from(format!("/src/{number}"))
}

fn end(number: u8, targets: &[String]) -> End {
    let all = |of: fn(String) -> TargetEnd| targets.iter().cloned().map(of).collect();
    match number {
        0 => End::Missing,
        1 => End::Moved,
        2 => End::Hopeless,
        3 => End::Died,
        4 => End::Done(all(TargetEnd::Failed)),
        5 => End::Done(all(TargetEnd::Missing)),
        _ => End::Done(all(TargetEnd::Settled)),
    }
}

/// A daemon to which things happen.
struct Play {
    state: State,
    now: Instant,
    enrolled: BTreeSet<PathBuf>,
    running: Vec<JobId>,
    /// Whether the disk is looked at.
    looking: bool,
    /// When the last such look began or ended, and no build has ended since.
    looked: Option<Instant>,
    paused: bool,
}

impl Play {
    fn new(parallel: usize) -> Self {
        let settings = Settings {
            parallel,
            prune: Some(Duration::from_secs(300)),
            ..super::SETTINGS
        };
        let now = Instant::now();
        Self {
            state: State::new(settings, now),
            now,
            enrolled: BTreeSet::new(),
            running: vec![],
            looking: false,
            looked: None,
            paused: false,
        }
    }

    /// The event, if it can happen now.
    fn event(&mut self, happening: &Happening) -> Option<Event> {
        let name = |target: &u8| format!("target {target}");
        let running = &mut self.running;
        let pick = |index: &usize| running.get(index % running.len().max(1)).copied();
        Some(match happening {
            Happening::Change(number) => Event::Changed(tree(*number)),
            Happening::Probe(number, busy) => {
                let what = "git".to_owned();
                let busy = busy.map(|brief| Busy { what, brief });
                let tree = tree(*number);
                Event::Probed { tree, busy }
            }
            Happening::Ask(job, target, print) => {
                let question = Question {
                    id: 1,
                    target: name(target),
                    fingerprint: format!("{print}"),
                };
                let job = pick(job)?;
                Event::Asked { job, question }
            }
            Happening::Begin(job, target) => Event::Begun {
                job: pick(job)?,
                target: name(target),
            },
            Happening::Leave(job, target) => Event::Left {
                job: pick(job)?,
                target: name(target),
            },
            Happening::End(job, number) => {
                let job = pick(job)?;
                running.retain(|other| *other != job);
                let end = end(*number, &["target 0".to_owned()]);
                Event::Ended { job, end }
            }
            Happening::Pass(milliseconds) => {
                self.now += Duration::from_millis(u64::from(*milliseconds));
                Event::Tick
            }
            Happening::Pause => Event::Paused(None),
            Happening::Resume => Event::Resumed,
            Happening::Enroll(mask) => {
                let chosen = (0..3).filter(|bit| mask & (1 << bit) != 0);
                self.enrolled = chosen.map(tree).collect();
                Event::Enrolled(self.enrolled.clone())
            }
            Happening::Reload => Event::Reloaded(self.state.settings),
            Happening::Hook => Event::Hooked,
            Happening::Look(end) => {
                if !std::mem::take(&mut self.looking) {
                    return None;
                }
                self.looked = self.looked.map(|_| self.now);
                let ends = [Looked::Done, Looked::Waits, Looked::Died];
                Event::Looked(ends[usize::from(*end)])
            }
        })
    }

    fn happens(&mut self, happening: &Happening) -> Result<(), TestCaseError> {
        let Some(event) = self.event(happening) else {
            return Ok(());
        };
        match event {
            Event::Paused(_) => self.paused = true,
            Event::Resumed => self.paused = false,
            // These may end a build, after which the disk is looked at at once.
            Event::Left { .. } | Event::Ended { .. } => self.looked = None,
            _ => {}
        }
        for effect in self.state.handle(event, self.now) {
            match effect {
                Effect::Prune => {
                    prop_assert!(!self.looking, "the disk is looked at twice at a time");
                    prop_assert!(
                        !self.paused && !self.enrolled.is_empty(),
                        "nobody wants a look"
                    );
                    let last = self.looked.replace(self.now);
                    let apart = last.is_none_or(|last| self.now - last >= Duration::from_secs(60));
                    prop_assert!(apart, "two looks in a minute, and no build between them");
                    self.looking = true;
                }
                Effect::StopPrune => prop_assert!(self.looking, "there is none to stop"),
                Effect::Start { job, tree, .. } => {
                    prop_assert!(self.enrolled.contains(&tree), "{tree:?} is not allowed");
                    self.running.push(job);
                }
                Effect::Cancel(job) => prop_assert!(self.running.contains(&job), "{job} is over"),
                Effect::Exit => prop_assert!(false, "nobody asked for an end"),
                _ => {}
            }
        }
        self.check()
    }

    /// What must hold at any time.
    fn check(&self) -> Result<(), TestCaseError> {
        let state = &self.state;
        let mut building = BTreeSet::new();
        for job in state.jobs.values().filter(|job| !job.cancelled) {
            for (target, print) in &job.building {
                let build = (&job.tree, job.view, target, print);
                prop_assert!(building.insert(build), "built twice: {build:?}");
            }
        }
        if let Some(deadline) = state.deadline(self.now) {
            // What is due is done: otherwise the loop would spin.
            prop_assert!(deadline > self.now, "{state:#?}");
        }
        Ok(())
    }
}

/// Plays a story; returns what is left, with nothing running and nothing started.
fn play(happenings: &[Happening], parallel: usize) -> Result<Play, TestCaseError> {
    let mut play = Play::new(parallel);
    play.happens(&Happening::Enroll(7))?;
    for happening in happenings {
        play.happens(happening)?;
    }
    play.state.handle(Event::Paused(None), play.now);
    for job in std::mem::take(&mut play.running) {
        let end = End::Hopeless;
        play.state.handle(Event::Ended { job, end }, play.now);
    }
    Ok(play)
}

/// Does what is to be done, with no git at it and every job ending well, and notes what was looked at.
fn settle(
    state: &mut State,
    mut effects: Vec<Effect>,
    now: Instant,
    looked: &mut BTreeSet<(PathBuf, View)>,
) {
    while let Some(effect) = effects.pop() {
        match effect {
            Effect::Probe(tree) => {
                effects.extend(state.handle(Event::Probed { tree, busy: None }, now));
            }
            Effect::Start { job, tree, view } => {
                looked.insert((tree, view));
                let end = End::Done(vec![]);
                effects.extend(state.handle(Event::Ended { job, end }, now));
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn nothing_spins_and_only_what_is_enrolled_runs(story in happenings(), parallel in 1..4_usize) {
        play(&story, parallel)?;
    }

    #[test]
    fn a_change_is_never_forgotten(story in happenings(), parallel in 1..4_usize) {
        let Play { mut state, mut now, enrolled, .. } = play(&story, parallel)?;
        let mut looked = BTreeSet::new();
        let effects = state.handle(Event::Resumed, now);
        settle(&mut state, effects, now, &mut looked);
        looked.clear();
        for path in &enrolled {
            let effects = state.handle(Event::Changed(path.clone()), now);
            settle(&mut state, effects, now, &mut looked);
        }
        for _ in 0..200 {
            now += Duration::from_millis(500);
            let effects = state.handle(Event::Tick, now);
            settle(&mut state, effects, now, &mut looked);
        }
        for path in enrolled {
            // A probe that somebody is out for never came back in the story.
            if state.trees[&path].is_probing() {
                continue;
            }
            prop_assert!(looked.contains(&(path.clone(), View::Head)), "{} {state:#?}", path.display());
            prop_assert!(looked.contains(&(path, View::Worktree)));
        }
    }
}
