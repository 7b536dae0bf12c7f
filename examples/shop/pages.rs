//! The pages: what each asks of the market, and which template shows it.
//!
//! Nothing here speaks of profiling: `db`, `cache` and `templates` are where calls are seen. What a
//! page can do without stands behind flags, by priority (`flags.toml`).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Form, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use ioprofiler::Flag;
use serde::Deserialize;
use serde_json::json;

use crate::db::DbError;
use crate::goods::KINDS;
use crate::market::{Card, Listing, Market};
use crate::pictures::picture;
use crate::seed::{FIRST_LISTING, LISTINGS};
use crate::templates::Templates;

/// Who is looking: the shop has no accounts, so it is always this member.
const YOU: i64 = 5_020_244;

/// Nothing but our own style sheet and pictures may be loaded, and no script at all.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'";

static FAVORITES: Flag = Flag::new("favorites");
static FANS: Flag = Flag::new("fans");
static MORE_OF_SHOP: Flag = Flag::new("more_of_shop");
static SIMILAR: Flag = Flag::new("similar");
static NEW_SEARCH: Flag = Flag::new("new_search");

/// What every page needs.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) market: Market,
    pub(crate) templates: Templates,
}

type Shared = State<Arc<App>>;

/// The pages. Style sheet and pictures are apart, in `files`: they make no call worth seeing.
pub(crate) fn pages(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/listing/{id}", get(listing))
        .route("/shop/{name}", get(shop))
        .route("/search", get(search))
        .route("/stream", get(just_listed))
        .route("/favorite", post(favorite))
        .route("/api/listing/{id}", get(listing_json))
        .fallback(not_found)
        .with_state(app)
}

/// Style sheet and pictures.
pub(crate) fn files() -> Router {
    Router::new()
        .route("/static/shop.css", get(style))
        .route("/static/picture/{kind}/{tone}", get(listing_picture))
}

/// Finds out who is there, as every site does, and tells it: flags decide by the member, and by the
/// browser where it has a cookie of ours.
pub(crate) async fn who(request: Request, next: Next) -> Response {
    let now = ioprofiler::current();
    now.set_user(&YOU.to_string());
    let cookies = request.headers().get(header::COOKIE);
    let cookies = cookies.and_then(|value| value.to_str().ok());
    let visitor = cookies
        .into_iter()
        .flat_map(|cookies| cookies.split("; "))
        .find_map(|cookie| cookie.strip_prefix("visitor="));
    if let Some(visitor) = visitor {
        now.set_visitor(visitor);
    }
    drop(now);
    next.run(request).await
}

async fn home(State(app): Shared) -> Result<Response, Failure> {
    let cards = app.market.featured().await?;
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    app.page("home.html", json!({ "cards": cards, "kinds": kinds }))
}

async fn listing(State(app): Shared, Path(id): Path<String>) -> Result<Response, Failure> {
    let market = &app.market;
    let Some(listing) = market.listing(number(&id)?).await? else {
        return Err(Failure::NotFound);
    };
    let shop = market.shop(listing.shop_id).await?;
    // Where no file names a flag, the page is whole.
    let request = ioprofiler::current();
    let on = |flag: &'static Flag| request.flag_or(flag, true);
    let favorites = match on(&FAVORITES) {
        true => Some(market.count_favorites(listing.listing_id).await?),
        false => None,
    };
    let fans = match on(&FANS) {
        true => market.fans(listing.listing_id, 6).await?,
        false => Vec::new(),
    };
    let (with_more, with_similar) = (on(&MORE_OF_SHOP), on(&SIMILAR));
    let more = async {
        match with_more {
            true => market.more_of_shop(&listing).await,
            false => Ok(Vec::new()),
        }
    };
    let similar = async {
        match with_similar {
            true => market.similar(&listing).await,
            false => Ok(Vec::new()),
        }
    };
    let (more, similar) = tokio::try_join!(more, similar)?;
    let (more, similar) = (cards(more), cards(similar));
    app.page(
        "listing.html",
        json!({
            "listing": listing, "shop": shop, "favorites": favorites, "fans": fans, "more": more,
            "similar": similar,
        }),
    )
}

async fn shop(State(app): Shared, Path(name): Path<String>) -> Result<Response, Failure> {
    let Some(shop) = app.market.shop_by_name(&name).await? else {
        return Err(Failure::NotFound);
    };
    let cards = app.market.window(&shop).await?;
    app.page("shop.html", json!({ "shop": shop, "cards": cards }))
}

#[derive(Deserialize)]
struct Searched {
    #[serde(default)]
    q: String,
}

async fn search(State(app): Shared, Query(searched): Query<Searched>) -> Result<Response, Failure> {
    let q = searched.q.trim();
    let cards = if q.is_empty() {
        Vec::new()
    } else if ioprofiler::flag(&NEW_SEARCH) {
        app.market.remembered_search(q).await?
    } else {
        // Where it is dark, the new one runs beside the old one; nobody sees what it finds.
        let request = ioprofiler::current();
        let new = request.dark_future(&NEW_SEARCH, app.market.remembered_search(q));
        let (old, _) = tokio::join!(app.market.search(q), new);
        old?
    };
    app.page("search.html", json!({ "q": q, "cards": cards }))
}

#[derive(Deserialize)]
struct Favored {
    listing_id: i64,
}

async fn favorite(State(app): Shared, Form(favored): Form<Favored>) -> Result<Redirect, Failure> {
    let id = favored.listing_id;
    if app.market.listing(id).await?.is_none() {
        return Err(Failure::NotFound);
    }
    app.market.toggle_favorite(YOU, id).await?;
    Ok(Redirect::to(&format!("/listing/{id}")))
}

async fn listing_json(State(app): Shared, Path(id): Path<String>) -> Result<Response, Failure> {
    let Some(listing) = app.market.listing(number(&id)?).await? else {
        return Err(Failure::NotFound);
    };
    let shop = app.market.shop(listing.shop_id).await?;
    let favorites = app.market.count_favorites(listing.listing_id).await?;
    Ok(Json(json!({ "listing": listing, "shop": shop, "favorites": favorites })).into_response())
}

/// How many pieces `/stream` sends, and how long it waits before each.
const PIECES: usize = 6;
const PAUSE: Duration = Duration::from_millis(150);

/// The newest listings, sent as they are found: the answer has begun long before its last query.
async fn just_listed(State(app): Shared) -> Result<Response, Failure> {
    let head = app.templates.render("stream_head.html", json!({}))?;
    let pieces = stream::unfold(Some((app, 0, head)), async |state| {
        let (app, piece, html) = state?;
        if piece > PIECES {
            return Some((Ok(html), None));
        }
        // After this piece comes the next one: made now, sent when it is asked for.
        match next_piece(&app, piece).await {
            Ok(next) => Some((Ok(html), Some((app, piece + 1, next)))),
            Err(failure) => Some((Err(std::io::Error::other(failure.to_string())), None)),
        }
    });
    Ok((
        headers("text/html; charset=utf-8"),
        Body::from_stream(pieces),
    )
        .into_response())
}

async fn next_piece(app: &App, piece: usize) -> Result<String, Failure> {
    if piece == PIECES {
        return Ok(app.templates.render("stream_foot.html", json!({}))?);
    }
    tokio::time::sleep(PAUSE).await;
    let step = i64::try_from(piece / 2).unwrap_or_default() * 8;
    let newest = app
        .market
        .newest(piece % 2, FIRST_LISTING + LISTINGS - step)
        .await?;
    Ok(app
        .templates
        .render("stream_rows.html", json!({ "cards": cards(newest) }))?)
}

async fn not_found() -> Failure {
    Failure::NotFound
}

async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("shop.css"),
    )
}

async fn listing_picture(
    Path((kind, tone)): Path<(String, String)>,
) -> Result<Response, StatusCode> {
    let tone = tone.strip_suffix(".svg").and_then(|tone| tone.parse().ok());
    let svg = tone
        .and_then(|tone| picture(&kind, tone))
        .ok_or(StatusCode::NOT_FOUND)?;
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "public, max-age=86400"),
    ];
    Ok((headers, svg).into_response())
}

impl App {
    fn page(&self, template: &str, values: serde_json::Value) -> Result<Response, Failure> {
        let html = self.templates.render(template, values)?;
        Ok((headers("text/html; charset=utf-8"), html).into_response())
    }
}

fn headers(content_type: &'static str) -> [(header::HeaderName, &'static str); 2] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ]
}

fn cards(listings: Vec<Listing>) -> Vec<Card> {
    listings
        .into_iter()
        .map(|listing| Card {
            listing,
            shop: None,
            favorites: None,
        })
        .collect()
}

/// A listing's number, as it stands in the address.
fn number(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| Failure::NotFound)
}

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum Failure {
    NotFound,
    Database(DbError),
    Template(minijinja::Error),
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

impl From<minijinja::Error> for Failure {
    fn from(error: minijinja::Error) -> Self {
        Self::Template(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => out.write_str("not found"),
            Self::Database(error) => error.fmt(out),
            Self::Template(error) => write!(out, "{error:#}"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, text) = match &self {
            Self::NotFound => (StatusCode::NOT_FOUND, "This page is not for sale."),
            Self::Database(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Our shelves cannot be reached right now.",
            ),
            Self::Template(_) => (StatusCode::INTERNAL_SERVER_ERROR, "We dropped something."),
        };
        if status.is_server_error() {
            crate::complain(&self.to_string());
        }
        let html = include_str!("templates/error.html").replace("TEXT", text);
        (status, headers("text/html; charset=utf-8"), Html(html)).into_response()
    }
}
