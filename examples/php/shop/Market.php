<?php

declare(strict_types=1);

/**
 * What the pages know of the market: its listings, shops and members, out of the cache or the
 * shards. Its calls are seen because `Ioprofiler\Pdo` and `Ioprofiler\Memcached` make them.
 */
final class Market
{
    private const LISTING = 'listing_id, shop_id, title, description, category, materials, price_cents, quantity';
    private const SHOP = 'shop_id, name, headline, city';
    /** How long an entry of the cache is believed, in seconds. */
    private const LIFE = 300;

    /** @param array{PDO, PDO} $shards */
    private function __construct(private readonly array $shards, private readonly Memcached $cache)
    {
    }

    /** @param array<string, mixed> $environment DBSHARD01_URL, DBSHARD02_URL, MEMCACHED */
    public static function open(array $environment): self
    {
        $cache = new Ioprofiler\Memcached();
        [$host, $port] = explode(':', $environment['MEMCACHED']);
        $cache->addServer($host, (int) $port);
        return new self([
            self::shard('dbshard01', $environment['DBSHARD01_URL']),
            self::shard('dbshard02', $environment['DBSHARD02_URL']),
        ], $cache);
    }

    private static function shard(string $name, string $url): PDO
    {
        $url = parse_url($url);
        $dsn = "mysql:host=$url[host];port=$url[port];dbname=" . ltrim($url['path'], '/') . ';charset=utf8mb4';
        return new Ioprofiler\Pdo($dsn, $url['user'], rawurldecode($url['pass']), category: $name);
    }

    /** The shard of a shop, a listing or a member: odd ones are on the first. */
    private function shardOf(int $number): PDO
    {
        return $this->shards[1 - $number % 2];
    }

    /** @return ?array<string, mixed> */
    public function listing(int $id): ?array
    {
        return $this->cached("listing:$id", fn () => $this->rows(
            $this->shardOf($id),
            'SELECT ' . self::LISTING . ' FROM Listing WHERE listing_id = ?',
            [$id],
        )[0] ?? null);
    }

    /** @return ?array<string, mixed> */
    public function shop(int $id): ?array
    {
        return $this->cached("shop:$id", fn () => $this->rows(
            $this->shardOf($id),
            'SELECT ' . self::SHOP . ' FROM Shop WHERE shop_id = ?',
            [$id],
        )[0] ?? null);
    }

    /** How many members like a listing, as of now: never from the cache. */
    public function countFavorites(int $id): int
    {
        $sql = "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = $id";
        return (int) $this->shardOf($id)->query($sql)->fetchColumn();
    }

    /** @return list<array<string, mixed>> the members who liked a listing last */
    public function fans(int $id, int $most): array
    {
        $sql = 'SELECT user_id FROM FavoriteListingUser WHERE listing_id = ? ORDER BY created DESC, user_id LIMIT ' . $most;
        return $this->members(array_column($this->rows($this->shardOf($id), $sql, [$id]), 'user_id'));
    }

    /**
     * Members in the order asked for: many from the cache in one trip, the rest from the shards.
     *
     * @param list<int> $ids
     *
     * @return list<array<string, mixed>>
     */
    private function members(array $ids): array
    {
        if ($ids === []) {
            return [];
        }
        $found = $this->cache->getMulti(array_map(static fn (int $id) => "member:$id", $ids)) ?: [];
        $members = array_column(array_map(static fn (string $json) => json_decode($json, true), $found), null, 'user_id');
        $missing = array_values(array_diff($ids, array_keys($members)));
        foreach ([1, 0] as $parity) {
            $here = array_values(array_filter($missing, static fn (int $id) => $id % 2 === $parity));
            if ($here === []) {
                continue;
            }
            $sql = 'SELECT user_id, name, city FROM Member WHERE user_id IN (' . implode(', ', array_fill(0, count($here), '?')) . ')';
            foreach ($this->rows($this->shards[1 - $parity], $sql, $here) as $member) {
                $members[$member['user_id']] = $member;
                $this->cache->set("member:$member[user_id]", json_encode($member), self::LIFE);
            }
        }
        return array_values(array_filter(array_map(static fn (int $id) => $members[$id] ?? null, $ids)));
    }

    /**
     * What else the shop sells.
     *
     * @param array<string, mixed> $of
     *
     * @return list<array<string, mixed>>
     */
    public function moreOfShop(array $of): array
    {
        $sql = 'SELECT ' . self::LISTING . ' FROM Listing WHERE shop_id = ? AND listing_id <> ? ORDER BY listing_id DESC LIMIT 4';
        return $this->rows($this->shardOf($of['shop_id']), $sql, [$of['shop_id'], $of['listing_id']]);
    }

    /**
     * Similar things of other people, which for fairness come from the other shard.
     *
     * @param array<string, mixed> $to
     *
     * @return list<array<string, mixed>>
     */
    public function similar(array $to): array
    {
        $sql = 'SELECT ' . self::LISTING . ' FROM Listing WHERE category = ? AND price_cents <= ? ORDER BY price_cents DESC, listing_id LIMIT 4';
        return $this->rows($this->shardOf($to['listing_id'] + 1), $sql, [$to['category'], $to['price_cents']]);
    }

    /**
     * @param callable(): ?array<string, mixed> $find
     *
     * @return ?array<string, mixed>
     */
    private function cached(string $key, callable $find): ?array
    {
        $json = $this->cache->get($key);
        if (is_string($json)) {
            return json_decode($json, true);
        }
        $found = $find();
        if ($found !== null) {
            $this->cache->set($key, json_encode($found), self::LIFE);
        }
        return $found;
    }

    /**
     * @param list<int|string> $values
     *
     * @return list<array<string, mixed>>
     */
    private function rows(PDO $shard, string $sql, array $values): array
    {
        $statement = $shard->prepare($sql);
        $statement->execute($values);
        return $statement->fetchAll(PDO::FETCH_ASSOC);
    }
}
