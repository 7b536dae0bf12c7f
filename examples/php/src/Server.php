<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * A server that calls go to: under which category, and which one it is. What wrappers share.
 */
final class Server
{
    /** Of a call's parameters only so many types are told. */
    private const MOST_TYPES = 8;

    public function __construct(
        public readonly string $category,
        private readonly string $target,
        private readonly int $dialect = Request::GENERIC,
    ) {
    }

    /** Begins a call, under a category of its own where one is given. */
    public function begin(string $detail, ?string $category = null): Span
    {
        return Profiler::request()
            ->span($category ?? $this->category, $detail, $this->dialect)
            ->target($this->target);
    }

    /**
     * Makes a call: an exception is its error, and so is `false`, which is how PHP's own classes say
     * it; `$learn` sees any other result.
     *
     * @template T
     *
     * @param callable(): T $call
     * @param ?callable(Span, T): mixed $learn
     *
     * @return T
     */
    public function call(string $detail, callable $call, ?callable $learn = null): mixed
    {
        $span = $this->begin($detail);
        $result = false;
        try {
            $result = $call();
            if ($result !== false && $learn !== null) {
                $learn($span, $result);
            }
        } finally {
            if ($result === false) {
                $span->error();
            }
            $span->end();
        }
        return $result;
    }

    /**
     * The SQL as it is sent, and of its parameters only the types: a profile may be looked at by
     * others than the member whose request it was.
     *
     * @param array<string> $types
     */
    public static function sql(string $sql, array $types): string
    {
        if ($types === []) {
            return $sql;
        }
        $shown = array_slice($types, 0, self::MOST_TYPES);
        return "$sql -- [" . implode(', ', $shown) . (count($types) > self::MOST_TYPES ? ', …' : '') . ']';
    }

    /**
     * @param array<mixed> $values
     *
     * @return array<string>
     */
    public static function types(array $values): array
    {
        return array_map(static fn (mixed $value) => match (true) {
            $value === null => 'null',
            is_int($value) => 'int',
            is_float($value) => 'float',
            is_bool($value) => 'bool',
            default => 'text',
        }, $values);
    }
}
