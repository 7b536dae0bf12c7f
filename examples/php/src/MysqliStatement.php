<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * A prepared statement of `Mysqli`.
 *
 * @internal
 */
class MysqliStatement extends \mysqli_stmt
{
    private string $types = '';

    public function __construct(\mysqli $mysql, private readonly string $sql, private readonly Server $server)
    {
        parent::__construct($mysql, $sql);
    }

    public function bind_param(string $types, mixed &...$vars): bool
    {
        $this->types = $types;
        return parent::bind_param($types, ...$vars);
    }

    public function execute(?array $params = null): bool
    {
        $types = $params === null ? $this->bound() : Server::types($params);
        return $this->server->call(
            Server::sql($this->sql, $types),
            fn () => parent::execute($params),
            fn (Span $span) => $this->affected_rows > 0 ? $span->rows((int) $this->affected_rows) : null,
        );
    }

    /** @return array<string> */
    private function bound(): array
    {
        $words = ['i' => 'int', 'd' => 'float', 's' => 'text', 'b' => 'blob'];
        return $this->types === '' ? [] : array_map(static fn ($type) => $words[$type] ?? 'text', str_split($this->types));
    }
}
