//! The recipe: what decides which steps are executed and which files they ask for.

use std::collections::BTreeMap;

use super::key::Hasher;
use crate::config::CiContext;

/// Everything but the input files and the base images' digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The Dockerfile's bytes.
    pub dockerfile: Vec<u8>,
    /// The ignore file's bytes, where CI's build applies one.
    pub ignore_file: Option<Vec<u8>>,
    /// The context directory.
    pub context: String,
    /// Where CI takes its files from.
    pub ci_context: CiContext,
    /// The umask of CI's checkout.
    pub umask: u32,
    /// The stage; `None` for the last.
    pub stage: Option<String>,
    /// The platform, such as `linux/amd64`.
    pub platform: String,
    /// The platform that BuildKit itself runs on, which `FROM --platform=$BUILDPLATFORM` takes.
    pub build_platform: String,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// The version of BuildKit that builds it: versions disagree about cache keys.
    pub buildkit: String,
}

impl Recipe {
    /// The recipe's hash: 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Hasher::new("prewarm recipe 1");
        hasher.field(&self.dockerfile);
        hasher.optional(self.ignore_file.as_deref());
        hasher.field(self.context.as_bytes());
        hasher.field(match self.ci_context {
            CiContext::Git => b"git",
            CiContext::Path => b"path",
        });
        hasher.field(&self.umask.to_be_bytes());
        hasher.optional(self.stage.as_ref().map(String::as_bytes));
        hasher.field(self.platform.as_bytes());
        hasher.field(self.build_platform.as_bytes());
        hasher.field(&self.args.len().to_be_bytes());
        for (name, value) in &self.args {
            hasher.field(name.as_bytes());
            hasher.field(value.as_bytes());
        }
        hasher.field(self.buildkit.as_bytes());
        hasher.finish()
    }
}
