<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * Memcached whose calls are recorded: `new Ioprofiler\Memcached` in place of `new Memcached`.
 */
class Memcached extends \Memcached
{
    public function __construct(?string $persistent_id = null, ?callable $callback = null, ?string $connection_str = null)
    {
        // Nothing given is not the same as null to the extension.
        parent::__construct(...func_get_args());
        Profiler::hook('Memcached');
    }

    public function get(string $key, ?callable $cache_cb = null, int $get_flags = 0): mixed
    {
        $span = $this->begin('memcache_get', 'GET', [$key]);
        $value = parent::get($key, $cache_cb, $get_flags);
        $this->found($span, [$key], $this->getResultCode() === self::RES_SUCCESS ? [$key => true] : []);
        return $value;
    }

    public function getMulti(array $keys, int $get_flags = 0): array|false
    {
        $span = $this->begin('memcache_get_multi', 'GET', $keys);
        $values = parent::getMulti($keys, $get_flags);
        $this->found($span, $keys, array_filter($values ?: [], static fn ($value) => $value !== null));
        return $values;
    }

    public function set(string $key, mixed $value, int $expiration = 0): bool
    {
        return $this->store('SET', [$key => $value], fn () => parent::set($key, $value, $expiration));
    }

    public function setMulti(array $items, int $expiration = 0): bool
    {
        return $this->store('SET', $items, fn () => parent::setMulti($items, $expiration));
    }

    public function add(string $key, mixed $value, int $expiration = 0): bool
    {
        return $this->store('ADD', [$key => $value], fn () => parent::add($key, $value, $expiration));
    }

    public function replace(string $key, mixed $value, int $expiration = 0): bool
    {
        return $this->store('REPLACE', [$key => $value], fn () => parent::replace($key, $value, $expiration));
    }

    public function delete(string $key, int $time = 0): bool
    {
        return $this->other('memcache_delete', "Cache DELETE, keys: $key", fn () => parent::delete($key, $time));
    }

    public function deleteMulti(array $keys, int $time = 0): array
    {
        $detail = 'Cache DELETE, keys: ' . implode(', ', $keys);
        return $this->other('memcache_delete', $detail, fn () => parent::deleteMulti($keys, $time));
    }

    public function increment(string $key, int $offset = 1, int $initial_value = 0, int $expiry = 0): int|false
    {
        // Only the binary protocol takes a first value, and then wants it said.
        $arguments = array_slice([$key, $offset, $initial_value, $expiry], 0, func_num_args());
        return $this->other('memcache_increment', "Cache INCREMENT, keys: $key", fn () => parent::increment(...$arguments));
    }

    public function decrement(string $key, int $offset = 1, int $initial_value = 0, int $expiry = 0): int|false
    {
        $arguments = array_slice([$key, $offset, $initial_value, $expiry], 0, func_num_args());
        return $this->other('memcache_increment', "Cache DECREMENT, keys: $key", fn () => parent::decrement(...$arguments));
    }

    public function touch(string $key, int $expiration = 0): bool
    {
        return $this->other('memcache_touch', "Cache TOUCH, keys: $key", fn () => parent::touch($key, $expiration));
    }

    /** @param array<string> $keys */
    private function begin(string $category, string $word, array $keys): Span
    {
        $span = Profiler::request()->span($category, '', Request::KEYS);
        if ($span->isRecording()) {
            $server = $keys === [] ? false : $this->getServerByKey((string) reset($keys));
            $span->detail("Cache $word, keys: " . implode(', ', $keys));
            if ($server !== false) {
                $span->target("$server[host]:$server[port]");
            }
        }
        return $span;
    }

    /**
     * `Cache HIT, keys: a, b`, `Cache MISS, keys: a`, or `Cache 38/40 HIT, missed: a, b`.
     *
     * @param array<string> $keys
     * @param array<string, mixed> $found
     */
    private function found(Span $span, array $keys, array $found): void
    {
        $missed = array_values(array_filter($keys, static fn ($key) => !isset($found[$key])));
        $hits = count($keys) - count($missed);
        $span->detail(match (true) {
            $missed === [] => 'Cache HIT, keys: ' . implode(', ', $keys),
            $hits === 0 => 'Cache MISS, keys: ' . implode(', ', $keys),
            default => "Cache $hits/" . count($keys) . ' HIT, missed: ' . implode(', ', $missed),
        });
        $code = $this->getResultCode();
        if (!in_array($code, [self::RES_SUCCESS, self::RES_NOTFOUND, self::RES_SOME_ERRORS], true)) {
            $span->error();
        }
        $span->found($hits, count($missed))->end();
    }

    /**
     * @param array<string, mixed> $items
     * @param callable(): bool $store
     */
    private function store(string $word, array $items, callable $store): bool
    {
        $span = $this->begin('memcache_set', $word, array_keys($items));
        $stored = $store();
        if (!$stored && $this->getResultCode() !== self::RES_NOTSTORED) {
            $span->error();
        }
        $span->bytes(array_sum(array_map(static fn ($value) => is_string($value) ? strlen($value) : 0, $items)))->end();
        return $stored;
    }

    /**
     * @template T
     *
     * @param callable(): T $call
     *
     * @return T
     */
    private function other(string $category, string $detail, callable $call): mixed
    {
        $span = Profiler::request()->span($category, $detail, Request::KEYS);
        $result = $call();
        if ($result === false && $this->getResultCode() !== self::RES_NOTFOUND) {
            $span->error();
        }
        $span->end();
        return $result;
    }
}
