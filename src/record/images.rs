//! When images were first seen.

use std::collections::BTreeMap;

use rusqlite::TransactionBehavior;

use super::{RecordError, Records};

impl Records {
    /// When each of these images was first seen here, in Unix milliseconds; for one that is new that is `now`. Images that
    /// are not among them are forgotten.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn images_seen(
        &self,
        ids: &[String],
        now: i64,
    ) -> Result<BTreeMap<String, i64>, RecordError> {
        let list = serde_json::Value::from(ids).to_string();
        self.run("record which images there are in", |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "DELETE FROM images WHERE id NOT IN (SELECT value FROM json_each(?1))",
                [&list],
            )?;
            transaction.execute(
                "INSERT OR IGNORE INTO images (id, seen_at) SELECT value, ?2 FROM json_each(?1)",
                (&list, now),
            )?;
            let seen = transaction
                .prepare_cached("SELECT id, seen_at FROM images")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            transaction.commit()?;
            Ok(seen)
        })
    }
}
