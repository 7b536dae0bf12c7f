<?php

// Notes in Apache's line and in a header, and a log of our own.

require __DIR__ . '/../autoload.php';

Ioprofiler\Profiler::start([
    'gate' => 'token',
    'gate_secret_files' => [$_SERVER['IOPROFILER_SECRET']],
    'note_format' => '%{case}n %{user_id}n',
    'note_max_bytes' => 1000,
    'note_header' => PHP_SAPI === 'apache2handler' ? 'X-Unused' : 'X-Ioprofiler-Note',
    'access_log' => sys_get_temp_dir() . '/own.log',
    'access_log_format' => 'json',
    'access_log_details' => 1,
]);
