//! Requests to registries: the login dance and the retries.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, Method};

use super::challenge::{self, Challenge};
use super::credentials::CredentialStore;
use super::error::{RegistryError, message};
use super::http::{Answer, Follow, Http, Request, Unusable, Url, is_loopback};
use super::reference::Repository;
use super::refusal::{denied, failed, no_token, outcome, refuse_in_general, token_failed};
use super::retry;
use super::token::{self, Access};
use crate::config::RegistrySettings;

/// A token is not used in its last seconds, so that it does not run out on the way.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// One request within a repository.
pub(super) struct Call<'a> {
    pub(super) repository: &'a Repository,
    pub(super) access: Access,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    pub(super) follow: Follow,
    /// The longest body that is read, in bytes.
    pub(super) limit: usize,
}

type Sleep = Box<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Where the retries' time and chance come from.
pub(super) struct Pauses {
    pub(super) sleep: Sleep,
    /// A number in `[0, 1)`.
    pub(super) random: fn() -> f64,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            sleep: Box::new(|pause| Box::pin(tokio::time::sleep(pause))),
            random,
        }
    }
}

/// Enough chance for jitter: the standard library seeds every `RandomState` anew.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0) >> 32;
    f64::from(u32::try_from(bits).expect("32 bits are left")) / (f64::from(u32::MAX) + 1.0)
}

/// What we send as `Authorization`.
#[derive(Clone)]
struct Authorization {
    header: HeaderValue,
    /// `None`: as long as it is accepted.
    until: Option<Instant>,
    /// A token server has accepted our login for it.
    login_accepted: bool,
}

/// Whom an authorization is for; basic ones hold for a whole registry.
type Purpose = (String, Option<(String, Access)>);

pub(super) struct Client {
    pub(super) settings: BTreeMap<String, RegistrySettings>,
    pub(super) credentials: CredentialStore,
    pub(super) retries: u32,
    pub(super) pauses: Pauses,
    pub(super) requests: AtomicU64,
    pub(super) token_requests: AtomicU64,
    hosts: Mutex<HashMap<String, Arc<Http>>>,
    authorizations: Mutex<HashMap<Purpose, Authorization>>,
}

impl Client {
    pub(super) fn new(
        settings: BTreeMap<String, RegistrySettings>,
        credentials: CredentialStore,
        retries: u32,
        pauses: Pauses,
    ) -> Self {
        Self {
            settings,
            credentials,
            retries,
            pauses,
            requests: AtomicU64::new(0),
            token_requests: AtomicU64::new(0),
            hosts: Mutex::default(),
            authorizations: Mutex::default(),
        }
    }

    /// The address of `rest` within a repository. Plain HTTP where the settings allow it; on loopback it is the default,
    /// as in BuildKit, unless a certificate authority is configured for it.
    pub(super) fn url(&self, repository: &Repository, rest: &str) -> Result<Url, RegistryError> {
        let settings = self.settings.get(repository.registry());
        let plain = match settings {
            Some(settings) if settings.insecure => true,
            Some(RegistrySettings { ca: Some(_), .. }) => false,
            _ => is_loopback(repository.registry()),
        };
        let scheme = if plain { "http" } else { "https" };
        let url = format!(
            "{scheme}://{}/v2/{}/{rest}",
            repository.host(),
            repository.path()
        );
        Url::parse(&url).map_err(|_| RegistryError::Unreachable {
            registry: repository.registry().to_owned(),
            reason: "its name is no internet address".to_owned(),
        })
    }

    /// Sends a call, with retries. What comes back is a success, a redirect, or a 4xx answer whose meaning depends on the
    /// call; everything else is an error already.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, RegistryError> {
        let mut attempt = 0;
        loop {
            let result = self.once(call).await;
            if let Some(settled) = self.settle(call.repository, attempt, result).await {
                return settled;
            }
            attempt += 1;
        }
    }

    /// What a try came to; `None` after a pause when it is to be tried again. `attempt` counts from 0.
    pub(super) async fn settle(
        &self,
        repository: &Repository,
        attempt: u32,
        result: Result<Answer, RegistryError>,
    ) -> Option<Result<Answer, RegistryError>> {
        let result = result.and_then(|answer| refuse_in_general(repository, answer));
        match retry::next(
            self.retries,
            attempt,
            outcome(&result),
            (self.pauses.random)(),
        ) {
            Some(pause) => (self.pauses.sleep)(pause).await,
            None => return Some(result),
        }
        None
    }

    /// One try: with the authorization that we have, then once more with the one that the registry asks for.
    pub(super) async fn once(&self, call: &Call<'_>) -> Result<Answer, RegistryError> {
        let registry = call.repository.registry();
        let http = self.http(registry)?;
        // An upload may be sent elsewhere; our login does not go there.
        let own = call.url.origin() == self.url(call.repository, "")?.origin();
        let known = self.known(call).filter(|_| own);
        let answer = self
            .send(&http, call, known.map(|known| known.header))
            .await?;
        if answer.status != 401 || answer.foreign || !own {
            return Ok(answer);
        }
        self.forget(call);
        let demands = answer
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let authorization = match challenge::choose(demands) {
            Some(challenge) => self.authorize(&http, call, challenge).await?,
            None => None,
        };
        let Some(authorization) = authorization else {
            return Err(RegistryError::Unauthorized {
                registry: registry.to_owned(),
                logged_in: false,
                message: message(answer.status, &answer.body),
            });
        };
        let answer = self.send(&http, call, Some(authorization.header)).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        self.forget(call);
        let message = message(answer.status, &answer.body);
        if authorization.login_accepted {
            // The token server knows us, so what is missing is the right.
            return Err(denied(call.repository, message));
        }
        let logged_in = self.credentials.get(registry).await?.is_some();
        self.credentials.forget(registry).await;
        Err(RegistryError::Unauthorized {
            registry: registry.to_owned(),
            logged_in,
            message,
        })
    }

    async fn send(
        &self,
        http: &Http,
        call: &Call<'_>,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, RegistryError> {
        let request = Request {
            method: call.method.clone(),
            url: call.url.clone(),
            headers: call.headers.clone(),
            authorization,
            body: call.body.clone(),
            follow: call.follow,
            limit: call.limit,
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        http.send(&request)
            .await
            .map_err(|failure| failed(call.repository.registry(), failure, call.limit))
    }

    /// Meets a challenge; `None` when it takes a login that we do not have.
    async fn authorize(
        &self,
        http: &Http,
        call: &Call<'_>,
        challenge: Challenge,
    ) -> Result<Option<Authorization>, RegistryError> {
        let registry = call.repository.registry();
        let login = self.credentials.get(registry).await?;
        let (purpose, authorization) = match challenge {
            Challenge::Basic => {
                let Some(login) = login.filter(|login| !login.username.is_empty()) else {
                    return Ok(None);
                };
                let header = token::basic(&login);
                (
                    (registry.to_owned(), None),
                    Authorization {
                        header,
                        until: None,
                        login_accepted: false,
                    },
                )
            }
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let protocol = |reason: String| RegistryError::Protocol {
                    registry: registry.to_owned(),
                    reason,
                };
                let realm = Url::parse(&realm)
                    .ok()
                    .filter(|realm| matches!(realm.scheme(), "https" | "http"));
                let realm =
                    realm.ok_or_else(|| protocol("its token server has no address".to_owned()))?;
                if call.url.scheme() == "https" && realm.scheme() != "https" {
                    return Err(protocol("its token server does not use TLS".to_owned()));
                }
                let scopes = token::scopes(call.repository.path(), call.access, scope.as_deref());
                let request = token::request(&realm, service.as_deref(), &scopes, login.as_ref());
                self.token_requests.fetch_add(1, Ordering::Relaxed);
                let answer = http
                    .send(&request)
                    .await
                    .map_err(|failure| token_failed(registry, &realm, failure, request.limit))?;
                if answer.status != 200 {
                    if matches!(answer.status, 400 | 401) && login.is_some() {
                        self.credentials.forget(registry).await;
                    }
                    return Err(no_token(call.repository, login.is_some(), &answer));
                }
                let token = token::parse(&answer.body)
                    .ok_or_else(|| protocol("its token server gave no token".to_owned()))?;
                let mut header = HeaderValue::from_str(&format!("Bearer {}", token.value))
                    .map_err(|_| protocol("its token server gave no usable token".to_owned()))?;
                header.set_sensitive(true);
                let until = Instant::now()
                    + token
                        .lifetime
                        .saturating_sub(TOKEN_MARGIN)
                        .min(Duration::from_secs(86_400));
                let purpose = (
                    registry.to_owned(),
                    Some((call.repository.path().to_owned(), call.access)),
                );
                (
                    purpose,
                    Authorization {
                        header,
                        until: Some(until),
                        login_accepted: login.is_some(),
                    },
                )
            }
        };
        let mut authorizations = self
            .authorizations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        authorizations.insert(purpose, authorization.clone());
        Ok(Some(authorization))
    }

    /// The authorization that we may send without being asked; who may push or delete may pull.
    fn known(&self, call: &Call<'_>) -> Option<Authorization> {
        let authorizations = self
            .authorizations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let good = purposes(call)
            .filter_map(|purpose| authorizations.get(&purpose))
            .find(|authorization| authorization.until.is_none_or(|until| now < until));
        good.cloned()
    }

    fn forget(&self, call: &Call<'_>) {
        let mut authorizations = self
            .authorizations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for purpose in purposes(call) {
            authorizations.remove(&purpose);
        }
    }

    fn http(&self, registry: &str) -> Result<Arc<Http>, RegistryError> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(http) = hosts.get(registry) {
            return Ok(Arc::clone(http));
        }
        let ca = self
            .settings
            .get(registry)
            .and_then(|settings| settings.ca.as_ref());
        let http =
            Http::new(registry, ca).map_err(|Unusable(reason)| RegistryError::Authority {
                registry: registry.to_owned(),
                path: ca.cloned().unwrap_or_else(|| "of the system".into()),
                reason,
            })?;
        let http = Arc::new(http);
        hosts.insert(registry.to_owned(), Arc::clone(&http));
        Ok(http)
    }
}

fn purposes(call: &Call<'_>) -> impl Iterator<Item = Purpose> {
    let registry = call.repository.registry().to_owned();
    let path = call.repository.path().to_owned();
    let enough: &[Access] = match call.access {
        Access::Pull => &[Access::Push, Access::Delete, Access::Pull],
        Access::Push => &[Access::Push],
        Access::Delete => &[Access::Delete],
    };
    let tokens = enough
        .iter()
        .map(move |access| Some((path.clone(), *access)));
    std::iter::once(None)
        .chain(tokens)
        .map(move |purpose| (registry.clone(), purpose))
}
