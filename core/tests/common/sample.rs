//! Profiles to render: made by hand, the same at every run.
#![allow(
    dead_code,
    clippy::field_reassign_with_default,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "each test uses a part"
)]

use ioprofiler::category::{Dialect, Kind};
use ioprofiler::profile::{
    Caller, CategoryTotal, Hook, Limit, Outcome, ProfileData, SpanData, State,
};

const MS: u64 = 1_000_000;

/// A profile under construction: its totals follow from its calls.
pub(crate) struct Sample(pub(crate) ProfileData);

impl Sample {
    /// A page without calls.
    pub(crate) fn new(path: &str) -> Self {
        let mut data = ProfileData::default();
        data.id = "4bf92f3577b34da6a3ce929d0e0e4736".to_owned();
        data.facts.method = "GET".to_owned();
        data.facts.path = path.to_owned();
        data.facts.route = Some("/listing/{id}".to_owned());
        data.host = "web0022".to_owned();
        data.pid = 4711;
        data.build = Some("8c1f".to_owned());
        data.started_at = 1_795_403_527_120_000_000;
        data.recorded = true;
        data.hooks = vec![
            Hook::hooked("tower"),
            Hook::seen("sqlx 0.8", "wrap the pool in ioprofiler_sqlx::Pool"),
        ];
        Self(data)
    }

    /// One more call, starting and lasting so many microseconds.
    pub(crate) fn call(
        &mut self,
        category: &'static str,
        at: u64,
        took: u64,
        detail: &str,
    ) -> &mut SpanData {
        let mut span = SpanData::default();
        span.category = category;
        span.start_ns = at * 1_000;
        span.duration_ns = took * 1_000;
        span.detail = detail.to_owned();
        span.dialect = if category.starts_with("mem") {
            Dialect::Keys
        } else {
            Dialect::MySql
        };
        if matches!(category, "template" | "function") {
            span.kind = Kind::Scope;
            span.dialect = Dialect::Path;
        }
        self.0.spans.push(span);
        self.0.spans.last_mut().expect("just pushed")
    }

    /// Finished: totals made, page time given in microseconds.
    pub(crate) fn done(mut self, page: u64) -> ProfileData {
        let data = &mut self.0;
        data.page_ns = page * 1_000;
        data.app_ns = data.page_ns;
        data.own_cost_ns = 40 * data.spans.len() as u64 + 300;
        for span in &data.spans {
            let known = data
                .totals
                .iter()
                .position(|total| total.category == span.category);
            let place = known.unwrap_or_else(|| {
                let mut total = CategoryTotal::default();
                total.category = span.category;
                total.kind = span.kind;
                data.totals.push(total);
                data.totals.len() - 1
            });
            let total = &mut data.totals[place];
            total.calls += 1;
            total.time_ns = total.time_ns.saturating_add(span.duration_ns);
            total.errors += u64::from(span.outcome == Outcome::Error);
            total.cancelled += u64::from(span.outcome == Outcome::Cancelled);
            total.open += u64::from(span.outcome == Outcome::Open);
            total.hits += u64::from(span.counts.hits.unwrap_or(0));
            total.misses += u64::from(span.counts.misses.unwrap_or(0));
        }
        self.0
    }
}

/// A listing page: nesting, a miss, an N+1, an error, an open call, a long statement.
pub(crate) fn listing() -> ProfileData {
    let mut page = Sample::new("/listing/5773453");
    page.0.facts.query = Some("ioprofiler=1&ref=<script>".to_owned());
    page.0.facts.user = Some("5020244".to_owned());
    page.0.facts.groups = vec!["staff".to_owned()];
    page.0.facts.status = Some(200);
    page.call("function", 310, 11_528, "route_listing").caller =
        Some(Caller::new("shop/src/pages/listing.rs", 31));
    let hit = page.call(
        "memcache_get",
        1_100,
        361,
        "Cache HIT, keys: Etsy_Cache_Results:c812331f123321:1121231",
    );
    hit.parent = Some(0);
    hit.counts.hits = Some(1);
    hit.target = Some("mc03:11211".to_owned());
    let shard = page.call(
        "dbshard01",
        2_310,
        7_902,
        "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453",
    );
    shard.parent = Some(0);
    shard.counts.rows = Some(1);
    shard.caller = Some(Caller::new("shop/src/model/favorites.rs", 88));
    let template = page.call("template", 13_000, 90_000, "listing.html");
    template.caller = Some(Caller::new("shop/src/pages/listing.rs", 64));
    for (at, include) in [(14_000, "header.html"), (30_000, "reviews.html")] {
        page.call("template", at, 15_000, include).parent = Some(3);
    }
    for review in 0..12 {
        let call = page.call(
            "dbshard02",
            31_000 + review * 1_100,
            900,
            &format!(
                "SELECT name, avatar FROM User WHERE user_id = {}",
                4_411 + 37 * review
            ),
        );
        call.parent = Some(5);
        call.counts.rows = Some(1);
        call.caller = Some(Caller::new("shop/src/model/reviews.rs", 52));
    }
    for shard in ["dbshard01", "dbshard02"] {
        let search = page.call(
            shard,
            104_000,
            61_000,
            "SELECT l.listing_id, l.title, l.price, l.currency, l.quantity, s.name AS shop_name\nFROM Listing l JOIN Shop s ON s.shop_id = l.shop_id\nWHERE l.state = 'active' AND l.title LIKE '%walnut%' AND l.price BETWEEN 10 AND 250\nORDER BY l.score DESC LIMIT 40",
        );
        search.counts.rows = Some(40);
        search.lane = 1;
        search.caller = Some(Caller::new("shop/src/model/search.rs", 17));
    }
    let miss = page.call(
        "memcache_get",
        166_000,
        420,
        "Cache 38/40 HIT, missed: listing:441, listing:9917",
    );
    miss.counts.hits = Some(38);
    miss.counts.misses = Some(2);
    page.call(
        "http",
        168_000,
        30_000,
        "POST https://ads.internal/v2/slots timed out",
    )
    .outcome = Outcome::Error;
    page.call("http", 170_000, 9_000, "GET https://geo.internal/ip")
        .outcome = Outcome::Cancelled;
    page.call("queue", 220_000, 16_312, "publish view_listing")
        .outcome = Outcome::Open;
    page.call("memcache_set", 230_000, 512, "listing:5773453")
        .after_answer = true;
    let mut data = page.done(236_312);
    data.app_ns = 228_000_000;
    data.calls_outside = 3;
    data
}

/// So many calls, each with a detail of 79 bytes or more.
pub(crate) fn many(calls: u64) -> ProfileData {
    let mut page = Sample::new("/search");
    page.0.facts.query = Some("q=walnut".to_owned());
    for number in 0..calls {
        let category =
            ["memcache_get", "dbshard01", "dbshard02", "template"][(number % 4) as usize];
        let detail = format!(
            "SELECT listing_id, title, price FROM Listing WHERE listing_id = {number} AND state = 'x'"
        );
        let call = page.call(category, number * 100, 90 + number % 37, &detail);
        call.caller = Some(Caller::new(
            "shop/src/model/listing.rs",
            40 + (number % 7) as u32,
        ));
        call.counts.rows = Some(1);
        call.parent = (number % 4 < 3 && number >= 4).then(|| (number - 1 - number % 4) as u32);
    }
    page.done(calls * 100 + 900)
}

/// Everything that can be wrong with a profile, and text that wants to be markup.
pub(crate) fn hostile() -> ProfileData {
    let mut page = Sample::new("/</title></textarea></script><img src=x onerror=alert(1)>");
    for (number, detail) in HOSTILE.iter().enumerate() {
        let call = page.call("dbshard01", number as u64 * 900, 700, detail);
        call.target = Some((*detail).to_owned());
    }
    page.call("memcache_get", 9_000, 10, &"k".repeat(3_000))
        .detail_cut_from = Some(100_000_000);
    page.call(
        "memcache_get",
        9_100,
        10,
        &"\u{10ffff}\u{65e5}\u{672c}".repeat(90),
    );
    let mut data = page.done(10_000);
    data.facts.error = Some("</ioprofiler-panel><h1>".to_owned());
    data.id = "\"><h1 id=x>".to_owned();
    data.state = State::Aborted;
    data.unlisted = 998_000;
    data.limit = Some(Limit::Spans);
    data.clock_suspect = true;
    data.totals[0].calls += 998_000;
    data.totals[0].time_ns += 400 * MS;
    data.hooks
        .push(Hook::seen("</li><b>", "<script>alert(2)</script>"));
    data
}

/// Details that have broken panels.
pub(crate) const HOSTILE: &[&str] = &[
    "</script><script>alert(1)</script>",
    "</div></template></ioprofiler-panel></body></html>",
    "<!-- --> --!> ]]> <![CDATA[ <?php ?>",
    "\n\nleading newlines",
    "a\0b\x08c\x1b[31m\r\nd\u{85}e\u{7f}",
    "admin\u{202e}txt.exe\u{2066}\u{200b}\u{feff}\u{e0041}",
    "&amp; &lt; &#0; \" ' ` = \\x00 \\u{202e}",
    "\u{fffe}\u{ffff}\u{1fffe}\u{fdd0}\u{fffd}",
    "caf\u{e9} \u{1f469}\u{200d}\u{1f680} \u{65e5}\u{672c}\u{8a9e}",
    "",
];
