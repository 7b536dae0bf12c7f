<?php

declare(strict_types=1);

// The shop's listing page in PHP. Shards, cache and templates are those of the shop in Rust, which
// also fills the shards: see README.md.

use Ioprofiler\Profiler;

require_once __DIR__ . '/../autoload.php';
require_once 'Twig/autoload.php';
require __DIR__ . '/Market.php';

/** Who is looking: the shop has no accounts, so it is always this member. */
const YOU = 5020244;
/** The tests that run now, by their numbers in the log. */
const AB_TESTS = [6, 12, 14, 15];

/** What members of a test see is decided by who they are. */
function variant(int $test): int
{
    return crc32("$test:" . YOU) % 2;
}

$twig = new Twig\Environment(new Twig\Loader\FilesystemLoader(__DIR__ . '/templates'), ['cache' => $_SERVER['TWIG_CACHE'] ?? false]);
$twig->addExtension(new Ioprofiler\TwigExtension());
$twig->addFilter(new Twig\TwigFilter('price', static fn (int $cents) => sprintf('$%.2f', $cents / 100)));

header('Content-Type: text/html; charset=utf-8');
$path = explode('?', $_SERVER['REQUEST_URI'], 2)[0];
if (preg_match('~^/listing/(\d{1,18})$~', $path, $found) !== 1) {
    http_response_code(404);
    echo $twig->render('error.html', ['text' => 'This page is not for sale.']);
    exit;
}

Profiler::request()->setRoute('/listing/{id}');
Profiler::request()->setUser(YOU);
Profiler::note('ab_ids', implode(';', AB_TESTS));
Profiler::note('ab_variants', implode(';', array_map(variant(...), AB_TESTS)));

$market = Market::open($_SERVER);
$listing = $market->listing((int) $found[1]);
if ($listing === null) {
    http_response_code(404);
    echo $twig->render('error.html', ['text' => 'This page is not for sale.']);
    exit;
}
echo $twig->render('listing.html', [
    'listing' => $listing,
    'shop' => $market->shop($listing['shop_id']),
    'favorites' => $market->countFavorites($listing['listing_id']),
    'fans' => $market->fans($listing['listing_id'], 6),
    'more' => $market->moreOfShop($listing),
    'similar' => $market->similar($listing),
]);
