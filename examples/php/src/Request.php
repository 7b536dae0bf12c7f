<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * One unit of work under observation: its spans, its notes, what it is about.
 */
final class Request
{
    /** Kinds of categories. */
    public const LEAF = 0;
    public const SCOPE = 1;

    /** How a category's details are written, so that tickets can mask their literals. */
    public const GENERIC = 0;
    public const MYSQL = 1;
    public const POSTGRESQL = 2;
    public const SQLITE = 3;
    public const KEYS = 4;
    public const PATH = 5;

    /** Frames of a call that are looked through for the application's own. */
    private const FRAMES = 12;

    private static ?self $none = null;

    /** @var array<string, int> numbers of categories */
    private array $categories = [];
    /** @var list<int> open scopes, the innermost last */
    private array $scopes = [];
    /** @var \WeakMap<\Fiber, list<int>> the same, of fibers */
    private \WeakMap $scopesOfFibers;

    /** @internal */
    public function __construct(
        private readonly ?Library $library,
        private readonly int $profiler,
        public readonly int $handle,
        private readonly bool $asked,
    ) {
        $this->scopesOfFibers = new \WeakMap();
    }

    /** A request that does nothing. */
    public static function none(): self
    {
        return self::$none ??= new self(null, 0, 0, false);
    }

    /** Whether calls are recorded: where not, nobody needs to word them. */
    public function isRecording(): bool
    {
        return ($this->handle & 1) === 1;
    }

    /**
     * Begins a call: `span('dbshard01', $sql, Request::MYSQL)`. A dialect or a kind other than that
     * of the category's first use does nothing.
     */
    public function span(string $category, string $detail, int $dialect = self::GENERIC): Span
    {
        return $this->open($category, $detail, self::LEAF, $dialect);
    }

    /**
     * Runs a function as a scope: the calls that it makes are shown inside it.
     *
     * @template T
     *
     * @param callable(): T $work
     *
     * @return T
     */
    public function scope(string $category, string $detail, callable $work, int $dialect = self::GENERIC): mixed
    {
        $span = $this->enter($category, $detail, $dialect);
        try {
            return $work();
        } catch (\Throwable $error) {
            $span->error();
            throw $error;
        } finally {
            $this->leave($span);
        }
    }

    /** Begins a scope that `leave` ends, for hosts that say both themselves. */
    public function enter(string $category, string $detail, int $dialect = self::GENERIC): Span
    {
        $span = $this->open($category, $detail, self::SCOPE, $dialect);
        $scopes = $this->scopes();
        $scopes[] = $span->handle;
        $this->keep($scopes);
        return $span;
    }

    /** Ends a scope, and those that were begun in it and not ended. */
    public function leave(Span $span): void
    {
        $scopes = $this->scopes();
        $at = array_search($span->handle, $scopes, true);
        if ($at !== false) {
            $this->keep(array_slice($scopes, 0, $at));
        }
        $span->end();
    }

    /** Sets a note: a named value for the log's line. The last value of a name wins. */
    public function note(string $name, string|int|float|bool $value): void
    {
        $c = $this->library?->c;
        match (true) {
            $c === null => null,
            is_string($value) => $c->ioprof_request_note_text($this->handle, $name, strlen($name), $value, strlen($value)),
            is_int($value) => $c->ioprof_request_note_integer($this->handle, $name, strlen($name), $value),
            is_float($value) => $c->ioprof_request_note_float($this->handle, $name, strlen($name), $value),
            default => $c->ioprof_request_note_bool($this->handle, $name, strlen($name), (int) $value),
        };
    }

    /** The route's template: `/listing/{id}`, never the raw path. */
    public function setRoute(string $route): void
    {
        $this->library?->c->ioprof_request_set_route($this->handle, $route, strlen($route));
    }

    public function setUser(string|int $user): void
    {
        $user = (string) $user;
        $this->library?->c->ioprof_request_set_user($this->handle, $user, strlen($user));
    }

    /** The browser's id. */
    public function setVisitor(string $visitor): void
    {
        $this->library?->c->ioprof_request_set_visitor($this->handle, $visitor, strlen($visitor));
    }

    /** @internal */
    public function setStatus(int $status): void
    {
        if ($status !== 0) {
            $this->library?->c->ioprof_request_set_status($this->handle, $status);
        }
    }

    public function setError(string $error): void
    {
        $this->library?->c->ioprof_request_set_error($this->handle, $error, strlen($error));
    }

    /** The request's id; empty where nothing is observed. */
    public function id(): string
    {
        return $this->library?->text('ioprof_request_id', $this->handle) ?? '';
    }

    /** The compact note, as it is now; empty where there is no format for it. */
    public function compactNote(): string
    {
        return $this->library?->text('ioprof_request_compact_note', $this->handle) ?? '';
    }

    /**
     * Counts for the profiler: `ioprof_count` and its like.
     *
     * @param array<string, string|int|float|bool> $labels
     *
     * @internal
     */
    public function metric(string $function, string $name, int|float $value, array $labels): void
    {
        if ($this->library !== null) {
            $name = $this->library->metricName($name, $labels);
            $this->library->c->$function($this->profiler, $name, strlen($name), $value);
        }
    }

    /** @internal */
    public function tell(string $function, string $first, string $second, string $third): void
    {
        $this->library?->c->$function(
            $this->profiler,
            $first,
            strlen($first),
            $second,
            strlen($second),
            $third,
            strlen($third),
        );
    }

    /**
     * @return ?array{int, string, string}
     *
     * @internal
     */
    public function prometheus(string $accept): ?array
    {
        return $this->library?->prometheus($this->profiler, $accept);
    }

    /**
     * @return list<array<string, mixed>>
     *
     * @internal
     */
    public function series(): array
    {
        return $this->plain('ioprof_profiler_series');
    }

    /**
     * @return list<array<string, mixed>>
     *
     * @internal
     */
    public function kept(): array
    {
        return $this->plain('ioprof_profiler_kept_json', Library::DETAILS_FULL);
    }

    /** @return list<array<string, mixed>> */
    private function plain(string $function, int ...$arguments): array
    {
        $json = $this->library?->text($function, $this->profiler, ...$arguments) ?? '[]';
        return json_decode($json, true, flags: JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);
    }

    /** @internal */
    public function hook(string $library, ?string $hint): void
    {
        $hint ??= '';
        $this->library?->c->ioprof_profiler_hook(
            $this->profiler,
            $library,
            strlen($library),
            (int) ($hint === ''),
            $hint,
            strlen($hint),
        );
    }

    private function open(string $category, string $detail, int $kind, int $dialect): Span
    {
        if ($this->library === null || !$this->isRecording()) {
            return new Span(null, 0);
        }
        $c = $this->library->c;
        $number = $this->categories[$category]
            ??= $c->ioprof_category($category, strlen($category), $kind, $dialect);
        $scopes = $this->scopes();
        $parent = $scopes === [] ? 0 : $scopes[count($scopes) - 1];
        $site = $this->asked ? $this->site() : 0;
        return new Span($c, $c->ioprof_span_begin($this->handle, $number, $detail, strlen($detail), $parent, $site));
    }

    /** The application's own line that makes the call: costly, so only where somebody looks. */
    private function site(): int
    {
        foreach (debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS, self::FRAMES) as $frame) {
            $file = $frame['file'] ?? __FILE__;
            if (dirname($file) !== __DIR__) {
                $file = substr($file, strlen(self::common($file)));
                return $this->library->c->ioprof_site($file, strlen($file), $frame['line'] ?? 0);
            }
        }
        return 0;
    }

    /** The part of a path that tells nothing: what it shares with the folder above the script's. */
    private static function common(string $file): string
    {
        $folder = dirname((string) ($_SERVER['SCRIPT_FILENAME'] ?? ''), 2) . '/';
        return str_starts_with($file, $folder) ? $folder : '';
    }

    /** @return list<int> */
    private function scopes(): array
    {
        $fiber = \Fiber::getCurrent();
        return $fiber === null ? $this->scopes : $this->scopesOfFibers[$fiber] ?? [];
    }

    /** @param list<int> $scopes */
    private function keep(array $scopes): void
    {
        $fiber = \Fiber::getCurrent();
        if ($fiber === null) {
            $this->scopes = $scopes;
        } else {
            $this->scopesOfFibers[$fiber] = $scopes;
        }
    }
}
