use super::super::http::tests::Server;
use super::super::parcel::Parcel;
use super::*;
use crate::collect::{Event, EventKind, LogEvent};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::io::Write as _;

const SOON: Duration = Duration::from_secs(20);

fn sink(options: &Webhook) -> Box<dyn MetricSink> {
    options.check().unwrap();
    options.make()
}

fn tell(options: &Webhook, parcel: &Parcel) -> Json {
    let server = Server::saying("HTTP/1.1 204 No Content\r\n\r\n");
    let mut options = options.clone();
    options.http.url = server.url();
    let mut sink = sink(&options);
    for packet in sink.encode(parcel) {
        sink.send(&packet, SOON).unwrap();
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    serde_json::from_slice(&asked[0].body).unwrap()
}

fn to() -> Webhook {
    Webhook::to("http://hooks.example.com/secret")
}

fn event(event: Event) -> Parcel {
    Parcel::Event(Arc::new(event))
}

fn alert(kind: &'static str, message: &str) -> Parcel {
    Parcel::Notice(Arc::new(LogEvent {
        kind,
        message: message.to_owned(),
    }))
}

#[test]
fn an_event_is_told_by_its_template() {
    let mut deploy = Event::deploy("8c1f")
        .who("erika")
        .what("new \"search\"")
        .why("it is Tuesday");
    deploy.at = 1_795_403_527_000_000_000;
    deploy.host = "web0022".to_owned();
    let deploy = event(deploy);
    let text = "deploy 8c1f: new \"search\", by erika (it is Tuesday)";
    assert_eq!(tell(&to(), &deploy), json!({ "text": text }));
    let template = r#"{"a": "{{who}} deployed {{ what }} {{version}}", "b": [1, {"c": "{{time}} {{host}}"}],
        "d": "{{kind}}{{from}}{{to}}{{count}}"}"#;
    let told = tell(&to().template(template), &deploy);
    assert_eq!(
        told,
        json!({
            "a": "erika deployed new \"search\" 8c1f",
            "b": [1, { "c": "2026-11-23T03:12:07Z web0022" }],
            "d": "deploy1",
        })
    );
    let flag = Event::new(EventKind::Flag, "search").change("10%", "off");
    let told = tell(
        &to().template(r#"["{{what}}: {{from}} → {{to}}"]"#),
        &event(flag),
    );
    assert_eq!(told, json!(["search: 10% → off"]));
}

#[test]
fn what_is_not_asked_for_is_not_told() {
    let count = |options: &Webhook, parcel: &Parcel| sink(options).encode(parcel).len();
    let deploy = event(Event::deploy("1"));
    let own = event(Event::new(EventKind::Own, "x"));
    let (stuck, gate) = (alert("stuck", "x"), alert("gate", "x"));
    for (options, told) in [
        (to(), [1, 1, 1, 0]),
        (to().on(["deploy"]), [1, 0, 0, 0]),
        (to().on(["gate"]), [0, 0, 0, 1]),
    ] {
        let found = [&deploy, &own, &stuck, &gate].map(|parcel| count(&options, parcel));
        assert_eq!(found, told, "{:?}", options.on);
    }
    assert!(to().wants().events && to().wants_notices());
    assert!(!to().on(["deploy"]).wants_notices());
    assert!(!to().on(["stuck"]).wants().events);
}

#[test]
fn nobody_from_outside_calls_a_channel_together() {
    let options = to().on(["stuck", "own", "deploy"]);
    let told = tell(
        &options,
        &alert("stuck", "GET /<!channel> @here\nforged\u{202e}"),
    );
    assert_eq!(
        told,
        json!({ "text": "stuck: GET /‹!channel› ＠here forged " })
    );
    let told = tell(&options, &event(Event::new(EventKind::Own, "<!here>")));
    assert_eq!(told, json!({ "text": "own ‹!here›" }));
    let link = Event::deploy("1").what("<https://example.com|link>");
    let told = tell(&options, &event(link));
    assert_eq!(
        told,
        json!({ "text": "deploy 1: <https://example.com|link>" })
    );
}

#[test]
fn what_is_too_much_for_a_minute_is_told_in_one() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut options = to().at_most(3);
    options.http.url = server.url();
    let mut sink = sink(&options);
    let mut packets = VecDeque::new();
    for number in 0..20 {
        packets.extend(sink.encode(&event(Event::deploy(&number.to_string()))));
    }
    // As the outbox does it.
    let mut sent = 0;
    while let Some(mut first) = packets.pop_front() {
        while packets
            .front()
            .is_some_and(|next| sink.join(&mut first, next))
        {
            packets.pop_front();
        }
        sink.send(&first, SOON).unwrap();
        sent += first.points;
    }
    assert_eq!(sent, 20);
    let texts: Vec<String> = server
        .asked()
        .iter()
        .map(|asked| {
            serde_json::from_slice::<Json>(&asked.body).unwrap()["text"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(texts.len(), 3);
    assert_eq!(texts[..2], ["deploy 0", "deploy 1"]);
    assert!(
        texts[2].starts_with("18 notices: deploy 2; deploy 3; "),
        "{}",
        texts[2]
    );
    assert!(texts[2].ends_with("deploy 11; and 8 more"), "{}", texts[2]);
    // Now nothing more, for as long as the first one is not a minute old.
    let late = sink.encode(&event(Event::deploy("late"))).remove(0);
    let Err(Unsent::NotYet(wait)) = sink.send(&late, SOON) else {
        panic!("three are enough")
    };
    assert!(wait <= MINUTE && wait > Duration::from_secs(1));
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_server_that_fails_is_no_notice_sent() {
    let server = Server::new(|_, stream| {
        let answer = "HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes());
    });
    let mut options = to().at_most(1);
    options.http.url = server.url();
    let mut sink = sink(&options);
    let packet = sink.encode(&event(Event::deploy("1"))).remove(0);
    for _ in 0..3 {
        let sent = sink.send(&packet, SOON);
        assert!(matches!(sent, Err(Unsent::After(_, _))), "{sent:?}");
    }
}

#[test]
fn wrong_options_are_named_and_secrets_are_not_shown() {
    for (options, wanted) in [
        (
            to().on(Vec::<String>::new()),
            "webhook.on: is empty; allowed are: deploy, ",
        ),
        (
            to().on(["deploys"]),
            "webhook.on: there is no \"deploys\"; did you mean `deploy`? allowed are: deploy, ",
        ),
        (to().template("{{text}}"), "webhook.template: makes no JSON"),
        (to().template(""), "webhook.template: makes no JSON"),
        (
            to().template(r#"{"n": {{count}}}"#),
            "webhook.template: makes no JSON",
        ),
        (
            to().template(r#"{"n": "{{text}}", }"#),
            "webhook.template: makes no JSON",
        ),
        (
            to().template(r#"{"n": "{{user}}"}"#),
            "webhook.template: there is no {{user}}; allowed are: text, kind, what, who, why, version, from, to, host, time, count",
        ),
        (
            to().template(r#"{"n": "{{text"}"#),
            "webhook.template: a `{{` has no `}}`",
        ),
        (
            to().at_most(0),
            "webhook.at_most: 0 is not between 1 and 600",
        ),
        (to().header("Host", "x"), "webhook.headers: "),
        (Webhook::to("hooks/secret"), "webhook.url: "),
    ] {
        let said = options.check().unwrap_err().to_string();
        assert!(said.starts_with(wanted), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    assert!(!format!("{:?}", to().header("X", "secret")).contains("secret"));
}

proptest! {
    #[test]
    fn any_notice_in_any_template_is_json(
        parts in proptest::collection::vec(any::<String>(), 6),
        around in "\\PC{0,20}",
    ) {
        let template = json!({ "a": around, "{{what}}": "{{text}} {{who}}{{why}} {{from}} {{to}}" });
        let Ok(template) = Template::parse(&template.to_string()) else {
            // The text around has braces of its own.
            prop_assert!(around.contains("{{"));
            return Ok(());
        };
        let mut event = Event::new(EventKind::Deploy, &parts[0])
            .who(&parts[1]).why(&parts[2]).change(&parts[3], &parts[4]);
        event.version = Some(parts[5].clone());
        let one = Notice::of_event(&event);
        let read: Json = serde_json::from_str(&template.filled(&one)).unwrap();
        let text = format!("{} {}{} {} {}", one.text, one.who, one.why, one.from, one.to);
        prop_assert_eq!(&read[&one.what], &Json::from(text));
        prop_assert_eq!(notice::read(&notice::write(std::slice::from_ref(&one))), vec![one]);
    }
}
