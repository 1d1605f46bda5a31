//! The registries that hold the targets' caches: logins, the right to push, and the time that they have.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream;

use super::{Finding, LIMIT, Subject, too_slow};
use crate::registry::{RegistryError, Repository};

/// By as much a clock may be off: tokens and certificates are given some minutes.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// So many registries are asked at once.
const TOGETHER: usize = 8;

const CLOCK: &str = "clock";

pub(super) async fn examine(subject: &Subject) -> Vec<Finding> {
    let Some(config) = &subject.repository else {
        return Vec::new();
    };
    let caches: BTreeSet<String> = config
        .targets
        .iter()
        .filter_map(|target| target.cache.clone())
        .collect();
    if caches.is_empty() {
        return vec![Finding::unknown(
            "cache",
            "no target names a `cache`, so that only this machine's BuildKit is warmed",
        )];
    }
    let found: Vec<(Finding, Option<SystemTime>)> = stream::iter(caches)
        .map(|cache| one(subject, cache))
        .buffered(TOGETHER)
        .collect()
        .await;
    let now = SystemTime::now();
    let (mut findings, times): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    // One registry's time is as good as another's.
    findings.extend(
        times
            .into_iter()
            .flatten()
            .next()
            .map(|time| clock(now, time)),
    );
    findings
}

/// Looks at one cache; what it finds has the cache's name.
async fn one(subject: &Subject, cache: String) -> (Finding, Option<SystemTime>) {
    let name = format!("cache {cache}");
    let asked = tokio::time::timeout(LIMIT.mul_f32(0.9), ask(subject, &cache)).await;
    match asked {
        Ok(Ok((seen, time))) => (Finding::ok(&name, seen), time),
        Ok(Err(error)) => (Finding::error(&name, &error.into()), None),
        Err(_) => (Finding::error(&name, &too_slow()), None),
    }
}

async fn ask(
    subject: &Subject,
    cache: &str,
) -> Result<(String, Option<SystemTime>), RegistryError> {
    let repository = Repository::parse(cache)?;
    let login = subject.registry.credentials(repository.registry()).await?;
    subject.registry.admits_uploads(&repository).await?;
    // Not before: a login that is refused is refused once, and not so often that it gets locked.
    let time = subject.registry.time(&repository).await;
    let seen = match login {
        None => "takes uploads without a login".to_owned(),
        Some(login) if login.username.is_empty() => "takes uploads (login by token)".to_owned(),
        Some(login) => format!("takes uploads (logged in as {})", login.username),
    };
    Ok((seen, time))
}

fn clock(now: SystemTime, theirs: SystemTime) -> Finding {
    let (off, direction) = match now.duration_since(theirs) {
        Ok(off) => (off, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    if off <= TOLERANCE {
        return Finding::ok(CLOCK, "agrees with the registry's");
    }
    Finding::fail(
        CLOCK,
        format!(
            "{} min {direction} the registry's: certificates and logins will be refused",
            off.as_secs() / 60
        ),
        "set the clock, such as with `sudo timedatectl set-ntp true`",
    )
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_clock_may_be_off_by_minutes() {
        let now = SystemTime::now();
        for (theirs, expected) in [
            (now, (State::Ok, "agrees with the registry's")),
            (
                now - Duration::from_secs(299),
                (State::Ok, "agrees with the registry's"),
            ),
            (
                now - Duration::from_secs(3600),
                (
                    State::Fail,
                    "60 min ahead of the registry's: certificates and logins will be refused",
                ),
            ),
            (
                now + Duration::from_secs(420),
                (
                    State::Fail,
                    "7 min behind the registry's: certificates and logins will be refused",
                ),
            ),
        ] {
            let found = clock(now, theirs);
            assert_eq!((found.state, found.seen.as_str()), expected);
        }
    }
}
