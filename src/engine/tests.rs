use super::*;

#[test]
fn api_versions_are_compared_by_number() {
    let table = [
        ("1.45", Some((1, 45))),
        ("1.9", Some((1, 9))),
        ("1", None),
        ("", None),
        ("1.x", None),
    ];
    for (text, expected) in table {
        assert_eq!(parse_version(text), expected, "{text}");
    }
    assert_eq!(parse_version(OLDEST_API_TEXT), Some(OLDEST_API));
    assert!(parse_version("1.9") < Some(OLDEST_API));
}

#[test]
fn bollard_knows_the_newest_api() {
    let known = bollard::API_DEFAULT_VERSION;
    assert_eq!(parse_version(&known.to_string()), Some(NEWEST_API));
}

#[test]
fn an_error_of_ours_survives_its_way_through_bollard() {
    let ours = EngineError::Host {
        host: "x".to_owned(),
        origin: "y".to_owned(),
        reason: "z".to_owned(),
    };
    let travelled = failed("do it")(Failure::IOError {
        err: io::Error::other(ours),
    });
    assert_eq!(travelled.to_string(), "y names the Docker Engine as `x`: z");
}

#[test]
fn what_the_engine_says_is_the_reason() {
    let refused = failed("start the container")(Failure::DockerResponseServerError {
        status_code: 500,
        message: "no space left on device".to_owned(),
    });
    assert_eq!(
        refused.to_string(),
        "the Docker Engine failed to start the container: no space left on device"
    );
}
