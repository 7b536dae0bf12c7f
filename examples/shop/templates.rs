//! The pages' templates, compiled into the shop. Every template is rendered through here, and is
//! profiled here.
//!
//! A template takes in another one by `{{ include("part/heart.html", favorites=3) }}`: a function
//! of ours in place of the `{% include %}` tag, because a function can be timed, and says what the
//! part gets to see.

use std::borrow::Cow;

use ioprofiler::Category;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, State, Value};
use serde::Serialize;

const TEMPLATES: [(&str, &str); 12] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("home.html", include_str!("templates/home.html")),
    ("listing.html", include_str!("templates/listing.html")),
    ("shop.html", include_str!("templates/shop.html")),
    ("search.html", include_str!("templates/search.html")),
    (
        "stream_head.html",
        include_str!("templates/stream_head.html"),
    ),
    (
        "stream_rows.html",
        include_str!("templates/stream_rows.html"),
    ),
    (
        "stream_foot.html",
        include_str!("templates/stream_foot.html"),
    ),
    ("part/grid.html", include_str!("templates/part/grid.html")),
    ("part/heart.html", include_str!("templates/part/heart.html")),
    ("part/fans.html", include_str!("templates/part/fans.html")),
    ("part/buy.html", include_str!("templates/part/buy.html")),
];

/// All templates, ready to render.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(crate) fn new() -> Result<Self, Error> {
        let mut environment = Environment::new();
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        environment.add_function("include", include);
        environment.add_filter("price", price);
        environment.add_filter("tone", tone);
        Ok(Self { environment })
    }

    /// The page, or part of a page, that a template makes of these values.
    #[track_caller]
    pub(crate) fn render(&self, name: &str, values: impl Serialize) -> Result<String, Error> {
        render(&self.environment, name, Value::from(Serde(values)))
    }
}

/// `{{ include("part.html", name=value) }}`.
fn include(state: &State, name: Cow<'_, str>, values: Kwargs) -> Result<Value, Error> {
    render(state.env(), &name, Value::from(values)).map(Value::from_safe_string)
}

/// A scope, not a leaf: a template contains the templates that it includes.
static TEMPLATE: Category = Category::scope("template");

#[track_caller]
fn render(environment: &Environment<'_>, name: &str, values: Value) -> Result<String, Error> {
    ioprofiler::scope(&TEMPLATE, name).run_result(|| environment.get_template(name)?.render(values))
}

/// `{{ 1850|price }}` → `$18.50`.
fn price(cents: i64) -> String {
    format!("${}.{:02}", cents / 100, cents % 100)
}

/// Which of the twelve colors a listing's picture has.
fn tone(listing: i64) -> i64 {
    listing.rem_euclid(12)
}
