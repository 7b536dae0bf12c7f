<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * From PHP's output to the answer: what a viewer is shown, what a server in front is told, and the
 * end of the request. A request that did not ask, or asked in vain, is answered as without us.
 *
 * @internal
 */
final class Answer
{
    /** Held back at most; a larger page goes out without its panel. */
    private const CAP = 4 << 20;
    /** How long the log may keep the end of a request, in ms. */
    private const PATIENCE = 200;
    private const FATAL = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR;

    private string $held = '';
    private bool $holding = false;
    private bool $left = false;
    private bool $finished = false;
    private int $bytes = 0;

    /** @param array<string, mixed> $options */
    public function __construct(
        private readonly Library $library,
        private readonly int $profiler,
        private readonly Request $request,
        private readonly ?\FFI\CData $decision,
        private readonly array $options,
        private readonly string $method,
    ) {
    }

    public function begin(): void
    {
        $decision = $this->decision;
        $hopeless = $decision !== null && $decision->verdict !== Library::GATE_OPEN
            && ($decision->verdict !== Library::GATE_UNDECIDED || !isset($this->options['may_look']));
        if ($hopeless) {
            $this->refuse();
        } elseif ($decision !== null) {
            if ($decision->verdict === Library::GATE_OPEN) {
                $this->makeUnconditional();
            }
            $this->holding = ob_start($this->hold(...));
        }
        header_register_callback($this->leaving(...));
        // Behind the application's own functions, which are registered later than this one.
        register_shutdown_function(fn () => register_shutdown_function($this->finish(...)));
    }

    /** A function of the application's that ended the shutdown early does not keep us from ending. */
    public function __destruct()
    {
        $this->finish();
    }

    /** PHP's output handler: keeps the page until it is whole. */
    private function hold(string $output, int $phase): string
    {
        try {
            if ($phase & PHP_OUTPUT_HANDLER_CLEAN) {
                $this->held = '';
                return '';
            }
            $this->held .= $output;
            if (!$this->holding) {
                return $this->letGo();
            }
            if ($phase & PHP_OUTPUT_HANDLER_FINAL || strlen($this->held) > self::CAP) {
                $this->holding = false;
                return $this->shown($this->letGo());
            }
            if ($phase & PHP_OUTPUT_HANDLER_FLUSH) {
                $this->stream();
                return $this->letGo();
            }
        } catch (\Throwable $error) {
            $this->holding = false;
            ErrorLog::once('a profile cannot be shown: ' . $error->getMessage());
            return $this->letGo();
        }
        return '';
    }

    private function letGo(): string
    {
        $output = $this->held;
        $this->held = '';
        return $output;
    }

    /** The page as its viewer gets it, or as it was. */
    private function shown(string $body): string
    {
        if (!$this->mayLook() || headers_sent()) {
            return $body;
        }
        $form = $this->decision->form;
        $this->request->setStatus($this->status());
        $profile = $this->library->c->ioprof_request_snapshot($this->request->handle);
        if ($profile === null) {
            return $body;
        }
        $this->library->c->ioprof_request_first_byte($this->request->handle);
        [$done, $text, $status] = $this->library->show($form, $profile, $this->method, $this->status(), $this->headers(), $body);
        if ($done === Library::OK) {
            $this->edit($this->library->text('ioprof_shown_headers', $form));
            if ($form !== Library::FORM_PAGE || $this->has('content-length')) {
                header('Content-Length: ' . strlen($text));
            }
            http_response_code($status);
            $body = $text;
        }
        $this->open($profile, $done === Library::ERR_NOT_SHOWN ? $text : null);
        $this->library->c->ioprof_profile_free($profile);
        $this->bytes = strlen($body);
        return $body;
    }

    /** The application sends its page piece by piece: it is not held back any longer. */
    private function stream(): void
    {
        $this->holding = false;
        if (headers_sent() || !$this->mayLook()) {
            return;
        }
        $this->request->setStatus($this->status());
        $profile = $this->library->c->ioprof_request_snapshot($this->request->handle);
        if ($profile !== null) {
            $this->open($profile, $this->library->notShown($this->method, $this->status(), $this->headers()));
            $this->library->c->ioprof_profile_free($profile);
        }
    }

    /** Keeps the answer out of every cache, and tells what can be told in headers. */
    private function open(\FFI\CData $profile, ?string $notShown): void
    {
        $this->edit($this->library->text('ioprof_gate_open_headers'));
        if ($notShown !== null) {
            header("X-Ioprofiler: $notShown");
        }
        header('X-Ioprofiler-Request: ' . $this->request->id());
        header('Server-Timing: ' . $this->library->text('ioprof_profile_server_timing', $profile), false);
    }

    /** What the gate says at last. */
    private function mayLook(): bool
    {
        $decision = $this->decision;
        if ($decision->verdict === Library::GATE_UNDECIDED) {
            try {
                $yes = ($this->options['may_look'])($this->request) === true;
                $this->library->answer($decision, $yes ? Library::ANSWER_YES : Library::ANSWER_NO);
            } catch (\Throwable) {
                $this->library->answer($decision, Library::ANSWER_FAILED);
            }
            if ($decision->verdict !== Library::GATE_OPEN) {
                $this->refuse();
            }
        }
        return $decision->verdict === Library::GATE_OPEN;
    }

    private function refuse(): void
    {
        $this->library->c->ioprof_gate_refused($this->profiler, $this->decision->reason);
    }

    /** The headers are about to leave: what a server in front and the log are to know of them. */
    private function leaving(): void
    {
        if ($this->left || $this->finished) {
            return;
        }
        $this->left = true;
        try {
            if ($this->holding) {
                $this->stream();
            }
            $this->request->note('memory', memory_get_peak_usage());
            $this->request->setStatus($this->status());
            $this->library->c->ioprof_request_first_byte($this->request->handle);
            $note = isset($this->options['note_header']) ? $this->request->compactNote() : '';
            if ($note !== '') {
                header($this->options['note_header'] . ": $note");
            }
            $this->keepHeaders();
        } catch (\Throwable $error) {
            ErrorLog::once('headers: ' . $error->getMessage());
        }
    }

    /** Headers of the answer that formats of the log name. */
    private function keepHeaders(): void
    {
        $wanted = $this->library->text('ioprof_profiler_wanted_headers', $this->profiler, 1);
        if ($wanted === '') {
            return;
        }
        $wanted = explode("\n", $wanted);
        foreach ($this->headers() as [$name, $value]) {
            if (in_array(strtolower($name), $wanted, true)) {
                $this->library->c->ioprof_request_answer_header(
                    $this->request->handle,
                    $name,
                    strlen($name),
                    $value,
                    strlen($value),
                );
            }
        }
    }

    /** The end of the request, after everything that the application does. */
    private function finish(): void
    {
        if ($this->finished) {
            return;
        }
        try {
            // The panel shows a request that lives.
            while ($this->holding && ob_get_level() > 0 && @ob_end_flush()) {
            }
            $this->leaving();
            $this->finished = true;
            $writes = array_intersect_key($this->options, ['access_log' => 1, 'config' => 1, 'config_file' => 1]);
            if ($writes !== [] && function_exists('fastcgi_finish_request')) {
                // The client has its answer, and does not wait for the log and what is sent.
                fastcgi_finish_request();
            }
            $error = error_get_last();
            if ($error !== null && $error['type'] & self::FATAL) {
                $this->request->setError($error['message']);
            }
            $this->request->note('memory', memory_get_peak_usage());
            $compact = $this->request->compactNote();
            $aborted = connection_aborted() === 1;
            $profile = $this->library->finish($this->request->handle, $this->status(), $this->bytes, $aborted);
            if ($profile !== null) {
                $this->tellApache($profile, $compact);
                $this->library->c->ioprof_profile_free($profile);
            }
            $this->library->c->ioprof_profiler_flush($this->profiler, self::PATIENCE);
            foreach (array_filter(explode("\n", $this->library->text('ioprof_profiler_messages', $this->profiler))) as $message) {
                ErrorLog::say($message);
            }
        } catch (\Throwable $error) {
            ErrorLog::once('the end of a request: ' . $error->getMessage());
        }
    }

    /** Each note of the format for itself, and all of them as `ioprofiler`: for Apache's LogFormat. */
    private function tellApache(\FFI\CData $profile, string $compact): void
    {
        $format = $this->options['note_format'] ?? '';
        if ($format === '' || !function_exists('apache_note')) {
            return;
        }
        apache_note('ioprofiler', $compact);
        if (preg_match_all('/%\{([^}]+)\}n/', $format, $names) === 0) {
            return;
        }
        $values = explode("\t", $this->library->line($profile, implode('\t', $names[0])));
        foreach (array_combine($names[1], $values) as $name => $value) {
            apache_note((string) $name, $value);
        }
    }

    /** Takes off what could turn the page that was asked about into a 304 or a part of it. */
    private function makeUnconditional(): void
    {
        $names = $this->library->text('ioprof_gate_conditional_headers', $this->method, strlen($this->method));
        foreach (array_filter(explode("\n", $names)) as $name) {
            unset($_SERVER['HTTP_' . strtoupper(strtr($name, '-', '_'))]);
        }
    }

    /** Changes headers as the library says: `set NAME: VALUE`, `append NAME: VALUE`, `remove NAME`. */
    private function edit(string $lines): void
    {
        foreach (array_filter(explode("\n", $lines)) as $line) {
            [$how, $header] = explode(' ', $line, 2);
            match ($how) {
                'set' => header($header),
                'append' => header($header, false),
                default => header_remove($header),
            };
        }
    }

    private function status(): int
    {
        return http_response_code() ?: 0;
    }

    /** @return list<array{string, string}> */
    private function headers(): array
    {
        $headers = [];
        foreach (headers_list() as $header) {
            [$name, $value] = explode(':', $header, 2) + [1 => ''];
            $headers[] = [$name, trim($value)];
        }
        if (!$this->has('content-type') && ini_get('default_mimetype') !== '') {
            // PHP adds it at the very last.
            $charset = ini_get('default_charset');
            $headers[] = ['Content-Type', ini_get('default_mimetype') . ($charset === '' ? '' : "; charset=$charset")];
        }
        return $headers;
    }

    private function has(string $name): bool
    {
        return array_filter(headers_list(), static fn (string $header) => stripos($header, "$name:") === 0) !== [];
    }
}
