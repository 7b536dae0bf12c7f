//! Tokens: who may look, on which host, until when, signed with the operator's secret.
//!
//! `iop1.<key id>.<expiry>.<host>.<who>.<mac>`: six fields joined by dots. After the version,
//! each is base64url without padding, in its one canonical spelling, of
//!
//! - key id: 6 bytes, the first of HMAC-SHA256(secret, `ioprofiler key id`), so that two secrets
//!   can live side by side without anyone naming them;
//! - expiry: Unix seconds as decimal digits;
//! - host: lower case, no port, no final dot; an IPv6 address keeps its brackets;
//! - who: UTF-8 without control characters, may be empty;
//! - mac: 32 bytes, HMAC-SHA256(secret, everything before the last dot, version included).
//!
//! At most 512 bytes, looked at before anything is parsed. Nothing but the key id is read before
//! the mac was compared, in constant time. There is no algorithm field to be confused by: the
//! version fixes it. After PASETO's reasons for versions and RFC 7515's encoding of fields;
//! `tests/vectors/make_gate.py` writes the same in twenty lines of Python.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::ask::{SKEW, TOKEN_COOKIES, seconds};
use super::{GateError, Refusal};

/// Longest token that is parsed, in bytes.
pub const MAX_TOKEN: usize = 512;
/// Shortest secret, in bytes.
pub const MIN_SECRET: usize = 32;
/// How long a token is good for if nobody says otherwise, in seconds.
pub const DEFAULT_LIFE: u64 = 60 * 60;
/// The longest a token can be good for, in seconds.
pub const MAX_LIFE: u64 = 24 * 60 * 60;

const VERSION: &str = "iop1";

/// One or two secrets: the first mints, both are accepted, so that a secret can be rotated.
#[derive(Clone)]
pub struct TokenKeys {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.key_ids()).finish()
    }
}

impl TokenKeys {
    /// Keys of one secret or of two; the first one mints.
    ///
    /// # Errors
    /// When there is none, when there are more than two, when both are the same, or when one is
    /// shorter than 32 bytes.
    pub fn new<S: AsRef<[u8]>>(secrets: &[S]) -> Result<Self, GateError> {
        if secrets.is_empty() || secrets.len() > 2 {
            let count = secrets.len();
            return Err(GateError::new(format!(
                "gate_secret: {count} given; allowed: one, or two while a secret is rotated"
            )));
        }
        let keys = secrets
            .iter()
            .map(|s| Key::new(s.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if let [first, second] = keys.as_slice()
            && first.id == second.id
        {
            return Err(GateError::new(
                "gate_secret: the same secret is given twice".to_owned(),
            ));
        }
        Ok(Self { keys })
    }

    /// The ids of the keys, in order: what a token's second field is compared with.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// Mints a token for `who` on `host`, good for `life` seconds from `now`.
    ///
    /// # Errors
    /// When the life is not between 1 second and 24 hours, when the host cannot be a host or the
    /// name contains control characters, or when the token would be longer than 512 bytes.
    pub fn mint(&self, who: &str, host: &str, life: u64, now: u64) -> Result<Token, GateError> {
        if !(1..=MAX_LIFE).contains(&life) {
            return Err(GateError::new(format!(
                "for: {life} seconds; allowed: from 1 second to 24 hours"
            )));
        }
        let host = mintable_host(host)?;
        if who.chars().any(char::is_control) {
            return Err(GateError::new(format!(
                "who: {who:?} contains control characters"
            )));
        }
        let key = self
            .keys
            .first()
            .ok_or_else(|| GateError::new("no secret".to_owned()))?;
        let expires = now.saturating_add(life);
        let mut text = format!("{VERSION}.{}", key.id);
        for field in [expires.to_string().as_str(), &host, who] {
            text.push('.');
            BASE64URL.encode_string(field, &mut text);
        }
        let mac = key
            .mac
            .clone()
            .chain_update(text.as_bytes())
            .finalize()
            .into_bytes();
        text.push('.');
        BASE64URL.encode_string(mac, &mut text);
        if text.len() > MAX_TOKEN {
            let length = text.len();
            return Err(GateError::new(format!(
                "host and who make a token of {length} bytes; allowed: {MAX_TOKEN}"
            )));
        }
        Ok(Token {
            text,
            expires,
            life,
        })
    }

    /// Reads a token whose mac is right. Its expiry and host are still to be judged, by
    /// [`Claims::check`].
    ///
    /// # Errors
    /// Why it is none of ours.
    pub fn read(&self, token: &[u8]) -> Result<Claims, Refusal> {
        if token.is_empty() {
            return Err(Refusal::NoToken);
        }
        if token.len() > MAX_TOKEN {
            return Err(Refusal::TokenTooLong);
        }
        let token = std::str::from_utf8(token).map_err(|_| Refusal::TokenMalformed)?;
        let (version, _) = token.split_once('.').ok_or(Refusal::TokenMalformed)?;
        if version != VERSION {
            return Err(Refusal::TokenVersion);
        }
        let mut fields = token.split('.').skip(1);
        let mut next = || fields.next().ok_or(Refusal::TokenMalformed);
        let (key_id, expires, host, who, mac) = (next()?, next()?, next()?, next()?, next()?);
        let (Some((signed, _)), None) = (token.rsplit_once('.'), fields.next()) else {
            return Err(Refusal::TokenMalformed);
        };

        let key = self
            .keys
            .iter()
            .find(|key| key.id == key_id)
            .ok_or(Refusal::OtherKey)?;
        let mac = BASE64URL.decode(mac).map_err(|_| Refusal::TokenMalformed)?;
        key.mac
            .clone()
            .chain_update(signed.as_bytes())
            .verify_slice(&mac)
            .map_err(|_| Refusal::WrongMac)?;

        let expires = seconds(&decode(expires)?).ok_or(Refusal::TokenMalformed)?;
        let host = String::from_utf8(decode(host)?).map_err(|_| Refusal::TokenMalformed)?;
        let who = String::from_utf8(decode(who)?).map_err(|_| Refusal::TokenMalformed)?;
        if who.chars().any(char::is_control) {
            return Err(Refusal::TokenMalformed);
        }
        Ok(Claims {
            key_id: key_id.to_owned(),
            expires,
            host,
            who,
        })
    }
}

impl Key {
    fn new(secret: &[u8]) -> Result<Self, GateError> {
        if secret.len() < MIN_SECRET {
            let length = secret.len();
            return Err(GateError::new(format!(
                "gate_secret: {length} bytes; allowed: {MIN_SECRET} at least"
            )));
        }
        let mac = Hmac::<Sha256>::new_from_slice(secret)
            .map_err(|_| GateError::new("gate_secret: not usable as a key".to_owned()))?;
        let hash = mac
            .clone()
            .chain_update(b"ioprofiler key id")
            .finalize()
            .into_bytes();
        let id = BASE64URL.encode(hash.get(..6).unwrap_or_default());
        Ok(Self { id, mac })
    }
}

fn decode(field: &str) -> Result<Vec<u8>, Refusal> {
    BASE64URL.decode(field).map_err(|_| Refusal::TokenMalformed)
}

/// A freshly minted token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
    expires: u64,
    life: u64,
}

impl Token {
    /// The token itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// When it ends, in Unix seconds.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// The cookie to be written by a script (`document.cookie = …`).
    ///
    /// Over https it is `__Host-ioprofiler`, which browsers send only to the very host that set
    /// it; browsers refuse that name without https, so there it is `ioprofiler`.
    #[must_use]
    pub fn script_cookie(&self, https: bool) -> String {
        let (text, life) = (&self.text, self.life);
        let [over_https, plain] = TOKEN_COOKIES;
        if https {
            format!("{over_https}={text}; Path=/; Max-Age={life}; Secure; SameSite=Strict")
        } else {
            format!("{plain}={text}; Path=/; Max-Age={life}; SameSite=Strict")
        }
    }

    /// The value of a `Set-Cookie` header, for the application's own staff page: as
    /// [`script_cookie`](Self::script_cookie), and out of the reach of scripts.
    #[must_use]
    pub fn set_cookie(&self, https: bool) -> String {
        self.script_cookie(https) + "; HttpOnly"
    }
}

impl std::fmt::Debug for Token {
    /// Without the token: debug output ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What a token with a right mac says.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Id of the key that signed it.
    pub key_id: String,
    /// When it ends, in Unix seconds.
    pub expires: u64,
    /// The host it is for.
    pub host: String,
    /// Who may look; may be empty.
    pub who: String,
}

impl Claims {
    /// Judges expiry and host.
    ///
    /// # Errors
    /// Why the token does not open the gate now and here.
    pub fn check(&self, host: Option<&[u8]>, now: u64) -> Result<(), Refusal> {
        self.check_expiry(now)?;
        self.check_host(host)
    }

    /// Judges the expiry alone, with 60 seconds of patience for clocks that differ.
    ///
    /// # Errors
    /// When it has passed, or lies further ahead than any token's may.
    pub fn check_expiry(&self, now: u64) -> Result<(), Refusal> {
        if now >= self.expires.saturating_add(SKEW) {
            return Err(Refusal::TokenExpired);
        }
        if self.expires > now.saturating_add(MAX_LIFE + SKEW) {
            return Err(Refusal::TokenTooLongLived);
        }
        Ok(())
    }

    /// Judges the host alone: without regard to port, case and final dot.
    ///
    /// # Errors
    /// When the token is for another host, or the request names none.
    pub fn check_host(&self, host: Option<&[u8]>) -> Result<(), Refusal> {
        let same = host
            .and_then(bare_host)
            .is_some_and(|host| host.eq_ignore_ascii_case(self.host.as_bytes()));
        if same {
            Ok(())
        } else {
            Err(Refusal::OtherHost)
        }
    }
}

/// `Etsy.Example:8080` → `Etsy.Example`; nothing where it is no host at all.
fn bare_host(host: &[u8]) -> Option<&[u8]> {
    let host = host.trim_ascii();
    let end = if host.first() == Some(&b'[') {
        host.iter().position(|&byte| byte == b']')? + 1
    } else {
        host.iter()
            .position(|&byte| byte == b':')
            .unwrap_or(host.len())
    };
    let (name, port) = host.split_at_checked(end)?;
    let port_is_fine = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let name = name.strip_suffix(b".").unwrap_or(name);
    (port_is_fine && !name.is_empty()).then_some(name)
}

fn mintable_host(host: &str) -> Result<String, GateError> {
    let bare = bare_host(host.as_bytes()).and_then(|bare| std::str::from_utf8(bare).ok());
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    match bare {
        Some(bare) if bare.len() <= 255 && bare.chars().all(allowed) => {
            Ok(bare.to_ascii_lowercase())
        }
        _ => Err(GateError::new(format!(
            "host: {host:?} is no host; allowed: a name or address as browsers send it \
             (etsy.example, xn--…, 127.0.0.1, [::1])"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::bare_host;

    #[test]
    fn bare_host_drops_port_and_final_dot_only() {
        let bare = |host: &'static str| {
            bare_host(host.as_bytes()).map(|h| std::str::from_utf8(h).unwrap())
        };
        assert_eq!(bare("etsy.example"), Some("etsy.example"));
        assert_eq!(bare("Etsy.Example.:8080"), Some("Etsy.Example"));
        assert_eq!(bare("[::1]:80"), Some("[::1]"));
        assert_eq!(bare("[::1]"), Some("[::1]"));
        for bad in [
            "", ":80", ".", "a:b", "::1", "[::1", "[::1]x", "a:80:90", "a@b:c",
        ] {
            assert_eq!(bare(bad), None, "{bad}");
        }
    }
}
