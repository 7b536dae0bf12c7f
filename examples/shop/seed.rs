//! Makes and fills the shards at first start: shops, members, listings, favorites.
//!
//! Everything of a shop is on its shard: odd shops, with their odd listings, on the first, even
//! ones on the second. A member is on the shard of their own number. A favorite is kept twice, on
//! the shard of the listing (who likes this?) and on that of the member (what do I like?), as one
//! does when no query can cross shards.

use std::collections::BTreeSet;

use crate::db::{DbError, Shard, Value, placeholders};
use crate::goods::{
    CITIES, FIRST_NAMES, HEADLINES, KINDS, LAST_NAMES, SHOP_FIRST, SHOP_SECOND, goods,
};
use crate::random::Random;

pub(crate) const FIRST_LISTING: i64 = 5_770_000;
pub(crate) const LISTINGS: i64 = 4_000;
pub(crate) const FIRST_MEMBER: i64 = 5_020_000;
pub(crate) const MEMBERS: i64 = 900;
pub(crate) const FIRST_SHOP: i64 = 6_000;
pub(crate) const SHOPS: i64 = 160;

/// 2010-11-23 03:12:07 UTC, and back from there.
const NEWEST: i64 = 1_290_481_927;

const TABLES: [(&str, &str); 5] = [
    (
        "Shop",
        "(shop_id BIGINT PRIMARY KEY, name VARCHAR(60) NOT NULL, headline VARCHAR(200) NOT NULL, \
          city VARCHAR(60) NOT NULL, owner_id BIGINT NOT NULL)",
    ),
    (
        "Member",
        "(user_id BIGINT PRIMARY KEY, name VARCHAR(60) NOT NULL, city VARCHAR(60) NOT NULL)",
    ),
    (
        "FavoriteListingUser",
        "(listing_id BIGINT NOT NULL, user_id BIGINT NOT NULL, created BIGINT NOT NULL, \
          PRIMARY KEY (listing_id, user_id))",
    ),
    (
        "FavoriteUserListing",
        "(user_id BIGINT NOT NULL, listing_id BIGINT NOT NULL, created BIGINT NOT NULL, \
          PRIMARY KEY (user_id, listing_id))",
    ),
    (
        "Listing",
        "(listing_id BIGINT PRIMARY KEY, shop_id BIGINT NOT NULL, title VARCHAR(200) NOT NULL, \
          description VARCHAR(2000) NOT NULL, category VARCHAR(30) NOT NULL, \
          materials VARCHAR(100) NOT NULL, price_cents BIGINT NOT NULL, quantity BIGINT NOT NULL, \
          created BIGINT NOT NULL)",
    ),
];

const INDEXES: [&str; 3] = [
    "CREATE INDEX shop_by_name ON Shop (name)",
    "CREATE INDEX listing_by_shop ON Listing (shop_id)",
    "CREATE INDEX listing_by_category ON Listing (category)",
];

/// The rows of both shards, table by table as in `TABLES`; a row's shard is the parity of its first
/// number's owner.
struct Rows([[Vec<Vec<Value>>; 5]; 2]);

impl Rows {
    fn push(&mut self, owner: i64, table: usize, row: Vec<Value>) {
        if let Some(rows) = self
            .0
            .get_mut(shard_of(owner))
            .and_then(|tables| tables.get_mut(table))
        {
            rows.push(row);
        }
    }
}

/// Which of the two shards keeps a shop, a listing or a member of that number.
pub(crate) fn shard_of(number: i64) -> usize {
    if number % 2 == 0 { 1 } else { 0 }
}

/// Fills those shards that are empty. True if there was something to do.
pub(crate) async fn fill(shards: &[Shard; 2]) -> Result<bool, DbError> {
    let [first, second] = shards;
    let missing = tokio::try_join!(is_missing(first), is_missing(second))?;
    if !missing.0 && !missing.1 {
        return Ok(false);
    }
    let Rows([first_rows, second_rows]) = rows();
    tokio::try_join!(
        fill_one(first, first_rows, missing.0),
        fill_one(second, second_rows, missing.1),
    )?;
    Ok(true)
}

/// Whether a shard has yet to be filled. One that was left half filled is not touched, but named.
async fn is_missing(shard: &Shard) -> Result<bool, DbError> {
    shard.query("SELECT 1", vec![]).await?;
    let Ok(found) = shard.query("SELECT count(*) FROM Listing", vec![]).await else {
        return Ok(true);
    };
    match found.first().map_or(0, |row| row.int(0)) {
        LISTINGS_A_SHARD.. => Ok(false),
        count => Err(DbError(format!(
            "{} is half filled ({count} of {LISTINGS_A_SHARD} listings): an earlier first start was \
             interrupted. \
             Empty it and start again",
            shard.target()
        ))),
    }
}

const LISTINGS_A_SHARD: i64 = LISTINGS / 2;

async fn fill_one(
    shard: &Shard,
    rows: [Vec<Vec<Value>>; 5],
    is_missing: bool,
) -> Result<(), DbError> {
    if !is_missing {
        return Ok(());
    }
    for (table, columns) in TABLES {
        shard
            .execute(&format!("CREATE TABLE {table} {columns}"), vec![])
            .await?;
    }
    for index in INDEXES {
        shard.execute(index, vec![]).await?;
    }
    for ((table, _), rows) in TABLES.iter().zip(rows) {
        for batch in rows.chunks(250) {
            let width = batch.first().map_or(0, Vec::len);
            let one = format!("({})", placeholders(width));
            let all = vec![one.as_str(); batch.len()].join(", ");
            shard
                .execute(&format!("INSERT INTO {table} VALUES {all}"), batch.concat())
                .await?;
        }
    }
    Ok(())
}

fn rows() -> Rows {
    let mut rows = Rows(Default::default());
    let mut random = Random::new(2010);
    for number in 0..SHOPS {
        let shop = FIRST_SHOP + number;
        let owner = FIRST_MEMBER + number * 5;
        let row = vec![
            shop.into(),
            shop_name(number).into(),
            random.pick(&HEADLINES).into(),
            random.pick(&CITIES).into(),
            owner.into(),
        ];
        rows.push(shop, 0, row);
    }
    for member in FIRST_MEMBER..FIRST_MEMBER + MEMBERS {
        let name = format!("{} {}", random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES));
        rows.push(
            member,
            1,
            vec![member.into(), name.into(), random.pick(&CITIES).into()],
        );
    }
    for number in 0..LISTINGS {
        list(&mut rows, &mut random, number);
    }
    rows
}

/// One listing and those who like it.
fn list(rows: &mut Rows, random: &mut Random, number: i64) {
    let listing = FIRST_LISTING + number;
    // Listing and shop have the same parity, and so the same shard.
    let shop_number = (random.below(SHOPS) & !1) | (number & 1);
    // A shop makes one sort of thing.
    let kind = usize::try_from(shop_number / 2).unwrap_or_default() % KINDS.len();
    let Some(kind) = KINDS.get(kind) else { return };
    let words = goods(kind, random);
    let created = NEWEST - (LISTINGS - number) * 613 - random.below(600);
    let row = vec![
        listing.into(),
        (FIRST_SHOP + shop_number).into(),
        words.title.into(),
        words.description.into(),
        kind.name.into(),
        words.materials.into(),
        words.price_cents.into(),
        (1 + random.below(9)).into(),
        created.into(),
    ];
    rows.push(listing, 4, row);

    // Most listings have a few admirers, one in twenty is loved.
    let many = if random.below(20) == 0 { 40 } else { 8 };
    let mut fans = BTreeSet::new();
    for _ in 0..random.below(many) {
        fans.insert(FIRST_MEMBER + random.below(MEMBERS));
    }
    for fan in fans {
        let when = created + random.below(400_000);
        rows.push(listing, 2, vec![listing.into(), fan.into(), when.into()]);
        rows.push(fan, 3, vec![fan.into(), listing.into(), when.into()]);
    }
}

/// The name of the shop of that number: each is another pair of words.
pub(crate) fn shop_name(number: i64) -> String {
    let number = usize::try_from(number).unwrap_or_default();
    let first = SHOP_FIRST.get(number % SHOP_FIRST.len()).unwrap_or(&"");
    let second = SHOP_SECOND
        .get(number / SHOP_FIRST.len() % SHOP_SECOND.len())
        .unwrap_or(&"");
    format!("{first}{second}")
}
