//! What a registry says about how to log in: the `WWW-Authenticate` header (RFC 9110, section 11.6.1).

/// The way in that we take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token from somewhere else (distribution's token authentication specification).
    Bearer {
        /// The URL that gives tokens.
        realm: String,
        /// What the token is for; sent back as it is.
        service: Option<String>,
        /// The scope that the refused request needs.
        scope: Option<String>,
    },
}

/// Picks the challenge to answer from all header values: bearer before basic, as docker does; unknown schemes are skipped.
pub(super) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let offers: Vec<Offer> = headers.flat_map(parse).collect();
    let bearer = offers
        .iter()
        .filter(|offer| offer.is("bearer"))
        .find_map(|offer| {
            Some(Challenge::Bearer {
                realm: offer.get("realm")?,
                service: offer.get("service"),
                scope: offer.get("scope"),
            })
        });
    bearer.or_else(|| {
        offers
            .iter()
            .any(|offer| offer.is("basic"))
            .then_some(Challenge::Basic)
    })
}

/// One scheme with its parameters.
struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Offer {
    fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    fn get(&self, name: &str) -> Option<String> {
        let found = self
            .parameters
            .iter()
            .find(|(parameter, _)| parameter.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }
}

/// Reads one header value, which may hold several challenges; a word that is followed by `=` is a parameter, any other word
/// begins a challenge. Malformed rest is dropped.
fn parse(header: &str) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return offers;
        }
        match (
            after.trim_start_matches([' ', '\t']).strip_prefix('='),
            offers.last_mut(),
        ) {
            (Some(value), Some(offer)) => {
                let (value, after) = parameter_value(value.trim_start_matches([' ', '\t']));
                offer.parameters.push((word.to_owned(), value));
                rest = after;
            }
            (Some(_), None) => return offers,
            (None, _) => {
                offers.push(Offer {
                    scheme: word.to_owned(),
                    parameters: Vec::new(),
                });
                rest = after;
            }
        }
    }
}

/// A token or a quoted string, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn the_challenge_is_found_in_what_registries_send() {
        let table: [(&[&str], Option<Challenge>); 12] = [
            (&[], None),
            (&[""], None),
            (&["Basic realm=\"Registry Realm\""], Some(Challenge::Basic)),
            (&["basic"], Some(Challenge::Basic)),
            (
                &[
                    "Bearer realm=\"https://auth.example/token\",service=\"registry.example\",\
                   scope=\"repository:a/b:pull,push\"",
                ],
                Some(bearer(
                    "https://auth.example/token",
                    Some("registry.example"),
                    Some("repository:a/b:pull,push"),
                )),
            ),
            (
                &["BEARER REALM=https://a.example/t , Service=s"],
                Some(bearer("https://a.example/t", Some("s"), None)),
            ),
            (
                &["Bearer realm = \"https://a.example/t\""],
                Some(bearer("https://a.example/t", None, None)),
            ),
            (
                &["Bearer realm=\"a\\\"b\\\\c\""],
                Some(bearer("a\"b\\c", None, None)),
            ),
            (
                &["Basic realm=\"x, Bearer y\", Bearer realm=\"z\""],
                Some(bearer("z", None, None)),
            ),
            (
                &["Basic realm=\"x\"", "Bearer realm=\"z\""],
                Some(bearer("z", None, None)),
            ),
            (
                &["Negotiate abc==, Basic realm=\"x\""],
                Some(Challenge::Basic),
            ),
            (&["Bearer service=\"no realm\""], None),
        ];
        for (headers, expected) in table {
            assert_eq!(choose(headers.iter().copied()), expected, "{headers:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_to_its_end(header in "[ -~\\t]{0,60}") {
            let _ = choose(std::iter::once(header.as_str()));
        }
    }
}
