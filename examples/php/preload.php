<?php

declare(strict_types=1);

// For `opcache.preload`: the one file that PHP then lets use FFI. Compiled, not run: nothing of the
// library is touched before the processes that serve have been forked.

opcache_compile_file(__DIR__ . '/src/Library.php');
