<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * The profiler of this process, and the request that PHP serves now.
 *
 * `start` is called once, first thing in a request: in the file that `auto_prepend_file` names.
 * Everything else may be called at any time, and does nothing where nothing was started.
 */
final class Profiler
{
    /** What `start` takes besides the options of PHP's own: as `ioprof_options` has it. */
    private const TEXTS = [
        'build_id', 'gate', 'gate_parameter', 'note_format',
        'access_log', 'access_log_format', 'access_log_time_zone', 'access_log_server_name',
    ];
    private const NUMBERS = ['record', 'max_spans', 'max_detail_bytes', 'note_max_bytes', 'access_log_details'];
    private const WEB = 0;
    private const COMMAND = 2;

    private static ?Request $current = null;

    private function __construct()
    {
    }

    /**
     * Begins to observe this request. Never fails: what is missing or wrong is said once in PHP's
     * error log, and then nothing is observed.
     *
     * Options, all of them optional:
     * - `gate`, `gate_secret_files` (a list), `gate_parameter`: who may see profiles
     * - `may_look`: a callable that gets the request, for `gate` with `callable`
     * - `note_format`: the notes for the server's line, `%{ab_ids}n %{user_id}n %{memory}n`. Under
     *   mod_php each becomes a note of Apache's, and all of them together the note `ioprofiler`
     * - `note_header`: the header that hands the notes to a server in front
     * - `access_log`, `access_log_format`, `access_log_time_zone`, `access_log_server_name`,
     *   `access_log_details`: a log that the library writes
     * - `build_id`, `record`, `max_spans`, `max_detail_bytes`, `note_max_bytes`
     *
     * @param array<string, mixed> $options
     */
    public static function start(array $options = []): void
    {
        if (self::$current !== null) {
            return;
        }
        try {
            self::$current = self::begin($options);
        } catch (\Throwable $error) {
            ErrorLog::once('nothing is observed: ' . $error->getMessage());
        }
    }

    /** The request that is served now. Where nothing is observed, one that does nothing. */
    public static function request(): Request
    {
        return self::$current ?? Request::none();
    }

    /** Sets a note of the request: a named value for the log's line. */
    public static function note(string $name, string|int|float|bool $value): void
    {
        self::request()->note($name, $value);
    }

    /**
     * Says that calls of a library are recorded, or were seen and are not, with what to do about it.
     */
    public static function hook(string $library, ?string $hint = null): void
    {
        self::$current?->hook($library, $hint);
    }

    /** @param array<string, mixed> $options */
    private static function begin(array $options): Request
    {
        [$options, $own] = self::checked($options);
        $library = Library::open();
        $profiler = $library->profiler($options);
        $server = $_SERVER;
        $is_web = !in_array(PHP_SAPI, ['cli', 'phpdbg', 'embed'], true);
        $decision = $is_web ? self::decision($library, $profiler, $server) : null;
        $facts = $is_web ? self::facts($server) : ['path' => basename((string) ($server['argv'][0] ?? 'php'))];
        if ($decision !== null) {
            $facts['viewer'] = $library->viewer($decision);
        }
        $wanted = $is_web ? self::wanted($library, $profiler, $server) : [];
        $handle = $library->begin(
            $profiler,
            $is_web ? self::WEB : self::COMMAND,
            $decision !== null,
            array_filter($facts, static fn (string $fact) => $fact !== ''),
            $wanted,
        );
        $request = new Request($library, $profiler, $handle, $decision !== null);
        $answer = new Answer($library, $profiler, $request, $decision, $own, $facts['method'] ?? '');
        $answer->begin();
        return $request;
    }

    /**
     * @param array<string, mixed> $options
     *
     * @return array{array<string, string|int|list<string>>, array<string, mixed>}
     */
    private static function checked(array $options): array
    {
        $own = array_intersect_key($options, ['may_look' => 1, 'note_header' => 1, 'note_format' => 1, 'access_log' => 1]);
        $rest = array_diff_key($options, ['may_look' => 1, 'note_header' => 1]);
        foreach ($rest as $key => $value) {
            $wanted = match (true) {
                in_array($key, self::TEXTS, true) => is_string($value) ?: 'a string',
                in_array($key, self::NUMBERS, true) => is_int($value) ?: 'a whole number',
                $key === 'gate_secret_files' => is_array($value) && $value === array_filter($value, is_string(...))
                    ?: 'a list of files',
                default => 'no such option; there are may_look, note_header, gate_secret_files, '
                    . implode(', ', [...self::TEXTS, ...self::NUMBERS]),
            };
            if ($wanted !== true) {
                throw new \InvalidArgumentException("$key: it takes $wanted");
            }
        }
        if (!is_callable($own['may_look'] ?? 'is_int')) {
            throw new \InvalidArgumentException('may_look: it takes a callable');
        }
        if (!preg_match('/^[A-Za-z0-9-]{1,64}$/', $own['note_header'] ?? 'none')) {
            throw new \InvalidArgumentException('note_header: it takes the name of a header');
        }
        return [$rest, $own];
    }

    /** @param array<string, mixed> $server */
    private static function decision(Library $library, int $profiler, array $server): ?\FFI\CData
    {
        $inputs = [
            'query' => $server['QUERY_STRING'] ?? '',
            'host' => $server['HTTP_HOST'] ?? '',
            'cookie' => $server['HTTP_COOKIE'] ?? null,
            'ask_header' => $server['HTTP_X_IOPROFILER'] ?? null,
            'token_header' => $server['HTTP_X_IOPROFILER_TOKEN'] ?? null,
        ];
        return $library->decide($profiler, array_filter($inputs, is_string(...)));
    }

    /**
     * @param array<string, mixed> $server
     *
     * @return array<string, string>
     */
    private static function facts(array $server): array
    {
        return array_map(strval(...), [
            'method' => $server['REQUEST_METHOD'] ?? '',
            'path' => explode('?', (string) ($server['REQUEST_URI'] ?? ''), 2)[0],
            'query' => $server['QUERY_STRING'] ?? '',
            'scheme' => in_array($server['HTTPS'] ?? 'off', ['off', ''], true) ? 'http' : 'https',
            'host' => $server['HTTP_HOST'] ?? '',
            'protocol' => $server['SERVER_PROTOCOL'] ?? '',
            'peer' => $server['REMOTE_ADDR'] ?? '',
            'traceparent' => $server['HTTP_TRACEPARENT'] ?? '',
        ]);
    }

    /**
     * The request's headers that configured formats name.
     *
     * @param array<string, mixed> $server
     *
     * @return list<array{string, string}>
     */
    private static function wanted(Library $library, int $profiler, array $server): array
    {
        $headers = [];
        foreach (array_filter(explode("\n", $library->text('ioprof_profiler_wanted_headers', $profiler, 0))) as $name) {
            $key = strtoupper(strtr($name, '-', '_'));
            $value = $server["HTTP_$key"] ?? (str_starts_with($key, 'CONTENT_') ? $server[$key] ?? null : null);
            if (is_string($value)) {
                $headers[] = [$name, $value];
            }
        }
        return $headers;
    }
}
