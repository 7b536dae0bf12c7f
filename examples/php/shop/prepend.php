<?php

declare(strict_types=1);

// What `auto_prepend_file` names: the whole set-up of the profiler. The application is not touched.

require __DIR__ . '/../autoload.php';

Ioprofiler\Profiler::start(array_filter([
    'build_id' => '0.1.0',
    // Profiles for holders of a token: `ioprofiler token mint --secret FILE --host HOST --who YOU`.
    'gate' => isset($_SERVER['IOPROFILER_SECRET']) ? 'token' : null,
    'gate_secret_files' => isset($_SERVER['IOPROFILER_SECRET']) ? [$_SERVER['IOPROFILER_SECRET']] : null,
    // The notes of the server's line. Under mod_php that is all; else they travel in a header.
    'note_format' => '%{host}n %{ab_ids}n %{ab_variants}n %{user_id}n %{memory}n %{app_us}n',
    'note_header' => PHP_SAPI === 'apache2handler' ? null : 'X-Ioprofiler-Note',
], static fn ($value) => $value !== null));
