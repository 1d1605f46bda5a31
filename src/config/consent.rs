//! What a repository asks for that the user's own configuration does not allow.

use std::fmt;

use super::dockerfile::frontends;
use super::{Consent, Secret, Target};
use crate::registry::Reference;

/// The repository of BuildKit's own images, which everybody may use.
const MOBY: (&str, &str) = ("docker.io", "moby/buildkit");

/// The repositories of the images that read Dockerfiles, which everybody may use.
const DOCKERFILE: [(&str, &str); 2] = [
    ("docker.io", "docker/dockerfile"),
    ("docker.io", "docker/dockerfile-upstream"),
];

/// The build argument that beats `# syntax=`.
const SYNTAX_ARGUMENT: &str = "BUILDKIT_SYNTAX";

/// Something that a repository asks for and the user has not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A build secret.
    Secret(Secret),
    /// A build secret whose id the user allows, from another source.
    OtherSource(Secret),
    /// An ssh agent, by id.
    Ssh(String),
    /// An image to run as the BuildKit container.
    Image(String),
    /// An image that reads the Dockerfile, and so decides what is executed.
    Frontend(String),
}

impl Refused {
    /// What to write in the user's file, which people know as `file`.
    #[must_use]
    pub fn hint(&self, file: &str) -> String {
        let line = match self {
            Self::Secret(secret) | Self::OtherSource(secret) => {
                let (source, place) = secret.source.written();
                format!(
                    "secrets = [{{ id = \"{}\", {source} = \"{place}\" }}]",
                    secret.id
                )
            }
            Self::Ssh(id) => format!("ssh = [\"{id}\"]"),
            Self::Image(image) => format!("buildkit_images = [\"{}\"]", name(image)),
            Self::Frontend(image) => format!("frontends = [\"{}\"]", name(image)),
        };
        format!("if you trust this repository with it, write in [consent] of {file}: {line}")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, what) = match self {
            Self::OtherSource(secret) => {
                let (source, place) = secret.source.written();
                let id = &secret.id;
                return write!(
                    formatter,
                    "secret `{id}` is allowed by your configuration, but not from {source} {place}"
                );
            }
            Self::Secret(secret) => ("secret", &secret.id),
            Self::Ssh(id) => ("ssh agent", id),
            Self::Image(image) => ("BuildKit image", image),
            Self::Frontend(image) => ("Dockerfile frontend", image),
        };
        write!(
            formatter,
            "{kind} `{what}` is not allowed by your configuration"
        )
    }
}

/// What a target asks for that is not in the user's consent, in the target's order.
#[must_use]
pub fn refused(target: &Target, consent: &Consent) -> Vec<Refused> {
    let secrets = target
        .secrets
        .iter()
        .filter(|secret| !consent.secrets.contains(secret))
        .map(|secret| {
            let known = consent
                .secrets
                .iter()
                .any(|allowed| allowed.id == secret.id);
            if known {
                Refused::OtherSource(secret.clone())
            } else {
                Refused::Secret(secret.clone())
            }
        });
    let ssh = target.ssh.iter().filter(|id| !consent.ssh.contains(id));
    secrets.chain(ssh.cloned().map(Refused::Ssh)).collect()
}

fn name(image: &str) -> String {
    Reference::parse(image).map_or_else(|_| image.to_owned(), |it| it.repository().to_string())
}

/// The first image that a Dockerfile, or a build argument, asks for to read it, and that the user has not allowed.
#[must_use]
pub fn refused_frontend(dockerfile: &str, target: &Target, consent: &Consent) -> Option<Refused> {
    let by_argument = target.args.get(SYNTAX_ARGUMENT);
    let wanted = by_argument.filter(|image| !image.is_empty()).cloned();
    wanted
        .into_iter()
        .chain(frontends(dockerfile))
        .find(|image| {
            !(DOCKERFILE.iter().any(|own| is_of(image, *own)) || named(image, &consent.frontends))
        })
        .map(Refused::Frontend)
}

fn is_of(image: &str, (registry, path): (&str, &str)) -> bool {
    Reference::parse(image).is_ok_and(|reference| {
        let repository = reference.repository();
        (repository.registry(), repository.path()) == (registry, path)
    })
}

/// Whether one of these repositories has the image.
fn named(image: &str, repositories: &[String]) -> bool {
    Reference::parse(image).is_ok_and(|reference| {
        repositories.iter().any(|name| {
            crate::registry::Repository::parse(name)
                .is_ok_and(|allowed| allowed == *reference.repository())
        })
    })
}

/// Whether the user has not allowed to run `image` as the BuildKit container.
#[must_use]
pub fn refused_image(image: &str, consent: &Consent) -> Option<Refused> {
    let allowed = is_of(image, MOBY) || named(image, &consent.buildkit_images);
    (!allowed).then(|| Refused::Image(image.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretSource;

    fn secret(id: &str, variable: &str) -> Secret {
        Secret {
            id: id.to_owned(),
            source: SecretSource::Env(variable.to_owned()),
        }
    }

    #[test]
    fn only_what_the_user_names_is_allowed() {
        let mut target = Target::new("builder", ".");
        target.secrets = vec![secret("pip", "PIP"), secret("npm", "NPM")];
        target.ssh = vec!["default".to_owned()];

        let mut consent = Consent {
            secrets: vec![secret("npm", "NPM")],
            ..Consent::default()
        };
        let found = refused(&target, &consent);
        assert_eq!(
            found,
            [
                Refused::Secret(secret("pip", "PIP")),
                Refused::Ssh("default".to_owned())
            ]
        );
        insta::assert_snapshot!(format!("{}; {}", found[0], found[0].hint("~/c.toml")), @r#"secret `pip` is not allowed by your configuration; if you trust this repository with it, write in [consent] of ~/c.toml: secrets = [{ id = "pip", env = "PIP" }]"#);

        consent.secrets.push(secret("pip", "HOME"));
        let other = refused(&target, &consent)[0].to_string();
        insta::assert_snapshot!(other, @"secret `pip` is allowed by your configuration, but not from env PIP");

        consent.secrets.push(secret("pip", "PIP"));
        consent.ssh.push("default".to_owned());
        assert_eq!(refused(&target, &consent), []);
    }

    #[test]
    fn only_buildkits_own_images_run_unless_the_user_names_others() {
        let consent = Consent {
            buildkit_images: vec!["ghcr.io/acme/buildkit".to_owned()],
            ..Consent::default()
        };
        for (image, allowed) in [
            ("moby/buildkit:buildx-stable-1", true),
            ("docker.io/moby/buildkit:v0.20.0", true),
            ("ghcr.io/acme/buildkit:1", true),
            ("ghcr.io/moby/buildkit:1", false),
            ("evil/buildkit", false),
            ("ghcr.io/acme/buildkit2:1", false),
            ("not an image", false),
        ] {
            assert_eq!(refused_image(image, &consent).is_none(), allowed, "{image}");
        }
    }

    #[test]
    fn only_dockers_own_frontends_run_unless_the_user_names_others() {
        let consent = Consent {
            frontends: vec!["ghcr.io/acme/frontend".to_owned()],
            ..Consent::default()
        };
        let target = Target::new("builder", ".");
        for (dockerfile, allowed) in [
            ("FROM a", true),
            ("# syntax=docker/dockerfile:1\nFROM a", true),
            (
                "# syntax=docker.io/docker/dockerfile-upstream:master\nFROM a",
                true,
            ),
            ("# syntax=ghcr.io/acme/frontend:1\nFROM a", true),
            ("# syntax=ghcr.io/docker/dockerfile:1\nFROM a", false),
            ("# syntax=docker/dockerfile-evil\nFROM a", false),
            ("# SYNTAX = evil/frontend --x\nFROM a", false),
            ("// syntax=evil/frontend\nFROM a", false),
            ("#!/usr/bin/env x\n# syntax=evil/frontend\nFROM a", false),
            ("\u{feff}# syntax=evil/frontend\nFROM a", false),
            ("# other=1\n# syntax=evil/frontend\nFROM a", false),
            ("# escape=`\n\n# syntax=evil/frontend\nFROM a", false),
            (
                "# syntax=docker/dockerfile:1\n# syntax=evil/frontend\nFROM a",
                false,
            ),
            ("{\"syntax\": \"evil/frontend\"}", false),
            ("FROM a\n# syntax=evil/frontend", true),
        ] {
            let refused = refused_frontend(dockerfile, &target, &consent);
            assert_eq!(refused.is_none(), allowed, "{dockerfile}: {refused:?}");
        }
        let mut target = target;
        let argument = SYNTAX_ARGUMENT.to_owned();
        target.args.insert(argument, "evil/frontend:1".to_owned());
        let refused = refused_frontend("FROM a", &target, &consent).expect("refused");
        insta::assert_snapshot!(format!("{refused}; {}", refused.hint("~/c.toml")), @r#"Dockerfile frontend `evil/frontend:1` is not allowed by your configuration; if you trust this repository with it, write in [consent] of ~/c.toml: frontends = ["docker.io/evil/frontend"]"#);
    }
}
