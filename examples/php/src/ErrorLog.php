<?php

declare(strict_types=1);

namespace Ioprofiler;

/**
 * What the operator has to know, in PHP's own error log.
 *
 * @internal
 */
final class ErrorLog
{
    /** After so many seconds what was said once may be said again. */
    private const AGAIN = 3600;
    /** Where that cannot be remembered, one request of so many says it. */
    private const SELDOM = 1000;

    /**
     * Says it, unless a process of this user said the same within the hour. PHP forgets everything
     * between two requests, so that an empty file remembers it.
     */
    public static function once(string $message): void
    {
        $user = function_exists('posix_geteuid') ? posix_geteuid() : get_current_user();
        $file = sys_get_temp_dir() . "/ioprofiler-$user-" . hash('xxh64', $message);
        clearstatcache(true, $file);
        $said = @lstat($file);
        if ($said !== false && $said['mtime'] > time() - self::AGAIN) {
            return;
        }
        if ($said !== false) {
            @unlink($file);
        }
        // Made anew, or not at all: no link of somebody else's is followed.
        $made = @fopen($file, 'x');
        if ($made !== false) {
            fclose($made);
        } elseif (random_int(1, self::SELDOM) !== 1) {
            // Another process is saying it now; or nothing can be kept here, and then it is said seldom.
            return;
        }
        self::say($message);
    }

    public static function say(string $message): void
    {
        error_log("ioprofiler: $message");
    }
}
