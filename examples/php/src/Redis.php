<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * A connection of the extension redis (or RedisCluster, or Predis) whose calls are recorded:
 * `new Ioprofiler\Redis($redis)`.
 *
 * It stands before the connection and is no `\Redis` itself: the extension's methods change their
 * signatures from version to version, and a class that had to match them would break with the next.
 *
 * @mixin \Redis
 */
final class Redis
{
    /** What only asks the object, and no server. */
    private const LOCAL = [
        'getoption', 'setoption', 'getlasterror', 'clearlasterror', 'isconnected', 'gethost', 'getport', 'getdbnum',
        'gettimeout', 'getreadtimeout', 'getpersistentid', 'getauth', 'getmode', '_prefix', '_serialize', '_unserialize',
    ];

    /** @var list<string> commands of a transaction or a pipeline that were not sent yet */
    private array $queued = [];
    private bool $queues = false;

    public function __construct(private readonly object $redis, private readonly string $category = 'redis')
    {
        Profiler::hook('Redis');
    }

    /** @param array<mixed> $arguments */
    public function __call(string $name, array $arguments): mixed
    {
        return $this->command($name, $arguments, fn () => $this->redis->$name(...$arguments));
    }

    public function scan(mixed &$iterator, mixed ...$arguments): mixed
    {
        return $this->command('scan', [], function () use (&$iterator, $arguments) {
            return $this->redis->scan($iterator, ...$arguments);
        });
    }

    public function hScan(string $key, mixed &$iterator, mixed ...$arguments): mixed
    {
        return $this->command('hscan', [$key], function () use ($key, &$iterator, $arguments) {
            return $this->redis->hScan($key, $iterator, ...$arguments);
        });
    }

    public function sScan(string $key, mixed &$iterator, mixed ...$arguments): mixed
    {
        return $this->command('sscan', [$key], function () use ($key, &$iterator, $arguments) {
            return $this->redis->sScan($key, $iterator, ...$arguments);
        });
    }

    public function zScan(string $key, mixed &$iterator, mixed ...$arguments): mixed
    {
        return $this->command('zscan', [$key], function () use ($key, &$iterator, $arguments) {
            return $this->redis->zScan($key, $iterator, ...$arguments);
        });
    }

    /** @param array<mixed> $arguments */
    private function command(string $name, array $arguments, callable $call): mixed
    {
        $word = strtolower($name);
        if (in_array($word, self::LOCAL, true)) {
            return $call();
        }
        if (in_array($word, ['multi', 'pipeline'], true)) {
            $this->queues = true;
        } elseif ($this->queues && !in_array($word, ['exec', 'discard'], true)) {
            $this->queued[] = strtoupper($name);
            return $this->own($call());
        }
        $detail = self::detail($name, $arguments) . ($this->queued === [] ? '' : ': ' . implode(', ', $this->queued));
        if (in_array($word, ['exec', 'discard'], true)) {
            $this->queues = false;
            $this->queued = [];
        }
        $span = Profiler::request()->span($this->category, $detail, Request::KEYS);
        try {
            $result = $call();
        } catch (\Throwable $error) {
            $span->error();
            throw $error;
        } finally {
            $span->end();
        }
        return $this->own($result);
    }

    /** The connection gives itself where commands are chained. */
    private function own(mixed $result): mixed
    {
        return $result === $this->redis ? $this : $result;
    }

    /**
     * The command and its keys, never what is stored.
     *
     * @param array<mixed> $arguments
     */
    private static function detail(string $name, array $arguments): string
    {
        $word = strtoupper($name);
        $first = $arguments[0] ?? null;
        $keys = match (true) {
            in_array($word, ['AUTH', 'CONNECT', 'PCONNECT', 'EVAL', 'SCRIPT'], true) => [],
            in_array($word, ['MGET', 'DEL', 'UNLINK', 'EXISTS', 'SINTER', 'SUNION', 'SDIFF'], true) => is_array($first) ? $first : $arguments,
            in_array($word, ['MSET', 'MSETNX'], true) => array_keys((array) $first),
            is_scalar($first) => [$first],
            default => [],
        };
        $keys = array_filter($keys, is_scalar(...));
        return $keys === [] ? $word : "$word " . implode(' ', $keys);
    }
}
