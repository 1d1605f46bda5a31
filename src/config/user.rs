//! Reads the user's own file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use super::origin::Loaded;
use super::problem::{ConfigErrors, LONGEST, Source, check_length};
use super::repository::secrets;
use super::section::{self, Section};
use super::units::parse_duration;
use super::{
    Builder, BuilderTls, Consent, DaemonSettings, Endpoint, HookSettings, PrePush,
    RegistrySettings, UserConfig, WarmSettings, values,
};
use crate::paths::Paths;

/// Settings that only a BuildKit container of our own heeds.
const CONTAINER_ONLY: [&str; 6] = [
    "cpus",
    "memory",
    "network",
    "buildkitd_config",
    "certificates",
    "refresh",
];

/// The shortest time between two looks at registries when nothing changes.
const GENTLE: Duration = Duration::from_secs(60);

/// The longest time that a change is waited for to become complete.
pub const LONGEST_QUIET: Duration = Duration::from_secs(2);

/// Reads the user's file; without one everything has its default.
///
/// # Errors
///
/// When the file is there but cannot be read, is not UTF-8, is wrong in any way, or is missing though
/// `PREWARM_CONFIG` names it.
pub fn load_user(paths: &Paths) -> Result<Loaded<UserConfig>, ConfigErrors> {
    let file = paths.shown(&paths.config_file);
    // One that was named may come from another command.
    match read_bytes(&paths.config_file, paths.config_named) {
        Ok(bytes) => parse_user(&utf8(&bytes, &file)?, paths),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !paths.config_named => {
            Ok(Loaded::default())
        }
        Err(source) => Err(ConfigErrors::Unreadable { file, source }),
    }
}

/// Reads the text of the user's file. Paths in it are relative to its directory.
///
/// # Errors
///
/// When anything in it is wrong: all of it at once.
pub fn parse_user(text: &str, paths: &Paths) -> Result<Loaded<UserConfig>, ConfigErrors> {
    let base = paths.config_file.parent().unwrap_or(Path::new(""));
    let file = |written: &str| values::file(written).map(|path| paths.resolve(&path, base));
    section::read(&paths.shown(&paths.config_file), text, |root| UserConfig {
        builder: root.table("builder", |section| builder(section, &file)),
        warm: root.table("warm", warm),
        consent: root.table("consent", |section| Consent {
            secrets: secrets(section),
            ssh: section
                .list("ssh", "default", values::id)
                .unwrap_or_default(),
            buildkit_images: section
                .list("buildkit_images", "ghcr.io/acme/buildkit", values::cache)
                .unwrap_or_default(),
            frontends: section
                .list("frontends", "ghcr.io/acme/frontend", values::cache)
                .unwrap_or_default(),
        }),
        daemon: root.table("daemon", daemon),
        hooks: root.table("hooks", hooks),
        prune: root.table("prune", super::prune::read),
        registries: root.table("registry", |section| {
            let hosts = section.names();
            hosts
                .into_iter()
                .map(|host| (host.to_owned(), registry(section, host, &file)))
                .collect()
        }),
    })
}

/// Text as UTF-8, or the place where it is not.
pub(super) fn utf8(bytes: &[u8], file: &str) -> Result<String, ConfigErrors> {
    check_length(file, bytes.len())?;
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|error| {
            let text = String::from_utf8_lossy(bytes);
            // Replacement characters come only after the first bad byte, so the offset holds for both texts.
            let at = error.valid_up_to();
            let source = Source { file, text: &text };
            ConfigErrors::Invalid(vec![source.problem(
                &(at..at),
                "",
                "the file is not UTF-8 from here on",
                None,
            )])
        })
}

/// Reads one byte more than is allowed at most, so that endless files end and long ones are seen to be long.
fn read_bytes(path: &Path, waits: bool) -> io::Result<Vec<u8>> {
    if !waits && !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    let most = LONGEST as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

type FilePath<'f> = &'f dyn Fn(&str) -> Result<std::path::PathBuf, String>;

fn builder(section: &mut Section<'_, '_>, file: FilePath<'_>) -> Builder {
    let default = Builder::default();
    let builder = Builder {
        endpoint: section
            .parsed("endpoint", "auto", values::endpoint)
            .unwrap_or(default.endpoint),
        cpus: section.positive("cpus"),
        memory: section.parsed("memory", "4GiB", values::memory),
        network: section
            .parsed("network", "bridge", values::network)
            .unwrap_or(default.network),
        buildkitd_config: section.parsed("buildkitd_config", "buildkitd.toml", file),
        certificates: section
            .list("certificates", "company-ca.pem", file)
            .unwrap_or_default(),
        refresh: section
            .parsed("refresh", "24h", parse_duration)
            .unwrap_or(default.refresh),
        tls: section.table("tls", |section| tls(section, file)),
    };
    if !matches!(builder.endpoint, Endpoint::Auto | Endpoint::Container) {
        for key in CONTAINER_ONLY {
            if section.has(key) {
                section.problem(
                    key,
                    "is for prewarm's own container, which this endpoint does not use",
                    None,
                );
            }
        }
    }
    if section.has("tls") && !matches!(builder.endpoint, Endpoint::Tcp(_)) {
        section.problem("tls", "is for tcp:// endpoints only", None);
    }
    builder
}

fn tls(section: &mut Section<'_, '_>, file: FilePath<'_>) -> Option<BuilderTls> {
    let ca = section.parsed("ca", "ca.pem", file);
    let cert = section.parsed("cert", "cert.pem", file);
    let key = section.parsed("key", "key.pem", file);
    if section.is_present() && !section.has("ca") {
        section.problem(
            "ca",
            "is missing: TLS needs the authority that signed the server's certificate",
            None,
        );
    }
    for (there, missing) in [("cert", "key"), ("key", "cert")] {
        if section.has(there) && !section.has(missing) {
            section.problem(there, &format!("needs `{missing}` beside it"), None);
        }
    }
    ca.map(|ca| BuilderTls {
        ca,
        identity: cert.zip(key),
    })
}

fn warm(section: &mut Section<'_, '_>) -> WarmSettings {
    let default = WarmSettings::default();
    let timeout = |text: &str| match parse_duration(text)? {
        Duration::ZERO => Err("no build is done in no time".to_owned()),
        duration => Ok(duration),
    };
    WarmSettings {
        parallel: section
            .integer("parallel", 1..=64)
            .map_or(default.parallel, |number| number as usize),
        timeout: section
            .parsed("timeout", "1h", timeout)
            .unwrap_or(default.timeout),
        base_check: section
            .parsed("base_check", "15m", parse_duration)
            .unwrap_or(default.base_check),
        retries: section
            .integer("retries", 0..=20)
            .unwrap_or(default.retries),
    }
}

fn daemon(section: &mut Section<'_, '_>) -> DaemonSettings {
    let default = DaemonSettings::default();
    let recheck = |text: &str| match parse_duration(text)? {
        duration if duration < GENTLE => {
            Err("registries are not asked more than once a minute".to_owned())
        }
        duration => Ok(duration),
    };
    DaemonSettings {
        parallel: section
            .integer("parallel", 1..=64)
            .map_or(default.parallel, |number| number as usize),
        worktree: section.boolean("worktree").unwrap_or(default.worktree),
        quiet: section
            .parsed("quiet", "300ms", quiet)
            .unwrap_or(default.quiet),
        recheck: section
            .parsed("recheck", "1h", recheck)
            .unwrap_or(default.recheck),
        grace: section
            .parsed("grace", "20s", parse_duration)
            .unwrap_or(default.grace),
        notify: section.boolean("notify").unwrap_or(default.notify),
    }
}

/// Longer than the most that a change is ever waited for to become complete would have no effect.
fn quiet(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        duration if duration > LONGEST_QUIET => Err("longer than 2s has no effect".to_owned()),
        duration => Ok(duration),
    }
}

fn hooks(section: &mut Section<'_, '_>) -> HookSettings {
    let default = HookSettings::default();
    let pre_push = |text: &str| match text {
        "off" => Ok(PrePush::Off),
        "notify" => Ok(PrePush::Notify),
        "wait" => Ok(PrePush::Wait),
        _ => Err(format!("\"{text}\" is none of off, notify, wait")),
    };
    HookSettings {
        pre_push: section
            .parsed("pre_push", "off", pre_push)
            .unwrap_or(default.pre_push),
        wait: section
            .parsed("wait", "2m", parse_duration)
            .unwrap_or(default.wait),
        standalone: section.boolean("standalone").unwrap_or(default.standalone),
    }
}

fn registry(section: &mut Section<'_, '_>, host: &str, file: FilePath<'_>) -> RegistrySettings {
    if let Err(message) = values::registry_host(host) {
        section.problem(
            host,
            &message,
            Some("such as [registry.\"127.0.0.1:5000\"]"),
        );
    }
    section.table(host, |section| {
        let settings = RegistrySettings {
            insecure: section.boolean("insecure").unwrap_or_default(),
            ca: section.parsed("ca", "company-ca.pem", file),
        };
        if settings.insecure && settings.ca.is_some() {
            section.problem(
                "ca",
                "has no use with `insecure = true`, which speaks plain HTTP",
                None,
            );
        }
        settings
    })
}

#[cfg(test)]
mod tests;
