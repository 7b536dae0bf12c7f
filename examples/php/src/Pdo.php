<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * PDO whose calls are recorded: `new Ioprofiler\Pdo(…)` in place of `new PDO(…)`.
 *
 * The category is the database's name, or the one that is given: `category: 'dbshard01'`. Prepared
 * statements of a persistent connection are not recorded, because PDO lets nobody replace their
 * class.
 */
class Pdo extends \PDO
{
    private readonly Server $server;

    /** @param ?array<int, mixed> $options */
    public function __construct(
        string $dsn,
        ?string $username = null,
        #[\SensitiveParameter] ?string $password = null,
        ?array $options = null,
        ?string $category = null,
    ) {
        $this->server = self::server($dsn, $category);
        $this->server->call(
            'CONNECT',
            function () use ($dsn, $username, $password, $options): bool {
                parent::__construct($dsn, $username, $password, $options);
                return true;
            },
        );
        if (parent::getAttribute(\PDO::ATTR_PERSISTENT)) {
            Profiler::hook('PDO (persistent)', 'prepared statements of persistent connections are not recorded');
        } else {
            Profiler::hook('PDO');
            parent::setAttribute(\PDO::ATTR_STATEMENT_CLASS, [PdoStatement::class, [$this->server]]);
        }
    }

    public function query(string $query, ?int $fetchMode = null, mixed ...$fetchModeArgs): \PDOStatement|false
    {
        return $this->server->call(
            $query,
            fn () => $fetchMode === null
                ? parent::query($query)
                : parent::query($query, $fetchMode, ...$fetchModeArgs),
            static fn (Span $span, \PDOStatement $statement) => $span->rows($statement->rowCount()),
        );
    }

    public function exec(string $statement): int|false
    {
        return $this->server->call(
            $statement,
            fn () => parent::exec($statement),
            static fn (Span $span, int $rows) => $span->rows($rows),
        );
    }

    public function beginTransaction(): bool
    {
        return $this->server->call('BEGIN', fn () => parent::beginTransaction());
    }

    public function commit(): bool
    {
        return $this->server->call('COMMIT', fn () => parent::commit());
    }

    public function rollBack(): bool
    {
        return $this->server->call('ROLLBACK', fn () => parent::rollBack());
    }

    private static function server(string $dsn, ?string $category): Server
    {
        [$driver, $rest] = explode(':', $dsn, 2) + [1 => ''];
        $parts = [];
        foreach (preg_split('/[; ]/', $rest) as $part) {
            [$key, $value] = explode('=', $part, 2) + [1 => ''];
            $parts[$key] = $value;
        }
        $database = $parts['dbname'] ?? '';
        $place = $parts['unix_socket'] ?? trim(($parts['host'] ?? '') . ':' . ($parts['port'] ?? ''), ':');
        $dialect = match ($driver) {
            'mysql' => Request::MYSQL,
            'pgsql' => Request::POSTGRESQL,
            'sqlite' => Request::SQLITE,
            default => Request::GENERIC,
        };
        if ($driver === 'sqlite') {
            return new Server($category ?? 'sqlite', basename($rest), $dialect);
        }
        return new Server($category ?? ($database === '' ? $driver : $database), trim("$place/$database", '/'), $dialect);
    }
}
