//! `ioprofiler token`: mint one, or say what is wrong with one.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Read as _;

use ioprofiler::gate::token::{DEFAULT_LIFE, MAX_TOKEN};
use ioprofiler::gate::{GateError, SecretFile, Token, TokenKeys};

use crate::gate::lifetime;
use crate::options::{Next, Options, Wrong, needed, text, unknown};
use crate::{Done, time};

const HELP: &str = "\
usage: ioprofiler token mint --secret FILE --host HOST --who NAME [--for TIME] [--http]
       ioprofiler token check --secret FILE [--host HOST] TOKEN|-

mint prints three lines: the token, a curl command that uses it, and a line for
the browser's console on a page of that host. check prints a line for each part
of a token and exits with 1 if one fails; - reads the token from stdin.

  --secret FILE  the application's secret, 32 bytes at least; to make one:
                 (umask 077; openssl rand -base64 33 > FILE)
                 Given twice while secrets are rotated: the first one mints.
  --host HOST    the host the token is for, as browsers send it
  --who NAME     who will look; shown in the profile
  --for TIME     90s, 30m or 8h; 1h if not given, at most 24h
  --http         for a host without https: another cookie, another URL
";

#[derive(Default)]
struct Given {
    secrets: Vec<OsString>,
    host: Option<String>,
    who: Option<String>,
    life: Option<u64>,
    http: bool,
    token: Option<String>,
}

pub(crate) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let minting = match options.word()?.as_deref() {
        Some("mint") => true,
        Some("check") => false,
        None if options.wants_help() => return Ok(Done::said(HELP)),
        None => return Err(Wrong::Usage(format!("token what?\n\n{HELP}"))),
        Some(other) => {
            return Err(Wrong::Usage(format!(
                "token {other} is not known; allowed: mint, check"
            )));
        }
    };
    let given = parse(options, minting)?;
    if options.wants_help() {
        Ok(Done::said(HELP))
    } else if minting {
        mint(given)
    } else {
        check(given)
    }
}

fn parse(options: &mut Options, minting: bool) -> Result<Given, Wrong> {
    let mut given = Given::default();
    while let Some(next) = options.next()? {
        let name = match next {
            Next::Option(name) => name,
            Next::Word(word) if !minting && given.token.is_none() => {
                given.token = Some(text("the token", word)?);
                continue;
            }
            Next::Word(word) => return Err(unknown(Next::Word(word), "options")),
        };
        match name.as_str() {
            "--secret" => given.secrets.push(options.value()?),
            "--host" => given.host = Some(options.text("--host")?),
            "--who" if minting => given.who = Some(options.text("--who")?),
            "--for" if minting => given.life = Some(lifetime(options)?),
            "--http" if minting => given.http = true,
            _ if minting => {
                return Err(unknown(
                    Next::Option(name),
                    "--secret, --host, --who, --for, --http",
                ));
            }
            _ => return Err(unknown(Next::Option(name), "--secret, --host")),
        }
    }
    Ok(given)
}

fn mint(given: Given) -> Result<Done, Wrong> {
    let (keys, mut remarks) = keys(&given.secrets)?;
    let host = needed(given.host, "--host", "etsy.example")?;
    let who = needed(given.who, "--who", "ann")?;
    let life = given.life.unwrap_or(DEFAULT_LIFE);
    let token = keys
        .mint(&who, &host, life, time::now())
        .map_err(|error| wrong(&error))?;
    let until = time::utc(token.expires());
    let _ = writeln!(remarks, "for {who} on {host}, until {until}");
    Ok(Done {
        out: lines(&token, &host, !given.http),
        remarks,
        yes: true,
    })
}

fn lines(token: &Token, host: &str, https: bool) -> String {
    let (text, cookie) = (token.as_str(), token.script_cookie(https));
    let scheme = if https { "https" } else { "http" };
    format!(
        "{text}\n\
         curl -H 'X-Ioprofiler: text' -H 'X-Ioprofiler-Token: {text}' '{scheme}://{host}/'\n\
         document.cookie='{cookie}'\n"
    )
}

fn check(given: Given) -> Result<Done, Wrong> {
    let (keys, remarks) = keys(&given.secrets)?;
    let token = match needed(given.token, "TOKEN", "iop1.… (or - for stdin)")? {
        dash if dash == "-" => from_stdin()?,
        token => token,
    };
    let claims = match keys.read(token.trim().as_bytes()) {
        Ok(claims) => claims,
        Err(reason) => {
            let known: Vec<_> = keys.key_ids().collect();
            let out = format!(
                "token   FAILS: {reason}\nkeys    known: {}\n",
                known.join(", ")
            );
            return Ok(Done {
                out,
                remarks,
                yes: false,
            });
        }
    };
    let now = time::now();
    let expiry = claims.check_expiry(now);
    let mut out = format!("key     ok: {}\nmac     ok\n", claims.key_id);
    let until = time::utc(claims.expires);
    let _ = match (expiry, claims.expires.checked_sub(now)) {
        (Ok(()), left) => {
            writeln!(
                out,
                "expiry  ok: {until}, in {}",
                time::roughly(left.unwrap_or(0))
            )
        }
        (Err(reason), Some(_)) => writeln!(out, "expiry  FAILS: {reason}: {until}"),
        (Err(reason), None) => {
            let ago = time::roughly(now.saturating_sub(claims.expires));
            writeln!(out, "expiry  FAILS: {reason}: {until}, {ago} ago")
        }
    };
    let host = given
        .host
        .as_deref()
        .map(|host| claims.check_host(Some(host.as_bytes())));
    let _ = match host {
        None => writeln!(out, "host    {} (not compared: no --host)", claims.host),
        Some(Ok(())) => writeln!(out, "host    ok: {}", claims.host),
        Some(Err(reason)) => writeln!(out, "host    FAILS: {reason}: {}", claims.host),
    };
    let _ = writeln!(out, "who     {}", claims.who);
    let yes = expiry.is_ok() && host.is_none_or(|host| host.is_ok());
    Ok(Done { out, remarks, yes })
}

/// The keys, and what there is to remark about their files.
fn keys(paths: &[OsString]) -> Result<(TokenKeys, String), Wrong> {
    if paths.is_empty() {
        return needed(None, "--secret", "gate.secret");
    }
    let mut remarks = String::new();
    let mut secrets = Vec::new();
    for path in paths {
        let file = SecretFile::read(path).map_err(|error| Wrong::Failed(error.to_string()))?;
        if let Some(warning) = file.warning() {
            let _ = writeln!(remarks, "warning: {warning}");
        }
        secrets.push(file);
    }
    Ok((
        TokenKeys::new(&secrets).map_err(|error| wrong(&error))?,
        remarks,
    ))
}

fn from_stdin() -> Result<String, Wrong> {
    let mut token = String::new();
    // Some more than a token may have, so that one that is too long is seen to be.
    std::io::stdin()
        .take(MAX_TOKEN as u64 * 2)
        .read_to_string(&mut token)
        .map_err(|error| Wrong::Failed(format!("stdin: {error}")))?;
    Ok(token)
}

fn wrong(error: &GateError) -> Wrong {
    Wrong::Usage(error.to_string())
}
