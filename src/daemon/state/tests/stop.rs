//! A pause, and the end.

use super::*;

#[test]
fn a_pause_holds_builds_back_and_forgets_nothing() {
    let mut story = Story::idle(Settings {
        worktree: false,
        ..SETTINGS
    });
    story.settles();
    let running = story.job(View::Head);
    story.happens(Event::Paused(Some(story.now + Duration::from_secs(60))));
    assert_eq!(story.asks(running, "one"), Answer::Stopping);
    story.ends(running, End::Done(vec![]));
    story.settles();
    assert_eq!(story.take_started(), []);
    story.passes(Duration::from_secs(60));
    story.job(View::Head);
}

#[test]
fn the_first_request_to_stop_lets_builds_end_and_the_second_does_not() {
    let mut story = Story::idle(SETTINGS);
    story.settles();
    let (head, worktree) = (story.job(View::Head), story.job(View::Worktree));
    assert_eq!(story.asks(head, "one"), Answer::Go);
    story.happens(Event::Stop);
    assert_eq!(
        (story.cancelled.as_slice(), story.exited),
        ([worktree].as_slice(), false)
    );
    story.ends(worktree, End::Died);
    story.passes(Duration::from_secs(1));
    assert!(!story.exited);
    story.settled(head);
    assert!(story.exited);

    let mut story = Story::idle(SETTINGS);
    story.settles();
    let head = story.job(View::Head);
    assert_eq!(story.asks(head, "one"), Answer::Go);
    story.happens(Event::Stop);
    story.happens(Event::Stop);
    assert!(story.exited);
}

#[test]
fn builds_have_their_grace_when_the_daemon_stops() {
    let mut story = Story::idle(Settings {
        worktree: false,
        ..SETTINGS
    });
    story.settles();
    let head = story.job(View::Head);
    assert_eq!(story.asks(head, "one"), Answer::Go);
    story.happens(Event::Stop);
    story.passes(Duration::from_secs(19));
    assert!(story.cancelled.is_empty());
    story.passes(Duration::from_secs(1));
    assert_eq!(story.cancelled, [head]);
    assert_eq!(story.state.deadline(story.now), None);
    story.ends(head, End::Died);
    assert!(story.exited);
}
