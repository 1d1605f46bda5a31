//! The merged configuration as TOML, each line with where it comes from.

use std::fmt::Write as _;

use super::origin::{Loaded, Origin};
use super::quote::{bare_or_quoted, quoted};
use super::units::{format_duration, format_size};
use super::{
    CiBuildkit, CiContext, Compression, Endpoint, PrePush, RepositoryConfig, Secret, UserConfig,
};

/// Comments are aligned up to this column, in characters; longer lines have theirs right behind.
const COLUMN: usize = 56;

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The dotted path of its table, as TOML writes it; empty for the document.
    pub table: String,
    /// Its key, as TOML writes it.
    pub key: String,
    /// Its value, as TOML writes it; `None` for a setting that has no default and is not set.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Both configurations as one TOML document. Settings that are not set are comments.
#[must_use]
pub fn show(user: &Loaded<UserConfig>, repository: &Loaded<RepositoryConfig>) -> String {
    let mut text = String::new();
    let mut table = String::new();
    // The repository's file comes first because it has a key outside of any table.
    for setting in repository_settings(repository)
        .into_iter()
        .chain(user_settings(user))
    {
        if setting.table != table {
            table.clone_from(&setting.table);
            writeln!(text, "\n[{table}]").expect("a string takes any text");
        }
        let line = match &setting.value {
            Some(value) => format!("{} = {value}", setting.key),
            None => format!("# {} is not set", setting.key),
        };
        writeln!(text, "{line:COLUMN$} # {}", setting.origin).expect("a string takes any text");
    }
    text
}

/// All settings of the user's file.
#[must_use]
pub fn user_settings(loaded: &Loaded<UserConfig>) -> Vec<Setting> {
    let config = &loaded.value;
    let mut settings = Vec::new();
    let builder = &config.builder;
    let mut table = Table::new(loaded, "builder", &mut settings);
    table.set("endpoint", quoted(&endpoint(&builder.endpoint)));
    table.optional("cpus", builder.cpus.map(|cpus| cpus.to_string()));
    table.optional(
        "memory",
        builder.memory.map(|bytes| quoted(&format_size(bytes))),
    );
    table.set("network", quoted(&builder.network));
    table.optional(
        "buildkitd_config",
        builder
            .buildkitd_config
            .as_ref()
            .map(|path| quoted(&path.to_string_lossy())),
    );
    table.set(
        "certificates",
        array(
            builder
                .certificates
                .iter()
                .map(|path| quoted(&path.to_string_lossy())),
        ),
    );
    table.set("refresh", quoted(&format_duration(builder.refresh)));
    if let Some(tls) = &builder.tls {
        let mut table = Table::new(loaded, "builder.tls", &mut settings);
        table.set("ca", quoted(&tls.ca.to_string_lossy()));
        let (cert, key) = tls
            .identity
            .as_ref()
            .map(|(cert, key)| (cert.to_string_lossy(), key.to_string_lossy()))
            .unzip();
        table.optional("cert", cert.map(|path| quoted(&path)));
        table.optional("key", key.map(|path| quoted(&path)));
    }

    let mut table = Table::new(loaded, "warm", &mut settings);
    table.set("parallel", config.warm.parallel.to_string());
    table.set("timeout", quoted(&format_duration(config.warm.timeout)));
    table.set(
        "base_check",
        quoted(&format_duration(config.warm.base_check)),
    );
    table.set("retries", config.warm.retries.to_string());

    let mut table = Table::new(loaded, "consent", &mut settings);
    table.set("secrets", secrets(&config.consent.secrets));
    table.set("ssh", strings(&config.consent.ssh));
    table.set("buildkit_images", strings(&config.consent.buildkit_images));
    table.set("frontends", strings(&config.consent.frontends));

    let mut table = Table::new(loaded, "daemon", &mut settings);
    let daemon = &config.daemon;
    table.set("parallel", daemon.parallel.to_string());
    table.set("worktree", daemon.worktree.to_string());
    table.set("quiet", quoted(&format_duration(daemon.quiet)));
    table.set("recheck", quoted(&format_duration(daemon.recheck)));
    table.set("grace", quoted(&format_duration(daemon.grace)));
    table.set("notify", daemon.notify.to_string());

    let mut table = Table::new(loaded, "hooks", &mut settings);
    let hooks = &config.hooks;
    table.set("pre_push", quoted(pre_push(hooks.pre_push)));
    table.set("wait", quoted(&format_duration(hooks.wait)));
    table.set("standalone", hooks.standalone.to_string());

    let mut table = Table::new(loaded, "prune", &mut settings);
    for (key, value) in super::prune::written(&config.prune) {
        table.optional(key, value);
    }

    for (host, registry) in &config.registries {
        let mut table = Table::new(
            loaded,
            &format!("registry.{}", bare_or_quoted(host)),
            &mut settings,
        );
        table.set("insecure", registry.insecure.to_string());
        table.optional(
            "ca",
            registry
                .ca
                .as_ref()
                .map(|path| quoted(&path.to_string_lossy())),
        );
    }
    settings
}

/// All settings of a repository's file.
#[must_use]
pub fn repository_settings(loaded: &Loaded<RepositoryConfig>) -> Vec<Setting> {
    let ci = &loaded.value.ci;
    let mut settings = Vec::new();
    Table::new(loaded, "", &mut settings).set("version", "1".to_owned());

    let mut table = Table::new(loaded, "ci", &mut settings);
    let context = match ci.context {
        CiContext::Git => "git",
        CiContext::Path => "path",
    };
    let buildkit = match &ci.buildkit {
        CiBuildkit::Image(image) => image,
        CiBuildkit::Engine => "engine",
    };
    table.set("context", quoted(context));
    table.set("umask", quoted(&format!("{:03o}", ci.umask)));
    table.set("default_branch", quoted(&ci.default_branch));
    table.set("pull_requests", ci.pull_requests.to_string());
    table.set("buildkit", quoted(buildkit));
    table.set("protected", strings(&ci.protected));
    table.set("lfs", ci.lfs.to_string());
    table.set("submodules", ci.submodules.to_string());

    for target in &loaded.value.targets {
        let mut table = Table::new(
            loaded,
            &format!("target.{}", bare_or_quoted(&target.name)),
            &mut settings,
        );
        let args = target
            .args
            .iter()
            .map(|(name, value)| format!("{} = {}", bare_or_quoted(name), quoted(value)));
        let compression = match target.compression {
            Compression::Zstd => "zstd",
            Compression::Gzip => "gzip",
            Compression::Uncompressed => "none",
        };
        table.set("dockerfile", quoted(&target.dockerfile));
        table.set("context", quoted(&target.context));
        table.set("stage", quoted(target.stage.as_deref().unwrap_or_default()));
        table.set("platforms", strings(&target.platforms));
        table.optional("cache", target.cache.as_deref().map(quoted));
        table.set("tag", quoted(&target.tag));
        table.set(
            "args",
            format!("{{ {} }}", args.collect::<Vec<_>>().join(", ")),
        );
        table.set("secrets", secrets(&target.secrets));
        table.set("ssh", strings(&target.ssh));
        table.set("compression", quoted(compression));
    }
    settings
}

struct Table<'s, T> {
    loaded: &'s Loaded<T>,
    path: String,
    settings: &'s mut Vec<Setting>,
}

impl<'s, T> Table<'s, T> {
    fn new(loaded: &'s Loaded<T>, path: &str, settings: &'s mut Vec<Setting>) -> Self {
        Self {
            loaded,
            path: path.to_owned(),
            settings,
        }
    }

    fn set(&mut self, key: &str, value: String) {
        self.optional(key, Some(value));
    }

    fn optional(&mut self, key: &str, value: Option<String>) {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        let origin = self.loaded.origin(&path);
        self.settings.push(Setting {
            table: self.path.clone(),
            key: key.to_owned(),
            value,
            origin,
        });
    }
}

fn endpoint(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Auto => "auto".to_owned(),
        Endpoint::Container => "container".to_owned(),
        Endpoint::Engine => "engine".to_owned(),
        Endpoint::Unix(path) => format!("unix://{}", path.display()),
        Endpoint::Tcp(address) => format!("tcp://{address}"),
        Endpoint::Buildx(name) => format!("buildx:{name}"),
    }
}

fn strings(strings: &[String]) -> String {
    array(strings.iter().map(|string| quoted(string)))
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn secrets(secrets: &[Secret]) -> String {
    array(secrets.iter().map(|secret| {
        let (source, place) = secret.source.written();
        format!(
            "{{ id = {}, {source} = {} }}",
            quoted(&secret.id),
            quoted(&place)
        )
    }))
}

fn pre_push(setting: PrePush) -> &'static str {
    match setting {
        PrePush::Off => "off",
        PrePush::Notify => "notify",
        PrePush::Wait => "wait",
    }
}

#[cfg(test)]
mod tests;
