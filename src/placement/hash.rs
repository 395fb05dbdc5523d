//! The hashing half of the ring's wire contract.

/// The name of this ring's hashing and placement, as `/config` states it.
///
/// A client that meets another name must not guess: it refuses to start.
pub const RING_NAME: &str = "crc32-mix64-v1";

/// A position on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u32);

impl Token {
    /// The position of a key: its hash tag's CRC32, mixed.
    #[inline]
    pub fn of_key(key: &[u8]) -> Token {
        Token(mix(u64::from(crc32(tag(key)))))
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The CRC32 of the IEEE polynomial (as zlib and Ethernet use it).
#[inline]
pub fn crc32(bytes: &[u8]) -> u32 {
    // crc32fast is made for long inputs: it takes short ones byte by byte, after asking what the processor can do.
    if bytes.len() < LONG { crc32_of_short(bytes) } else { crc32fast::hash(bytes) }
}

/// From so many bytes on crc32fast has a faster way than eight at a time.
const LONG: usize = 64;

/// Eight bytes at a time ("slicing by 8"; Kounavis and Berry, 2005), and the rest one by one.
#[inline]
fn crc32_of_short(bytes: &[u8]) -> u32 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let crc = eights.iter().fold(u32::MAX, |crc, eight| {
        let [a, b, c, d, e, f, g, h] = (u64::from_le_bytes(*eight) ^ u64::from(crc)).to_le_bytes().map(usize::from);
        let t = &CRC_TABLES;
        t[7][a] ^ t[6][b] ^ t[5][c] ^ t[4][d] ^ t[3][e] ^ t[2][f] ^ t[1][g] ^ t[0][h]
    });
    !rest.iter().fold(crc, |crc, byte| CRC_TABLES[0][usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

/// What a byte does to the CRC when so many bytes follow it.
static CRC_TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut following = 1;
    while following < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[following - 1][byte];
            tables[following][byte] = tables[0][(crc & 0xff) as usize] ^ (crc >> 8);
            byte += 1;
        }
        following += 1;
    }
    tables
};

/// The upper half of MurmurHash3's 64-bit finaliser.
///
/// CRC32 is linear: points made from similar ids are shifted copies of each other and spread badly. The
/// finaliser is a bijection of 64 bits that breaks the pattern. Source: Austin Appleby, MurmurHash3,
/// `fmix64`.
#[inline]
pub fn mix(mut x: u64) -> u32 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^= x >> 33;
    (x >> 32) as u32
}

/// Point `index` of the member whose id has the CRC32 `id_crc`.
///
/// The index has the lower 32 bits for itself, so two members can share points only if their CRC32 are equal.
#[inline]
pub fn point(id_crc: u32, index: u32) -> Token {
    Token(mix(u64::from(id_crc) << 32 | u64::from(index)))
}

/// The part of a key that is hashed, by Redis Cluster's hash-tag rule.
///
/// The bytes between the first `{` and the first `}` after it, if there is at least one; else the whole key.
/// Keys with equal tags share their owners whatever the ring looks like.
#[inline]
pub fn tag(key: &[u8]) -> &[u8] {
    if !may_have(key, b'{') {
        return key;
    }
    let Some(open) = key.iter().position(|&b| b == b'{') else {
        return key;
    };
    let inner = &key[open + 1..];
    match inner.iter().position(|&b| b == b'}') {
        Some(0) | None => key,
        Some(close) => &inner[..close],
    }
}

/// Whether a byte may be there: eight at a time, since nearly all keys have no tag and every operation asks.
///
/// The last eight overlap those before. A shorter key is always looked through.
#[inline]
fn may_have(key: &[u8], byte: u8) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Of a word that is zero where the byte stands, this sets the top bit of the lowest zero, and no bit if there is
    // none (Hacker's Delight, 6-1).
    let has = |eight: &[u8; 8]| {
        let word = u64::from_le_bytes(*eight) ^ (ONES * u64::from(byte));
        word.wrapping_sub(ONES) & !word & TOPS != 0
    };
    match (key.as_chunks().0, key.last_chunk()) {
        (eights, Some(last)) => has(last) || eights.iter().any(has),
        (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the wire contract: key, CRC32 of its tag, token.
    const KEYS: [(&[u8], u32, u32); 6] = [
        (b"user:1000", 2675185635, 1995309231),
        (b"{user1000}.following", 307944294, 3252212200),
        (b"foo{}{bar}", 2301895513, 2773728760),
        (b"foo{{bar}}zap", 348433721, 3731151227),
        (b"\xff\x00\x01", 920575337, 2148720244),
        (b"", 0, 0),
    ];

    #[test]
    fn keys_have_the_tokens_of_the_contract() {
        for (key, crc, token) in KEYS {
            assert_eq!(crc32(tag(key)), crc, "crc32 of {key:?}");
            assert_eq!(Token::of_key(key), Token(token), "token of {key:?}");
        }
    }

    #[test]
    fn points_are_those_of_the_contract() {
        let crc = crc32(b"redis-0");
        let points: Vec<u32> = (0..4).map(|i| point(crc, i).0).collect();
        assert_eq!(points, [895550119, 4214939755, 2049849731, 923201088]);
    }

    #[test]
    fn short_keys_have_the_crc_of_the_library() {
        let bytes: Vec<u8> = (0..200_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for from in 0..100 {
            for to in from..=from + 100 {
                let key = &bytes[from..to];
                assert_eq!(crc32(key), crc32fast::hash(key), "{key:?}");
                assert_eq!(crc32_of_short(key), crc32fast::hash(key), "{key:?}");
            }
        }
    }

    #[test]
    fn a_tag_is_found_wherever_it_stands() {
        for length in 1..40 {
            for at in 0..length {
                let mut key = vec![b'z'; length];
                assert_eq!(tag(&key), key);
                key[at] = b'{';
                key.extend(b"x}");
                assert_eq!(tag(&key), &key[at + 1..length + 1]);
            }
        }
    }

    #[test]
    fn a_tag_is_what_redis_cluster_takes() {
        let cases: [(&[u8], &[u8]); 8] = [
            (b"a{b}c", b"b"),
            (b"a{}c", b"a{}c"),
            (b"a{}{c}", b"a{}{c}"),
            (b"a{b", b"a{b"),
            (b"a}b{c}", b"c"),
            (b"{a}{b}", b"a"),
            (b"{{a}}", b"{a"),
            (b"{}", b"{}"),
        ];
        for (key, expected) in cases {
            assert_eq!(tag(key), expected, "tag of {key:?}");
        }
    }
}
