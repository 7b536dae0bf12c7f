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
        'access_log', 'access_log_format', 'access_log_time_zone', 'access_log_server_name', 'config_file',
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
     * - `config_file` (TOML), or `config` (an array of the same shape): what is counted, kept and sent
     *   where, as in every language; `metrics` (a bool): it is counted though nobody is sent anything
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
     * Adds to a counter of the application's own: `Profiler::count('registrations')`. Labels are names
     * and their values: `['plan' => 'pro']`, eight at most. Counted where `metrics` is true, or the
     * configuration sends or keeps something.
     *
     * @param array<string, string|int|float|bool> $labels
     */
    public static function count(string $name, int $by = 1, array $labels = []): void
    {
        if ($by >= 0) {
            self::$current?->metric('ioprof_count', $name, $by, $labels);
        }
    }

    /**
     * Sets a gauge of the application's own. Of several processes the value that was set last counts.
     *
     * @param array<string, string|int|float|bool> $labels
     */
    public static function gauge(string $name, int|float $value, array $labels = []): void
    {
        self::$current?->metric('ioprof_gauge', $name, (float) $value, $labels);
    }

    /**
     * Counts a duration, in seconds as `microtime(true)` has them, of something of the application's own.
     *
     * @param array<string, string|int|float|bool> $labels
     */
    public static function timing(string $name, int|float $seconds, array $labels = []): void
    {
        $nanoseconds = round($seconds * 1e9);
        if ($nanoseconds >= 0 && $nanoseconds < PHP_INT_MAX) {
            self::$current?->metric('ioprof_timing', $name, (int) $nanoseconds, $labels);
        }
    }

    /** Says that something was done to the site, by whom and why: to every sink that takes events. */
    public static function event(string $what, string $who = '', string $why = ''): void
    {
        self::$current?->tell('ioprof_event', $what, $who, $why);
    }

    /**
     * A version of the application went live, by whom, and what is new in it. Told twice it is one
     * event; where a program outside deploys, `ioprofiler deploy` is the better place.
     */
    public static function deploy(string $version, string $who = '', string $what = ''): void
    {
        self::$current?->tell('ioprof_deploy', $version, $who, $what);
    }

    /**
     * Answers a scrape of Prometheus: status, Content-Type and body. The whole page is
     * `Ioprofiler\Profiler::answerScrape();`. What all processes counted is there where the
     * configuration has a `state_dir`; else what this one did.
     */
    public static function answerScrape(): void
    {
        [$status, $type, $body] = self::prometheus($_SERVER['HTTP_ACCEPT'] ?? '');
        http_response_code($status);
        header("Content-Type: $type");
        echo $body;
    }

    /**
     * What a scrape is answered with: OpenMetrics 1.0 where `$accept` wants that, else the text format.
     *
     * @return array{int, string, string} status, the value of Content-Type, body
     */
    public static function prometheus(string $accept = ''): array
    {
        return self::$current?->prometheus($accept) ?? [503, 'text/plain; charset=utf-8', "nothing is observed\n"];
    }

    /**
     * Everything counted so far, as plain data: for tests. Of each version of the application
     * `['version' => …, 'since' => …, 'at' => …, 'samples' => [['name' => …, 'labels' => …, …], …]]`,
     * durations in nanoseconds.
     *
     * @return list<array<string, mixed>>
     */
    public static function series(): array
    {
        return self::$current?->series() ?? [];
    }

    /**
     * The requests of this process that are kept, each a profile as plain data with `kept`, which says
     * why: by route the slowest first, then those that failed.
     *
     * @return list<array<string, mixed>>
     */
    public static function kept(): array
    {
        return self::$current?->kept() ?? [];
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
        $mine = ['may_look', 'note_header', 'note_format', 'access_log', 'config', 'config_file'];
        $own = array_intersect_key($options, array_flip($mine));
        $rest = array_diff_key($options, ['may_look' => 1, 'note_header' => 1]);
        foreach ($rest as $key => $value) {
            $wanted = match (true) {
                in_array($key, self::TEXTS, true) => is_string($value) ?: 'a string',
                in_array($key, self::NUMBERS, true) => is_int($value) ?: 'a whole number',
                $key === 'config' => is_array($value) ?: 'an array, shaped as the configuration file',
                $key === 'metrics' => is_bool($value) ?: 'true or false',
                $key === 'gate_secret_files' => is_array($value) && $value === array_filter($value, is_string(...))
                    ?: 'a list of files',
                default => 'no such option; there are may_look, note_header, gate_secret_files, config, metrics, '
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
        if (isset($rest['metrics'])) {
            $rest['metrics'] = (int) $rest['metrics'];
        }
        if (isset($rest['config'])) {
            $rest['config_json'] = self::json($rest['config']);
            unset($rest['config']);
        }
        return [$rest, $own];
    }

    /**
     * PHP writes an empty table as it writes an empty list.
     *
     * @param array<string, mixed> $config
     */
    private static function json(array $config): string
    {
        $config = array_map(static fn ($table) => $table === [] ? new \stdClass() : $table, $config);
        return json_encode((object) $config, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
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
