//! The table `[prune]` of the user's file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::section::Section;
use super::units::{format_duration, format_size, parse_duration, parse_size};

/// Listing a large cache is work; more often is of no use.
const OFTEN: Duration = Duration::from_secs(60);

/// How disk space is had back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneSettings {
    /// Whether it is done without being asked: by the daemon, by hooks, and before a build that would not fit.
    pub automatic: bool,
    /// It begins when less than this is free; `None` for the default (see [`crate::prune::policy`]).
    pub start: Option<Amount>,
    /// It ends when this is free; `None` for the default.
    pub free: Option<Amount>,
    /// What all caches may have together, in bytes; `None` for no limit.
    pub max_cache: Option<u64>,
    /// What all caches are left in any case, in bytes.
    pub floor: u64,
    /// What was used within this time stays.
    pub keep_newer_than: Duration,
    /// Images that were made, pulled or named within this time stay.
    pub images_keep_newer_than: Duration,
    /// What stays: records by what made them, images by their names; `*` matches any run of characters.
    pub keep: Vec<String>,
    /// Which images of the Engine may go.
    pub images: PruneImages,
    /// Whether what `RUN --mount=type=cache` keeps may go.
    pub cache_mounts: bool,
    /// How often the daemon looks when nothing happens.
    pub every: Duration,
    /// A branch that was warmed within this time is alive, as is one that is checked out.
    pub branches: Duration,
    /// With `--registry`: tags that nobody needed for this time may go.
    pub registry_after: Duration,
}

impl Default for PruneSettings {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            automatic: true,
            start: None,
            free: None,
            max_cache: None,
            floor: 10_000_000_000,
            keep_newer_than: Duration::from_secs(DAY),
            images_keep_newer_than: Duration::from_secs(7 * DAY),
            keep: Vec::new(),
            images: PruneImages::Off,
            cache_mounts: false,
            every: Duration::from_secs(300),
            branches: Duration::from_secs(14 * DAY),
            registry_after: Duration::from_secs(30 * DAY),
        }
    }
}

/// Which images of the Engine may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PruneImages {
    /// None.
    #[default]
    Off,
    /// Those without a name.
    Dangling,
    /// Also those that no container was made from.
    Unused,
}

impl PruneImages {
    /// Reads how people write it.
    ///
    /// # Errors
    /// The message completes "`key`: …".
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "dangling" => Ok(Self::Dangling),
            "unused" => Ok(Self::Unused),
            _ => Err(format!("\"{text}\" is none of off, dangling, unused")),
        }
    }

    fn written(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Dangling => "dangling",
            Self::Unused => "unused",
        }
    }
}

/// A part of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Hundredths of it.
    Percent(u8),
    /// Bytes.
    Bytes(u64),
}

impl Amount {
    /// Reads `20%` or `50GB`.
    ///
    /// # Errors
    /// The message completes "`key`: …".
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(number) = text.trim().strip_suffix('%') else {
            return parse_size(text).map(Self::Bytes).map_err(|_| {
                format!("\"{text}\" is neither a share of the disk (20%) nor a size (50GB)")
            });
        };
        match number.trim().parse() {
            Ok(percent @ 0..=95) => Ok(Self::Percent(percent)),
            Ok(_) => Err(format!(
                "\"{text}\" is more than a disk can have free: at most 95%"
            )),
            Err(_) => Err(format!("\"{text}\" is no whole number of percent")),
        }
    }

    /// So many bytes of a disk of this size.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => total / 100 * u64::from(percent),
        }
    }

    fn written(self) -> String {
        match self {
            Self::Percent(percent) => format!("{percent}%"),
            Self::Bytes(bytes) => format_size(bytes),
        }
    }
}

pub(super) fn read(section: &mut Section<'_, '_>) -> PruneSettings {
    let default = PruneSettings::default();
    let every = |text: &str| match parse_duration(text)? {
        duration if duration < OFTEN => {
            Err("caches are not listed more than once a minute".to_owned())
        }
        duration => Ok(duration),
    };
    let settings = PruneSettings {
        automatic: section.boolean("automatic").unwrap_or(default.automatic),
        start: section.parsed("start", "15%", Amount::parse),
        free: section.parsed("free", "20%", Amount::parse),
        max_cache: section.parsed("max_cache", "100GB", parse_size),
        floor: section
            .parsed("floor", "10GB", parse_size)
            .unwrap_or(default.floor),
        keep_newer_than: section
            .parsed("keep_newer_than", "24h", parse_duration)
            .unwrap_or(default.keep_newer_than),
        images_keep_newer_than: section
            .parsed("images_keep_newer_than", "7d", parse_duration)
            .unwrap_or(default.images_keep_newer_than),
        keep: section
            .list("keep", "*pip install*", pattern)
            .unwrap_or_default(),
        images: section
            .parsed("images", "off", PruneImages::parse)
            .unwrap_or(default.images),
        cache_mounts: section
            .boolean("cache_mounts")
            .unwrap_or(default.cache_mounts),
        every: section
            .parsed("every", "5m", every)
            .unwrap_or(default.every),
        branches: section
            .parsed("branches", "14d", parse_duration)
            .unwrap_or(default.branches),
        registry_after: section
            .parsed("registry_after", "30d", parse_duration)
            .unwrap_or(default.registry_after),
    };
    let wrong = match (settings.start, settings.free) {
        (Some(Amount::Percent(start)), Some(Amount::Percent(free))) => free <= start,
        (Some(Amount::Bytes(start)), Some(Amount::Bytes(free))) => free <= start,
        _ => false,
    };
    if wrong {
        section.problem(
            "free",
            "is no more than `start`: pruning would begin again as soon as it has ended",
            None,
        );
    }
    settings
}

fn pattern(text: &str) -> Result<String, String> {
    match text {
        "" => Err("an empty pattern keeps nothing".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Each key with its value as TOML; `None` where a key without a value has a default of its own.
pub(super) fn written(settings: &PruneSettings) -> Vec<(&'static str, Option<String>)> {
    let quoted = super::quote::quoted;
    let duration = |duration: Duration| Some(quoted(&format_duration(duration)));
    let keep: Vec<String> = settings.keep.iter().map(|text| quoted(text)).collect();
    vec![
        ("automatic", Some(settings.automatic.to_string())),
        (
            "start",
            settings.start.map(|start| quoted(&start.written())),
        ),
        ("free", settings.free.map(|free| quoted(&free.written()))),
        (
            "max_cache",
            settings.max_cache.map(|bytes| quoted(&format_size(bytes))),
        ),
        ("floor", Some(quoted(&format_size(settings.floor)))),
        ("keep_newer_than", duration(settings.keep_newer_than)),
        (
            "images_keep_newer_than",
            duration(settings.images_keep_newer_than),
        ),
        ("keep", Some(format!("[{}]", keep.join(", ")))),
        ("images", Some(quoted(settings.images.written()))),
        ("cache_mounts", Some(settings.cache_mounts.to_string())),
        ("every", duration(settings.every)),
        ("branches", duration(settings.branches)),
        ("registry_after", duration(settings.registry_after)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shares_or_sizes() {
        for (text, amount) in [
            ("15%", Amount::Percent(15)),
            (" 20 % ", Amount::Percent(20)),
            ("50GB", Amount::Bytes(50_000_000_000)),
        ] {
            assert_eq!(Amount::parse(text), Ok(amount), "{text}");
        }
        for text in [
            "",
            "%",
            "-1%",
            "1.5%",
            "100%",
            "300%",
            "50",
            "x%",
            "20 percent",
        ] {
            assert!(Amount::parse(text).is_err(), "{text}");
        }
        assert_eq!(Amount::Percent(20).of(1_000), 200);
        assert_eq!(Amount::Bytes(7).of(1_000), 7);
    }
}
