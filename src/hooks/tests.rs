//! Tests of what is pure: text and decisions.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::block::{self, Mark};
use super::plan::{
    Action, Configured, Existing, Found, Original, Reason, Removal, Step, configure, install,
    uninstall,
};
use super::{Event, Shim, Way, way};
use crate::config::{HookSettings, PrePush};
use crate::snapshot::GitVersion;

/// The shim of an event, whose paths hold what a shell minds.
fn shim(event: Event, settings: &HookSettings) -> Shim {
    Shim {
        event,
        spool_file: PathBuf::from("/nowhere/it's @PROGRAM@ $HOME"),
        program: PathBuf::from("/opt/pre warm"),
        daemon: None,
        settings: settings.clone(),
    }
}

fn ours() -> Shim {
    shim(Event::PostCommit, &HookSettings::default())
}

fn installed(found: &Found) -> Action {
    install(found, &ours())
}

fn file(content: impl AsRef<[u8]>) -> Found {
    Found {
        existing: Existing::File {
            content: content.as_ref().to_owned(),
            executable: true,
        },
        original: Original::None,
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it is made of text")
}

#[test]
fn a_new_hook_is_a_file_of_ours() {
    insta::assert_snapshot!(text(ours().file()), @r#"
    #!/bin/sh
    # >>> prewarm file 236c300648071f1b >>>
    # Leaves word for prewarm. `prewarm hooks uninstall` removes these lines.
    [ "${PREWARM_DISABLE-}" = 1 ] ||
        case "${PWD-}${GIT_DIR-}" in
            *[[:cntrl:]]*) ;;
            /*) printf 'v1\t%s\t%s\n' "$PWD" "${GIT_DIR-}" >>'/nowhere/it'\''s @PROGRAM@ $HOME' ;;
        esac 2>/dev/null || :
    if [ -x "$0.prewarm-orig" ]; then exec "$0.prewarm-orig" "$@"; fi
    # <<< prewarm <<<
    "#);
}

#[test]
fn the_command_is_one_line_that_takes_arguments() {
    let settings = HookSettings {
        pre_push: PrePush::Wait,
        ..HookSettings::default()
    };
    let command = shim(Event::PrePush, &settings).command();
    insta::assert_snapshot!(text(command), @r#"[ "${PREWARM_DISABLE-}" = 1 ] || case "${PWD-}${GIT_DIR-}" in *[[:cntrl:]]*) ;; /*) printf 'v1\t%s\t%s\n' "$PWD" "${GIT_DIR-}" >>'/nowhere/it'\''s @PROGRAM@ $HOME' ;; esac 2>/dev/null || :; [ "${PREWARM_DISABLE-}" = 1 ] || [ ! -x '/opt/pre warm' ] || '/opt/pre warm' hook pre-push </dev/null >&2 || :"#);
}

#[test]
fn settings_decide_what_is_started() {
    let calls = |event, pre_push, standalone| {
        let settings = HookSettings {
            pre_push,
            standalone,
            ..HookSettings::default()
        };
        let text = text(shim(event, &settings).block());
        text.lines()
            .filter(|line| line.contains(" hook "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for standalone in [false, true] {
        assert_eq!(calls(Event::PrePush, PrePush::Off, standalone).len(), 0);
        let notify = calls(Event::PrePush, PrePush::Notify, standalone);
        assert!(
            notify[0].ends_with("'/opt/pre warm' hook pre-push </dev/null >&2 || :"),
            "{notify:?}"
        );
        assert_eq!(
            calls(Event::PostMerge, PrePush::Notify, standalone).len(),
            usize::from(standalone)
        );
    }
    let alone = calls(Event::PostMerge, PrePush::Off, true);
    assert!(
        alone[0].ends_with("hook post-merge </dev/null >/dev/null 2>&1 || :"),
        "{alone:?}"
    );
}

#[test]
fn without_a_daemon_one_looks_after_the_disk() {
    let calls = |event, standalone| {
        let mut shim = shim(event, &HookSettings::default());
        shim.daemon = Some(PathBuf::from("/state/it's"));
        shim.settings.standalone = standalone;
        text(shim.block())
            .lines()
            .filter(|line| line.contains(" hook "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let look = calls(Event::PostCommit, false);
    insta::assert_snapshot!(look.join("\n"), @r#"[ "${PREWARM_DISABLE-}" = 1 ] || [ -e '/state/it'\''s' ] || [ ! -x '/opt/pre warm' ] || '/opt/pre warm' hook post-commit </dev/null >/dev/null 2>&1 || :"#);
    assert_eq!(calls(Event::PrePush, false).len(), 0);
    // Whoever warms looks, too.
    let standalone = calls(Event::PostCommit, true);
    assert!(!standalone.join("\n").contains("/state"), "{standalone:?}");
}

/// Somebody's script.
const SHELL: &[u8] = b"#!/bin/sh\nexec make\n";

fn off(content: &[u8]) -> Found {
    Found {
        existing: Existing::File {
            content: content.to_owned(),
            executable: false,
        },
        original: Original::None,
    }
}

fn with(existing: Existing, original: Original) -> Found {
    Found { existing, original }
}

fn beside(found: Found, original: Original) -> Found {
    Found { original, ..found }
}

fn edit(content: &[u8], again: bool) -> Action {
    Action::Edit {
        content: content.to_owned(),
        again,
    }
}

#[track_caller]
fn check(cases: Vec<(Found, Action, Removal)>) {
    for (found, action, removal) in cases {
        assert_eq!(installed(&found), action, "{found:?}");
        assert_eq!(uninstall(&found), removal, "{found:?}");
    }
}

#[test]
fn hooks_of_others_decide_what_is_done() {
    let file_of_ours = ours().file();
    let wrapped = || Action::Wrap(file_of_ours.clone());
    let leave = |reason| (Action::Leave(reason), Removal::Nothing);
    let orphan = |found| {
        (
            found,
            Action::Leave(Reason::Orphan),
            Removal::Leave(Reason::Orphan),
        )
    };
    let left = |found, reason| {
        let (action, removal) = leave(reason);
        (found, action, removal)
    };
    let elf = || file(b"\x7fELF");
    check(vec![
        (
            with(Existing::Nothing, Original::None),
            Action::Write(file_of_ours.clone()),
            Removal::Nothing,
        ),
        orphan(with(Existing::Nothing, Original::Another)),
        (
            file(SHELL),
            edit(&block::insert(SHELL, &ours().block()), false),
            Removal::Nothing,
        ),
        (off(SHELL), wrapped(), Removal::Nothing),
        (file(b"#!/usr/bin/python3\n"), wrapped(), Removal::Nothing),
        (elf(), wrapped(), Removal::Nothing),
        (beside(elf(), Original::Same), wrapped(), Removal::Forget),
        orphan(beside(elf(), Original::Another)),
        (
            with(Existing::Link, Original::None),
            wrapped(),
            Removal::Nothing,
        ),
        (
            with(Existing::Link, Original::Same),
            wrapped(),
            Removal::Forget,
        ),
        orphan(with(Existing::Link, Original::Another)),
        left(with(Existing::Other, Original::None), Reason::NotAFile),
        left(file(b"#!/bin/sh\r\n"), Reason::CarriageReturn),
        left(
            file(b"#!/bin/sh\ngit lfs post-commit \"$@\"\n"),
            Reason::GitLfs,
        ),
    ]);
}

#[test]
fn hooks_of_ours_decide_what_is_done() {
    let file_of_ours = ours().file();
    let with_ours = block::insert(SHELL, &ours().block());
    let standalone = HookSettings {
        standalone: true,
        ..HookSettings::default()
    };
    let old = block::insert(SHELL, &shim(Event::PostCommit, &standalone).block());
    let edited = text(with_ours.clone()).replace("printf", "echo");
    let longer = [file_of_ours.as_slice(), b"make\n"].concat();
    let without = || Removal::Edit(SHELL.to_vec());
    let left = |reason| (Action::Leave(reason), Removal::Leave(reason));
    let (edited_action, edited_removal) = left(Reason::Edited);
    check(vec![
        (file(&with_ours), Action::Keep, without()),
        (file(old), edit(&with_ours, true), without()),
        (file(edited), edited_action.clone(), edited_removal.clone()),
        (file(b"# <<< prewarm <<<\n"), edited_action, edited_removal),
        (
            off(&with_ours),
            Action::Leave(Reason::SwitchedOff),
            without(),
        ),
        (file(&file_of_ours), Action::Keep, Removal::Delete),
        (
            off(&file_of_ours),
            Action::Write(file_of_ours.clone()),
            Removal::Delete,
        ),
        (
            beside(file(&file_of_ours), Original::Another),
            Action::Keep,
            Removal::Restore,
        ),
        (
            file(&longer),
            Action::Keep,
            Removal::Edit(b"#!/bin/sh\nmake\n".to_vec()),
        ),
        (
            beside(file(&longer), Original::Another),
            Action::Keep,
            Removal::Leave(Reason::Extended),
        ),
    ]);
}

#[test]
fn the_command_is_configured_before_its_event() {
    let shim = shim(Event::PrePush, &HookSettings::default());
    let (command, event) = (shim.command(), b"pre-push".to_vec());
    let all = vec![Step::Command(command.clone()), Step::Event(Event::PrePush)];
    let found = |commands: &[&[u8]], events: &[&[u8]]| Configured {
        commands: commands.iter().map(|value| value.to_vec()).collect(),
        events: events.iter().map(|value| value.to_vec()).collect(),
    };
    for (found, steps) in [
        (Configured::default(), &all[..]),
        (found(&[&command], &[&event]), &[]),
        (found(&[&command], &[]), &all[1..]),
        (found(&[b"old"], &[&event]), &all[..1]),
        (found(&[], &[&event]), &all[..1]),
        (found(&[&command, &command], &[b"pre-commit", &event]), &all),
    ] {
        assert_eq!(configure(&found, &shim), steps, "{found:?}");
    }
    assert_eq!(way(GitVersion(2, 47)), Way::Files);
    assert_eq!(way(GitVersion(2, 53)), Way::Files);
    assert_eq!(way(GitVersion(2, 54)), Way::Configuration);
    assert_eq!(way(GitVersion(3, 0)), Way::Configuration);
}

/// The exit code of a script that `sh` reads, with one argument and something on its standard input.
fn exit_code(script: &[u8]) -> Option<i32> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("hook");
    std::fs::write(&path, script).expect("a file can be written");
    let status = Command::new("sh")
        .arg(&path)
        .arg("argument")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("sh can be run").code()
}

proptest! {
    #[test]
    fn what_is_inserted_can_be_taken_out(content in any::<Vec<u8>>(), shebang in any::<bool>()) {
        let start: &[u8] = if shebang { b"#!/bin/sh" } else { b"" };
        let content = [start, &content].concat();
        let block = ours().block();
        let inserted = block::insert(&content, &block);
        let Mark::Ours(_, at) = block::find(&inserted) else {
            panic!("our lines are found");
        };
        prop_assert_eq!(block::remove(&inserted, &at), content);
    }

    #[test]
    fn uninstalling_gives_back_what_was_there(
        shebang in "#!(/bin/sh|/usr/bin/env bash|/bin/sh -e|/usr/bin/python3|)",
        lines in proptest::collection::vec("(# [<>]{3} prewarm.{0,20}|[a-z \\\\'\"$]{0,12}|exec x)\r?", 0..6),
        end in "\n?",
    ) {
        let content = format!("{shebang}\n{}{end}", lines.join("\n")).into_bytes();
        match installed(&file(&content)) {
            Action::Edit { content: written, again } => {
                prop_assert!(!again);
                prop_assert_eq!(installed(&file(&written)), Action::Keep);
                prop_assert_eq!(uninstall(&file(&written)), Removal::Edit(content));
            }
            Action::Wrap(written) => {
                let found = Found { original: Original::Another, ..file(written) };
                prop_assert_eq!(uninstall(&found), Removal::Restore);
            }
            Action::Leave(_) => {}
            action => prop_assert!(false, "{action:?}"),
        }
    }

    #[test]
    fn an_edited_block_is_never_taken_out(at in 0_usize..2000, byte in any::<u8>()) {
        let block = ours().block();
        let at = at % block.len();
        prop_assume!(block[at] != byte);
        let mut edited = block.clone();
        edited[at] = byte;
        let found = block::find(&block::insert(b"#!/bin/sh\nexit 1\n", &edited));
        prop_assert!(!matches!(found, Mark::Ours(..)), "{found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_hook_ends_as_it_did_without_us(
        option in "( -e| -u| -eu)?",
        body in "(exit [0-9]{1,2}|false|true|read line|test \"\\$#\" = 1|set -e\nfalse|exec false|)\n?",
    ) {
        let script = format!("#!/bin/sh{option}\n{body}").into_bytes();
        let block = ours().block();
        prop_assert_eq!(exit_code(&block::insert(&script, &block)), exit_code(&script));
    }
}
