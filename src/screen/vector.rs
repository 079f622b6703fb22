//! The sweep's tables over 32 bytes at a time, where the processor has AVX2.

use super::sweep::{LETTERS, Prints, Table};

/// What the processor can do, asked once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vector {
    #[cfg(target_arch = "x86_64")]
    avx2: Option<pulp::x86::V3>,
}

impl Default for Vector {
    fn default() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: pulp::x86::V3::try_new(),
        }
    }
}

impl Vector {
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: None,
        }
    }

    /// Names the bytes that may be the last of a fingerprint, and its stride; returns how
    /// many bytes of the block are done: all, or none where the processor cannot.
    pub(super) fn sweep(
        self,
        tables: &[Table; LETTERS],
        narrow: &Prints,
        wide: Option<&Prints>,
        block: &[u8],
        candidate: &mut impl FnMut(usize, usize),
    ) -> usize {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = self.avx2 {
            return match wide {
                Some(wide) => simd.vectorize(avx2::Pass::<_, true> {
                    simd,
                    tables,
                    narrow,
                    wide,
                    block,
                    candidate,
                }),
                None => simd.vectorize(avx2::Pass::<_, false> {
                    simd,
                    tables,
                    narrow,
                    wide: narrow,
                    block,
                    candidate,
                }),
            };
        }
        let _ = (tables, narrow, wide, block, candidate);
        0
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::__m256i;

    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};

    use super::super::sweep::{NARROW, WIDE};
    use super::{LETTERS, Prints, Table};

    /// Bytes looked up at once.
    const WIDTH: usize = 32;
    const STEP: u32 = 32;
    /// Steps whose candidates are gathered before they are looked at.
    const STEPS: usize = 16;
    /// So many of one step are usual. To write them down whether they are there or not is
    /// quicker than to guess how many there are.
    const USUAL: usize = 4;

    /// `BOTH`: every other byte is looked at as well.
    pub(super) struct Pass<'a, F, const BOTH: bool> {
        pub simd: V3,
        pub tables: &'a [Table; LETTERS],
        pub narrow: &'a Prints,
        pub wide: &'a Prints,
        pub block: &'a [u8],
        pub candidate: &'a mut F,
    }

    // Only what is inlined here is compiled for AVX2: no closures in others' functions.
    impl<F: FnMut(usize, usize), const BOTH: bool> NullaryFnOnce for Pass<'_, F, BOTH> {
        type Output = usize;

        #[inline(always)]
        fn call(self) -> usize {
            let (avx, avx2) = (self.simd.avx, self.simd.avx2);
            let twice = |half: [u8; 16]| -> __m256i { cast([half, half]) };
            let [one, two, three, four] = self.tables;
            let one = (twice(one.low), twice(one.high));
            let two = (twice(two.low), twice(two.high));
            let three = (twice(three.low), twice(three.high));
            let four = (twice(four.low), twice(four.high));
            let (half, none) = (avx._mm256_set1_epi8(15), avx._mm256_setzero_si256());
            let upper = avx._mm256_set1_epi8(i8::MIN);
            let both = |a, b| avx2._mm256_and_si256(a, b);
            let either = |a, b| avx2._mm256_or_si256(a, b);
            let all = avx._mm256_set1_epi8(-1);
            let mut before = (all, all, all);
            let (mut narrow_places, mut wide_places) = ([0; ROOM], [0; ROOM]);
            let (steps, rest) = self.block.as_chunks::<WIDTH>();
            // Names and the texts of single records are hardly longer than a step.
            let mut end = [[0; WIDTH]];
            if let Some(start) = end.as_flattened_mut().get_mut(..rest.len()) {
                start.copy_from_slice(rest);
            }
            let end = if rest.is_empty() { &[] } else { end.as_slice() };
            let mut first = 0;
            for steps in steps.chunks(STEPS).chain(end.chunks(STEPS)) {
                let (mut narrow_count, mut wide_count) = (0, 0);
                for bytes in steps {
                    let bytes: __m256i = cast(*bytes);
                    // A look-up goes by four bits and gives nothing where the uppermost is
                    // set: the fifth is moved there, as it is and inverted.
                    let fifth = both(avx2._mm256_slli_epi16::<3>(bytes), upper);
                    let low = either(both(bytes, half), fifth);
                    let high = avx2._mm256_xor_si256(low, upper);
                    let suited = |(lows, highs)| {
                        either(
                            avx2._mm256_shuffle_epi8(lows, low),
                            avx2._mm256_shuffle_epi8(highs, high),
                        )
                    };
                    let (a, b, c, d) = (suited(one), suited(two), suited(three), suited(four));
                    // The letters before a fingerprint's last are moved on to it, out of the
                    // sixteen bytes before each half of this step.
                    let a_back = avx2._mm256_permute2x128_si256::<0x21>(before.0, a);
                    let b_back = avx2._mm256_permute2x128_si256::<0x21>(before.1, b);
                    let c_back = avx2._mm256_permute2x128_si256::<0x21>(before.2, c);
                    before = (a, b, c);
                    let narrow = both(
                        both(
                            avx2._mm256_alignr_epi8::<13>(a, a_back),
                            avx2._mm256_alignr_epi8::<14>(b, b_back),
                        ),
                        avx2._mm256_alignr_epi8::<15>(c, c_back),
                    );
                    let bits = |suited| -> u32 {
                        let unsuited = avx2._mm256_cmpeq_epi8(both(suited, d), none);
                        !avx2._mm256_movemask_epi8(unsuited).cast_unsigned()
                    };
                    if BOTH {
                        let wide = both(
                            both(
                                avx2._mm256_alignr_epi8::<10>(a, a_back),
                                avx2._mm256_alignr_epi8::<12>(b, b_back),
                            ),
                            avx2._mm256_alignr_epi8::<14>(c, c_back),
                        );
                        wide_count = add::<USUAL>(&mut wide_places, wide_count, first, bits(wide));
                    }
                    let bits = bits(narrow);
                    // Blocks are in UTF-16 for the most part, and hold few.
                    if !BOTH {
                        narrow_count = add::<USUAL>(&mut narrow_places, narrow_count, first, bits);
                    } else if bits != 0 {
                        narrow_count = add::<1>(&mut narrow_places, narrow_count, first, bits);
                    }
                    first = first.wrapping_add(STEP);
                }
                let (block, seen) = (self.block, &mut *self.candidate);
                let places = narrow_places.get(..narrow_count).unwrap_or_default();
                hand_on::<NARROW>(places, self.narrow, block, seen);
                if BOTH {
                    let places = wide_places.get(..wide_count).unwrap_or_default();
                    hand_on::<WIDE>(places, self.wide, block, seen);
                }
            }
            self.block.len()
        }
    }

    const ROOM: usize = STEPS * WIDTH + USUAL;

    /// Adds the places of the bits set, from the lowest, to those counted; so many are
    /// written down whether they are there or not.
    #[inline(always)]
    fn add<const ALWAYS: usize>(
        places: &mut [u32; ROOM],
        count: usize,
        first: u32,
        bits: u32,
    ) -> usize {
        let mut left = bits;
        let room = places.get_mut(count..);
        if let Some(room) = room.and_then(|room| room.first_chunk_mut::<ALWAYS>()) {
            for place in room {
                *place = first.wrapping_add(left.trailing_zeros());
                left &= left.wrapping_sub(1);
            }
        }
        let mut next = count.wrapping_add(ALWAYS);
        while left != 0 {
            if let Some(place) = places.get_mut(next) {
                *place = first.wrapping_add(left.trailing_zeros());
            }
            left &= left.wrapping_sub(1);
            next = next.wrapping_add(1);
        }
        count.wrapping_add(usize::try_from(bits.count_ones()).unwrap_or_default())
    }

    /// Names those that are fingerprints. On its own: a loop needs all registers.
    #[inline(never)]
    fn hand_on<const STRIDE: usize>(
        places: &[u32],
        prints: &Prints,
        block: &[u8],
        seen: &mut impl FnMut(usize, usize),
    ) {
        for place in places {
            let place = usize::try_from(*place).unwrap_or_default();
            if prints.may_end::<STRIDE>(block, place) {
                seen(place, STRIDE);
            }
        }
    }
}
