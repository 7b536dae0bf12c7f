<?php

// Pages that go wrong, or are asked in strange ways. `page` says which.

use Ioprofiler\Profiler;

switch ($_GET['page'] ?? 'plain') {
    case 'note':
        // The bytes of a note, from a file beside this one.
        Profiler::note('case', file_get_contents(__DIR__ . '/case-' . (int) $_GET['case']));
        Profiler::request()->setUser(5020244);
        echo '<!doctype html><meta charset="utf-8"><body>', getmypid(), '</body>';
        break;
    case 'late':
        // The last word on a note is said when the page has been sent.
        Profiler::note('case', 'early');
        register_shutdown_function(static function (): void {
            flush();
            Profiler::note('case', 'in the shutdown');
        });
        echo '<!doctype html><body>sent</body>';
        ob_flush();
        flush();
        break;
    case 'stream':
        header('Content-Type: text/html; charset=utf-8');
        echo '<!doctype html><body>one ';
        ob_flush();
        flush();
        echo 'two</body>';
        break;
    case 'cleared':
        echo 'to be forgotten';
        ob_clean();
        echo '<!doctype html><body>kept</body>';
        break;
    case 'json':
        header('Content-Type: application/json');
        echo '{"kept": true}';
        break;
    case 'empty':
        http_response_code(204);
        break;
    case 'tagged':
        header('ETag: "1"');
        if (($_SERVER['HTTP_IF_NONE_MATCH'] ?? '') === '"1"') {
            http_response_code(304);
            break;
        }
        header('Content-Type: text/html; charset=utf-8');
        $page = '<!doctype html><body>tagged</body>';
        header('Content-Length: ' . strlen($page));
        echo $page;
        break;
    case 'thrown':
        Profiler::note('case', 'before');
        throw new RuntimeException('thrown on purpose');
    case 'exit':
        Profiler::note('case', 'exited');
        register_shutdown_function(static function (): void {
            exit;
        });
        echo '<!doctype html><body>exit</body>';
        exit;
    default:
        header('Content-Type: text/html; charset=utf-8');
        echo '<!doctype html><body>plain ', str_repeat('clay ', (int) ($_GET['words'] ?? 1)), '</body>';
}
