//! Looks at the disk.

use super::*;

const EVERY: Duration = Duration::from_secs(5 * 60);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Idle, and just looked at the disk.
fn looked() -> Story {
    let settings = Settings {
        prune: Some(EVERY),
        ..SETTINGS
    };
    let mut story = Story::idle(settings);
    assert_eq!(story.take_prunes(), 1, "it begins with a look");
    story.looked(Looked::Done);
    assert_eq!(story.take_prunes(), 0);
    story
}

impl Story {
    fn take_prunes(&mut self) -> usize {
        std::mem::take(&mut self.prunes)
    }

    fn looked(&mut self, looked: Looked) {
        self.happens(Event::Looked(looked));
    }

    /// A build of HEAD goes on.
    fn builds(&mut self) -> JobId {
        self.settles();
        let job = self.job(View::Head);
        assert_eq!(self.asks(job, "1"), Answer::Go);
        for (other, _) in self.take_started() {
            self.ends(other, End::Done(vec![]));
        }
        job
    }
}

#[test]
fn looks_are_regular() {
    let mut story = looked();
    story.passes(4 * MINUTE);
    assert_eq!(story.take_prunes(), 0);
    story.passes(MINUTE);
    assert_eq!(story.take_prunes(), 1);
    // However long it takes, there is one.
    story.passes(2 * EVERY);
    story.happens(Event::Hooked);
    assert_eq!(story.take_prunes(), 0);
}

#[test]
fn of_what_happens_meanwhile_one_look_comes() {
    let mut story = looked();
    for _ in 0..100 {
        story.happens(Event::Hooked);
    }
    assert_eq!(story.take_prunes(), 0, "a minute has not passed");
    story.passes(MINUTE);
    assert_eq!(story.take_prunes(), 1);
    for _ in 0..100 {
        story.happens(Event::Hooked);
    }
    story.looked(Looked::Done);
    assert_eq!(story.take_prunes(), 0);
    story.passes(MINUTE);
    assert_eq!(story.take_prunes(), 1);
    story.looked(Looked::Done);
    story.passes(MINUTE);
    assert_eq!(story.take_prunes(), 0, "nobody wanted another");
}

#[test]
fn after_builds_the_disk_is_looked_at_when_it_is_calm() {
    let mut story = looked();
    for _ in 0..3 {
        let job = story.builds();
        story.settled(job);
        story.passes(2 * SECOND);
        assert_eq!(story.take_prunes(), 0);
    }
    story.passes(SECOND);
    assert_eq!(story.take_prunes(), 1);
    // One that ends meanwhile is seen by the next look.
    let job = story.builds();
    let target = "builder".to_owned();
    story.happens(Event::Left { job, target });
    story.settled(job);
    story.passes(3 * SECOND);
    assert_eq!(story.take_prunes(), 0);
    story.looked(Looked::Waits);
    assert_eq!(story.take_prunes(), 1);
    // What found nothing to build is no reason.
    story.looked(Looked::Done);
    story.settles();
    for (job, _) in story.take_started() {
        story.ends(job, End::Done(vec![]));
    }
    assert_eq!(story.take_prunes(), 0);
}

#[test]
fn what_had_to_wait_is_tried_again_each_minute() {
    let mut story = looked();
    story.passes(EVERY);
    for _ in 0..3 {
        assert_eq!(story.take_prunes(), 1);
        story.looked(Looked::Waits);
        assert_eq!(story.take_prunes(), 0, "it does not spin");
        story.passes(MINUTE);
    }
}

#[test]
fn what_died_is_not_tried_again_before_its_time() {
    let mut story = looked();
    story.passes(EVERY);
    story.looked(Looked::Died);
    story.take_prunes();
    story.passes(4 * MINUTE);
    assert_eq!(story.take_prunes(), 0);
    story.passes(MINUTE);
    assert_eq!(story.take_prunes(), 1);
}

#[test]
fn nothing_is_looked_at_while_paused() {
    let mut story = looked();
    story.passes(EVERY);
    assert_eq!(story.take_prunes(), 1);
    story.happens(Event::Paused(None));
    story.happens(Event::Paused(None));
    assert_eq!(story.prunes_stopped, 1);
    story.looked(Looked::Died);
    story.happens(Event::Hooked);
    story.passes(2 * EVERY);
    assert_eq!(story.take_prunes(), 0);
    story.happens(Event::Resumed);
    assert_eq!(story.take_prunes(), 1);
}

#[test]
fn the_daemon_ends_when_its_look_has() {
    let mut story = looked();
    story.passes(EVERY);
    story.take_prunes();
    story.happens(Event::Stop);
    assert!(!story.exited);
    assert_eq!(story.prunes_stopped, 1);
    story.looked(Looked::Died);
    assert!(story.exited);
    assert_eq!(story.take_prunes(), 0);

    let mut story = looked();
    story.passes(EVERY);
    story.happens(Event::Stop);
    story.happens(Event::Stop);
    assert!(story.exited, "the second word ends at once");
}

#[test]
fn one_that_hangs_is_ended() {
    let mut story = looked();
    story.passes(EVERY);
    assert_eq!(story.take_prunes(), 1);
    story.passes(60 * MINUTE);
    story.passes(MINUTE);
    assert_eq!(story.prunes_stopped, 1);
    story.looked(Looked::Died);
    assert_eq!(story.take_prunes(), 0);
    story.passes(MINUTE);
    assert_eq!(story.take_prunes(), 1);
}

#[test]
fn there_is_none_where_nobody_wants_any() {
    // Switched off, and then on.
    let mut story = Story::idle(SETTINGS);
    story.happens(Event::Hooked);
    story.passes(2 * EVERY);
    assert_eq!(story.take_prunes(), 0);
    let on = Settings {
        prune: Some(EVERY),
        ..SETTINGS
    };
    story.happens(Event::Reloaded(on));
    assert_eq!(story.take_prunes(), 1);
    story.happens(Event::Reloaded(SETTINGS));
    assert_eq!(story.prunes_stopped, 1);

    // Nothing is allowed.
    let mut story = looked();
    story.happens(Event::Enrolled(BTreeSet::new()));
    story.happens(Event::Hooked);
    story.passes(2 * EVERY);
    assert_eq!(story.take_prunes(), 0);
    assert_eq!(story.state.deadline(story.now), None);
}
