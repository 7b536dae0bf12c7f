//! Malformed flag files: 100,000 of them, and 1,000,000 with `IOPROF_LONG`. None stops the reader,
//! and none costs a flag that was good.

use ioprofiler::flags::compile;
use ioprofiler::flags::file::{Content, LastGood, Layer, Reading, read};

const TOML: &str = "\
# flags
[shed]
from = 7 # \"why\"
[flags.search]
enabled = { blue = 10, green = 20.5 }
groups = { staff = \"on\" }
users = { \"5020244\" = \"green\" }
variants = { blue = 1, green = 2 }
data = { blue = { limit = [1, 'x'] } }
expires = 2027-01-31
[flags]
cart = \"off\"
'wish list' = true
";
const JSON: &str = r#"{"shed": {"from": 7, "why": "db"},
 "flags": {"search": {"enabled": {"blue": 10, "green": 20.5}, "groups": {"staff": "on"},
  "users": {"5020244": "green"}, "variants": {"blue": 1, "green": 2},
  "data": {"blue": {"limit": [1, null, "\u00e4"]}}, "expires": "2027-01-31"},
  "cart": "off", "wish": true}}
"#;
/// What slips consist of.
const PIECES: [&str; 44] = [
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "=",
    "==",
    ":",
    ",",
    ".",
    "#",
    "//",
    "%",
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\u{feff}",
    "“",
    "off",
    "on",
    "10%",
    "-1",
    "1e999",
    "inf",
    "nan",
    "0x",
    "1_",
    "null",
    "\\",
    "\\u",
    "\\ud800",
    "[flags.",
    "[shed]\n",
    "enabled = ",
    "\"flags\": ",
    "é",
    "\u{202e}",
    "1979-13-40",
    "<<<<<<< HEAD\n",
    "99999999999999999999",
];

/// xorshift64*, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let roll = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(roll).unwrap() % sides.max(1)
    }
}

fn mangle(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    let to = (at + dice.roll(12)).min(bytes.len());
    match dice.roll(8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..to)),
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.roll(8);
            }
        }
        3 => {
            let line: Vec<u8> = bytes
                .split(|byte| *byte == b'\n')
                .nth(dice.roll(13))
                .unwrap_or_default()
                .to_vec();
            let end = bytes
                .iter()
                .skip(at)
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |end| at + end + 1);
            bytes.splice(end..end, [line.as_slice(), b"\n"].concat());
        }
        4 => {
            let part = bytes[at..to].to_vec();
            let other = dice.roll(bytes.len() + 1);
            bytes.splice(other..other, part);
        }
        _ => {
            let piece = PIECES[dice.roll(PIECES.len())];
            bytes.splice(at..to.min(at + dice.roll(3)), piece.bytes());
        }
    }
}

fn as_last(reading: &Reading) -> LastGood<'_> {
    LastGood {
        layers: &reading.layers,
        document: &reading.document,
    }
}

#[test]
fn no_document_stops_the_reader_or_costs_a_good_flag() {
    let documents = if std::env::var_os("IOPROF_LONG").is_some() {
        1_000_000
    } else {
        100_000
    };
    // Two threads at most: others run beside this.
    std::thread::scope(|scope| {
        for (name, seed) in [("flags.toml", TOML), ("flags.json", JSON)] {
            scope.spawn(move || run(name, seed, documents / 2));
        }
    });
}

fn run(name: &str, seed: &str, documents: usize) {
    let good = read(&[Layer::new(name, seed)], None);
    let names = |reading: &Reading| -> Vec<String> {
        let flags = reading.document.flags.iter();
        flags.map(|flag| flag.name.clone()).collect()
    };
    assert!(names(&good).len() >= 2);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed.len() as u64);
    let (mut refused, mut partly, mut taken) = (0, 0, 0);
    for number in 0..documents {
        let mut bytes = seed.as_bytes().to_vec();
        for _ in 0..=dice.roll(4) {
            mangle(&mut bytes, &mut dice);
        }
        let layer = Layer {
            path: name.into(),
            content: Content::of_bytes(&bytes),
        };
        let about = || format!("{name} {number}: {:?}", String::from_utf8_lossy(&bytes));
        let reading = read(std::slice::from_ref(&layer), Some(as_last(&good)));
        for problem in &reading.problems {
            assert!(
                !problem.message.contains("report it as a bug"),
                "{}",
                about()
            );
            assert!(!problem.message.contains('\n'), "{}", about());
        }
        // What cannot be read leaves all as it was.
        if reading.kept_layers == [0] {
            refused += 1;
            assert_eq!(reading.layers, good.layers, "{}", about());
            assert_eq!(reading.document.flags, good.document.flags, "{}", about());
            assert_eq!(reading.document.shed, good.document.shed, "{}", about());
            assert!(reading.errors() > 0, "{}", about());
        } else if reading.is_whole() {
            taken += 1;
        } else {
            partly += 1;
            assert!(reading.errors() > 0, "{}", about());
        }
        // A flag that was good is never lost, unless the file has it no more.
        for broken in &reading.broken_flags {
            assert!(!names(&good).contains(broken), "{}", about());
        }
        for kept in &reading.kept_flags {
            let of = |reading: &Reading| {
                let mut flags = reading.document.flags.iter();
                flags.find(|flag| flag.name == *kept).cloned()
            };
            assert_eq!(of(&reading), of(&good), "{}", about());
        }
        if number % 64 == 0 {
            // Whatever came of it can be in force, and be the last good.
            let next = read(&[Layer::new(name, "")], Some(as_last(&reading)));
            assert_eq!(names(&next), names(&reading), "{}", about());
            drop(compile(reading.document));
        }
    }
    assert!(refused > documents / 20, "{name}: {refused} refused");
    assert!(
        partly > documents / 100 || name.ends_with("json"),
        "{name}: {partly} in part"
    );
    assert!(taken > documents / 100, "{name}: {taken} taken");
}
