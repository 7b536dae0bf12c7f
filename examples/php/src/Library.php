<?php

// The administrator must set, in php.ini: `ffi.preload` (the file that bin/ioprofiler-ffi-header makes) and, unless `ffi.enable = true`, `opcache.preload` (preload.php) with `opcache.preload_user`.

declare(strict_types=1);

namespace Ioprofiler;

use FFI;

/**
 * libioprofiler, through FFI: structs and buffers, and no rule of its own.
 *
 * Only this file makes C data, because PHP lets only preloaded files do so. Calls that need none
 * go to `$c` directly.
 *
 * @internal
 */
final class Library
{
    /** The ABI that this file is written for. */
    private const ABI_VERSION = 0;
    /** Most answers fit; a longer one is asked for again. */
    private const ROOM = 4096;

    public const OK = 0;
    public const GATE_OPEN = 1;
    public const GATE_UNDECIDED = 2;
    public const FORM_NONE = 0;
    public const FORM_PAGE = 1;
    public const ANSWER_YES = 0;
    public const ANSWER_NO = 1;
    public const ANSWER_FAILED = 2;
    public const ERR_NOT_SHOWN = 500;
    public const DETAILS_FULL = 1;

    private FFI\CData $buffer;

    private function __construct(public readonly FFI $c)
    {
        $this->buffer = $c->new('char[' . self::ROOM . ']');
    }

    /**
     * The library, where the administrator has let PHP have it.
     *
     * @throws \RuntimeException saying what is missing
     */
    public static function open(): self
    {
        if (!extension_loaded('FFI')) {
            throw new \RuntimeException('the extension FFI is not loaded');
        }
        try {
            $c = FFI::scope('IOPROFILER');
        } catch (FFI\Exception $error) {
            throw new \RuntimeException('ffi.preload, opcache.preload: ' . $error->getMessage());
        }
        $has = $c->ioprof_abi_version();
        if ($has !== self::ABI_VERSION) {
            throw new \RuntimeException("the library has ABI $has, these classes are for " . self::ABI_VERSION);
        }
        return new self($c);
    }

    /**
     * The profiler of these options, made at their first use in this process.
     *
     * @param array<string, string|int|list<string>> $options named as in `ioprof_options`
     *
     * @throws \InvalidArgumentException saying which option is wrong, and what is allowed
     */
    public function profiler(array $options): int
    {
        $name = 'php ' . hash('xxh128', serialize($options));
        $found = $this->c->ioprof_profiler_find($name, strlen($name));
        if ($found !== 0) {
            return $found;
        }
        $struct = $this->struct('ioprof_options');
        $files = $options['gate_secret_files'] ?? [];
        unset($options['gate_secret_files']);
        $texts = array_filter($options, is_string(...));
        $kept = $this->texts($struct, ['name' => $name] + $texts);
        foreach (array_filter($options, is_int(...)) as $key => $number) {
            $struct->$key = $number;
        }
        if ($files !== []) {
            $secrets = $this->c->new('ioprof_text[' . count($files) . ']');
            $keptToo = $this->fill(array_values($files), static fn (int $at) => $secrets[$at]);
            $struct->gate_secret_files = FFI::addr($secrets[0]);
            $struct->gate_secret_file_count = count($files);
        }
        $struct->threadless = 1;
        $struct->keep_messages = 1;
        $profiler = $this->c->new('ioprof_profiler');
        $status = $this->c->ioprof_profiler_new(FFI::addr($struct), FFI::addr($profiler), $this->buffer, self::ROOM);
        if ($status === self::OK) {
            return $profiler->cdata;
        }
        // Another thread may have been faster.
        $found = $this->c->ioprof_profiler_find($name, strlen($name));
        return $found ?: throw new \InvalidArgumentException(FFI::string($this->buffer));
    }

    /**
     * What the gate says of a request that these inputs describe.
     *
     * @param array<string, string> $inputs named as in `ioprof_gate_inputs`
     */
    public function decide(int $profiler, array $inputs): ?FFI\CData
    {
        $struct = $this->struct('ioprof_gate_inputs');
        $kept = $this->texts($struct, $inputs);
        $decision = $this->struct('ioprof_gate_decision');
        $status = $this->c->ioprof_gate_decide($profiler, FFI::addr($struct), FFI::addr($decision));
        return $status === self::OK && $decision->form !== self::FORM_NONE ? $decision : null;
    }

    /** Tells the gate what the host's own rule says: `ANSWER_YES`, `_NO`, `_FAILED`. */
    public function answer(FFI\CData $decision, int $answer): void
    {
        $this->c->ioprof_gate_answer(FFI::addr($decision), $answer);
    }

    public function viewer(FFI\CData $decision): string
    {
        return FFI::string($decision->viewer, $decision->viewer_length);
    }

    /**
     * Begins a request.
     *
     * @param array<string, string> $facts named as in `ioprof_facts`
     * @param array<string, string> $headers
     */
    public function begin(int $profiler, int $kind, bool $asked, array $facts, array $headers): int
    {
        $struct = $this->struct('ioprof_facts');
        $struct->kind = $kind;
        $struct->asked = (int) $asked;
        $kept = $this->texts($struct, $facts);
        $keptToo = $this->headers($struct, $headers);
        return $this->c->ioprof_request_begin($profiler, FFI::addr($struct));
    }

    /** Ends a request; its profile is yours, see `free`. */
    public function finish(int $request, int $status, int $bytes, bool $aborted): ?FFI\CData
    {
        $profile = $this->c->new('ioprof_profile *');
        if ($aborted) {
            $this->c->ioprof_request_abort($request, $status, $bytes, FFI::addr($profile));
        } else {
            $this->c->ioprof_request_finish($request, $status, $bytes, FFI::addr($profile));
        }
        return FFI::isNull($profile) ? null : $profile;
    }

    /** A line about a request, in a format; nothing where the format is wrong. */
    public function line(FFI\CData $profile, string $format): string
    {
        return $this->sized(fn ($buffer, int $room, $length) => $this->c->ioprof_profile_line(
            $profile,
            $format,
            strlen($format),
            $buffer,
            $room,
            $length,
        ))[1];
    }

    /**
     * The page with the panel in it, or the profile in place of it.
     *
     * @param array<int, array{string, string}> $headers of the answer
     *
     * @return array{int, string, int} `OK` or `ERR_NOT_SHOWN`; the body, or why not; the status
     */
    public function show(int $form, FFI\CData $profile, string $method, int $status, array $headers, string $body): array
    {
        $answer = $this->struct('ioprof_answer');
        $answer->status = $status;
        $answer->length_plus_one = strlen($body) + 1;
        $kept = $this->texts($answer, ['method' => $method]);
        $keptToo = $this->headers($answer, $headers);
        $becomes = $this->c->new('uint32_t');
        $becomes->cdata = $status;
        $at = FFI::addr($answer);
        $to = FFI::addr($becomes);
        [$done, $text] = $this->sized(fn ($buffer, int $room, $length) => $form === self::FORM_PAGE
            ? $this->c->ioprof_inject($at, $profile, null, 0, $body, strlen($body), $buffer, $room, $length)
            : $this->c->ioprof_replace($at, $form, $profile, $to, $buffer, $room, $length));
        return [$done, $text, $becomes->cdata];
    }

    /**
     * Why this answer cannot carry the panel, as the header's value; its body has no known end.
     *
     * @param array<int, array{string, string}> $headers of the answer
     */
    public function notShown(string $method, int $status, array $headers): string
    {
        $answer = $this->struct('ioprof_answer');
        $answer->status = $status;
        $kept = $this->texts($answer, ['method' => $method]);
        $keptToo = $this->headers($answer, $headers);
        $this->buffer[0] = "\0";
        $this->c->ioprof_may_inject(FFI::addr($answer), $this->buffer, self::ROOM);
        return FFI::string($this->buffer);
    }

    /**
     * The name of a metric with its labels; empty where there can be none.
     *
     * @param array<string, string|int|float|bool> $labels
     */
    public function metricName(string $name, array $labels): string
    {
        if ($labels === []) {
            return $name;
        }
        $all = $this->c->new('ioprof_attribute[' . count($labels) . ']');
        $texts = [];
        foreach ($labels as $label => $value) {
            array_push($texts, (string) $label, is_bool($value) ? ($value ? 'true' : 'false') : (string) $value);
        }
        $kept = $this->fill($texts, static fn (int $at) => $at % 2 === 0 ? $all[$at >> 1]->name : $all[$at >> 1]->value);
        return $this->text('ioprof_metric_name', $name, strlen($name), FFI::addr($all[0]), count($labels));
    }

    /** @return array{int, string, string} status, content type, body */
    public function prometheus(int $profiler, string $accept): array
    {
        $about = $this->struct('ioprof_exposition');
        $body = $this->text('ioprof_prometheus', $profiler, $accept, strlen($accept), FFI::addr($about));
        return [$about->status, FFI::string($about->content_type, $about->content_type_length), $body];
    }

    /**
     * What a function writes that takes a buffer and its size last, and gives the length it needs.
     *
     * @param int|string|FFI\CData ...$arguments
     */
    public function text(string $function, ...$arguments): string
    {
        $buffer = $this->buffer;
        $room = self::ROOM;
        // What is written may be longer the second time.
        for (;;) {
            $length = $this->c->$function(...[...$arguments, $buffer, $room]);
            if ($length < $room) {
                return FFI::string($buffer, $length);
            }
            $room = $length + 1;
            $buffer = $this->c->new("char[$room]");
        }
    }

    /**
     * The same, for a function that gives a status, and writes the length apart.
     *
     * @param callable(FFI\CData, int, FFI\CData): int $call
     *
     * @return array{int, string}
     */
    private function sized(callable $call): array
    {
        $length = $this->c->new('size_t');
        $buffer = $this->buffer;
        $room = self::ROOM;
        for (;;) {
            $status = $call($buffer, $room, FFI::addr($length));
            $needed = $length->cdata;
            if ($needed < $room) {
                return [$status, FFI::string($buffer, $needed)];
            }
            $room = $needed + 1;
            $buffer = $this->c->new("char[$room]");
        }
    }

    private function struct(string $type): FFI\CData
    {
        $struct = $this->c->new($type);
        $struct->size = FFI::sizeof($struct);
        return $struct;
    }

    /**
     * Sets texts of a struct. The answer holds their bytes: keep it as long as the struct is used.
     *
     * @param array<string, string> $texts
     */
    private function texts(FFI\CData $struct, array $texts): ?FFI\CData
    {
        $names = array_keys($texts);
        return $this->fill(array_values($texts), static fn (int $at) => $struct->{$names[$at]});
    }

    /**
     * Sets the headers of a struct. The answer holds them, as above.
     *
     * @param array<int, array{string, string}> $headers
     *
     * @return array<?FFI\CData>
     */
    private function headers(FFI\CData $struct, array $headers): array
    {
        if ($headers === []) {
            return [];
        }
        $all = $this->c->new('ioprof_header[' . count($headers) . ']');
        $texts = array_merge(...array_values($headers));
        $bytes = $this->fill($texts, static fn (int $at) => $at % 2 === 0 ? $all[$at >> 1]->name : $all[$at >> 1]->value);
        $struct->headers = FFI::addr($all[0]);
        $struct->header_count = count($headers);
        return [$all, $bytes];
    }

    /**
     * Copies texts into one piece of memory, and lets each `ioprof_text` that `$place` gives point
     * into it.
     *
     * @param list<string> $texts
     */
    private function fill(array $texts, \Closure $place): ?FFI\CData
    {
        $all = implode('', $texts);
        // A text that is empty, and not absent, points somewhere too.
        $bytes = $this->c->new('char[' . (strlen($all) + 1) . ']');
        FFI::memcpy($bytes, $all, strlen($all));
        $from = 0;
        foreach ($texts as $at => $text) {
            $to = $place($at);
            $to->data = FFI::addr($bytes[$from]);
            $to->length = strlen($text);
            $from += strlen($text);
        }
        return $bytes;
    }
}
