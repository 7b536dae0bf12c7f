//! The gate: every way in, every way to fail, from outside.

use ioprofiler::gate::{
    Answer, Form, Gate, HeaderEdit, Inputs, Refusal, SecretFile, TokenKeys, Verdict, ask_cookie,
    conditional_headers, open_headers,
};
use serde_json::Value;

const NOW: u64 = 1_795_430_000;
const SECRET: &str = "a secret that is long enough for us";
const OTHER: &str = "another secret that is long enough!";
const HOST: Option<&[u8]> = Some(b"etsy.example");

fn keys() -> TokenKeys {
    TokenKeys::new(&[SECRET]).unwrap()
}

fn minted() -> String {
    keys()
        .mint("ann", "etsy.example", 3600, NOW)
        .unwrap()
        .as_str()
        .to_owned()
}

/// What the gate says to a request with this token in the header.
fn with_token(token: &[u8]) -> Verdict {
    let mut inputs = Inputs::new(b"ioprofiler=1", HOST);
    inputs.token_header(token);
    Gate::token(keys()).asked(&inputs, NOW).unwrap().verdict
}

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/gate.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[test]
fn committed_vectors() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() > 90);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let secrets = texts(&case["secrets"]);
        let mut gate = Gate::parse(case["gate"].as_str().unwrap(), &secrets).unwrap();
        if let Some(parameter) = case["parameter"].as_str() {
            gate = gate.parameter(parameter).unwrap();
        }
        let mut inputs = Inputs::new(
            case["query"].as_str().unwrap().as_bytes(),
            case["host"].as_str().map(str::as_bytes),
        );
        for (key, header) in [
            ("cookies", "Cookie"),
            ("x_ioprofiler", "X-IoProfiler"),
            ("x_ioprofiler_token", "x-ioprofiler-TOKEN"),
        ] {
            for value in texts(&case[key]) {
                inputs.header(header.as_bytes(), value.as_bytes());
            }
        }
        let asked = gate.asked(&inputs, case["now"].as_u64().unwrap());
        let expect = &case["expect"];
        assert_eq!(
            asked.is_some(),
            expect["asked"].as_bool().unwrap(),
            "{name}"
        );
        let Some(asked) = asked else { continue };
        assert_eq!(
            asked.form.as_str(),
            expect["form"].as_str().unwrap(),
            "{name}"
        );
        let (verdict, who, reason) = match &asked.verdict {
            Verdict::Open { who } => ("open", who.as_deref(), None),
            Verdict::Closed { reason } => ("closed", None, Some(reason.as_str())),
            Verdict::Undecided { so_far } => ("undecided", None, so_far.map(Refusal::as_str)),
            _ => unreachable!(),
        };
        assert_eq!(
            verdict,
            expect["verdict"].as_str().unwrap(),
            "{name}: {reason:?}"
        );
        assert_eq!(who, expect["who"].as_str(), "{name}");
        assert_eq!(reason, expect["reason"].as_str(), "{name}");
    }
}

#[test]
fn mints_what_the_vectors_say() {
    let mint = &vectors()["mint"];
    let text = |key: &str| mint[key].as_str().unwrap().to_owned();
    let number = |key: &str| mint[key].as_u64().unwrap();
    let keys = TokenKeys::new(&[text("secret")]).unwrap();
    assert_eq!(keys.key_ids().collect::<Vec<_>>(), [text("key_id")]);
    let token = keys
        .mint(&text("who"), &text("host"), number("life"), number("now"))
        .unwrap();
    assert_eq!(token.as_str(), text("token"));
}

#[test]
fn every_single_byte_flip_closes() {
    let token = minted().into_bytes();
    assert!(with_token(&token).is_open());
    for at in 0..token.len() {
        for bit in 0..8 {
            let mut flipped = token.clone();
            flipped[at] ^= 1 << bit;
            assert!(!with_token(&flipped).is_open(), "byte {at}, bit {bit}");
        }
    }
    for length in 0..token.len() {
        assert!(!with_token(&token[..length]).is_open(), "{length}");
        let mut without = token.clone();
        without.remove(length);
        assert!(!with_token(&without).is_open(), "without byte {length}");
    }
}

/// A small generator of numbers (splitmix64): the same ones at each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn bytes(&mut self, length: usize, alphabet: &[u8]) -> Vec<u8> {
        (0..length)
            .map(|_| alphabet[self.below(alphabet.len())])
            .collect()
    }
}

const ALL_BYTES: [u8; 256] = {
    let mut all = [0; 256];
    let mut at = 0;
    while at < 256 {
        all[at] = at as u8;
        at += 1;
    }
    all
};

#[test]
fn random_bytes_never_open() {
    let mut random = Random(1);
    let gate = Gate::token(keys());
    let known = keys().key_ids().next().unwrap().to_owned();
    let base64url = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    for round in 0..60_000 {
        let length = random.below(if round % 100 == 0 { 3000 } else { 160 });
        let mut text = match round % 3 {
            0 => random.bytes(length, &ALL_BYTES),
            _ => random.bytes(length, base64url),
        };
        if round % 3 == 2 {
            // As near as one can come without the secret.
            text.splice(0..0, format!("iop1.{known}.MTc5NTQzMzYwMA.").into_bytes());
        }
        let query = random.bytes(30, b"ioprfle=1&");
        let mut inputs = Inputs::new(&query, HOST);
        inputs.cookie(&text);
        inputs.ask_header(&text);
        inputs.token_header(&text);
        assert!(!gate.verdict(&inputs, NOW).is_open());
        if let Some(asked) = gate.asked(&inputs, NOW) {
            assert!(!asked.verdict.is_open());
        }
        let mut cookie = b"ioprofiler=".to_vec();
        cookie.extend(&text);
        let mut inputs = Inputs::new(b"ioprofiler=1", HOST);
        inputs.cookie(&cookie);
        assert!(!gate.asked(&inputs, NOW).unwrap().verdict.is_open());
    }
}

#[test]
fn minted_tokens_open_for_their_time_and_host_alone() {
    let mut random = Random(2);
    let names = [
        "", "ann", "Åsa", "a.b@c", "雪", "'; DROP", "x y", "\u{202e}",
    ];
    for _ in 0..3000 {
        let mut host = b"h".to_vec();
        let length = random.below(60);
        host.extend(random.bytes(length, b"abcxyz019-."));
        host.push(b'z');
        let who = names[random.below(names.len())];
        let life = 1 + random.next() % 86_400;
        let now = NOW + random.next() % 1_000_000_000;
        let keys = TokenKeys::new(&[random.bytes(32, &ALL_BYTES)]).unwrap();
        let token = keys
            .mint(who, std::str::from_utf8(&host).unwrap(), life, now)
            .unwrap();
        let claims = keys.read(token.as_str().as_bytes()).unwrap();
        assert_eq!((claims.who.as_str(), claims.expires), (who, now + life));
        let later = now + random.next() % (life + 60);
        assert_eq!(claims.check(Some(&host), later), Ok(()));
        assert_eq!(
            claims.check(Some(&host), now + life + 60),
            Err(Refusal::TokenExpired)
        );
        host.push(b'x');
        assert_eq!(claims.check(Some(&host), later), Err(Refusal::OtherHost));
        assert_eq!(
            keys_of(OTHER).read(token.as_str().as_bytes()),
            Err(Refusal::OtherKey)
        );
    }
}

fn keys_of(secret: &str) -> TokenKeys {
    TokenKeys::new(&[secret]).unwrap()
}

#[test]
fn huge_headers_close() {
    let million = vec![b'a'; 1 << 20];
    let mut cookie = b"ioprofiler=".to_vec();
    cookie.extend(&million);
    let mut query = b"ioprofiler=1&".to_vec();
    query.extend(&million);
    let gate = Gate::token(keys());
    for _ in 0..100 {
        let mut inputs = Inputs::new(b"ioprofiler=1", HOST);
        inputs.cookie(&cookie);
        let verdict = gate.asked(&inputs, NOW).unwrap().verdict;
        assert_eq!(verdict.refusal(), Some(Refusal::HeaderTooLong));

        let mut inputs = Inputs::new(b"ioprofiler=1", HOST);
        inputs.token_header(&million);
        let verdict = gate.asked(&inputs, NOW).unwrap().verdict;
        assert_eq!(verdict.refusal(), Some(Refusal::HeaderTooLong));

        let mut inputs = Inputs::new(b"", HOST);
        inputs.ask_header(&million);
        assert_eq!(gate.asked(&inputs, NOW), None);
        assert_eq!(gate.asked(&Inputs::new(&query, HOST), NOW), None);
    }
    assert_eq!(
        with_token(&million[..60_000]).refusal(),
        Some(Refusal::TokenTooLong)
    );
}

#[test]
fn many_cookies_of_ours_are_one_ambiguity() {
    let cookie = (0..2000)
        .map(|i| format!("ioprofiler={i}; "))
        .collect::<String>();
    let mut inputs = Inputs::new(b"ioprofiler=1", HOST);
    inputs.cookie(cookie.as_bytes());
    let verdict = Gate::token(keys()).verdict(&inputs, NOW);
    assert_eq!(verdict.refusal(), Some(Refusal::AmbiguousToken));
}

#[test]
fn header_bytes_need_not_be_text() {
    assert_eq!(
        with_token(b"iop1.\xff\xfe.").refusal(),
        Some(Refusal::TokenMalformed)
    );
    let mut inputs = Inputs::new(b"ioprofiler=\xff&\xff", Some(b"\xff"));
    inputs.cookie(b"ioprofiler=\xff\0; =; ;;=ioprofiler");
    let asked = Gate::token(keys()).asked(&inputs, NOW).unwrap();
    assert_eq!(asked.verdict.refusal(), Some(Refusal::UnknownForm));
}

#[test]
fn the_callable_decides_only_what_is_undecided() {
    let undecided = Gate::callable().verdict(&Inputs::new(b"", HOST), NOW);
    assert!(undecided.is_undecided() && !undecided.is_open());
    assert_eq!(undecided.refusal(), Some(Refusal::CallableNotAsked));
    assert!(undecided.clone().decide(Answer::Yes).is_open());
    assert_eq!(
        undecided.clone().decide(Answer::No).refusal(),
        Some(Refusal::CallableNo)
    );
    assert_eq!(
        undecided.decide(Answer::Failed).refusal(),
        Some(Refusal::CallableFailed)
    );

    let closed = Gate::closed().verdict(&Inputs::new(b"", HOST), NOW);
    assert_eq!(closed.decide(Answer::Yes).refusal(), Some(Refusal::NoWay));
    let open = Gate::everyone().verdict(&Inputs::new(b"", HOST), NOW);
    assert!(open.decide(Answer::Failed).is_open());
}

#[test]
fn options_are_refused_with_what_is_allowed() {
    let message =
        |ways: &str, secrets: &[&str]| Gate::parse(ways, secrets).expect_err(ways).to_string();
    let unknown = message("tokn", &[]);
    for word in [
        "gate",
        "\"tokn\"",
        "\"token\"",
        "\"callable\"",
        "\"this-machine\"",
        "\"everyone\"",
    ] {
        assert!(unknown.contains(word), "{unknown}");
    }
    for bad in [
        "token,",
        "Everyone",
        "localhost",
        "flag:",
        "everyone everyone",
    ] {
        message(bad, &[SECRET]);
    }
    assert!(message("token", &[]).contains("gate_secret"));
    assert!(message("token", &["short"]).contains("32"));
    assert!(message("token", &[&SECRET[..31]]).contains("31 bytes"));
    assert!(message("token", &[SECRET, SECRET]).contains("twice"));
    assert!(
        message(
            "token",
            &[SECRET, OTHER, "a third secret, which is one too many"]
        )
        .contains("3 given")
    );
    for bad in ["", "a b", "a&b", "é", &"x".repeat(65)] {
        assert!(Gate::closed().parameter(bad).is_err(), "{bad}");
    }
    let all = Gate::parse("token, callable ,this-machine,everyone", &[SECRET]).unwrap();
    assert_eq!(all.to_string(), "token, callable, this-machine, everyone");
    assert!(all.is_everyone() && all.wants_callable());
    assert_eq!(Gate::default().to_string(), "closed");
}

#[test]
fn minting_refuses_what_no_gate_would_take() {
    let keys = keys();
    for life in [0, 86_401, u64::MAX] {
        assert!(
            keys.mint("ann", "etsy.example", life, NOW).is_err(),
            "{life}"
        );
    }
    for host in [
        "",
        "a b",
        "a/b",
        "https://a",
        "a:b",
        "é.example",
        "a@b",
        "'",
        "a\nb",
        "*",
    ] {
        assert!(keys.mint("ann", host, 60, NOW).is_err(), "{host}");
    }
    for who in ["a\nb", "\0", "\u{7f}", "\u{85}"] {
        assert!(keys.mint(who, "etsy.example", 60, NOW).is_err(), "{who:?}");
    }
    assert!(
        keys.mint(&"w".repeat(400), "etsy.example", 60, NOW)
            .is_err()
    );
    assert!(
        Gate::everyone()
            .grant("ann", "etsy.example", 60, NOW)
            .is_err()
    );
    let token = Gate::token(keys)
        .grant("ann", "Etsy.Example:8443", 60, NOW)
        .unwrap();
    assert!(with_token(token.as_str().as_bytes()).is_open());
}

#[test]
fn no_secret_and_no_token_in_debug_output() {
    let gate = Gate::token(keys());
    let token = gate.grant("ann", "etsy.example", 60, NOW).unwrap();
    let text = format!("{gate:?} {token:?} {:?}", keys());
    assert!(
        !text.contains(SECRET) && !text.contains(token.as_str()),
        "{text}"
    );
}

#[test]
fn cookies_are_written_as_they_are_read() {
    let token = keys().mint("ann", "etsy.example", 3600, NOW).unwrap();
    let ask = ask_cookie(Form::Json, NOW);
    assert!(ask.contains("Max-Age=900") && ask.contains("SameSite=Strict"));
    for https in [true, false] {
        let cookie = token.set_cookie(https);
        assert_eq!(cookie.contains("Secure"), https);
        assert_eq!(cookie.starts_with("__Host-ioprofiler="), https);
        assert!(cookie.ends_with("; HttpOnly") && cookie.contains("; Path=/; Max-Age=3600"));
        let sent = |cookie: &str| cookie.split(';').next().unwrap().to_owned();
        let header = format!("{}; {}", sent(&cookie), sent(&ask));
        let mut inputs = Inputs::new(b"", HOST);
        inputs.cookie(header.as_bytes());
        let asked = Gate::token(keys()).asked(&inputs, NOW).unwrap();
        assert_eq!((asked.form, asked.verdict.who()), (Form::Json, Some("ann")));
        assert_eq!(Gate::token(keys()).asked(&inputs, NOW + 900), None);
    }
}

#[test]
fn reasons_are_told_apart() {
    let mut texts: Vec<_> = Refusal::ALL
        .iter()
        .map(|reason| reason.to_string())
        .collect();
    for (place, reason) in Refusal::ALL.iter().enumerate() {
        assert_eq!(reason.index(), place);
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), Refusal::ALL.len());
}

#[test]
fn an_open_gate_keeps_its_answer_out_of_every_cache() {
    let edits = open_headers();
    assert!(edits.contains(&HeaderEdit::Set("cache-control", "private, no-store")));
    for name in ["cdn-cache-control", "surrogate-control"] {
        assert!(edits.contains(&HeaderEdit::Set(name, "no-store")));
    }
    for name in ["etag", "last-modified", "expires", "age"] {
        assert!(edits.contains(&HeaderEdit::Remove(name)));
    }
    assert!(conditional_headers("GET").contains(&"if-none-match"));
    assert!(conditional_headers("PUT").is_empty());
}

#[test]
fn secret_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = std::env::temp_dir().join(format!("ioprofiler-secret-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("gate.secret");
    let write = |content: &[u8], mode: u32| {
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        SecretFile::read(&path)
    };
    for end in ["", "\n", "\r\n"] {
        let file = write(format!("{SECRET}{end}").as_bytes(), 0o600).unwrap();
        assert_eq!((file.secret(), file.warning()), (SECRET.as_bytes(), None));
    }
    let raw = [0, 255, b'\n'].repeat(20);
    assert_eq!(write(&raw, 0o640).unwrap().secret(), &raw[..59]);
    let open_to_all = write(SECRET.as_bytes(), 0o644).unwrap();
    assert!(open_to_all.warning().unwrap().contains("gate.secret"));
    assert!(!format!("{open_to_all:?}").contains(SECRET));
    let error = write(&[b'x'; 31], 0o600).unwrap_err().to_string();
    assert!(error.contains("31 bytes") && error.contains("32") && error.contains("gate.secret"));
    assert!(write(&[b'x'; 5000], 0o600).is_err());
    for no_file in [
        folder.as_path(),
        "/dev/zero".as_ref(),
        "/nowhere/at/all".as_ref(),
    ] {
        assert!(SecretFile::read(no_file).is_err(), "{no_file:?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn flags_wanted_otherwise_are_found_in_query_and_cookie_and_need_an_open_gate() {
    let wanted = |query: &str, cookie: &str| {
        let mut inputs = Inputs::new(query.as_bytes(), None);
        inputs.cookie(cookie.as_bytes());
        Gate::everyone().flag_overrides(&inputs, NOW)?.ok()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(wanted("a=1&b=ioflags", "c=ioprofiler"), None);
    assert_eq!(wanted("xioflags=a&ioflagsx=b&ioflags", ""), None);
    assert_eq!(wanted("ioflags=", ""), None);
    assert_eq!(wanted("ioflags=a:b,c", ""), some("a:b,c"));
    assert_eq!(
        wanted("q=1&ioflags=a%3ab%2Cc&ioflags=d", ""),
        some("a:b,c,d")
    );
    assert_eq!(wanted("ioflags=%ff%zz%2", ""), some("\u{fffd}%zz%2"));
    assert_eq!(wanted("", "x=1; ioprofiler_flags=a:b"), some("a:b"));
    assert_eq!(wanted("ioflags=c", "ioprofiler_flags=a:b"), some("c,a:b"));
    let inputs = Inputs::new(b"ioflags=a", None);
    assert_eq!(
        Gate::closed().flag_overrides(&inputs, NOW),
        Some(Err(Refusal::NoWay))
    );
    assert_eq!(
        Gate::callable().flag_overrides(&inputs, NOW),
        Some(Err(Refusal::CallableNotAsked)),
        "open at begin, or not at all"
    );
    assert_eq!(
        Gate::closed().flag_overrides(&Inputs::new(b"", None), NOW),
        None
    );
}

#[test]
fn a_flag_opens_the_gate_and_is_asked_late() {
    let none: &[&str] = &[];
    let gate = Gate::parse("flag:staff_panel", none).unwrap();
    assert_eq!(gate.to_string(), "flag:staff_panel");
    assert!(gate.wants_flag() && !gate.wants_callable());
    for bad in [
        "flag:",
        "flag",
        "flags:x",
        &format!("flag:{}", "x".repeat(200)),
    ] {
        let error = Gate::parse(bad, none).unwrap_err().to_string();
        assert!(error.contains("\"flag:NAME\""), "{error}");
    }
    let undecided = gate.verdict(&Inputs::new(b"", None), NOW);
    assert!(undecided.is_undecided());
    let nobody = ioprofiler::Request::none();
    let said = gate.ask_flag(undecided.clone(), &nobody);
    assert_eq!(said.refusal(), Some(Refusal::FlagOff));
    let both = gate.or(Gate::callable());
    let said = both.ask_flag(undecided, &nobody);
    assert!(said.is_undecided(), "the callable may still say yes");
    assert!(said.decide(Answer::Yes).is_open());
    let open = Verdict::Open { who: None };
    assert_eq!(both.ask_flag(open.clone(), &nobody), open);
}
