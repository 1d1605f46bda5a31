//! When what failed is tried again.

use super::*;

#[test]
fn what_failed_is_tried_three_times_and_then_waits_for_a_change() {
    let mut story = Story::idle(Settings {
        worktree: false,
        ..SETTINGS
    });
    story.settles();
    let mut pauses = vec![];
    for _ in 0..3 {
        let job = story.job(View::Head);
        assert_eq!(story.asks(job, "one"), Answer::Go);
        story.failed(job);
        // Whatever else changes, exactly this is not built again at once.
        story.settles();
        let job = story.job(View::Head);
        assert_eq!(story.asks(job, "one"), Answer::FailedBefore);
        story.ends(job, End::Done(vec![]));
        let at = story
            .state
            .retry(&tree(), View::Head, story.now)
            .expect("it is tried again");
        pauses.push((at + SETTINGS.quiet).as_secs());
        story.passes(at);
    }
    assert_eq!(pauses, [60, 300, 1800]);
    let job = story.job(View::Head);
    assert_eq!(story.asks(job, "one"), Answer::Go);
    story.failed(job);
    assert_eq!(story.state.retry(&tree(), View::Head, story.now), None);
    story.settles();
    let job = story.job(View::Head);
    assert_eq!(story.asks(job, "another"), Answer::Go);
    story.settled(job);
    story.settles();
    let job = story.job(View::Head);
    assert_eq!(story.asks(job, "one"), Answer::Go);
}

#[test]
fn what_is_missing_is_tried_again_within_a_minute_for_ever() {
    let mut story = Story::idle(Settings {
        worktree: false,
        ..SETTINGS
    });
    story.settles();
    let mut pauses = vec![];
    for _ in 0..8 {
        let job = story.job(View::Head);
        story.ends(job, End::Missing);
        let at = story
            .state
            .retry(&tree(), View::Head, story.now)
            .expect("it is tried again");
        pauses.push(at.as_secs());
        story.passes(at);
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
    let job = story.job(View::Head);
    story.settled(job);
    assert_eq!(story.state.retry(&tree(), View::Head, story.now), None);
}

#[test]
fn a_person_who_asks_does_not_wait_for_the_next_try() {
    let mut story = Story::idle(Settings {
        worktree: false,
        ..SETTINGS
    });
    story.settles();
    let job = story.job(View::Head);
    story.ends(job, End::Missing);
    story.happens(Event::Wanted(tree()));
    story.free();
    story.job(View::Head);
}
