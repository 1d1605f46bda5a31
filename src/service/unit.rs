//! The unit as text: the template with a program and an environment in it.

use std::fmt::Write;
use std::path::Path;

use crate::world::World;

/// The unit's name.
pub const UNIT: &str = "prewarm.service";

/// Its text, with places for what differs between users.
const TEMPLATE: &str = include_str!("../../systemd/prewarm.service");

/// The first line of every unit that is ours.
pub const HEADER: &str = "# created and maintained by prewarm";

/// What the daemon must find as whoever installs it does. A user's service manager knows none of it by itself.
const PASSED_ON: [&str; 10] = [
    "PREWARM_CONFIG",
    "PREWARM_STATE_DIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
];

/// Those of them that name files.
const PATHS: [&str; 5] = [
    "PREWARM_CONFIG",
    "PREWARM_STATE_DIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "DOCKER_CONFIG",
];

/// What a unit cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// systemd reads UTF-8.
    #[error("{0} is not UTF-8")]
    Encoding(String),
    /// A line ends where it ends.
    #[error("{0} has a control character")]
    Control(String),
}

/// The variables that a unit sets: those that are set here, and `PATH`, by which docker and its credential helpers are found.
///
/// # Errors
/// When a value cannot be written into a unit.
pub fn environment(world: &World, directory: &Path) -> Result<Vec<(String, String)>, Unwritable> {
    let mut variables = Vec::new();
    for name in PASSED_ON {
        let Some(value) = world.variable(name) else {
            continue;
        };
        // The daemon runs in another directory.
        let value = if PATHS.contains(&name) {
            directory.join(value).into_os_string()
        } else {
            value
        };
        let value = value
            .into_string()
            .map_err(|_| Unwritable::Encoding(name.to_owned()))?;
        variables.push((name.to_owned(), value));
    }
    let path = world.variable("PATH").unwrap_or_default();
    let path = path
        .into_string()
        .map_err(|_| Unwritable::Encoding("PATH".to_owned()))?;
    let absolute: Vec<&str> = path
        .split(':')
        .filter(|entry| entry.starts_with('/'))
        .collect();
    if !absolute.is_empty() {
        variables.push(("PATH".to_owned(), absolute.join(":")));
    }
    Ok(variables)
}

/// The unit that runs `program` in an environment.
///
/// # Errors
/// When a path or a value cannot be written into a unit.
pub fn render(program: &Path, environment: &[(String, String)]) -> Result<String, Unwritable> {
    let program = program
        .to_str()
        .ok_or_else(|| Unwritable::Encoding(program.display().to_string()))?;
    let mut lines = String::new();
    for (name, value) in environment {
        let _ = writeln!(
            lines,
            "Environment={}",
            quote(name, &format!("{name}={value}"))?
        );
    }
    // Of all places only a command line expands variables.
    let program = quote(program, program)?.replace('$', "$$");
    Ok(TEMPLATE
        .replacen("@PROGRAM@", &program, 1)
        .replacen("@ENVIRONMENT@\n", &lines, 1))
}

/// One word of a unit: in quotes, with what systemd would read as something else written as itself (systemd.syntax(7)
/// for quotes and backslashes, systemd.unit(5) for `%`). `name` is for the error.
fn quote(name: &str, text: &str) -> Result<String, Unwritable> {
    if text.chars().any(char::is_control) {
        return Err(Unwritable::Control(name.to_owned()));
    }
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%");
    Ok(format!("\"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The lines that the template leaves open.
    fn rendered(program: &str, environment: &[(&str, &str)]) -> String {
        let text = render(Path::new(program), &variables(environment)).expect("it can be written");
        assert!(
            text.starts_with(HEADER)
                && !text.contains("@PROGRAM@")
                && !text.contains("@ENVIRONMENT@")
        );
        text.lines()
            .skip_while(|line| !line.starts_with("ExecStart="))
            .take_while(|line| !line.starts_with("# Nobody"))
            .fold(String::new(), |text, line| text + line + "\n")
    }

    #[test]
    fn program_and_environment_are_quoted_as_systemd_reads_them() {
        insta::assert_snapshot!(
            rendered("/usr/bin/prewarm", &[]),
            @r#"
        ExecStart="/usr/bin/prewarm" daemon run
        ExecReload=/bin/kill -HUP $MAINPID
        "#
        );
        insta::assert_snapshot!(
            rendered(
                "/home/ada/100% $HOME/pre\"warm",
                &[("DOCKER_HOST", r"unix:///run/a b\c"), ("PREWARM_CONFIG", "/ä/$x/50%")]
            ),
            @r#"
        ExecStart="/home/ada/100%% $$HOME/pre\"warm" daemon run
        ExecReload=/bin/kill -HUP $MAINPID
        Environment="DOCKER_HOST=unix:///run/a b\\c"
        Environment="PREWARM_CONFIG=/ä/$x/50%%"
        "#
        );
    }

    #[test]
    fn what_a_unit_cannot_say_is_refused() {
        let newline = variables(&[("DOCKER_HOST", "a\nExecStartPre=/bin/evil")]);
        assert_eq!(
            render(Path::new("/p"), &newline),
            Err(Unwritable::Control("DOCKER_HOST".to_owned()))
        );
    }
}
