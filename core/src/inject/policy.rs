//! What a page's Content-Security-Policy says about inline styles and scripts.

/// Whether the panel's own style and script may stand in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InlineCode<'a> {
    /// Nothing forbids it.
    Free,
    /// With this nonce.
    Nonce(&'a str),
    /// Not at all: the browser would block it, and tell the page's owner so.
    Blocked,
}

/// Reads the values of all `Content-Security-Policy` headers of an answer. What one policy of
/// several forbids is forbidden; one nonce has to do for all of them.
#[must_use]
pub fn inline_code<'a>(headers: impl IntoIterator<Item = &'a [u8]>) -> InlineCode<'a> {
    let mut nonces: Vec<Vec<&str>> = Vec::new();
    for header in headers {
        let Ok(header) = std::str::from_utf8(header) else {
            return InlineCode::Blocked;
        };
        for policy in header.split(',') {
            for directives in [
                ["script-src-elem", "script-src", "default-src"],
                ["style-src-elem", "style-src", "default-src"],
            ] {
                let Some(sources) = sources(policy, directives) else {
                    continue;
                };
                match allowed(sources) {
                    Allowed::All => {}
                    Allowed::None => return InlineCode::Blocked,
                    Allowed::Nonces(some) => nonces.push(some),
                }
            }
        }
    }
    let Some((first, others)) = nonces.split_first() else {
        return InlineCode::Free;
    };
    let everywhere = |nonce: &&&str| others.iter().all(|nonces| nonces.contains(nonce));
    first
        .iter()
        .find(everywhere)
        .map_or(InlineCode::Blocked, |nonce| InlineCode::Nonce(nonce))
}

/// The sources of the first of these directives that the policy has.
fn sources<'a>(policy: &'a str, directives: [&str; 3]) -> Option<&'a str> {
    directives.into_iter().find_map(|wanted| {
        policy.split(';').find_map(|directive| {
            let directive = directive.trim_ascii();
            let (name, sources) = directive
                .split_once(|c: char| c.is_ascii_whitespace())
                .unwrap_or((directive, ""));
            name.eq_ignore_ascii_case(wanted).then_some(sources)
        })
    })
}

enum Allowed<'a> {
    All,
    Nonces(Vec<&'a str>),
    None,
}

/// `'unsafe-inline'` counts only beside no nonce, no hash and no `'strict-dynamic'`.
fn allowed(sources: &str) -> Allowed<'_> {
    let keywords = || sources.split_ascii_whitespace().filter_map(unquoted);
    let nonces: Vec<_> = keywords().filter_map(|k| after(k, "nonce-")).collect();
    if !nonces.is_empty() {
        return Allowed::Nonces(nonces);
    }
    let unsafe_inline = keywords().any(|k| k.eq_ignore_ascii_case("unsafe-inline"));
    let overruled = keywords().any(|k| {
        k.eq_ignore_ascii_case("strict-dynamic")
            || ["sha256-", "sha384-", "sha512-"]
                .iter()
                .any(|hash| after(k, hash).is_some())
    });
    if unsafe_inline && !overruled {
        Allowed::All
    } else {
        Allowed::None
    }
}

fn unquoted(source: &str) -> Option<&str> {
    source.strip_prefix('\'')?.strip_suffix('\'')
}

fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    (head.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
}
