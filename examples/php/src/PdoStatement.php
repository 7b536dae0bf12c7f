<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * A prepared statement of `Pdo`.
 *
 * @internal
 */
class PdoStatement extends \PDOStatement
{
    /** @var array<int|string, string> types of what was bound */
    private array $types = [];

    protected function __construct(private readonly Server $server)
    {
    }

    public function bindValue(string|int $param, mixed $value, int $type = \PDO::PARAM_STR): bool
    {
        $this->types[$param] = self::type($type);
        return parent::bindValue($param, $value, $type);
    }

    public function bindParam(
        string|int $param,
        mixed &$var,
        int $type = \PDO::PARAM_STR,
        int $maxLength = 0,
        mixed $driverOptions = null,
    ): bool {
        $this->types[$param] = self::type($type);
        return parent::bindParam($param, $var, $type, $maxLength, $driverOptions);
    }

    public function execute(?array $params = null): bool
    {
        $types = $params === null ? $this->types : Server::types($params);
        return $this->server->call(
            Server::sql($this->queryString, $types),
            fn () => parent::execute($params),
            fn (Span $span) => $span->rows($this->rowCount()),
        );
    }

    private static function type(int $type): string
    {
        return match ($type & ~\PDO::PARAM_INPUT_OUTPUT) {
            \PDO::PARAM_NULL => 'null',
            \PDO::PARAM_INT => 'int',
            \PDO::PARAM_BOOL => 'bool',
            \PDO::PARAM_LOB => 'blob',
            default => 'text',
        };
    }
}
