//! Who is in which bucket: the same in every language, for ever.
//!
//! Three steps, specified to the bit:
//!
//! 1. `hash(text)` is XXH64 (the public xxHash specification) with seed 0 of the text's UTF-8
//!    bytes. It is taken of the unit (the visitor's or user's id …), and of the flag's `salt`, else
//!    of its name.
//! 2. `mixed` is the first output of SplitMix64 whose state is `hash(unit) XOR hash(flag)`: the
//!    state plus `0x9e3779b97f4a7c15`, then `z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9`,
//!    `z = (z ^ (z >> 27)) * 0x94d049bb133111eb`, `z ^ (z >> 31)`, all modulo 2^64.
//! 3. `bucket` is the upper half of the 128-bit product `mixed * 100_000_000`: from 0 to
//!    99,999,999, without the bias of a remainder. A unit is in the first *p* percent where
//!    `bucket < p * 1_000_000`, both exact integers: nobody at 0, everybody at 100, and whoever is
//!    in stays in as *p* grows.
//!
//! `tests/vectors/flags.json` holds examples of each step, which every binding runs.

/// Buckets there are: a millionth of a percent each.
pub(crate) const BUCKETS: u32 = 100_000_000;

const PRIME_1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME_2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME_3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME_4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME_5: u64 = 0x27d4_eb2f_1656_67c5;

/// XXH64 with seed 0 of a text.
#[must_use]
#[inline]
pub fn hash(text: &str) -> u64 {
    hash_bytes(text.as_bytes())
}

#[inline]
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let (stripes, rest) = bytes.as_chunks::<32>();
    let start = if stripes.is_empty() {
        PRIME_5
    } else {
        hash_stripes(stripes)
    };
    finish(start.wrapping_add(bytes.len() as u64), rest)
}

#[inline]
fn word(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

#[inline]
fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(PRIME_2))
        .rotate_left(31)
        .wrapping_mul(PRIME_1)
}

/// Texts of 32 bytes and more go through four lanes.
fn hash_stripes(stripes: &[[u8; 32]]) -> u64 {
    let mut lanes = [
        PRIME_1.wrapping_add(PRIME_2),
        PRIME_2,
        0,
        0_u64.wrapping_sub(PRIME_1),
    ];
    for stripe in stripes {
        let (words, _) = stripe.as_chunks::<8>();
        for (lane, input) in lanes.iter_mut().zip(words) {
            *lane = round(*lane, word(*input));
        }
    }
    let [first, second, third, fourth] = lanes;
    let mut hash = first
        .rotate_left(1)
        .wrapping_add(second.rotate_left(7))
        .wrapping_add(third.rotate_left(12))
        .wrapping_add(fourth.rotate_left(18));
    for lane in lanes {
        hash = (hash ^ round(0, lane))
            .wrapping_mul(PRIME_1)
            .wrapping_add(PRIME_4);
    }
    hash
}

#[inline]
fn finish(mut hash: u64, rest: &[u8]) -> u64 {
    let (words, rest) = rest.as_chunks::<8>();
    for input in words {
        hash = (hash ^ round(0, word(*input)))
            .rotate_left(27)
            .wrapping_mul(PRIME_1)
            .wrapping_add(PRIME_4);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for input in halves {
        hash = (hash ^ u64::from(u32::from_le_bytes(*input)).wrapping_mul(PRIME_1))
            .rotate_left(23)
            .wrapping_mul(PRIME_2)
            .wrapping_add(PRIME_3);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIME_5))
            .rotate_left(11)
            .wrapping_mul(PRIME_1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 32)
}

/// The bucket of a unit in a flag, both hashed: from 0 to 99,999,999.
#[must_use]
#[inline]
pub fn bucket_of(unit: u64, flag: u64) -> u32 {
    let state = (unit ^ flag).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mixed = mixed ^ (mixed >> 31);
    ((u128::from(mixed) * u128::from(BUCKETS)) >> 64) as u32
}

#[cfg(test)]
mod tests {
    use super::{bucket_of, hash};

    /// Of the xxHash specification and its reference implementation.
    #[test]
    fn the_hash_is_xxh64() {
        assert_eq!(hash(""), 0xef46_db37_51d8_e999);
        assert_eq!(hash("a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(hash("abc"), 0x44bc_2cf5_ad77_0999);
        assert_eq!(
            hash("Nobody inspects the spammish repetition"),
            0xfbce_a83c_8a37_8bf1
        );
    }

    #[test]
    fn buckets_go_from_the_first_to_the_last() {
        let buckets = (0..200_000_u64).map(|unit| bucket_of(hash(&unit.to_string()), 7));
        let (mut least, mut most) = (u32::MAX, 0);
        for bucket in buckets {
            least = least.min(bucket);
            most = most.max(bucket);
        }
        assert!(least < 10_000, "{least}");
        assert!((99_990_000..100_000_000).contains(&most), "{most}");
    }
}
