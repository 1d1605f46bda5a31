//! How our BuildKit container is set up, as values: what the user's configuration means for it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::EngineError;
use super::locate::hex;
use crate::config::{Builder, RegistrySettings};

/// Where `buildkitd` looks for its configuration in the container; buildx puts it there too.
pub(super) const CONFIG_PATH: &str = "/etc/buildkit/buildkitd.toml";

/// Where certificates of single registries are in the container; buildx puts them there too.
const REGISTRY_CERTIFICATES: &str = "/etc/buildkit/certs";

/// `buildkitd` is a Go program, which trusts every certificate in this directory.
const TRUSTED_CERTIFICATES: &str = "/etc/ssl/certs";

/// Changes when we make the container in another way, so that one of an earlier prewarm is made anew.
const LAYOUT: &str = "1";

/// Everything about the container but its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// CPU limit in billionths of a CPU.
    pub(super) nano_cpus: Option<u64>,
    /// Memory limit in bytes.
    pub(super) memory: Option<u64>,
    /// Network mode.
    pub(super) network: String,
    /// Files to put into the container: absolute path and content.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl Settings {
    /// Takes the settings from the user's configuration; `read` reads the files that it names.
    ///
    /// # Errors
    /// [`EngineError::File`] for a file that cannot be read, and a `buildkitd.toml` that is not TOML.
    pub fn new(
        builder: &Builder,
        registries: &BTreeMap<String, RegistrySettings>,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, EngineError> {
        let file = |path: &Path| read(path).map_err(|error| EngineError::file(path, &error));
        let mut files = Vec::new();
        for (number, path) in builder.certificates.iter().enumerate() {
            files.push((
                format!("{TRUSTED_CERTIFICATES}/prewarm-{number}.pem"),
                file(path)?,
            ));
        }
        let mut ours = Table::new();
        for (host, registry) in registries {
            let mut entry = Table::new();
            if registry.insecure {
                entry.insert("http".to_owned(), Value::Boolean(true));
            }
            if let Some(ca) = &registry.ca {
                let path = format!("{REGISTRY_CERTIFICATES}/{host}/ca.pem");
                files.push((path.clone(), file(ca)?));
                entry.insert("ca".to_owned(), Value::Array(vec![Value::String(path)]));
            }
            if !entry.is_empty() {
                ours.insert(host.clone(), Value::Table(entry));
            }
        }
        let users = match &builder.buildkitd_config {
            Some(path) => Some((path.as_path(), file(path)?)),
            None => None,
        };
        files.extend(
            buildkitd_config(users, ours)?.map(|content| (CONFIG_PATH.to_owned(), content)),
        );
        Ok(Self {
            nano_cpus: builder.cpus.map(nano_cpus),
            memory: builder.memory,
            network: builder.network.clone(),
            files,
        })
    }

    /// A hash of everything: equal settings, equal hash.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        // Each part with its length, so that no two settings can run together to the same bytes.
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(LAYOUT.as_bytes());
        part(format!("{:?} {:?}", self.nano_cpus, self.memory).as_bytes());
        part(self.network.as_bytes());
        for (path, content) in &self.files {
            part(path.as_bytes());
            part(content);
        }
        hex(&hash.finalize())
    }

    /// Arguments of `buildkitd`. Never `--allow-insecure-entitlement`: no build gets more than a plain one.
    pub(super) fn arguments(&self) -> Vec<String> {
        if self.files.iter().any(|(path, _)| path == CONFIG_PATH) {
            // Images that run as another user than root look elsewhere by themselves.
            vec!["--config".to_owned(), CONFIG_PATH.to_owned()]
        } else {
            Vec::new()
        }
    }

    /// The files as a tar archive to be unpacked at the container's root.
    pub(super) fn archive(&self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(
                &mut header,
                path.trim_start_matches('/'),
                content.as_slice(),
            )?;
        }
        archive.into_inner()
    }
}

/// The user's `buildkitd.toml` with our registries in it; what the user's says of a registry stays as it is.
fn buildkitd_config(
    users: Option<(&Path, Vec<u8>)>,
    ours: Table,
) -> Result<Option<Vec<u8>>, EngineError> {
    let Some((path, bytes)) = users else {
        if ours.is_empty() {
            return Ok(None);
        }
        let whole = Table::from_iter([("registry".to_owned(), Value::Table(ours))]);
        return Ok(Some(whole.to_string().into_bytes()));
    };
    let text = str::from_utf8(&bytes).map_err(|error| EngineError::file(path, &error))?;
    let mut whole: Table = text
        .parse()
        .map_err(|error| EngineError::file(path, &error))?;
    if ours.is_empty() {
        return Ok(Some(bytes));
    }
    let not_tables = || EngineError::file(path, &"`registry` must hold tables");
    let registries = whole
        .entry("registry")
        .or_insert_with(|| Value::Table(Table::new()))
        .as_table_mut()
        .ok_or_else(not_tables)?;
    for (host, entry) in ours {
        let entry = entry.as_table().cloned().unwrap_or_default();
        let theirs = registries
            .entry(host)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(not_tables)?;
        for (key, value) in entry {
            theirs.entry(key).or_insert(value);
        }
    }
    Ok(Some(whole.to_string().into_bytes()))
}

/// CPUs in the Engine's unit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and a limit that large is none"
)]
fn nano_cpus(cpus: f64) -> u64 {
    (cpus * 1e9).round() as u64
}

#[cfg(test)]
mod tests;
