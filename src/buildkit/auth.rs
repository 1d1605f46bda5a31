//! Registry logins for BuildKit.
//!
//! Only `Credentials` is answered. The token methods are *unimplemented* on purpose: BuildKit then does the token
//! exchange itself (`util/resolver/authorizer.go` of moby/buildkit), and no token has to pass through us.

use std::fmt;
use std::sync::Arc;

use bollard_buildkit_proto::moby::filesync::v1::auth_server::Auth;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use futures_util::future::BoxFuture;
use tonic::{Request, Response, Status};

/// Looks up the user name and the secret for a registry host; `None` for anonymous.
pub type Lookup = Arc<
    dyn Fn(String) -> BoxFuture<'static, Result<Option<(String, String)>, String>> + Send + Sync,
>;

/// Answers BuildKit's questions for registry logins.
#[derive(Clone)]
pub struct AuthService {
    lookup: Lookup,
}

impl fmt::Debug for AuthService {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AuthService")
    }
}

impl AuthService {
    /// A service that asks `lookup`.
    #[must_use]
    pub fn new(lookup: Lookup) -> Self {
        Self { lookup }
    }
}

#[tonic::async_trait]
impl Auth for AuthService {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let found = (self.lookup)(request.into_inner().host)
            .await
            .map_err(Status::unauthenticated)?;
        let (username, secret) = found.unwrap_or_default();
        Ok(Response::new(CredentialsResponse { username, secret }))
    }

    async fn fetch_token(
        &self,
        _request: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by BuildKit"))
    }

    async fn get_token_authority(
        &self,
        _request: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by BuildKit"))
    }

    async fn verify_token_authority(
        &self,
        _request: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by BuildKit"))
    }
}
