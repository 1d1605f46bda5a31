//! Bearer tokens as registries ask for them (the Distribution project's token specification): a challenge that names the
//! token server, and a token for a repository in exchange for a login.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::engines::engines;
use super::http::Head;
use super::proxy::Request;

/// The tokens that were given out.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// By token, the scopes that it is good for.
    given: Mutex<BTreeMap<String, String>>,
}

impl Tokens {
    /// The answer to a request that is not to be sent on: to one for a token, or to one without.
    pub(super) fn answer(
        &self,
        request: &Request,
        head: &Head,
        body: &mut impl BufRead,
        address: &SocketAddr,
    ) -> io::Result<Option<Vec<u8>>> {
        if request.path.starts_with("/token") {
            return self.give(request, head, body).map(Some);
        }
        let token = head
            .header("Authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let scopes = token.and_then(|token| given.get(token));
        let repository = repository(&request.path);
        let good = scopes.is_some_and(|scopes| repository.is_none_or(|name| scopes.contains(name)));
        if good {
            return Ok(None);
        }
        let actions = match request.method.as_str() {
            "GET" | "HEAD" => "pull",
            _ => "pull,push",
        };
        let scope = repository.map(|name| format!(",scope=\"repository:{name}:{actions}\""));
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"test\"{}\r\n",
            scope.unwrap_or_default()
        );
        Ok(Some(message("401 Unauthorized", &challenge, "")))
    }

    /// Gives a token to whoever has the login, asked by GET with basic authorization or by POST with a form.
    fn give(&self, request: &Request, head: &Head, body: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let length = head
            .header("Content-Length")
            .and_then(|length| length.parse().ok());
        let mut form = String::new();
        body.take(length.unwrap_or(0)).read_to_string(&mut form)?;
        let engines = engines();
        let login = STANDARD.encode(format!("{}:{}", engines.user, engines.password));
        let by_header = head.header("Authorization") == Some(&format!("Basic {login}"));
        let by_form = form.contains(&format!("username={}", engines.user))
            && form.contains(&format!("password={}", engines.password));
        if !by_header && !by_form {
            return Ok(message(
                "401 Unauthorized",
                "",
                "{\"details\":\"wrong password\"}",
            ));
        }
        let asked = if form.is_empty() {
            &request.path
        } else {
            &form
        };
        let scopes = asked
            .replace("%2F", "/")
            .replace("%3A", ":")
            .replace("%2C", ",");
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let token = format!("token-{}", given.len());
        given.insert(token.clone(), scopes);
        let document = json!({ "token": token, "access_token": token, "expires_in": 300 });
        Ok(message(
            "200 OK",
            "Content-Type: application/json\r\n",
            &document.to_string(),
        ))
    }
}

/// The repository that a path of the registry's API is about.
fn repository(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/v2/")?;
    let ends = ["/manifests/", "/blobs/", "/tags/"].into_iter();
    ends.filter_map(|end| rest.split_once(end))
        .map(|(name, _)| name)
        .next()
}

fn message(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}
