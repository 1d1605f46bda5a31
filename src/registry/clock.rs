//! What time a registry has.

use std::time::SystemTime;

use ::http::Method;
use ::http::header::DATE;

use super::token::Access;
use super::{Registry, Repository, plain_call};

impl Registry {
    /// The time that a registry writes on an answer; `None` when it does not answer, or without it.
    pub async fn time(&self, repository: &Repository) -> Option<SystemTime> {
        // Whatever comes of it: a refusal has its date, too.
        let url = self.client.url(repository, "tags/list").ok()?;
        let call = plain_call(repository, Access::Pull, Method::HEAD, url);
        let answer = self.client.once(&call).await.ok()?;
        httpdate::parse_http_date(answer.header(DATE.as_str())?).ok()
    }
}
