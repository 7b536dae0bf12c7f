<?php

// An option that cannot be.

require __DIR__ . '/../autoload.php';

Ioprofiler\Profiler::start(['note_format' => '%{user_id}n%Z']);
