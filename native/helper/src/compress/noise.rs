//! Finds what no deflate makes smaller: keys, archives, pictures. Trying it takes as long as text does and gives nothing.
//!
//! Noise has every byte about equally often, so prefix codes save nothing, and repeats nothing within the window of deflate.
//! Both are looked at in pieces of fixed size; what is found depends on the bytes alone.

/// What is judged at a time; larger than the window, so deflate loses nothing where noise is cut out.
const PIECE: usize = 64 << 10;

/// The beginning of a piece tells most of what is no noise.
const GLANCE: usize = 4 << 10;

/// Of the statistic chi-squared of 256 equally frequent values: noise has 255 ± 23. Prefix codes would save 0.4 % at most.
const LIMIT: u64 = 600;

/// How far back deflate finds repeats.
const WINDOW: usize = 32 << 10;

/// Repeats are looked for where this byte is, which is every 256th place of noise.
const MARK: u8 = 0xa5;

/// So many bytes at a mark that were at another one before are a repeat and no accident.
const WORD: usize = 8;

/// Cuts a block into parts and says of each whether it is noise. Neighbours differ; no part is empty.
pub(super) fn parts(block: &[u8]) -> Vec<(bool, &[u8])> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before = None;
    for at in (0..block.len()).step_by(PIECE) {
        let now = is_noise(block, at);
        if before.is_some_and(|before| before != now) {
            parts.push((!now, block.get(start..at).unwrap_or_default()));
            start = at;
        }
        before = Some(now);
    }
    if let Some(is_noise) = before {
        parts.push((is_noise, block.get(start..).unwrap_or_default()));
    }
    parts
}

/// Of the piece that begins there. One that is cut short at the end of the block is none.
fn is_noise(block: &[u8], at: usize) -> bool {
    let Some(piece) = block.get(at..at + PIECE) else { return false };
    is_even(piece.get(..GLANCE).unwrap_or_default())
        && is_even(piece)
        && !repeats(block.get(at.saturating_sub(WINDOW)..at + PIECE).unwrap_or_default())
}

/// Whether every byte is there about equally often.
fn is_even(bytes: &[u8]) -> bool {
    // Two counts, so that one need not wait for the other where a byte comes twice.
    let (mut even, mut odd) = ([0_u32; 256], [0_u32; 256]);
    for pair in bytes.chunks_exact(2) {
        if let &[one, other] = pair {
            if let Some(count) = even.get_mut(usize::from(one)) {
                *count += 1;
            }
            if let Some(count) = odd.get_mut(usize::from(other)) {
                *count += 1;
            }
        }
    }
    let squares: u64 = even.iter().zip(odd).map(|(one, other)| u64::from(one + other).pow(2)).sum();
    let size = bytes.len() as u64;
    squares * 256 <= size * (size + LIMIT)
}

/// Whether some bytes come again. Repeats of some 700 bytes in all are found as a rule: that is one in a hundred.
fn repeats(bytes: &[u8]) -> bool {
    let mut words: Vec<&[u8]> = bytes.windows(WORD).filter(|word| word.first() == Some(&MARK)).collect();
    words.sort_unstable();
    let again = words.windows(2).filter(|pair| pair.first() == pair.last()).count();
    again >= 2
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(next).collect()
    }

    fn lengths(block: &[u8]) -> Vec<(bool, usize)> {
        parts(block).into_iter().map(|(is_noise, part)| (is_noise, part.len())).collect()
    }

    #[test]
    fn parts_are_cut_where_noise_begins_and_ends() {
        let text: Vec<u8> = b"text that says little ".iter().copied().cycle().take(3 * PIECE).collect();
        let block = [&text[..], &noise(2 * PIECE), &text[..PIECE + 5]].concat();
        assert_eq!(lengths(&block), [(false, 3 * PIECE), (true, 2 * PIECE), (false, PIECE + 5)]);
        let joined: Vec<u8> = parts(&block).iter().flat_map(|(_, part)| part.iter().copied()).collect();
        assert!(joined == block);
        assert_eq!(lengths(&noise(16 * PIECE)), [(true, 16 * PIECE)]);
        assert_eq!(lengths(&[]), []);
    }

    #[test]
    fn noise_that_deflate_makes_smaller_is_none() {
        // The same again, as far back as deflate looks, within a piece and from the one before.
        assert_eq!(lengths(&noise(20_000).repeat(7)), [(false, 140_000)]);
        let fresh = noise(3 * PIECE);
        let mut again = fresh.clone();
        again.copy_within(2 * PIECE - 5_000..2 * PIECE, 2 * PIECE);
        assert_eq!(lengths(&again), [(true, 2 * PIECE), (false, PIECE)]);
        // Seven bits of eight, letters, and a little of them.
        assert_eq!(lengths(&fresh.iter().map(|byte| byte & 0x7f).collect::<Vec<_>>()), [(false, 3 * PIECE)]);
        let mut some = fresh.clone();
        some[PIECE..PIECE + 3_000].fill(b' ');
        assert_eq!(lengths(&some), [(true, PIECE), (false, PIECE), (true, PIECE)]);
        // What is shorter is tried.
        assert_eq!(lengths(&fresh[..PIECE - 1]), [(false, PIECE - 1)]);
    }
}
