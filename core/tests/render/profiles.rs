//! Profiles to render: built by hand, times in microseconds.

use ioprofiler::Note;
use ioprofiler::category::{Dialect, Kind};
use ioprofiler::flags::{Exposure, FlagsData, Reason, State as FlagState};
use ioprofiler::profile::{
    Caller, CategoryTotal, Counts, Hook, Limit, Outcome, ProfileData, RequestKind, SpanData, State,
};
use proptest::prelude::*;

/// All profiles that have golden files, by name.
pub(crate) fn all() -> Vec<(&'static str, ProfileData)> {
    vec![
        ("slide", slide()),
        ("nested", nested()),
        ("parallel", parallel()),
        ("limits", limits()),
        ("empty", empty()),
        ("not_recorded", not_recorded()),
        ("hostile", hostile()),
        ("outcomes", outcomes()),
        ("repeated", repeated()),
        ("job", job()),
        ("wide", wide()),
        ("flags", flags()),
        ("noted", noted()),
    ]
}

/// A page to which calls are added.
pub(crate) struct Page(pub(crate) ProfileData);

impl Page {
    pub(crate) fn new(path: &str, page_us: u64) -> Self {
        let mut data = ProfileData::default();
        data.facts.method = "GET".to_owned();
        data.facts.path = path.to_owned();
        data.facts.status = Some(200);
        data.id = "4bf92f35".to_owned();
        data.host = "web0022".to_owned();
        data.pid = 4711;
        data.build = Some("8c1f".to_owned());
        data.state = State::Finished;
        data.started_at = 1_795_403_527_120_000_000;
        data.page_ns = page_us * 1_000;
        data.app_ns = page_us * 1_000;
        data.recorded = true;
        data.hooks = vec![Hook::hooked("tower"), Hook::hooked("sqlx 0.8")];
        Self(data)
    }

    pub(crate) fn add(&mut self, span: SpanData) -> u32 {
        self.0.spans.push(span);
        u32::try_from(self.0.spans.len() - 1).expect("few spans")
    }

    /// Totals that fit the spans.
    pub(crate) fn done(mut self) -> ProfileData {
        self.0.totals = totals(&self.0.spans);
        self.0
    }
}

/// A page with notes, in a trace.
pub(crate) fn noted() -> ProfileData {
    let mut page = Page::new("/listing/5773453", 1_000);
    page.0.facts.traceparent =
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    page.0.notes = vec![
        Note::new("user_id", 5_020_244),
        Note::new("share", 0.25),
        Note::new("staff", true),
        Note::new("said", "two\nlines, \"quotes\" and \u{1b}[31m"),
        Note::new("hash", u64::MAX),
    ];
    let mut long = Note::new("long", "beginning");
    long.cut_from = Some(10_000);
    page.0.notes.push(long);
    page.done()
}

pub(crate) fn totals(spans: &[SpanData]) -> Vec<CategoryTotal> {
    let mut totals: Vec<CategoryTotal> = Vec::new();
    for span in spans {
        let at = totals
            .iter()
            .position(|total| total.category == span.category);
        let at = at.unwrap_or_else(|| {
            let mut total = CategoryTotal::default();
            total.category = span.category;
            total.kind = span.kind;
            totals.push(total);
            totals.len() - 1
        });
        let total = &mut totals[at];
        total.calls += 1;
        total.time_ns += span.duration_ns;
        total.errors += u64::from(span.outcome == Outcome::Error);
        total.cancelled += u64::from(span.outcome == Outcome::Cancelled);
        total.open += u64::from(span.outcome == Outcome::Open);
        total.hits += u64::from(span.counts.hits.unwrap_or(0));
        total.misses += u64::from(span.counts.misses.unwrap_or(0));
        total.rows += u64::from(span.counts.rows.unwrap_or(0));
        total.bytes += u64::from(span.counts.bytes.unwrap_or(0));
    }
    totals
}

pub(crate) fn leaf(
    category: &'static str,
    detail: &str,
    start_us: u64,
    duration_us: u64,
) -> SpanData {
    let mut span = SpanData::default();
    span.category = category;
    span.dialect = match category {
        "memcache_get" | "apc" => Dialect::Keys,
        "template" => Dialect::Path,
        _ => Dialect::MySql,
    };
    span.detail = detail.to_owned();
    span.start_ns = start_us * 1_000;
    span.duration_ns = duration_us * 1_000;
    span
}

pub(crate) fn scope(
    category: &'static str,
    detail: &str,
    start_us: u64,
    duration_us: u64,
) -> SpanData {
    let mut span = leaf(category, detail, start_us, duration_us);
    span.kind = Kind::Scope;
    span
}

pub(crate) fn called_from(mut span: SpanData, file: &'static str, line: u32) -> SpanData {
    span.caller = Some(Caller::new(file, line));
    span
}

pub(crate) fn inside(mut span: SpanData, parent: u32) -> SpanData {
    span.parent = Some(parent);
    span
}

pub(crate) fn on_lane(mut span: SpanData, lane: u32) -> SpanData {
    span.lane = lane;
    span
}

pub(crate) fn ended(mut span: SpanData, outcome: Outcome) -> SpanData {
    span.outcome = outcome;
    span
}

pub(crate) fn bringing(mut span: SpanData, count: impl FnOnce(&mut Counts)) -> SpanData {
    count(&mut span.counts);
    span
}

/// The page of 2010's slide: its two call lines, its category rows, its totals.
pub(crate) fn slide() -> ProfileData {
    let mut page = Page::new("/listing/5773453", 236_312);
    let mut clock = 1_000;
    many(&mut page, &mut clock, "function", 2, 11_528);
    many(&mut page, &mut clock, "apc", 17, 299);
    many(&mut page, &mut clock, "memcache_get", 105, 39_966);
    many(&mut page, &mut clock, "om_etsy_shard_002_B", 1, 1_066);
    let sql = "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453";
    let counted = bringing(leaf("dbshard01", sql, 100_310, 902), |counts| {
        counts.rows = Some(1)
    });
    page.add(called_from(counted, "shop/views.py", 41));
    let key = "Cache HIT, keys: Etsy_Cache_Results:c812331f123321:1121231";
    let mut cached = leaf("memcache_get", key, 101_402, 361);
    cached.target = Some("memcache".to_owned());
    cached.dialect = Dialect::Generic;
    page.add(cached);
    let mut clock = 105_000;
    many(&mut page, &mut clock, "solr", 39, 68_879);
    page.done()
}

/// Calls one after the other that take so long together.
fn many(page: &mut Page, clock: &mut u64, category: &'static str, calls: u64, total_us: u64) {
    for call in 0..calls {
        let duration = total_us / calls + u64::from(call < total_us % calls);
        let span = match category {
            "function" => scope(category, "render", *clock, duration),
            _ => leaf(category, &format!("listing:{call}:name"), *clock, duration),
        };
        page.add(span);
        *clock += duration + 10;
    }
}

pub(crate) fn nested() -> ProfileData {
    let mut page = Page::new("/shop/anns_scarves", 60_000);
    page.0.facts.route = Some("/shop/{name}".to_owned());
    page.0.facts.query = Some("page=2&utm_source=mail".to_owned());
    let main = page.add(called_from(
        scope("template", "shop.html", 1_000, 50_000),
        "src/shop.rs",
        12,
    ));
    page.add(inside(
        leaf(
            "dbshard01",
            "SELECT * FROM shops\n  WHERE name = 'anns_scarves'",
            2_000,
            4_000,
        ),
        main,
    ));
    let include = page.add(inside(
        scope("template", "listing_card.html", 8_000, 30_000),
        main,
    ));
    page.add(inside(
        leaf("memcache_get", "listing:5773453", 9_000, 500),
        include,
    ));
    page.add(inside(
        leaf(
            "dbshard02",
            "SELECT * FROM listings WHERE id = 5773453",
            10_000,
            3_000,
        ),
        include,
    ));
    let deepest = page.add(inside(
        scope("function", "format_price", 20_000, 1_000),
        include,
    ));
    page.add(inside(leaf("apc", "currency:eur", 20_100, 7), deepest));
    page.add(leaf(
        "dbshard01",
        "UPDATE visits SET n = n + 1 WHERE shop_id = 77",
        52_000,
        1_250,
    ));
    page.done()
}

pub(crate) fn parallel() -> ProfileData {
    let mut page = Page::new("/search", 12_000);
    page.0.facts.query = Some("q=red+scarf".to_owned());
    let search = page.add(scope("function", "search_both", 500, 10_500));
    for (lane, category) in [(0, "dbshard01"), (1, "dbshard02"), (1, "dbshard01")] {
        let start = 1_000 + 500 * u64::from(lane);
        let sql = "SELECT id FROM listings WHERE title LIKE '%scarf%'";
        let query = bringing(leaf(category, sql, start, 9_000), |counts| {
            counts.rows = Some(40)
        });
        page.add(inside(on_lane(query, lane), search));
    }
    page.done()
}

/// 5,020 calls of which 20 are listed.
pub(crate) fn limits() -> ProfileData {
    let mut page = Page::new("/export", 9_000_000);
    let export = page.add(scope("function", "export", 0, 8_000_000));
    for call in 0..19 {
        let sql = format!("SELECT * FROM listings WHERE id = {call}");
        page.add(inside(
            called_from(
                leaf("dbshard01", &sql, 1_000 * call, 900),
                "src/export.rs",
                7,
            ),
            export,
        ));
    }
    let mut data = page.done();
    data.unlisted = 5_000;
    data.limit = Some(Limit::Spans);
    data.totals[1].calls += 5_000;
    data.totals[1].time_ns += 4_500_000_000;
    data.clock_suspect = true;
    data.own_cost_ns = 123_456;
    data
}

pub(crate) fn empty() -> ProfileData {
    let mut page = Page::new("/about", 1_250);
    page.0.hooks = vec![
        Hook::hooked("tower"),
        Hook::seen(
            "redis 0.27",
            "wrap the connection in ioprofiler_redis::Hooked",
        ),
    ];
    page.0.calls_outside = 1_204;
    page.0.state = State::Live;
    page.0.facts.status = None;
    page.done()
}

pub(crate) fn not_recorded() -> ProfileData {
    let mut page = Page::new("/about", 1_250);
    page.0.recorded = false;
    page.0.hooks.clear();
    page.0.build = None;
    page.done()
}

/// Details, names and facts that try to be more than text.
pub(crate) fn hostile() -> ProfileData {
    let mut page = Page::new("/a\u{1b}[2J\u{202e}/</script>", 5_000);
    page.0.facts.query = Some("a=%0d%0a<b>&c=\"\r\nX: y".to_owned());
    page.0.facts.error = Some("boom\n[fake] 0.001 ms line".to_owned());
    page.0.id = "id\nforged: 1".to_owned();
    for (nth, detail) in [
        "</script><script>alert(1)</script>",
        "</div></template>&amp;<!--",
        "\0nul, \u{7f}del, \u{9b}31mC1, \u{1b}]0;title\u{7}",
        "right \u{202e}to left\u{202c}, isolate \u{2066}x\u{2069}",
        "line\u{2028}and paragraph\u{2029} ends, \u{85} too",
        "SELECT 1\r\n[dbshard01] 0.000 ms forged\n\nTOTAL CALLS  0",
        "replaced \u{fffd}, tag \u{e0041}, zero\u{200b}width, bom \u{feff}",
        "tab\there, back\\slash, quote \" and '",
        "  ",
        "\n\t\n",
        "",
        "Grüße 🦀 из Этси",
    ]
    .into_iter()
    .enumerate()
    {
        page.add(leaf("dbshard01", detail, 100 * nth as u64, 50));
    }
    let mut cut = leaf("evil\ncategory]", "SELECT 'abc", 2_000, 100);
    cut.target = Some("host\u{1b}[31m".to_owned());
    cut.detail_cut_from = Some(104_857_600);
    page.add(called_from(cut, "/home/ann/shop/src/a\nb.rs", 1));
    page.0.hooks.push(Hook::seen("x\ny", "hint\r\nz"));
    page.done()
}

pub(crate) fn outcomes() -> ProfileData {
    let mut page = Page::new("/checkout", 30_000);
    page.0.state = State::Aborted;
    page.0.facts.status = Some(500);
    page.0.facts.error = Some("deadlock on order 5773453".to_owned());
    page.add(ended(
        leaf(
            "dbshard01",
            "INSERT INTO orders VALUES (5, 'ann')",
            1_000,
            5_000,
        ),
        Outcome::Error,
    ));
    page.add(called_from(
        ended(
            leaf("dbshard01", "SELECT SLEEP(9)", 7_000, 2_000),
            Outcome::Cancelled,
        ),
        "src/checkout.rs",
        99,
    ));
    page.add(bringing(
        leaf("memcache_get", "a, b, c", 9_500, 412),
        |counts| {
            counts.hits = Some(38);
            counts.misses = Some(1);
            counts.bytes = Some(512);
        },
    ));
    page.add(ended(
        leaf("http", "POST https://pay.example/charge", 10_000, 20_000),
        Outcome::Open,
    ));
    let mut late = ended(leaf("memcache_get", "cart:77", 29_000, 900), Outcome::Error);
    late.after_answer = true;
    page.add(late);
    page.done()
}

/// A page under flags, one of which it ran dark, one of them of somebody who wants to be markup.
pub(crate) fn flags() -> ProfileData {
    let mut page = Page::new("/search", 80_000);
    page.add(leaf("solr", "q=walnut", 1_000, 30_000));
    let mut dark = scope("dark:new_search", "", 32_000, 40_000);
    dark.dark = true;
    let dark = page.add(dark);
    let mut inside = inside(leaf("solr4", "q=walnut", 33_000, 38_000), dark);
    inside.dark = true;
    page.add(inside);
    page.0.flags = Some(flags_data());
    page.done()
}

fn flags_data() -> FlagsData {
    let asked = |flag, state, variant, reason| {
        let mut exposure = Exposure::default();
        (exposure.flag, exposure.state, exposure.variant) = (flag, state, variant);
        (exposure.reason, exposure.count) = (reason, 1);
        exposure
    };
    let mut search = asked("new_search", FlagState::Dark, "dark", Reason::Dark);
    (search.id, search.count) = (Some(51), 3);
    let mut cart = asked("cart", FlagState::On, "green", Reason::Group);
    (cart.group, cart.number) = (Some("staff"), Some(2));
    let mut shop = asked("new_shop", FlagState::Off, "off", Reason::NoUnit);
    (shop.other, shop.past) = (true, true);
    let ads = asked("ads</td>\u{1b}", FlagState::Off, "off", Reason::Shed);
    let mut flags = FlagsData::default();
    flags.version = "77a1b2c3d4e5f607".to_owned();
    flags.age_ns = 2_400_000_000;
    flags.shed_from = Some(7);
    flags.exposures = vec![search, cart, shop, ads];
    flags
}

/// An N+1 over a shard, another over a cache, and what is not one: too few, or other callers.
pub(crate) fn repeated() -> ProfileData {
    let mut page = Page::new("/shop/anns_scarves", 90_000);
    for nth in 0..24 {
        let sql = format!("SELECT * FROM listings WHERE id = {}", 5_773_453 + nth);
        let query = leaf("dbshard02", &sql, 1_000 + 3_000 * nth, 1_500);
        page.add(called_from(query, "src/shop.rs", 31));
        let key = format!("listing:{}:image", 5_773_453 + nth);
        page.add(called_from(
            leaf("memcache_get", &key, 2_600 + 3_000 * nth, 300),
            "src/shop.rs",
            33,
        ));
    }
    for nth in 0..4 {
        page.add(leaf("dbshard01", "SELECT 1", 80_000 + nth, 1));
    }
    for nth in 0..8_u32 {
        let caller = 50 + nth % 2;
        page.add(called_from(
            leaf("apc", "currency:eur", 81_000 + u64::from(nth), 1),
            "src/money.rs",
            caller,
        ));
    }
    page.done()
}

pub(crate) fn job() -> ProfileData {
    let mut page = Page::new("send_mail", 2_000);
    page.0.facts.kind = RequestKind::Job;
    page.0.facts.method.clear();
    page.0.facts.status = None;
    page.0.parent_id = Some("77aa".to_owned());
    page.0.state = State::Abandoned;
    page.add(leaf("smtp", "MAIL FROM:<ann@example.com>", 100, 1_000));
    page.done()
}

/// Category names wider than their column.
pub(crate) fn wide() -> ProfileData {
    let mut page = Page::new("/", 10_000);
    page.add(leaf(
        "om_etsy_shard_002_B_replica_frankfurt",
        "SELECT 1",
        0,
        1_000,
    ));
    page.add(leaf("kürzer", "SELECT 1", 2_000, 1_000));
    page.add(leaf(
        "a_name_that_is_so_very_long_that_it_has_to_stand_out_of_the_table",
        "SELECT 1",
        4_000,
        1_000,
    ));
    page.done()
}

/// Categories of made-up profiles; those of a name's first letter `s` are scopes.
const CATEGORIES: [&str; 6] = [
    "l_db",
    "l_cache",
    "l_http",
    "s_template",
    "s_function",
    "s_view",
];

/// Any profile: spans of up to 40 µs, nested, overlapping, parallel, parents left behind by their
/// children, on a page that may end before them.
pub(crate) fn any_profile() -> impl Strategy<Value = ProfileData> {
    let span = (
        0_u64..120,
        0_u64..40,
        0..CATEGORIES.len(),
        any::<u16>(),
        0_u32..3,
        0_usize..4,
    );
    (prop::collection::vec(span, 0..40), 0_u64..160).prop_map(|(mut spans, page_us)| {
        spans.sort_by_key(|span| span.0);
        let mut page = Page::new("/any", page_us);
        let mut scopes: Vec<u32> = Vec::new();
        for (start, duration, category, parent, lane, nth) in spans {
            let category = CATEGORIES[category];
            let detail = ["a = 1", "a = 2", "b = 1", "'c"][nth];
            let is_scope = category.starts_with('s');
            let make = if is_scope { scope } else { leaf };
            let mut span = on_lane(make(category, detail, start, duration), lane);
            span.caller = (parent % 3 > 0).then(|| Caller::new("a.rs", 1));
            // One of the scopes before it, or none.
            let among = scopes.len() + 1;
            span.parent = scopes.get(usize::from(parent) % among).copied();
            let index = page.add(span);
            if is_scope {
                scopes.push(index);
            }
        }
        page.done()
    })
}
