//! Build secrets: `RUN --mount=type=secret,id=…`.

use std::collections::BTreeMap;
use std::fmt;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::Secrets;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use tonic::{Request, Response, Status};

/// The largest secret that BuildKit takes (`secretsprovider.maxSecretSize`, 500 KB).
pub const MAX_SECRET: usize = 500 << 10;

/// Hands out the secrets that a target names. Values are read before the solve, so that a missing one is an error of
/// the configuration and not of a build step.
#[derive(Clone, Default)]
pub struct SecretService {
    values: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for SecretService {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

impl SecretService {
    /// A service for these values by id.
    #[must_use]
    pub fn new(values: BTreeMap<String, Vec<u8>>) -> Self {
        Self { values }
    }
}

#[tonic::async_trait]
impl Secrets for SecretService {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        match self.values.get(&id) {
            Some(value) => Ok(Response::new(GetSecretResponse {
                data: value.clone(),
            })),
            // BuildKit turns "not found" into an error only where the mount says `required`.
            None => Err(Status::not_found(format!("secret {id} is not configured"))),
        }
    }
}
