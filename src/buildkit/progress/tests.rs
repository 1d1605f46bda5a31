//! Status messages of the shapes that BuildKit sends.

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::VertexLog;

use super::*;

fn at(milliseconds: i64) -> Timestamp {
    let nanos = i32::try_from(milliseconds % 1000 * 1_000_000).expect("below a second");
    Timestamp {
        seconds: milliseconds / 1000,
        nanos,
    }
}

fn vertex(name: &str, started: Option<i64>, completed: Option<i64>) -> Vertex {
    Vertex {
        digest: format!("sha256:{name}"),
        name: name.to_owned(),
        started: started.map(at),
        completed: completed.map(at),
        ..Vertex::default()
    }
}

fn status(vertexes: Vec<Vertex>) -> StatusResponse {
    StatusResponse {
        vertexes,
        ..StatusResponse::default()
    }
}

#[test]
fn a_step_starts_once_and_ends_with_its_duration() {
    let mut progress = Progress::default();
    let name = "[builder 2/3] RUN make";
    assert_eq!(progress.apply(status(vec![vertex(name, None, None)])), []);
    let started = Event::Started {
        step: 0,
        name: name.to_owned(),
    };
    assert_eq!(
        progress.apply(status(vec![vertex(name, Some(100), None)])),
        [started]
    );
    assert_eq!(
        progress.apply(status(vec![vertex(name, Some(100), None)])),
        []
    );
    let end = End::Done(Duration::from_millis(1500));
    let ended = Event::Ended {
        step: 0,
        name: name.to_owned(),
        end,
    };
    assert_eq!(
        progress.apply(status(vec![vertex(name, Some(100), Some(1600))])),
        [ended]
    );
}

#[test]
fn a_cached_step_only_ends_and_does_not_undo_one_that_ran() {
    let mut progress = Progress::default();
    let cached = |name| Vertex {
        cached: true,
        ..vertex(name, Some(1), Some(1))
    };
    progress.apply(status(vec![
        cached("[a 1/2] COPY x y"),
        vertex("[a 2/2] RUN z", Some(1), Some(2)),
    ]));
    progress.apply(status(vec![cached("[a 2/2] RUN z")]));
    let ends: Vec<_> = progress
        .into_steps()
        .into_iter()
        .map(|step| step.end)
        .collect();
    assert_eq!(
        ends,
        [Some(End::Cached), Some(End::Done(Duration::from_millis(1)))]
    );
}

#[test]
fn names_tell_instructions_from_the_rest() {
    for (name, instruction, image) in [
        ("[builder 2/5] RUN make", true, None),
        ("[linux/arm64 builder 2/5] COPY a b", true, None),
        ("[stage-1 3/3] WORKDIR /app", true, None),
        (
            "[builder 1/5] FROM docker.io/library/busybox:1@sha256:ab",
            false,
            Some(("docker.io/library/busybox:1", "sha256:ab")),
        ),
        (
            "[builder 1/5] FROM docker.io/library/busybox:1",
            false,
            None,
        ),
        (
            "docker-image://docker.io/docker/dockerfile:1@sha256:cd",
            false,
            Some(("docker.io/docker/dockerfile:1", "sha256:cd")),
        ),
        (
            "FROM docker.io/library/nginx:1@sha256:ef",
            false,
            Some(("docker.io/library/nginx:1", "sha256:ef")),
        ),
        (
            "[internal] load build definition from Dockerfile",
            false,
            None,
        ),
        ("exporting cache to registry", false, None),
        ("[x] y", false, None),
        ("[ /] y", false, None),
    ] {
        let mut progress = Progress::default();
        progress.apply(status(vec![vertex(name, None, None)]));
        assert_eq!(progress.steps()[0].is_instruction(), instruction, "{name}");
        assert_eq!(progress.steps()[0].image(), image, "{name}");
    }
}

#[test]
fn names_tell_what_is_downloaded_and_looked_up() {
    let step = |name: &str| {
        let mut progress = Progress::default();
        progress.apply(status(vec![vertex(name, None, None)]));
        progress.into_steps().remove(0)
    };
    for (name, downloads) in [
        ("[builder 2/3] ADD https://example.com/a /a", true),
        (
            "[builder 2/3] ADD --checksum=sha256:ab https://example.com/a /a",
            true,
        ),
        ("[builder 2/3] ADD git@example.com:a.git /a", true),
        ("[builder 2/3] ADD me@example.com:a.git /a", true),
        ("[builder 2/3] ADD github.com/a/b /a", true),
        ("[builder 2/3] ADD --chown=1:1 a@b /a", false),
        ("[builder 2/3] ADD a.tar /a", false),
        ("[builder 2/3] RUN curl https://example.com", false),
    ] {
        assert_eq!(step(name).downloads(), downloads, "{name}");
    }
    assert_eq!(
        step("[internal] load metadata for docker.io/library/a:1").looked_up(),
        Some("docker.io/library/a:1")
    );
    assert_eq!(step("[internal] load .dockerignore").looked_up(), None);
}

#[test]
fn output_is_cut_into_lines_however_it_arrives() {
    let mut progress = Progress::default();
    progress.apply(status(vec![vertex("s", Some(1), None)]));
    let mut lines = Vec::new();
    for piece in [&b"one\ntw"[..], b"o\r\n", b"\n", b"50%\r100%\n\xff\n"] {
        let log = VertexLog {
            vertex: "sha256:s".to_owned(),
            msg: piece.to_vec(),
            ..VertexLog::default()
        };
        for event in progress.apply(StatusResponse {
            logs: vec![log],
            ..StatusResponse::default()
        }) {
            let Event::Log { line, .. } = event else {
                panic!("{event:?}")
            };
            lines.push(line);
        }
    }
    assert_eq!(lines, ["one", "two", "50%", "100%", "\u{fffd}"]);
}

#[test]
fn only_the_last_lines_are_kept() {
    let mut progress = Progress::default();
    progress.apply(status(vec![vertex("s", Some(1), None)]));
    let text: String = (0..100).map(|line| line.to_string() + "\n").collect();
    let log = VertexLog {
        vertex: "sha256:s".to_owned(),
        msg: text.into_bytes(),
        ..VertexLog::default()
    };
    progress.apply(StatusResponse {
        logs: vec![log],
        ..StatusResponse::default()
    });
    let kept = &progress.steps()[0].log;
    assert_eq!(
        (kept.len(), kept[0].as_str(), kept[LOG_LINES - 1].as_str()),
        (LOG_LINES, "80", "99")
    );
}
