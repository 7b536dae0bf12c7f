<?php

// Every class that records calls, on real servers, as an application uses it.

use Ioprofiler\Profiler;

require_once __DIR__ . '/../autoload.php';

header('Content-Type: text/plain');
$url = parse_url($_SERVER['DBSHARD01_URL']);
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$db = new Ioprofiler\Mysqli($url['host'], $url['user'], rawurldecode($url['pass']), 'dbshard01', $url['port'], category: 'users');
$statement = $db->prepare('SELECT title FROM Listing WHERE listing_id = ? AND quantity > ?');
[$id, $least] = [5773453, 0];
$statement->bind_param('ii', $id, $least);
$statement->execute();
echo $statement->get_result()->num_rows, "\n";
echo $db->query('SELECT shop_id FROM Shop LIMIT 3')->num_rows, "\n";
echo $db->execute_query('SELECT city FROM Shop WHERE shop_id > ? LIMIT 2', [0])->num_rows, "\n";
try {
    $db->query('SELECT nothing FROM nowhere');
} catch (mysqli_sql_exception) {
    echo "refused\n";
}

$pdo = new Ioprofiler\Pdo("mysql:host=$url[host];port=$url[port];dbname=dbshard01", $url['user'], rawurldecode($url['pass']));
$pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_SILENT);
echo var_export($pdo->query('SELECT nothing FROM nowhere'), true), "\n";
$pdo->beginTransaction();
$statement = $pdo->prepare('UPDATE Listing SET quantity = quantity WHERE listing_id = :id');
$statement->bindValue('id', 5773453, PDO::PARAM_INT);
echo var_export($statement->execute(), true), "\n";
$pdo->rollBack();

$cache = new Ioprofiler\Memcached();
[$host, $port] = explode(':', $_SERVER['MEMCACHED']);
$cache->addServer($host, (int) $port);
$cache->set('a', 'clay');
$cache->setMulti(['b' => 1, 'c' => false]);
$cache->getMulti(['a', 'b', 'c', 'd']);
echo var_export($cache->get('c'), true), var_export($cache->get('none'), true), "\n";
$cache->delete('a');
echo var_export($cache->increment('b'), true), "\n";

$redis = new Redis();
[$host, $port] = explode(':', $_SERVER['REDIS']);
$redis = new Ioprofiler\Redis($redis);
$redis->connect($host, (int) $port);
$redis->set('session:1', 'a secret');
echo $redis->get('session:1'), "\n";
echo json_encode($redis->multi()->incr('n')->mget(['session:1', 'n'])->exec()), "\n";
$iterator = null;
echo count($redis->scan($iterator)), "\n";
try {
    $redis->rawCommand('NONE');
    $redis->lPush('session:1', 'x');
} finally {
    echo "done\n";
}
Profiler::request()->scope('function', 'outer', static function (): void {
    $fiber = new Fiber(static function (): void {
        Profiler::request()->scope('function', 'in a fiber', static fn () => Fiber::suspend());
    });
    $fiber->start();
    Profiler::request()->span('solr', 'in the outer')->end();
    $fiber->resume();
});
