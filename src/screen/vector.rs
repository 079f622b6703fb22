//! The sweep's tables over 32 bytes at a time, where the processor has AVX2.

use super::sweep::{LETTERS, Table};

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

    /// Names the bytes that may be the last of a fingerprint, in order; returns how many
    /// bytes of the block are done: all, or none where the processor cannot.
    pub(super) fn sweep(
        self,
        tables: &[Table; LETTERS],
        block: &[u8],
        candidate: &mut impl FnMut(usize),
    ) -> usize {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = self.avx2 {
            return simd.vectorize(avx2::Pass { simd, tables, block, candidate });
        }
        let _ = (tables, block, candidate);
        0
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::__m256i;

    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};

    use super::{LETTERS, Table};

    /// Bytes looked up at once.
    const WIDTH: usize = 32;

    pub(super) struct Pass<'a, F> {
        pub simd: V3,
        pub tables: &'a [Table; LETTERS],
        pub block: &'a [u8],
        pub candidate: &'a mut F,
    }

    // Only what is inlined here is compiled for AVX2: no closures in others' functions.
    impl<F: FnMut(usize)> NullaryFnOnce for Pass<'_, F> {
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
            let both = |a, b| avx2._mm256_and_si256(a, b);
            let all = avx._mm256_set1_epi8(-1);
            let mut before = (all, all, all);
            let (steps, rest) = self.block.as_chunks::<WIDTH>();
            // Names and the texts of single records are hardly longer than a step.
            let mut end = [0; WIDTH];
            if let Some(start) = end.get_mut(..rest.len()) {
                start.copy_from_slice(rest);
            }
            for step in 0..self.block.len().div_ceil(WIDTH) {
                let bytes: __m256i = cast(*steps.get(step).unwrap_or(&end));
                let low = both(bytes, half);
                let high = both(avx2._mm256_srli_epi16::<4>(bytes), half);
                let suited = |(lows, highs)| {
                    both(avx2._mm256_shuffle_epi8(lows, low), avx2._mm256_shuffle_epi8(highs, high))
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
                let wide = both(
                    both(
                        avx2._mm256_alignr_epi8::<10>(a, a_back),
                        avx2._mm256_alignr_epi8::<12>(b, b_back),
                    ),
                    avx2._mm256_alignr_epi8::<14>(c, c_back),
                );
                let suited = both(avx2._mm256_or_si256(narrow, wide), d);
                if avx._mm256_testz_si256(suited, suited) == 1 {
                    continue;
                }
                let unsuited = avx2._mm256_movemask_epi8(avx2._mm256_cmpeq_epi8(suited, none));
                let mut left = !unsuited.cast_unsigned();
                while left != 0 {
                    let bit = usize::try_from(left.trailing_zeros()).unwrap_or_default();
                    (self.candidate)(step.saturating_mul(WIDTH).saturating_add(bit));
                    left &= left.wrapping_sub(1);
                }
            }
            self.block.len()
        }
    }
}
