//! Programs that a git configuration names, by where they are named.

use std::fs;
use std::path::{Path, PathBuf};

/// The keys that the repository itself sets, of the answer of `git config --show-scope --show-origin -z`: `scope NUL
/// origin NUL key LF value NUL`. Those of the scopes `local` and `worktree`, whatever file they include, and those of
/// any file in one of the directories `own`. Relative names of files begin at `base`.
pub(super) fn of_repository(answer: &[u8], base: &Path, own: &[&PathBuf]) -> Vec<String> {
    let fields: Vec<_> = answer
        .split(|byte| *byte == 0)
        .map(|field| String::from_utf8_lossy(field))
        .collect();
    let inside = |origin: &str| {
        let Some(file) = origin.strip_prefix("file:") else {
            // The command line and the environment are ours and the user's.
            return false;
        };
        let file = base.join(file);
        let file = fs::canonicalize(&file).unwrap_or(file);
        own.iter().any(|directory| file.starts_with(directory))
    };
    let mut keys: Vec<String> = fields
        .chunks_exact(3)
        .filter(|entry| matches!(&*entry[0], "local" | "worktree") || inside(&entry[1]))
        .map(|entry| entry[2].split('\n').next().unwrap_or_default().to_owned())
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_configures_for_everything_is_not_the_repositorys() {
        let answer = b"global\0file:/home/ada/.gitconfig\0filter.lfs.clean\ngit-lfs clean -- %f\0\
            local\0file:.git/config\0filter.a.clean\nx\ny\0\
            global\0file:/w/.gitconfig\0filter.b.process\nx\0\
            worktree\0file:/elsewhere\0filter.c.clean\nx\0\
            command\0command line:\0filter.d.clean\nx\0\
            system\0file:/w-other/config\0filter.e.clean\nx\0";
        let own = PathBuf::from("/w");
        let keys = of_repository(answer, &own, &[&own]);
        assert_eq!(
            keys,
            ["filter.a.clean", "filter.b.process", "filter.c.clean"]
        );
        assert_eq!(of_repository(b"", &own, &[&own]), [""; 0]);
    }
}
