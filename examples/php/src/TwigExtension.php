<?php

declare(strict_types=1);

namespace Ioprofiler;

use Twig\Extension\ProfilerExtension;
use Twig\Profiler\Profile;

/**
 * Shows each Twig template as a scope: `$twig->addExtension(new Ioprofiler\TwigExtension())`.
 *
 * Twig compiles what calls this into its templates, so that included and extended ones are seen.
 */
final class TwigExtension extends ProfilerExtension
{
    /** @var array<int, Span> open templates, by the number of Twig's own profile */
    private array $open = [];

    public function __construct()
    {
        parent::__construct(new Profile());
        Profiler::hook('Twig');
    }

    public function enter(Profile $profile): void
    {
        if ($profile->isTemplate()) {
            $name = $profile->getTemplate();
            $this->open[spl_object_id($profile)] = Profiler::request()->enter('template', $name, Request::PATH);
        }
    }

    public function leave(Profile $profile): void
    {
        $span = $this->open[spl_object_id($profile)] ?? null;
        if ($span !== null) {
            unset($this->open[spl_object_id($profile)]);
            Profiler::request()->leave($span);
        }
    }
}
