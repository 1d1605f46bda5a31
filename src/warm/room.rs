//! Room on the Engine's disk for what a build will write, made before it begins: a full disk fails it near its end.

use super::evaluate::Evaluation;
use super::job::Job;
use super::run::Run;
use crate::prune::automatic::Automatic;
use crate::prune::checked::Checked;
use crate::prune::space;
use crate::ui::Event;
use crate::ui::text::bytes;

/// What a build writes, in times of what it exports: its layers as they are, the same compressed, and what it pulls and
/// unpacks besides.
const TIMES: u64 = 4;

/// Others write, too.
const SPARE: u64 = 1_000_000_000;

/// Sees to it that there is room for a build as large as the last one. The build goes on whatever comes of it.
pub(super) async fn make(run: &Run<'_>, job: &Job, evaluation: &Evaluation) {
    // A BuildKit that cannot be reached is told by the build.
    let builder = run.builder().await.ok();
    let root = builder.and_then(|builder| builder.data_root.as_ref());
    let Some(root) = root.filter(|_| run.user.prune.automatic) else {
        return;
    };
    let (records, target) = (&run.records, &job.target.name);
    let last = records.exported_bytes(&run.repository, target, &evaluation.platform);
    let last = run.note(last).flatten();
    let free = || space::at(root).ok().map(|disk| disk.free);
    let Some(wanted) = lacking(last, free()) else {
        return;
    };
    run.ui.event(&Event::Target {
        target: job.label.clone(),
        message: "making room".to_owned(),
    });
    let automatic = Automatic {
        world: run.world,
        user: &run.user,
        registry: &run.registry,
        wanted: Some(wanted),
        stop: &run.stop,
    };
    let checked = Box::pin(automatic.run()).await;
    let free = free();
    if lacking(last, free).is_some() {
        run.warn(Some(job), short(&checked, wanted, free));
    }
}

/// What must be free where less is than a build will need, by what the last one exported; all in bytes.
fn lacking(exported: Option<u64>, free: Option<u64>) -> Option<u64> {
    let exported = exported.filter(|bytes| *bytes > 0)?;
    let wanted = exported.saturating_mul(TIMES).saturating_add(SPARE);
    (free? < wanted).then_some(wanted)
}

/// That there is not enough, and why not.
fn short(checked: &Checked, wanted: u64, free: Option<u64>) -> String {
    let (wanted, free) = (bytes(wanted), bytes(free.unwrap_or(0)));
    let reason = match &checked.reason {
        Some(reason) => format!(" ({reason})"),
        None => String::new(),
    };
    format!(
        "this build may need {wanted} on the Engine's disk, {free} are free, and no more room could be made{reason}; \
         `prewarm prune` shows what may go"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::checked::State;

    #[test]
    fn room_is_made_for_what_the_last_build_took() {
        const MB: u64 = 1_000_000;
        for (exported, free, expected) in [
            // Four times what it exported, and a gigabyte.
            (Some(500 * MB), Some(3_000 * MB), None),
            (Some(500 * MB), Some(2_999 * MB), Some(3_000 * MB)),
            (Some(500 * MB), Some(0), Some(3_000 * MB)),
            // Nothing is known of the build, or of the disk.
            (None, Some(0), None),
            (Some(0), Some(0), None),
            (Some(500 * MB), None, None),
            (Some(u64::MAX), Some(0), Some(u64::MAX)),
        ] {
            assert_eq!(lacking(exported, free), expected, "{exported:?} {free:?}");
        }
    }

    #[test]
    fn what_is_missing_is_told_with_its_reason() {
        let checked = Checked {
            at: 0,
            state: State::Short,
            reason: Some("what is left is needed".to_owned()),
            disk: None,
            caches: vec![],
            max_cache: None,
            last: None,
            holders: vec![],
        };
        assert_eq!(
            short(&checked, 3_000_000_000, Some(2_000_000_000)),
            "this build may need 3.0 GB on the Engine's disk, 2.0 GB are free, and no more room could be made (what is \
             left is needed); `prewarm prune` shows what may go"
        );
    }
}
