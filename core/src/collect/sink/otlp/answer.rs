//! What a collector answers that took what it was sent: all of it, or all but so much.
//!
//! Nothing is sent again then, whatever it says. An answer that is none was the answer of some other
//! server, which took nothing apart: it counts as sent, as its status says, and is complained of.

use super::super::http::{Answer, Client};
use super::super::parcel::Unsent;
use super::proto::{PartialSuccess, Response};
use prost::Message as _;
use serde::Deserialize;

/// The same as JSON: numbers of 64 bits may be texts.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JsonResponse {
    partial_success: Option<JsonPartialSuccess>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JsonPartialSuccess {
    rejected_data_points: Option<JsonNumber>,
    rejected_spans: Option<JsonNumber>,
    rejected_log_records: Option<JsonNumber>,
    error_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonNumber {
    Number(i64),
    Text(String),
}

impl JsonNumber {
    fn value(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

/// What became of what was sent.
pub(super) fn read(client: &Client, answer: &Answer) -> Result<(), Unsent> {
    if let Some(why) = &answer.torn {
        return Err(Unsent::Partly(0, client.said(why)));
    }
    let Some(response) = parsed(answer) else {
        let why = client.complaint(answer, "that is no answer of a collector");
        return Err(Unsent::Partly(0, why));
    };
    let Some(partly) = response.partial_success else {
        return Ok(());
    };
    let rejected = u64::try_from(partly.rejected).unwrap_or(0);
    if rejected == 0 && partly.error_message.is_empty() {
        return Ok(());
    }
    let why = format!("{rejected} not taken: {}", partly.error_message);
    Err(Unsent::Partly(rejected, client.said(&why)))
}

fn parsed(answer: &Answer) -> Option<Response> {
    if answer.body.is_empty() {
        return Some(Response::default());
    }
    if !answer.is_json {
        return Response::decode(&*answer.body).ok();
    }
    let response: JsonResponse = serde_json::from_slice(&answer.body).ok()?;
    let partial_success = response.partial_success.map(|partly| {
        let rejected = [
            partly.rejected_data_points,
            partly.rejected_spans,
            partly.rejected_log_records,
        ];
        let rejected = rejected.iter().flatten().map(JsonNumber::value);
        PartialSuccess {
            rejected: rejected.fold(0, i64::saturating_add),
            error_message: partly.error_message.unwrap_or_default(),
        }
    });
    Some(Response { partial_success })
}

#[cfg(test)]
mod tests {
    use super::super::super::http::HttpOptions;
    use super::*;

    fn became(is_json: bool, body: &[u8]) -> Result<(), Unsent> {
        let client = Client::new(&HttpOptions::to("http://collector"));
        let answer = Answer {
            is_json,
            body: body.to_vec(),
            torn: None,
        };
        read(&client, &answer)
    }

    #[test]
    fn all_was_taken_or_so_much_was_not() {
        let partly = |rejected, text: &str| {
            Err(Unsent::Partly(
                rejected,
                format!("http://collector: {text}"),
            ))
        };
        for json in [
            "",
            "{}",
            r#"{"ok":1}"#,
            r#"{"partialSuccess":{}}"#,
            r#"{"partialSuccess":null}"#,
        ] {
            assert_eq!(became(true, json.as_bytes()), Ok(()), "{json}");
        }
        let json = r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too\nold"}}"#;
        assert_eq!(
            became(true, json.as_bytes()),
            partly(3, "3 not taken: too old")
        );
        let json = r#"{"partialSuccess":{"rejectedDataPoints":7}}"#;
        assert_eq!(became(true, json.as_bytes()), partly(7, "7 not taken:"));
        let json = r#"{"partialSuccess":{"errorMessage":"mind"}}"#;
        assert_eq!(
            became(true, json.as_bytes()),
            partly(0, "0 not taken: mind")
        );
        for rejected in [0, 5, -1] {
            let response = Response {
                partial_success: Some(PartialSuccess {
                    rejected,
                    error_message: "old".to_owned(),
                }),
            };
            let told = rejected.max(0) as u64;
            let wanted = partly(told, &format!("{told} not taken: old"));
            assert_eq!(became(false, &response.encode_to_vec()), wanted);
        }
        assert_eq!(became(false, b""), Ok(()));
    }

    #[test]
    fn what_is_no_answer_is_complained_of() {
        let cases: [(bool, &[u8]); 4] = [
            (true, b"OK"),
            (true, b"[]x"),
            (false, b"<html>log in</html>"),
            (false, b"\xff\xff\xff"),
        ];
        for (is_json, body) in cases {
            let became = became(is_json, body);
            assert!(matches!(became, Err(Unsent::Partly(0, _))), "{became:?}");
        }
    }
}
