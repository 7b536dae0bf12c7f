//! The peers that evaluate in process, each with 500 flags and a context made before.

use crate::harness::Contestant;
use growthbook_rust::dto::GrowthBookFeature;
use growthbook_rust::growthbook::GrowthBook;
use growthbook_rust::model_public::GrowthBookAttribute;
use launchdarkly_server_sdk_evaluation as launchdarkly;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hint::black_box;
use std::rc::Rc;
use unleash_types::client_features::{ClientFeatures, Context};
use unleash_yggdrasil::EngineState;

/// Rows.
pub(crate) const YGGDRASIL_ON: &str = "yggdrasil 0.21 (Unleash), by name: on for all";
pub(crate) const YGGDRASIL_PERCENT: &str = "yggdrasil 0.21 (Unleash), by name: 50 %";
pub(crate) const YGGDRASIL_USERS: &str = "yggdrasil 0.21 (Unleash), by name: 10,000 users";
pub(crate) const LAUNCHDARKLY_ON: &str = "LaunchDarkly evaluation 2.0, flag held: on for all";
pub(crate) const LAUNCHDARKLY_PERCENT: &str = "LaunchDarkly evaluation 2.0, flag held: 50 %";
pub(crate) const GROWTHBOOK_ON: &str = "growthbook 0.4, by name: on for all";
pub(crate) const GROWTHBOOK_PERCENT: &str = "growthbook 0.4, by name: 50 %";

const EACH: u64 = 100;
const USER: &str = "5020244";

pub(crate) fn peers() -> Vec<Contestant> {
    let mut peers = yggdrasil();
    peers.extend(launchdarkly_flags());
    peers.extend(growthbook());
    peers
}

fn yggdrasil() -> Vec<Contestant> {
    let strategy = |number: usize| match number % 5 {
        0 => json!([{"name": "default"}]),
        2 => {
            let users: Vec<String> = (0..if number == 102 { 10_000 } else { 3 })
                .map(|user| (5_015_000 + user).to_string())
                .collect();
            json!([{"name": "userWithId", "parameters": {"userIds": users.join(",")}}])
        }
        _ => json!([{"name": "flexibleRollout", "parameters": {
            "rollout": "50", "stickiness": "userId", "groupId": format!("flag{number}")}}]),
    };
    let features: Vec<Value> = (0..500)
        .map(|number| json!({"name": format!("flag{number}"), "enabled": true, "strategies": strategy(number)}))
        .collect();
    let features: ClientFeatures =
        serde_json::from_value(json!({"version": 2, "features": features}))
            .expect("its own format");
    let engine = Rc::new(EngineState::initial_state(chrono::Utc::now()));
    assert!(
        engine.apply_client_features(features).is_none(),
        "no warning"
    );
    let context = Context {
        user_id: Some(USER.to_owned()),
        ..Context::default()
    };
    let context = Rc::new(context);
    [
        (YGGDRASIL_ON, "flag100"),
        (YGGDRASIL_PERCENT, "flag101"),
        (YGGDRASIL_USERS, "flag102"),
    ]
    .into_iter()
    .map(|(row, flag)| {
        let (engine, context) = (Rc::clone(&engine), Rc::clone(&context));
        Contestant::new(row, EACH, move || {
            for _ in 0..EACH {
                black_box(engine.is_enabled(black_box(flag), &context, &None));
            }
        })
    })
    .collect()
}

struct Store(HashMap<String, launchdarkly::Flag>);

impl launchdarkly::Store for Store {
    fn flag(&self, key: &str) -> Option<launchdarkly::Flag> {
        self.0.get(key).cloned()
    }

    fn segment(&self, _: &str) -> Option<launchdarkly::Segment> {
        None
    }
}

fn launchdarkly_flags() -> Vec<Contestant> {
    let rollout = json!({"rollout": {"variations": [
        {"variation": 0, "weight": 50_000}, {"variation": 1, "weight": 50_000}]}});
    [
        (LAUNCHDARKLY_ON, json!({"variation": 1})),
        (LAUNCHDARKLY_PERCENT, rollout),
    ]
    .into_iter()
    .map(|(row, fallthrough)| {
        let flag: launchdarkly::Flag = serde_json::from_value(json!({
            "key": "flag101", "version": 1, "on": true, "targets": [], "rules": [],
            "prerequisites": [], "fallthrough": fallthrough, "offVariation": 0,
            "variations": [false, true], "salt": "salty", "clientSide": false,
            "clientSideAvailability": {"usingEnvironmentId": false, "usingMobileKey": false}
        }))
        .expect("its own format");
        let context = launchdarkly::ContextBuilder::new(USER)
            .build()
            .expect("a context");
        let store = Store(HashMap::new());
        Contestant::new(row, EACH, move || {
            for _ in 0..EACH {
                let detail =
                    launchdarkly::evaluate(&store, black_box(&flag), black_box(&context), None);
                black_box(detail.value);
            }
        })
    })
    .collect()
}

fn growthbook() -> Vec<Contestant> {
    let feature = |number: usize| match number % 5 {
        0 => json!({"defaultValue": true}),
        _ => json!({"defaultValue": false, "rules": [
            {"force": true, "coverage": 0.5, "hashAttribute": "id", "seed": format!("flag{number}")}]}),
    };
    let features: HashMap<String, GrowthBookFeature> = (0..500)
        .map(|number| {
            let feature = serde_json::from_value(feature(number)).expect("its own format");
            (format!("flag{number}"), feature)
        })
        .collect();
    let engine = Rc::new(GrowthBook {
        forced_variations: None,
        features,
        attributes: None,
        sticky_bucket_service: None,
        saved_groups: HashMap::new(),
    });
    let user = GrowthBookAttribute::from(json!({"id": USER})).expect("an attribute");
    let user = Rc::new(Some(user));
    [(GROWTHBOOK_ON, "flag100"), (GROWTHBOOK_PERCENT, "flag101")]
        .into_iter()
        .map(|(row, flag)| {
            let (engine, user) = (Rc::clone(&engine), Rc::clone(&user));
            Contestant::new(row, EACH, move || {
                for _ in 0..EACH {
                    black_box(engine.check(black_box(flag), &user).on);
                }
            })
        })
        .collect()
}
