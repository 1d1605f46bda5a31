//! Which work trees there are: those of the repositories that the user has allowed.

use std::path::Path;

use crate::consent::Store;
use crate::error::Error;
use crate::snapshot::{WorkTree, work_trees};

/// The work trees of what is allowed in this file, or why that cannot be told.
pub(super) fn enrolled(consent: &Path) -> Result<Vec<WorkTree>, Error> {
    let allowed = Store::at(consent.to_owned()).load()?;
    let grants = allowed.grants().iter();
    Ok(grants
        .flat_map(|grant| work_trees(&grant.common_dir))
        .collect())
}
