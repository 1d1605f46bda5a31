//! What a target asks for that the user's own configuration does not allow.

use std::fmt;

use super::{Consent, Target};

/// Something that a target asks for and the user has not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A build secret, by id.
    Secret(String),
    /// An ssh agent, by id.
    Ssh(String),
}

impl Refused {
    /// What to add to the user's file, as a sentence.
    #[must_use]
    pub fn hint(&self) -> String {
        let (key, id) = match self {
            Self::Secret(id) => ("secrets", id),
            Self::Ssh(id) => ("ssh", id),
        };
        format!(
            "if you trust this repository with it, add \"{id}\" to `{key}` in [consent] of your own configuration"
        )
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = match self {
            Self::Secret(id) => ("secret", id),
            Self::Ssh(id) => ("ssh agent", id),
        };
        write!(
            formatter,
            "{kind} `{id}` is not allowed by your configuration"
        )
    }
}

/// What a target asks for that is not in the user's consent, in the target's order.
#[must_use]
pub fn refused(target: &Target, consent: &Consent) -> Vec<Refused> {
    let secrets = target
        .secrets
        .iter()
        .map(|secret| &secret.id)
        .filter(|id| !consent.secrets.contains(id));
    let ssh = target.ssh.iter().filter(|id| !consent.ssh.contains(id));
    secrets
        .cloned()
        .map(Refused::Secret)
        .chain(ssh.cloned().map(Refused::Ssh))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, SecretSource};

    #[test]
    fn only_what_the_user_names_is_allowed() {
        let secret = |id: &str| Secret {
            id: id.to_owned(),
            source: SecretSource::Env("X".to_owned()),
        };
        let mut target = Target::new("builder", ".");
        target.secrets = vec![secret("pip"), secret("npm")];
        target.ssh = vec!["default".to_owned()];

        let consent = Consent {
            secrets: vec!["npm".to_owned()],
            ssh: vec![],
        };
        let found = refused(&target, &consent);
        assert_eq!(
            found,
            [
                Refused::Secret("pip".to_owned()),
                Refused::Ssh("default".to_owned())
            ]
        );
        insta::assert_snapshot!(format!("{}; {}", found[0], found[0].hint()), @"secret `pip` is not allowed by your configuration; if you trust this repository with it, add \"pip\" to `secrets` in [consent] of your own configuration");

        let consent = Consent {
            secrets: vec!["npm".to_owned(), "pip".to_owned()],
            ssh: vec!["default".to_owned()],
        };
        assert_eq!(refused(&target, &consent), []);
    }
}
