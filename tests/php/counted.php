<?php

// What an application counts: sent by datagrams after the answer, and scraped. With `?wrong`, options
// that are none.

require __DIR__ . '/../autoload.php';

use Ioprofiler\Profiler;

Profiler::start([
    'config' => match ($_GET['wrong'] ?? '') {
        'key' => ['statsd' => ['adress' => 'x:1']],
        'tcp' => ['graphite' => ['address' => 'x:1']],
        default => [
            'state_dir' => sys_get_temp_dir() . '/state',
            'keep' => [],
            'statsd' => ['address' => $_SERVER['STATSD'], 'prefix' => 'shop', 'interval' => 1],
        ],
    },
    'metrics' => true,
]);

match ($_GET['page'] ?? '') {
    'register' => (static function (): void {
        Profiler::count('registrations');
        Profiler::count('registrations', 2, ['plan' => $_GET['plan'], 'paid' => true]);
        Profiler::gauge('queue.length', 17.5);
        Profiler::timing('mail.sent', 0.12);
        Profiler::event('cache emptied', 'erika', 'it was full');
        Profiler::deploy('8c1f', 'erika', 'new search');
        echo 'registered';
    })(),
    'fail' => http_response_code(503),
    'metrics' => Profiler::answerScrape(),
    'kept' => (static function (): void {
        echo json_encode(['kept' => Profiler::kept(), 'series' => Profiler::series()], JSON_THROW_ON_ERROR);
    })(),
    default => print('nothing'),
};
