<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * mysqli whose calls are recorded: `new Ioprofiler\Mysqli(…)` in place of `new mysqli(…)`, for code
 * in the object-oriented style. Functions such as `mysqli_query($link, …)` pass it by.
 */
class Mysqli extends \mysqli
{
    private readonly Server $server;

    public function __construct(
        ?string $hostname = null,
        ?string $username = null,
        #[\SensitiveParameter] ?string $password = null,
        ?string $database = null,
        ?int $port = null,
        ?string $socket = null,
        ?string $category = null,
    ) {
        $place = $socket ?? trim("$hostname:$port", ':');
        $this->server = new Server($category ?? $database ?? 'mysql', trim("$place/$database", '/'), Request::MYSQL);
        $this->server->call('CONNECT', function () use ($hostname, $username, $password, $database, $port, $socket) {
            parent::__construct($hostname, $username, $password, $database, $port, $socket);
            return $this->connect_errno === 0;
        });
        Profiler::hook('mysqli');
    }

    public function query(string $query, int $result_mode = MYSQLI_STORE_RESULT): \mysqli_result|bool
    {
        return $this->server->call($query, fn () => parent::query($query, $result_mode), $this->rows(...));
    }

    public function real_query(string $query): bool
    {
        return $this->server->call($query, fn () => parent::real_query($query));
    }

    public function multi_query(string $query): bool
    {
        return $this->server->call($query, fn () => parent::multi_query($query));
    }

    public function prepare(string $query): \mysqli_stmt|false
    {
        return $this->server->call("PREPARE $query", function () use ($query) {
            $statement = new MysqliStatement($this, $query, $this->server);
            return $this->errno === 0 ? $statement : false;
        });
    }

    public function begin_transaction(int $flags = 0, ?string $name = null): bool
    {
        return $this->server->call('BEGIN', fn () => parent::begin_transaction($flags, $name));
    }

    public function commit(int $flags = 0, ?string $name = null): bool
    {
        return $this->server->call('COMMIT', fn () => parent::commit($flags, $name));
    }

    public function rollback(int $flags = 0, ?string $name = null): bool
    {
        return $this->server->call('ROLLBACK', fn () => parent::rollback($flags, $name));
    }

    /** `execute_query` of PHP 8.2 prepares and executes by these. */
    public function execute_query(string $query, ?array $params = null): \mysqli_result|bool
    {
        $statement = $this->prepare($query);
        if ($statement === false || !$statement->execute($params)) {
            return false;
        }
        $result = $statement->get_result();
        return $result === false ? $statement->errno === 0 : $result;
    }

    private function rows(Span $span, \mysqli_result|bool $result): void
    {
        $rows = $result instanceof \mysqli_result ? $result->num_rows : $this->affected_rows;
        $span->rows(max(0, (int) $rows));
    }
}
