//! What the shop sells: made-up but plausible handmade goods, the same on every machine.

use crate::random::Random;

/// One sort of goods, and the words that its listings are made of.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    objects: &'static [&'static str],
    makings: &'static [&'static str],
    touches: &'static [&'static str],
    materials: &'static [&'static str],
    cheapest: i64,
}

pub(crate) const KINDS: [Kind; 8] = [
    Kind {
        name: "ceramics",
        objects: &[
            "mug",
            "serving bowl",
            "bud vase",
            "teapot",
            "butter dish",
            "planter",
            "salt cellar",
            "pie plate",
        ],
        makings: &[
            "Wheel-thrown",
            "Hand-built",
            "Slab-built",
            "Wood-fired",
            "Raku-fired",
        ],
        touches: &[
            "with a cobalt glaze",
            "in speckled cream",
            "with a fern imprint",
            "with an ash glaze",
            "in celadon green",
            "with a wave pattern",
        ],
        materials: &["stoneware", "porcelain", "terracotta", "red clay"],
        cheapest: 1800,
    },
    Kind {
        name: "jewelry",
        objects: &[
            "hoop earrings",
            "signet ring",
            "pendant necklace",
            "stacking ring",
            "ear studs",
            "bangle",
            "locket",
            "brooch",
        ],
        makings: &[
            "Hand-forged",
            "Hammered",
            "Cast",
            "Soldered",
            "Hand-engraved",
        ],
        touches: &[
            "with a raw garnet",
            "with a moss agate",
            "with a tiny moon",
            "with a leaf motif",
            "with a river pearl",
            "with a matte finish",
        ],
        materials: &["sterling silver", "brass", "copper", "gold-filled wire"],
        cheapest: 2400,
    },
    Kind {
        name: "knitwear",
        objects: &[
            "scarf",
            "beanie",
            "fingerless gloves",
            "cardigan",
            "baby blanket",
            "socks",
            "shawl",
            "pullover",
        ],
        makings: &[
            "Hand-knit",
            "Cable-knit",
            "Crocheted",
            "Hand-dyed",
            "Fair Isle",
        ],
        touches: &[
            "in heather grey",
            "with a pompom",
            "in mustard yellow",
            "with wooden buttons",
            "in forest green",
            "with a lace edge",
        ],
        materials: &["merino wool", "alpaca", "organic cotton", "Shetland wool"],
        cheapest: 2200,
    },
    Kind {
        name: "woodwork",
        objects: &[
            "cutting board",
            "spoon set",
            "picture frame",
            "stool",
            "jewelry box",
            "rolling pin",
            "bookends",
            "wall shelf",
        ],
        makings: &[
            "Hand-carved",
            "Lathe-turned",
            "Steam-bent",
            "Dovetailed",
            "Reclaimed",
        ],
        touches: &[
            "with a live edge",
            "oiled with beeswax",
            "with brass inlay",
            "with burnt lines",
            "with a walnut stripe",
            "sanded to silk",
        ],
        materials: &["walnut", "cherry", "white oak", "maple"],
        cheapest: 2600,
    },
    Kind {
        name: "paper goods",
        objects: &[
            "notebook",
            "birthday card",
            "calendar",
            "art print",
            "gift tags",
            "wedding invitation",
            "sketchbook",
            "bookplate",
        ],
        makings: &[
            "Letterpress",
            "Hand-bound",
            "Block-printed",
            "Screen-printed",
            "Marbled",
        ],
        touches: &[
            "with a swallow",
            "in two colors",
            "with a botanical drawing",
            "with deckled edges",
            "with a map of stars",
            "sewn with linen thread",
        ],
        materials: &["cotton paper", "kraft paper", "recycled paper", "washi"],
        cheapest: 500,
    },
    Kind {
        name: "candles",
        objects: &[
            "jar candle",
            "taper pair",
            "tea lights",
            "pillar candle",
            "wax melts",
            "travel candle",
        ],
        makings: &["Hand-poured", "Hand-dipped", "Small-batch", "Rolled"],
        touches: &[
            "scented with cedar",
            "scented with orange and clove",
            "unscented",
            "scented with lavender",
            "with a wooden wick",
            "scented with fig",
        ],
        materials: &["soy wax", "beeswax", "coconut wax"],
        cheapest: 900,
    },
    Kind {
        name: "leather",
        objects: &[
            "card wallet",
            "tote bag",
            "belt",
            "key fob",
            "passport cover",
            "pencil roll",
            "satchel",
            "watch strap",
        ],
        makings: &["Hand-stitched", "Saddle-stitched", "Hand-tooled", "Riveted"],
        touches: &[
            "in chestnut",
            "with waxed thread",
            "with a solid brass buckle",
            "with your initials",
            "in black",
            "with a suede lining",
        ],
        materials: &[
            "vegetable-tanned leather",
            "bridle leather",
            "deerskin",
            "cork leather",
        ],
        cheapest: 1600,
    },
    Kind {
        name: "toys",
        objects: &[
            "rag doll",
            "stacking rings",
            "pull-along duck",
            "felt fox",
            "puzzle",
            "rattle",
            "puppet",
            "train",
        ],
        makings: &[
            "Hand-sewn",
            "Hand-painted",
            "Needle-felted",
            "Hand-whittled",
        ],
        touches: &[
            "with a striped scarf",
            "in rainbow colors",
            "with a tiny backpack",
            "with milk paint",
            "with embroidered eyes",
            "for small hands",
        ],
        materials: &["wool felt", "beech wood", "linen", "organic cotton"],
        cheapest: 1400,
    },
];

/// The words of one listing.
pub(crate) struct Goods {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) materials: String,
    pub(crate) price_cents: i64,
}

pub(crate) fn goods(kind: &Kind, random: &mut Random) -> Goods {
    let making = random.pick(kind.makings);
    let object = random.pick(kind.objects);
    let touch = random.pick(kind.touches);
    let first = random.pick(kind.materials);
    let second = random.pick(kind.materials);
    let materials = if first == second {
        first.to_owned()
    } else {
        format!("{first}, {second}")
    };
    let description = format!(
        "{making} {object} {touch}, made of {first}. {} {} {}",
        random.pick(ORIGINS),
        random.pick(CARES),
        random.pick(CLOSINGS),
    );
    Goods {
        title: format!("{making} {first} {object} {touch}"),
        description,
        materials,
        price_cents: kind.cheapest + 50 * random.below(90),
    }
}

const ORIGINS: &[&str] = &[
    "I make each one in my studio above the bakery, so no two are quite alike.",
    "It took me three winters to get this shape right.",
    "My grandmother taught me the pattern; I have only changed the colors.",
    "The first ones were presents for friends, who kept asking for more.",
    "Everything is cut, joined and finished by the two of us.",
];
const CARES: &[&str] = &[
    "It likes to be used every day.",
    "Wipe it with a damp cloth and it will outlive us both.",
    "Small marks of the tools are left where they please the eye.",
    "The color in the picture is as close as the north light allows.",
    "Please allow a week if you would like another size.",
];
const CLOSINGS: &[&str] = &[
    "Ships in recycled packaging within three days.",
    "Comes wrapped, with a card if you tell me what to write.",
    "Ask me about custom orders.",
    "Returns are fine; I will find it another home.",
];

/// Shops are named from a word of each list.
pub(crate) const SHOP_FIRST: [&str; 16] = [
    "Juniper", "Copper", "Willow", "Harbor", "Thistle", "Foxglove", "Ember", "Quarry", "Larkspur",
    "Saltbox", "Bramble", "North", "Marigold", "Pebble", "Rookery", "Velvet",
];
pub(crate) const SHOP_SECOND: [&str; 10] = [
    "AndClay", "Thread", "Workshop", "Press", "Lantern", "Hollow", "Goods", "Mill", "Kiln",
    "Supply",
];
pub(crate) const HEADLINES: [&str; 6] = [
    "Useful things, slowly made",
    "One pair of hands, one kiln",
    "Gifts that are kept",
    "Made in small batches since 2006",
    "Plain goods with a secret",
    "From our barn to your table",
];
pub(crate) const CITIES: [&str; 12] = [
    "Brooklyn, NY",
    "Portland, OR",
    "Asheville, NC",
    "Austin, TX",
    "Providence, RI",
    "Hudson, NY",
    "Lisbon",
    "Berlin",
    "Glasgow",
    "Kyoto",
    "Melbourne",
    "Montreal",
];
pub(crate) const FIRST_NAMES: [&str; 24] = [
    "Ada", "Bea", "Chloe", "Dario", "Edith", "Farid", "Greta", "Hana", "Ines", "Jonas", "Kofi",
    "Lena", "Mateo", "Nadia", "Oskar", "Priya", "Quinn", "Rosa", "Sami", "Tess", "Ula", "Vera",
    "Wes", "Yuki",
];
pub(crate) const LAST_NAMES: [&str; 20] = [
    "Abbott", "Baker", "Castillo", "Dunn", "Eriksen", "Fischer", "Green", "Haddad", "Ito",
    "Jensen", "Kowalski", "Lopez", "Moreau", "Novak", "Okafor", "Park", "Rossi", "Singh", "Tanaka",
    "Weber",
];
