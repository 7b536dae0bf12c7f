<?php

declare(strict_types=1);

// Loads the package's classes where Composer does not.

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Ioprofiler\\')) {
        $file = __DIR__ . '/src/' . strtr(substr($class, strlen('Ioprofiler\\')), '\\', '/') . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
