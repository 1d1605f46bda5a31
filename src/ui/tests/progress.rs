//! Progress in each mode.

use std::time::Instant;

use insta::assert_snapshot;

use super::*;
use crate::ui::board::Board;

#[test]
fn plain_progress_is_a_line_for_each_event_that_matters() {
    let captured = capture(Mode::Plain);
    for event in a_build() {
        captured.ui.event(&event);
    }
    assert_snapshot!(captured.stderr.text(), @r"
    builder: reading the tree
    note: BuildKit 0.25.1, as CI runs it
    builder: CACHED [builder 1/3] FROM python:3.11-slim
    builder: [builder 2/3] COPY requirements.txt .
    builder: DONE [builder 2/3] COPY requirements.txt . (340 ms)
    builder: [builder 3/3] RUN pip install -r requirements.txt
    builder: [builder 3/3] | Collecting numpy�
    warning: builder: cache mounts are not warmed
    builder: FAILED [builder 3/3] RUN pip install -r requirements.txt: exit code: 1
    builder: exporting cache
    builder: exporting cache | preparing
    builder: CANCELLED exporting cache
    ");
    assert_eq!(captured.stdout.text(), "");
}

#[test]
fn json_progress_is_an_object_for_each_event() {
    let captured = capture(Mode::Json);
    for event in a_build() {
        captured.ui.event(&event);
    }
    assert_snapshot!(captured.stderr.text(), @r#"
    {"event":"target","message":"reading the tree","target":"builder"}
    {"event":"note","message":"BuildKit 0.25.1, as CI runs it","target":null}
    {"event":"step","name":"[builder 1/3] FROM python:3.11-slim","state":"cached","step":"a","target":"builder"}
    {"event":"step","name":"[builder 2/3] COPY require\u001b[2Jments.txt .","state":"started","step":"b","target":"builder"}
    {"duration_ms":340,"event":"step","name":"[builder 2/3] COPY require\u001b[2Jments.txt .","state":"done","step":"b","target":"builder"}
    {"event":"step","name":"[builder 3/3] RUN pip install -r requirements.txt","state":"started","step":"c","target":"builder"}
    {"event":"log","line":"Collecting \u001b[1mnumpy\u001b[0m\u0007\r\n","step":"c","target":"builder"}
    {"current":1000,"event":"bytes","label":"numpy","step":"c","target":"builder","total":null}
    {"event":"warning","message":"cache mounts are not warmed","target":"builder"}
    {"error":"exit code: 1","event":"step","name":"[builder 3/3] RUN pip install -r requirements.txt","state":"failed","step":"c","target":"builder"}
    {"event":"step","name":"exporting cache","state":"started","step":"d","target":"builder"}
    {"event":"log","line":"preparing","step":"d","target":"builder"}
    {"event":"step","name":"exporting cache","state":"cancelled","step":"d","target":"builder"}
    {"event":"target-done","target":"builder"}
    "#);
    assert_eq!(captured.stdout.text(), "");
}

/// The board's lines after some events, `seconds` after the first.
fn board(events: &[Event], seconds: u64, width: usize, height: usize) -> String {
    let start = Instant::now();
    let mut board = Board::new(Paint { color: false });
    let scrolled: Vec<String> = events
        .iter()
        .filter_map(|event| board.apply(event, start))
        .collect();
    let lines = board.lines(start + Duration::from_secs(seconds), width, height);
    format!("{}\n---\n{}\n", scrolled.join("\n"), lines.join("\n"))
}

#[test]
fn the_board_has_running_steps_with_transfers_and_the_last_log_line() {
    let events = [
        phase("builder", "building"),
        step(
            "builder",
            "a",
            "[builder 1/3] FROM python:3.11-slim",
            StepState::Cached,
        ),
        step(
            "builder",
            "b",
            "[builder 2/3] RUN pip install -r requirements.txt --no-cache-dir",
            StepState::Started,
        ),
        log("builder", "b", "Collecting numpy"),
        log(
            "builder",
            "b",
            "Downloading \x1b[32mnumpy-2.0.0-cp311-cp311-manylinux_2_17_x86_64.whl\x1b[0m (19.5 MB)",
        ),
        log("builder", "b", "\r\n"),
        step("builder", "c", "[base 1/2] FROM debian", StepState::Started),
        bytes_of("builder", "c", "sha256:1", 12_400_000, Some(50_000_000)),
        bytes_of("builder", "c", "sha256:2", 1_000_000, Some(1_000_000)),
        step("builder", "d", "exporting cache", StepState::Started),
        bytes_of("builder", "d", "layer", 5_000_000, Some(9_000_000)),
        bytes_of("builder", "d", "config", 1_000, None),
        phase("final linux/arm64", "starting BuildKit"),
    ];
    assert_snapshot!(board(&events, 72, 60, 16), @r"
    [builder] CACHED [builder 1/3] FROM python:3.11-slim
    ---
    [builder] [builder 2/3] RUN pip install -r requireme… 1m 12s
              Downloading numpy-2.0.0-cp311-cp311-manylinux_2_1…
    [builder] [base 1/2] FROM debian 13.4 MB / 51.0 MB 1m 12s
    [builder] exporting cache 5.0 MB 1m 12s
    [final linux/arm64] starting BuildKit 1m 12s
    ");
    assert_snapshot!(board(&events, 4_000, 30, 3), @r"
    [builder] CACHED [builder 1/3] FROM python:3.11-slim
    ---
    [builder] [builder 2/3… 1h 07m
              Downloading numpy-2…
    … and 3 more lines
    ");
}

#[test]
fn finished_steps_and_targets_leave_the_board() {
    assert_snapshot!(board(&a_build(), 1, 60, 16), @r"
    note: BuildKit 0.25.1, as CI runs it
    [builder] CACHED [builder 1/3] FROM python:3.11-slim
    [builder] [builder 2/3] COPY requirements.txt . 340 ms
    warning: builder: cache mounts are not warmed
    [builder] FAILED [builder 3/3] RUN pip install -r requirements.txt: exit code: 1
    [builder] CANCELLED exporting cache
    ---
    ");
}

#[test]
fn the_board_is_never_wider_or_higher_than_it_may_be() {
    let events = [
        phase("日本語のターゲット", "読み込み中"),
        step(
            "builder",
            "b",
            "[builder 2/3] RUN echo 日本語日本語日本語日本語日本語",
            StepState::Started,
        ),
        log(
            "builder",
            "b",
            "日本語日本語日本語日本語日本語日本語日本語日本語日本語",
        ),
    ];
    let start = Instant::now();
    for color in [false, true] {
        let mut board = Board::new(Paint { color });
        for event in &events {
            board.apply(event, start);
        }
        for width in 0..70 {
            for height in 1..5 {
                let lines = board.lines(start, width, height);
                assert!(lines.len() <= height);
                for line in lines {
                    assert!(
                        console::measure_text_width(&line) <= width,
                        "{line:?} in {width}"
                    );
                }
            }
        }
    }
}

/// The screen of a terminal of 16 lines of 60 characters, after what was written to it.
fn screen(capture: &Capture) -> String {
    let mut terminal = vt100::Parser::new(16, 60, 0);
    // A terminal's line discipline returns the carriage for a line feed.
    terminal.process(&capture.text().replace('\n', "\r\n").into_bytes());
    // The bars are drawn with spaces up to the edge.
    let rows: Vec<String> = terminal
        .screen()
        .rows(0, 60)
        .map(|row| row.trim_end().to_owned())
        .collect();
    rows.join("\n").trim_end().to_owned()
}

#[test]
fn a_terminal_keeps_what_is_done_above_what_runs() {
    let captured = capture(Mode::Terminal { color: true });
    for event in &a_build()[..3] {
        captured.ui.event(event);
    }
    captured.ui.event(&step(
        "builder",
        "b",
        "[builder 2/3] RUN make a-very-long-name that does not fit",
        StepState::Started,
    ));
    let shown = screen(&captured.stderr);
    let (above, running) = shown.rsplit_once('\n').expect("there are several lines");
    assert_snapshot!(above, @r"
    note: BuildKit 0.25.1, as CI runs it
    [builder] CACHED [builder 1/3] FROM python:3.11-slim
    ");
    assert!(
        running.starts_with("[builder] [builder 2/3] RUN make a-very-long-"),
        "{running}"
    );
    assert!(running.ends_with('s'), "{running}");

    for event in &a_build()[3..] {
        captured.ui.event(event);
    }
    let error = Error::new(Kind::Work, "the build failed").hint("look at the log");
    captured.ui.error(&error);
    drop(captured.ui);
    assert_snapshot!(screen(&captured.stderr), @r"
    note: BuildKit 0.25.1, as CI runs it
    [builder] CACHED [builder 1/3] FROM python:3.11-slim
    [builder] [builder 2/3] COPY requirements.txt . 340 ms
    warning: builder: cache mounts are not warmed
    [builder] FAILED [builder 3/3] RUN pip install -r requirem…
    [builder] CANCELLED exporting cache
    error: the build failed
    hint: look at the log
    ");
}

#[test]
fn a_result_on_a_terminal_ends_progress() {
    let captured = capture(Mode::Terminal { color: false });
    captured.ui.event(&phase("builder", "building"));
    assert!(screen(&captured.stderr).starts_with("[builder] building"));
    captured
        .ui
        .result("done\n", &())
        .expect("it is written to memory");
    assert_eq!(screen(&captured.stderr), "");
    assert_eq!(captured.stdout.text(), "done\n");
}

#[test]
fn tasks_can_share_it() {
    let captured = capture(Mode::Plain);
    std::thread::scope(|scope| {
        for target in ["a", "b", "c", "d"] {
            let ui = &captured.ui;
            scope.spawn(move || (0..100).for_each(|_| ui.event(&phase(target, "building"))));
        }
    });
    let text = captured.stderr.text();
    assert_eq!(text.lines().count(), 400);
    assert!(
        text.lines()
            .all(|line| line.len() == "a: building".len() && line.ends_with(": building"))
    );
}
