//! Bearer tokens: what to ask a token server, and what its answer means (distribution's token authentication
//! specification, and its OAuth 2 variant for identity tokens).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method};

use super::credentials::Credentials;
use super::http::{Follow, Request, Url};

/// Tokens are some kilobytes long at most.
const LIMIT: usize = 256 * 1024;

/// What a token is good for when its server does not say (`expires_in`, token specification).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

/// What a request wants to do in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    Pull,
    Push,
    Delete,
}

/// A token and how long it is good for.
pub(super) struct Token {
    pub(super) value: String,
    pub(super) lifetime: Duration,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Token")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// The scopes to ask for: ours, and the challenge's where it names another resource (a proxy that rewrites names does).
pub(super) fn scopes(path: &str, access: Access, demanded: Option<&str>) -> Vec<String> {
    let actions = match access {
        Access::Pull => "pull",
        Access::Push => "pull,push",
        Access::Delete => "pull,delete",
    };
    let ours = format!("repository:{path}:{actions}");
    let resource = |scope: &str| {
        scope
            .rsplit_once(':')
            .map(|(resource, _)| resource.to_owned())
    };
    let other = demanded.filter(|scope| !scope.is_empty() && resource(scope) != resource(&ours));
    std::iter::once(ours)
        .chain(other.map(str::to_owned))
        .collect()
}

/// The request for a token: `GET` with the login as basic credentials, if there is one; an identity token is refreshed with
/// an OAuth 2 `POST`.
pub(super) fn request(
    realm: &Url,
    service: Option<&str>,
    scopes: &[String],
    login: Option<&Credentials>,
) -> Request {
    let mut url = realm.clone();
    let mut headers = vec![(ACCEPT, HeaderValue::from_static("application/json"))];
    let refresh = login.filter(|login| login.username.is_empty());
    if let Some(login) = refresh {
        let mut form = Url::parse("form:").expect("a scheme alone is a URL");
        {
            let mut pairs = form.query_pairs_mut();
            pairs
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", &login.secret);
            pairs
                .append_pair("client_id", "prewarm")
                .append_pair("scope", &scopes.join(" "));
            pairs.extend_pairs(service.map(|service| ("service", service)));
        }
        headers.push((
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        ));
        let body = Bytes::from(form.query().unwrap_or_default().to_owned());
        return Request {
            method: Method::POST,
            url,
            headers,
            authorization: None,
            body,
            follow: Follow::SameHost,
            limit: LIMIT,
        };
    }
    {
        let mut pairs = url.query_pairs_mut();
        pairs.extend_pairs(service.map(|service| ("service", service)));
        pairs.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
    }
    Request {
        method: Method::GET,
        url,
        headers,
        authorization: login.map(basic),
        body: Bytes::new(),
        follow: Follow::SameHost,
        limit: LIMIT,
    }
}

/// The `Authorization` header of basic authentication (RFC 7617, UTF-8).
pub(super) fn basic(login: &Credentials) -> HeaderValue {
    let encoded = STANDARD.encode(format!("{}:{}", login.username, login.secret));
    let mut value =
        HeaderValue::from_str(&format!("Basic {encoded}")).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

/// Reads a token server's answer; `None` when there is no token in it.
pub(super) fn parse(body: &[u8]) -> Option<Token> {
    #[derive(serde::Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<u64>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let value = answer
        .token
        .filter(|token| !token.is_empty())
        .or(answer.access_token)?;
    let lifetime = answer
        .expires_in
        .map_or(DEFAULT_LIFETIME, Duration::from_secs);
    (!value.is_empty()).then_some(Token { value, lifetime })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_name_the_repository_and_a_rewritten_one() {
        let table = [
            (Access::Pull, None, vec!["repository:a/b:pull"]),
            (Access::Push, None, vec!["repository:a/b:pull,push"]),
            (
                Access::Push,
                Some("repository:a/b:pull"),
                vec!["repository:a/b:pull,push"],
            ),
            (
                Access::Delete,
                Some("repository:a/b:delete"),
                vec!["repository:a/b:pull,delete"],
            ),
            (Access::Pull, Some(""), vec!["repository:a/b:pull"]),
            (
                Access::Pull,
                Some("repository:proxy/a/b:pull"),
                vec!["repository:a/b:pull", "repository:proxy/a/b:pull"],
            ),
        ];
        for (access, demanded, expected) in table {
            assert_eq!(
                scopes("a/b", access, demanded),
                expected,
                "{access:?} {demanded:?}"
            );
        }
    }

    #[test]
    fn a_token_is_asked_for_as_the_specification_says() {
        let realm = Url::parse("https://auth.example/token?x=1").expect("a URL");
        let scopes = ["repository:a/b:pull,push".to_owned()];
        let anonymous = request(&realm, Some("registry.example"), &scopes, None);
        insta::assert_snapshot!(
            anonymous.url,
            @"https://auth.example/token?x=1&service=registry.example&scope=repository%3Aa%2Fb%3Apull%2Cpush"
        );
        assert_eq!(
            (anonymous.method, anonymous.authorization),
            (Method::GET, None)
        );

        let login = Credentials {
            username: "alice".to_owned(),
            secret: "s3cret".to_owned(),
        };
        let with_login = request(&realm, None, &scopes, Some(&login));
        let authorization = with_login.authorization.expect("basic credentials");
        assert_eq!(
            authorization.to_str().expect("ASCII"),
            "Basic YWxpY2U6czNjcmV0"
        );
        assert!(authorization.is_sensitive());

        let identity = Credentials {
            username: String::new(),
            secret: "re fresh".to_owned(),
        };
        let refresh = request(&realm, Some("s"), &scopes, Some(&identity));
        assert_eq!(
            (refresh.method, refresh.authorization),
            (Method::POST, None)
        );
        assert_eq!(refresh.url.as_str(), realm.as_str());
        insta::assert_snapshot!(
            String::from_utf8_lossy(&refresh.body),
            @"grant_type=refresh_token&refresh_token=re+fresh&client_id=prewarm&scope=repository%3Aa%2Fb%3Apull%2Cpush&service=s"
        );
    }

    #[test]
    fn tokens_are_read_from_either_field() {
        let table = [
            (r#"{"token":"t"}"#, Some(("t", 60))),
            (r#"{"access_token":"a","expires_in":300}"#, Some(("a", 300))),
            (r#"{"token":"t","access_token":"a"}"#, Some(("t", 60))),
            (r#"{"token":"","access_token":"a"}"#, Some(("a", 60))),
            (r#"{"token":""}"#, None),
            ("{}", None),
            ("<html>", None),
        ];
        for (body, expected) in table {
            let token = parse(body.as_bytes());
            let found = token
                .as_ref()
                .map(|token| (token.value.as_str(), token.lifetime.as_secs()));
            assert_eq!(found, expected, "{body}");
        }
    }
}
