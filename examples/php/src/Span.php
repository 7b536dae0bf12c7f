<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * One timed call. It ends when it is told to, or forgotten.
 */
final class Span
{
    private const OUTCOME_OK = 0;
    private const OUTCOME_ERROR = 1;
    private const MOST = 0xffffffff;

    private int $outcome = self::OUTCOME_OK;
    private bool $ended = false;

    /** @internal */
    public function __construct(private readonly ?\FFI $c, public readonly int $handle)
    {
    }

    public function __destruct()
    {
        $this->end();
    }

    /** Whether somebody writes it down. */
    public function isRecording(): bool
    {
        return $this->handle !== 0;
    }

    /** Replaces what the call was: `Cache HIT, keys: …` is known only afterwards. */
    public function detail(string $detail): self
    {
        $this->c?->ioprof_span_detail($this->handle, $detail, strlen($detail));
        return $this;
    }

    /** Which server or file it was done to, where that is more than the category says. */
    public function target(string $target): self
    {
        $this->c?->ioprof_span_target($this->handle, $target, strlen($target));
        return $this;
    }

    public function rows(int $rows): self
    {
        $this->c?->ioprof_span_rows($this->handle, max(0, min($rows, self::MOST)));
        return $this;
    }

    public function found(int $hits, int $misses): self
    {
        $this->c?->ioprof_span_hits($this->handle, $hits);
        $this->c?->ioprof_span_misses($this->handle, $misses);
        return $this;
    }

    public function bytes(int $bytes): self
    {
        $this->c?->ioprof_span_bytes($this->handle, max(0, min($bytes, self::MOST)));
        return $this;
    }

    /** It failed. */
    public function error(): self
    {
        $this->outcome = self::OUTCOME_ERROR;
        return $this;
    }

    public function end(): void
    {
        if (!$this->ended) {
            $this->ended = true;
            $this->c?->ioprof_span_end($this->handle, $this->outcome);
        }
    }
}
