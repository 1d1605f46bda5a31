//! How long it takes to build a record again: what our own history of steps tells.

use std::collections::HashMap;

use super::usage::Record;

/// What a step costs of which nothing is known.
const UNKNOWN_MS: u64 = 1_000;

/// How long steps took, by what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    milliseconds: HashMap<String, u64>,
}

impl Costs {
    /// From steps as BuildKit names them (`[builder 3/5] RUN …`), with their milliseconds. The longest counts.
    #[must_use]
    pub fn new<'s>(steps: impl IntoIterator<Item = (&'s str, u64)>) -> Self {
        let mut milliseconds = HashMap::new();
        for (name, time) in steps {
            let known = milliseconds.entry(of_step(name).to_owned()).or_default();
            *known = time.max(*known);
        }
        Self { milliseconds }
    }

    /// Milliseconds to build it again; one second where nothing is known.
    #[must_use]
    pub fn of(&self, record: &Record) -> u64 {
        let known = self.milliseconds.get(of_record(&record.description));
        known.copied().unwrap_or(UNKNOWN_MS).max(1)
    }
}

/// What a step does, without its place in the Dockerfile and the options of `RUN`.
fn of_step(name: &str) -> &str {
    let what = match name.strip_prefix('[') {
        Some(rest) => rest.split_once("] ").map_or(name, |(_, what)| what),
        None => name,
    };
    let Some(mut command) = what.strip_prefix("RUN ") else {
        return what;
    };
    while command.starts_with("--") {
        let Some((_, rest)) = command.split_once(' ') else {
            break;
        };
        command = rest.trim_start();
    }
    command
}

/// The same of a record, which BuildKit describes after its step, or after what a `RUN` executed.
fn of_record(description: &str) -> &str {
    match description.strip_prefix("mount / from exec ") {
        Some(command) => command.strip_prefix("/bin/sh -c ").unwrap_or(command),
        None => of_step(description),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_known_by_its_step() {
        for (step, record) in [
            (
                "[builder 3/5] RUN pip install -r requirements.txt",
                "mount / from exec /bin/sh -c pip install -r requirements.txt",
            ),
            (
                "[2/2] RUN --mount=type=cache,target=/c --network=none make",
                "mount / from exec /bin/sh -c make",
            ),
            ("[builder 2/5] COPY a b", "[builder 2/5] COPY a b"),
            ("[other 4/9] COPY a b", "[builder 2/5] COPY a b"),
        ] {
            assert_eq!(of_step(step), of_record(record), "{step}");
        }
        assert_eq!(of_step("[a"), "[a");
        assert_eq!(of_step("RUN --x"), "--x");
    }
}
