//! What it means when a registry, or a token server, does not do as asked.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;

use super::error::{RegistryError, is_html, message};
use super::http::{Answer, Failure, Url};
use super::reference::Repository;
use super::retry::{self, Outcome};

/// Turns what means the same for every call into an error.
pub(super) fn refuse_in_general(
    repository: &Repository,
    answer: Answer,
) -> Result<Answer, RegistryError> {
    match answer.status {
        401 | 403 | 408 | 429 | 500.. => Err(refusal(repository, &answer)),
        _ => Ok(answer),
    }
}

/// The error that an answer stands for, when nothing more is known about it.
pub(super) fn refusal(repository: &Repository, answer: &Answer) -> RegistryError {
    let registry = repository.registry().to_owned();
    let message = message(answer.status, &answer.body);
    match answer.status {
        // Only an upload or redirect to a foreign host comes here with 401.
        401 | 403 => denied(repository, message),
        404 => RegistryError::NotFound {
            registry,
            repository: repository.path().to_owned(),
            message,
        },
        429 => RegistryError::RateLimited {
            registry,
            message,
            retry_after: retry_after(answer),
        },
        status if status < 400 && is_html(&answer.body) => RegistryError::Protocol {
            registry,
            reason: message,
        },
        status => RegistryError::Server {
            registry,
            status,
            message,
            retry_after: retry_after(answer),
        },
    }
}

/// The error that a token server's answer stands for.
pub(super) fn no_token(repository: &Repository, logged_in: bool, answer: &Answer) -> RegistryError {
    match (answer.status, logged_in) {
        // An OAuth 2 server says 400 (`invalid_grant`) to an identity token that has run out.
        (400 | 401, _) | (403, false) => RegistryError::Unauthorized {
            registry: repository.registry().to_owned(),
            logged_in,
            message: message(answer.status, &answer.body),
        },
        _ => refusal(repository, answer),
    }
}

/// The login is good, the right is missing.
pub(super) fn denied(repository: &Repository, message: String) -> RegistryError {
    RegistryError::Denied {
        registry: repository.registry().to_owned(),
        repository: repository.path().to_owned(),
        message,
    }
}

/// The error that no answer stands for; `limit` is the one that the request had.
pub(super) fn failed(registry: &str, failure: Failure, limit: usize) -> RegistryError {
    let registry = registry.to_owned();
    match failure {
        Failure::Broken(reason) => RegistryError::Unreachable { registry, reason },
        Failure::PlainHttp => RegistryError::PlainHttp { registry },
        Failure::Untrusted(reason) => RegistryError::Untrusted { registry, reason },
        Failure::TooLarge => RegistryError::TooLarge { registry, limit },
        Failure::Protocol(reason) => RegistryError::Protocol { registry, reason },
    }
}

/// The same for the token server at `realm`.
pub(super) fn token_failed(
    registry: &str,
    realm: &Url,
    failure: Failure,
    limit: usize,
) -> RegistryError {
    let host = realm.host_str().unwrap_or_default();
    let port = realm
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let about = |reason: &str| format!("its token server {host}{port}: {reason}");
    let failure = match failure {
        Failure::Broken(reason) => Failure::Broken(about(&reason)),
        Failure::Untrusted(reason) => Failure::Untrusted(about(&reason)),
        Failure::Protocol(reason) => Failure::Protocol(about(&reason)),
        // The setting that the error for a registry names does not reach the token server.
        Failure::PlainHttp => Failure::Protocol(about("it does not speak TLS")),
        Failure::TooLarge => Failure::TooLarge,
    };
    failed(registry, failure, limit)
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    answer
        .header(RETRY_AFTER.as_str())
        .and_then(|header| retry::retry_after(header, SystemTime::now()))
}

/// What a try's result means for the next one.
pub(super) fn outcome(result: &Result<Answer, RegistryError>) -> Outcome {
    match result {
        Err(RegistryError::Unreachable { .. }) => Outcome::Broken,
        Err(RegistryError::RateLimited { retry_after, .. }) => Outcome::Answered {
            status: 429,
            retry_after: *retry_after,
        },
        Err(RegistryError::Server {
            status,
            retry_after,
            ..
        }) => Outcome::Answered {
            status: *status,
            retry_after: *retry_after,
        },
        Ok(_) | Err(_) => Outcome::Final,
    }
}
