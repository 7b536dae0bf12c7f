//! What the pages know of the market: its listings, shops and members, out of the cache or the
//! shards.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::blocking;
use crate::cache::Cache;
use crate::db::{DbError, Row, Shard, Value, placeholders};
use crate::seed::{FIRST_LISTING, LISTINGS, shard_of};

/// Both shards and the cache in front of them.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) shards: [Shard; 2],
    pub(crate) cache: Cache,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Listing {
    pub(crate) listing_id: i64,
    pub(crate) shop_id: i64,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) materials: String,
    pub(crate) price_cents: i64,
    pub(crate) quantity: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shop {
    pub(crate) shop_id: i64,
    pub(crate) name: String,
    pub(crate) headline: String,
    pub(crate) city: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) user_id: i64,
    pub(crate) name: String,
    pub(crate) city: String,
}

/// A listing as a list shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Card {
    pub(crate) listing: Listing,
    pub(crate) shop: Option<Shop>,
    pub(crate) favorites: Option<i64>,
}

const LISTING: &str =
    "listing_id, shop_id, title, description, category, materials, price_cents, quantity";
const SHOP: &str = "shop_id, name, headline, city";

fn listing(row: &Row) -> Listing {
    Listing {
        listing_id: row.int(0),
        shop_id: row.int(1),
        title: row.text(2),
        description: row.text(3),
        category: row.text(4),
        materials: row.text(5),
        price_cents: row.int(6),
        quantity: row.int(7),
    }
}

fn shop(row: &Row) -> Shop {
    Shop {
        shop_id: row.int(0),
        name: row.text(1),
        headline: row.text(2),
        city: row.text(3),
    }
}

fn member(row: &Row) -> Member {
    Member {
        user_id: row.int(0),
        name: row.text(1),
        city: row.text(2),
    }
}

impl Market {
    /// The shard of a shop, a listing or a member.
    fn shard(&self, number: i64) -> &Shard {
        let [first, second] = &self.shards;
        if shard_of(number) == 0 { first } else { second }
    }

    /// The shard that does not have it.
    fn other_shard(&self, number: i64) -> &Shard {
        self.shard(number + 1)
    }

    /// One listing: from the cache, or from its shard and then kept.
    pub(crate) async fn listing(&self, id: i64) -> Result<Option<Listing>, DbError> {
        let key = format!("listing:{id}");
        if let Some(listing) = self.cache.get(key.clone()).await {
            return Ok(Some(listing));
        }
        let sql = format!("SELECT {LISTING} FROM Listing WHERE listing_id = ?");
        let rows = self.shard(id).query(&sql, vec![id.into()]).await?;
        let Some(found) = rows.first().map(listing) else {
            return Ok(None);
        };
        self.cache.set(key, &found).await;
        Ok(Some(found))
    }

    /// One shop: from the cache, or from its shard and then kept.
    pub(crate) async fn shop(&self, id: i64) -> Result<Option<Shop>, DbError> {
        let key = format!("shop:{id}");
        if let Some(shop) = self.cache.get(key.clone()).await {
            return Ok(Some(shop));
        }
        let sql = format!("SELECT {SHOP} FROM Shop WHERE shop_id = ?");
        let rows = self.shard(id).query(&sql, vec![id.into()]).await?;
        let Some(found) = rows.first().map(shop) else {
            return Ok(None);
        };
        self.cache.set(key, &found).await;
        Ok(Some(found))
    }

    /// A shop by its name, which does not tell the shard: both are asked at once.
    pub(crate) async fn shop_by_name(&self, name: &str) -> Result<Option<Shop>, DbError> {
        let key = format!("shop_by_name:{name}");
        if let Some(id) = self.cache.get(key.clone()).await {
            return self.shop(id).await;
        }
        let sql = format!("SELECT {SHOP} FROM Shop WHERE name = ?");
        let [first, second] = &self.shards;
        let (first, second) = tokio::try_join!(
            first.query(&sql, vec![name.into()]),
            second.query(&sql, vec![name.into()]),
        )?;
        let Some(found) = first.iter().chain(&second).next().map(shop) else {
            return Ok(None);
        };
        self.cache.set(key, &found.shop_id).await;
        Ok(Some(found))
    }

    /// How many members like a listing, as of now: never from the cache.
    pub(crate) async fn count_favorites(&self, id: i64) -> Result<i64, DbError> {
        let sql = "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = ?";
        let rows = self.shard(id).query(sql, vec![id.into()]).await?;
        Ok(rows.first().map_or(0, |row| row.int(0)))
    }

    /// The members who liked a listing last.
    pub(crate) async fn fans(&self, id: i64, most: i64) -> Result<Vec<Member>, DbError> {
        let sql = "SELECT user_id FROM FavoriteListingUser WHERE listing_id = ? \
                   ORDER BY created DESC, user_id LIMIT ?";
        let rows = self
            .shard(id)
            .query(sql, vec![id.into(), most.into()])
            .await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.int(0)).collect();
        self.members(&ids).await
    }

    /// Members in the order asked for: many from the cache in one trip, the rest from both shards
    /// at once.
    pub(crate) async fn members(&self, ids: &[i64]) -> Result<Vec<Member>, DbError> {
        let keys: Vec<String> = ids.iter().map(|id| format!("member:{id}")).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let cached: HashMap<String, Member> = self.cache.get_multi(keys).await;
        let mut members: HashMap<i64, Member> = cached
            .into_values()
            .map(|member| (member.user_id, member))
            .collect();
        let missing = |shard| {
            let missed = ids.iter().filter(|id| !members.contains_key(id));
            missed
                .filter(|id| shard_of(**id) == shard)
                .copied()
                .collect::<Vec<i64>>()
        };
        let [first, second] = &self.shards;
        let (first, second) = tokio::try_join!(
            members_of(first, missing(0)),
            members_of(second, missing(1))
        )?;
        for member in first.into_iter().chain(second) {
            self.cache
                .set(format!("member:{}", member.user_id), &member)
                .await;
            members.insert(member.user_id, member);
        }
        Ok(ids.iter().filter_map(|id| members.remove(id)).collect())
    }

    /// What else the shop sells.
    pub(crate) async fn more_of_shop(&self, of: &Listing) -> Result<Vec<Listing>, DbError> {
        let sql = format!(
            "SELECT {LISTING} FROM Listing WHERE shop_id = ? AND listing_id <> ? \
             ORDER BY listing_id DESC LIMIT 4"
        );
        let values = vec![of.shop_id.into(), of.listing_id.into()];
        let rows = self.shard(of.shop_id).query(&sql, values).await?;
        Ok(rows.iter().map(listing).collect())
    }

    /// Similar things of other people, which for fairness come from the other shard.
    pub(crate) async fn similar(&self, to: &Listing) -> Result<Vec<Listing>, DbError> {
        let sql = format!(
            "SELECT {LISTING} FROM Listing WHERE category = ? AND price_cents <= ? \
             ORDER BY price_cents DESC, listing_id LIMIT 4"
        );
        let values = vec![to.category.as_str().into(), to.price_cents.into()];
        let rows = self.other_shard(to.listing_id).query(&sql, values).await?;
        Ok(rows.iter().map(listing).collect())
    }

    /// The home page's choice: for each listing the listing and its shop, one look-up after the
    /// other; the numbers of favorites in one trip.
    pub(crate) async fn featured(&self) -> Result<Vec<Card>, DbError> {
        let mut cards = Vec::new();
        // 83 shares no factor with the number of listings: another place at every step, both shards
        // in turn.
        for step in 0..FEATURED {
            let id = FIRST_LISTING + (step * 83 + 3453) % LISTINGS;
            if let Some(listing) = self.listing(id).await? {
                let shop = self.shop(listing.shop_id).await?;
                cards.push(Card {
                    listing,
                    shop,
                    favorites: None,
                });
            }
        }
        self.add_favorites(&mut cards).await?;
        Ok(cards)
    }

    /// Adds how many like each of them: from the cache in one trip, the rest with one query a
    /// shard.
    async fn add_favorites(&self, cards: &mut [Card]) -> Result<(), DbError> {
        let key = |id: i64| format!("favorites:{id}");
        let keys: Vec<String> = cards
            .iter()
            .map(|card| key(card.listing.listing_id))
            .collect();
        let cached: HashMap<String, i64> = self.cache.get_multi(keys).await;
        for card in cards.iter_mut() {
            card.favorites = cached.get(&key(card.listing.listing_id)).copied();
        }
        let missed = |shard| {
            let missed = cards.iter().filter(|card| card.favorites.is_none());
            let ids = missed.map(|card| card.listing.listing_id);
            ids.filter(|id| shard_of(*id) == shard)
                .collect::<Vec<i64>>()
        };
        let (first, second) = (missed(0), missed(1));
        let [shard01, shard02] = &self.shards;
        let counts = tokio::try_join!(counts_of(shard01, &first), counts_of(shard02, &second))?;
        for card in cards.iter_mut().filter(|card| card.favorites.is_none()) {
            let id = card.listing.listing_id;
            let count = counts
                .0
                .get(&id)
                .or_else(|| counts.1.get(&id))
                .copied()
                .unwrap_or(0);
            card.favorites = Some(count);
            self.cache.set(key(id), &count).await;
        }
        Ok(())
    }

    /// A shop's window. **On purpose the way one should not do it**: a query for the listings, then
    /// one more for each of them (N+1), where `counts_of` would do with one for all.
    pub(crate) async fn window(&self, shop: &Shop) -> Result<Vec<Card>, DbError> {
        let sql = format!(
            "SELECT {LISTING} FROM Listing WHERE shop_id = ? ORDER BY listing_id DESC LIMIT 24"
        );
        let rows = self
            .shard(shop.shop_id)
            .query(&sql, vec![shop.shop_id.into()])
            .await?;
        let mut cards = Vec::new();
        for listing in rows.iter().map(listing) {
            let favorites = Some(self.count_favorites(listing.listing_id).await?);
            cards.push(Card {
                listing,
                shop: None,
                favorites,
            });
        }
        Ok(cards)
    }

    /// Listings that a text describes: both shards are asked at once, and the best of both ranked.
    pub(crate) async fn search(&self, text: &str) -> Result<Vec<Card>, DbError> {
        let sql = format!(
            "SELECT {LISTING} FROM Listing WHERE lower(title) LIKE ? OR lower(materials) LIKE ? \
             ORDER BY listing_id DESC LIMIT 400"
        );
        let pattern = format!("%{}%", text.to_lowercase().replace(['%', '_', '\\'], " "));
        let values: Vec<Value> = vec![pattern.as_str().into(), pattern.as_str().into()];
        let [first, second] = &self.shards;
        let (mut rows, more) = tokio::try_join!(
            first.query(&sql, values.clone()),
            second.query(&sql, values)
        )?;
        rows.extend(more);
        let text = text.to_lowercase();
        let ranked = blocking::function("rank_listings", move || {
            let mut found: Vec<Listing> = rows.iter().map(listing).collect();
            found.sort_by_cached_key(|listing| rank(&text, listing));
            found.truncate(24);
            found
        });
        let found = ranked.await.map_err(|error| DbError(error.to_string()))?;
        Ok(found
            .into_iter()
            .map(|listing| Card {
                listing,
                shop: None,
                favorites: None,
            })
            .collect())
    }

    /// The same, but what was once found is kept: in the new search.
    pub(crate) async fn remembered_search(&self, text: &str) -> Result<Vec<Card>, DbError> {
        let key = format!("search:{}", text.to_lowercase());
        let found: Vec<Listing> = match self.cache.get(key.clone()).await {
            Some(found) => found,
            None => {
                let found = self.search(text).await?;
                let found = found.into_iter().map(|card| card.listing).collect();
                self.cache.set(key, &found).await;
                found
            }
        };
        let card = |listing| Card {
            listing,
            shop: None,
            favorites: None,
        };
        Ok(found.into_iter().map(card).collect())
    }

    /// The newest listings of one shard, older than `before`.
    pub(crate) async fn newest(&self, shard: usize, before: i64) -> Result<Vec<Listing>, DbError> {
        let [first, second] = &self.shards;
        let shard = if shard == 0 { first } else { second };
        let sql = format!(
            "SELECT {LISTING} FROM Listing WHERE listing_id < ? ORDER BY listing_id DESC LIMIT 4"
        );
        let rows = shard.query(&sql, vec![before.into()]).await?;
        Ok(rows.iter().map(listing).collect())
    }

    /// A member's heart on a listing: set, or taken back if it was there. On both shards, see
    /// `seed`.
    pub(crate) async fn toggle_favorite(&self, user: i64, id: i64) -> Result<(), DbError> {
        let on_listing = self.shard(id);
        let on_user = self.shard(user);
        let sql = "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = ? AND user_id = ?";
        let rows = on_listing.query(sql, vec![id.into(), user.into()]).await?;
        if rows.first().is_some_and(|row| row.int(0) > 0) {
            let sql = "DELETE FROM FavoriteListingUser WHERE listing_id = ? AND user_id = ?";
            on_listing
                .execute(sql, vec![id.into(), user.into()])
                .await?;
            let sql = "DELETE FROM FavoriteUserListing WHERE user_id = ? AND listing_id = ?";
            on_user.execute(sql, vec![user.into(), id.into()]).await?;
        } else {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            let now = i64::try_from(now).unwrap_or_default();
            let sql =
                "INSERT INTO FavoriteListingUser (listing_id, user_id, created) VALUES (?, ?, ?)";
            on_listing
                .execute(sql, vec![id.into(), user.into(), now.into()])
                .await?;
            let sql =
                "INSERT INTO FavoriteUserListing (user_id, listing_id, created) VALUES (?, ?, ?)";
            on_user
                .execute(sql, vec![user.into(), id.into(), now.into()])
                .await?;
        }
        let count = self.count_favorites(id).await?;
        self.cache.set(format!("favorites:{id}"), &count).await;
        Ok(())
    }
}

/// So many listings are on the home page.
const FEATURED: i64 = 50;

async fn members_of(shard: &Shard, ids: Vec<i64>) -> Result<Vec<Member>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT user_id, name, city FROM Member WHERE user_id IN ({})",
        placeholders(ids.len())
    );
    let rows = shard
        .query(&sql, ids.into_iter().map(Value::from).collect())
        .await?;
    Ok(rows.iter().map(member).collect())
}

async fn counts_of(shard: &Shard, ids: &[i64]) -> Result<HashMap<i64, i64>, DbError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT listing_id, count(*) FROM FavoriteListingUser \
         WHERE listing_id IN ({}) GROUP BY listing_id",
        placeholders(ids.len())
    );
    let rows = shard
        .query(&sql, ids.iter().copied().map(Value::from).collect())
        .await?;
    Ok(rows.iter().map(|row| (row.int(0), row.int(1))).collect())
}

/// Smaller is better: early in the title, then cheap, then new.
fn rank(text: &str, listing: &Listing) -> (usize, i64, i64) {
    let place = listing
        .title
        .to_lowercase()
        .find(text)
        .unwrap_or(usize::MAX);
    (place, listing.price_cents, -listing.listing_id)
}
